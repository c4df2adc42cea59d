"""The number of CPU threads follows the free processors, unless the user chose one."""

import logging
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tsm_edge.machine.system_files import processors
from tsm_edge_export import threads, verify
from tsm_edge_export.threads import busy_processors, choose, free_threads, take_up_threads


@pytest.fixture
def no_choice(monkeypatch):
    """No OMP_NUM_THREADS, and torch's number of threads put back afterwards."""
    monkeypatch.delenv("OMP_NUM_THREADS")
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@given(allowed=st.integers(1, 256), load=st.floats(0, 300))
def test_what_others_keep_busy_is_left_to_them(allowed, load):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "processors", lambda: allowed)
        patch.setattr(threads, "busy_processors", lambda: load)
        count, reason = choose()
    assert 1 <= count <= allowed
    assert abs(count - max(1, allowed - load)) <= 0.5 or count == 1
    assert f"{load:.1f} of {allowed}" in reason


@given(load=st.floats(0, 1e6))
def test_without_proc_the_load_average_decides_within_bounds(load):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "processors", lambda: 4)
        patch.setattr(threads, "busy_processors", lambda: None)
        patch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
        count, _ = choose()
    assert 1 <= count <= 4 and (load > 0.4 or count == 4) and (load < 3 or count == 1)


def test_a_block_has_its_threads_and_gives_them_back(no_choice, monkeypatch, caplog):
    torch.set_num_threads(2)
    monkeypatch.setattr(threads, "choose", lambda: (1, "a reason"))
    with caplog.at_level(logging.INFO, "tsm_edge_export.threads"), free_threads() as count:
        assert (count, torch.get_num_threads()) == (1, 1)
    assert torch.get_num_threads() == 2
    assert "1 CPU threads: a reason" in caplog.text


def test_the_choice_of_the_user_wins(no_choice, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(threads, "choose", lambda: pytest.fail("nothing to choose"))
    torch.set_num_threads(3)
    with free_threads() as count:
        assert count == torch.get_num_threads() == 3
    take_up_threads(1)
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("count, taken", [(1, 1), (0, 2), (10_000, 2), (-1, 2)])
def test_a_resumed_training_takes_up_its_threads(no_choice, count, taken):
    torch.set_num_threads(2)
    take_up_threads(count)
    assert torch.get_num_threads() == taken


def _stat(root, *rows):
    (root / "proc").mkdir(exist_ok=True)
    lines = [f"cpu{number} {' '.join(map(str, row))}" for number, row in enumerate(rows)]
    (root / "proc" / "stat").write_text("cpu  1 2 3\n" + "\n".join(lines) + "\nintr 5\n")


def test_busy_processors_of_a_proc_stat(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    _stat(tmp_path, (0,) * 10, (0,) * 10, (0,) * 10)

    def later(_seconds):
        idle, half, full = (0, 0, 0, 25, 0), (10, 0, 2, 10, 2), (25, 0, 0, 0, 0)
        _stat(tmp_path, *((*row, 0, 0, 0, 0, 0) for row in (half, idle, full)))

    monkeypatch.setattr(threads.time, "sleep", later)
    assert busy_processors(str(tmp_path)) == pytest.approx(0.5)  # the third processor is not this process's


@pytest.mark.parametrize("text", ["", "cpu0 1 2 3", "cpu0 " + "9" * 390, "cpu0 1 2 3 4 5 6 7 8", "cpu0 a b"])
def test_a_proc_stat_that_says_nothing(tmp_path, monkeypatch, text):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "stat").write_text(text)
    assert busy_processors(str(tmp_path), 0.0) is None


def test_this_machine_is_measured():
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        busy = busy_processors(seconds=1.0)
    finally:
        hog.kill()
        hog.wait()
    assert 0.4 <= busy <= processors()


def test_the_proof_takes_as_many_threads_as_torch(exported, monkeypatch):
    opened = []
    engine = verify.OnnxRuntimeEngine
    monkeypatch.setattr(verify, "OnnxRuntimeEngine", lambda *options: opened.append(options[2]) or engine(*options))
    next(verify.verify(exported("online", "custom")))
    assert opened and set(opened) == {torch.get_num_threads()}
