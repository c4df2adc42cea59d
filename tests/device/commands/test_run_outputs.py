"""The outputs of `tsm-edge run`: never an input, never another run's, and whole however the run ends."""

import json
import os
import random
import signal
import stat
import subprocess
import sys
import time

import pytest

from tests.device import media
from tests.device.commands.conftest import COUNT
from tests.device.commands.test_run_refusals import refused
from tests.device.running import ended, played, records, start, tsm_edge, wait_for_lines, wait_for_writer
from tsm_edge.sinks.encoders import ffmpeg_works


def contents(folder):
    """{path: (bytes, mode)} of every file beneath a folder."""
    found = {}
    for parent, _, names in os.walk(str(folder)):
        for name in names:
            path = os.path.join(parent, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, str(folder))] = (file.read(), os.stat(path).st_mode)
    return found


@pytest.fixture
def site(model, video, tmp_path):
    """A folder with everything that a run may read."""
    folder = tmp_path / "site"
    folder.mkdir()
    frames = folder / "frames"
    frames.mkdir()
    media.write_folder(frames, 4)
    for source, name in ((model, "model.onnx"), (video, "in.mp4")):
        with open(str(source), "rb") as file:
            (folder / name).write_bytes(file.read())
    (folder / "model.json").write_text("a sidecar")
    kernels = folder / "kernels"
    kernels.mkdir()
    (kernels / "libtsm_edge_none.so").write_text("a library")
    (folder / "site.toml").write_text("[[camera]]\nsource = '{}'\n".format(folder / "in.mp4"))
    return folder


READ = [
    "model.onnx",
    "model.json",
    "in.mp4",
    "site.toml",
    "frames/0.jpg",
    "frames/3.jpg",
    "kernels/libtsm_edge_none.so",
]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("victim", READ)
def test_no_lines_destroy_what_the_run_reads(site, tmp_path, capsys, monkeypatch, victim, seed):
    monkeypatch.setenv("TSM_EDGE_KERNELS", str(site / "kernels"))
    dice, alias = random.Random(seed), str(site / victim)
    for number in range(seed):
        name = str(tmp_path / "alias{}".format(number))
        dice.choice([os.symlink, lambda path, name: os.link(os.path.realpath(path), name)])(alias, name)
        alias = name
    before = contents(site)
    sources = ("--cameras", site / "site.toml", "--source", site / "frames")
    done = tsm_edge(capsys, "run", "--engine", site / "model.onnx", *sources, "--jsonl", alias)
    refused(done, "the same file as")
    assert contents(site) == before


@pytest.mark.parametrize("victim", READ)
def test_no_video_destroys_what_the_run_reads(site, tmp_path, capsys, monkeypatch, victim):
    monkeypatch.setenv("TSM_EDGE_KERNELS", str(site / "kernels"))
    alias = tmp_path / "alias.mp4"
    os.link(str(site / victim), str(alias))
    before = contents(site)
    source = ("--source", site / "frames") if victim.startswith("frames") else ("--cameras", site / "site.toml")
    done = tsm_edge(capsys, "run", "--engine", site / "model.onnx", *source, "--save", alias)
    refused(done, "the same file as")
    assert contents(site) == before


def test_two_outputs_that_are_one_file_by_a_hard_link(model, video, tmp_path, capsys):
    (tmp_path / "a.mp4").write_text("earlier")
    os.link(str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4"))
    outputs = ("--jsonl", tmp_path / "a.mp4", "--save", tmp_path / "b.mp4")
    refused(tsm_edge(capsys, "run", "--engine", model, "--source", video, *outputs), "the same file as --jsonl")
    assert (tmp_path / "a.mp4").read_text() == "earlier"


@pytest.mark.parametrize("option, name", [("--jsonl", "o.jsonl"), ("--save", "o.mp4")])
def test_a_second_run_into_the_same_output_is_refused(model, video, tmp_path, capsys, option, name):
    out = tmp_path / name
    beside = tmp_path / "beside.jsonl"
    outputs = (option, out) if option == "--jsonl" else (option, out, "--jsonl", beside)
    process = start("run", "--engine", model, "--source", video, "--loop", *outputs)
    wait_for_lines(out if option == "--jsonl" else beside, 5, process)
    done = tsm_edge(capsys, "run", "--engine", model, "--source", video, option, out)
    refused(done, str(out), "process {} writes it".format(process.pid))
    assert done.out == ""
    process.send_signal(signal.SIGTERM)
    assert ended(process).code == 143
    if option == "--jsonl":
        assert b"\0" not in out.read_bytes() and records(out)[0]
    else:
        assert played(out)[0] == len(records(beside)[0])
    assert tsm_edge(capsys, "run", "--engine", model, "--source", video, option, out).code == 0


def test_a_run_that_is_killed_leaves_frames_that_play_and_no_lock(model, tmp_path, capsys):
    video = media.write_video(tmp_path / "in.mp4", 60, (320, 240))
    out, saved = tmp_path / "o.jsonl", tmp_path / "o.mp4"
    arguments = ("run", "--engine", model, "--source", video, "--jsonl", out, "--save", saved)
    process = start(*arguments, "--loop")
    wait_for_lines(out, 200, process)
    process.kill()
    process.communicate()
    wait_for_writer(saved)
    lines = out.read_bytes().count(b'"kind": "frame"')
    if ffmpeg_works():  # OpenCV's FFmpeg would hold 256 KB back: of these grey frames, all
        assert played(saved)[0] >= lines - 8  # those that wait for the encoder
    assert tsm_edge(capsys, *arguments).code == 0
    assert played(saved)[0] == len(records(out)[0]) == 60


@pytest.mark.parametrize("option", ["--jsonl", "--save", "--source", "--engine", "--cameras"])
def test_an_empty_name_is_an_unset_variable(model, video, tmp_path, capsys, monkeypatch, option):
    monkeypatch.chdir(str(tmp_path))
    before = contents(tmp_path)
    done = tsm_edge(capsys, "run", "--engine", model, "--source", video, option, "")
    assert done.code == 2 and option in done.err and "an empty name: an unset variable?" in done.err
    assert contents(tmp_path) == before


def test_outputs_follow_the_umask(model, video, tmp_path):
    before = os.umask(0o026)
    try:
        outputs = ("--jsonl", tmp_path / "o.jsonl", "--save", tmp_path / "o.mp4")
        assert ended(start("run", "--engine", model, "--source", video, *outputs)).code == 0
    finally:
        os.umask(before)
    assert {stat.S_IMODE(os.stat(str(tmp_path / name)).st_mode) for name in ("o.jsonl", "o.mp4")} == {0o640}


# ---------------------------------------------------------------- standard output


def test_json_lines_on_standard_output_and_nothing_else(model, video, tmp_path):
    done = ended(start("run", "--engine", model, "--source", video, "--save", tmp_path / "o.mp4", "--jsonl", "-"))
    assert done.code == 0
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["kind"] for line in lines].count("frame") == COUNT and lines[-1]["kind"] == "summary"
    assert "\nframes     {} in".format(COUNT) in done.err and " s  new  " in done.err
    assert played(tmp_path / "o.mp4")[0] == COUNT
    assert not os.path.exists("-")


@pytest.mark.parametrize("outputs", [(), ("--jsonl", "-")])
def test_quiet_prints_nothing(model, video, outputs):
    arguments = ("run", "--engine", model, "--source", video, "--fps", 30, "--quiet")
    done = ended(start(*arguments, *outputs))
    assert (done.code, done.err) == (0, "")
    kinds = [json.loads(line)["kind"] for line in done.out.splitlines()]
    assert kinds.count("frame") == (COUNT if outputs else 0) and bool(kinds) == bool(outputs)


def test_quiet_keeps_errors(model, video, tmp_path):
    cut = tmp_path / "cut.mp4"
    media.moov_first(video, cut)
    with cut.open("r+b") as file:
        file.truncate(int(cut.stat().st_size * 0.7))
    done = ended(start("run", "--engine", model, "--source", cut, "--fps", 30, "--quiet"))
    assert done.code == 2 and done.err.startswith("tsm-edge: error: ") and done.out == ""


def shell(command, *arguments):
    """A command in bash, in which "$@" is `tsm-edge` with these arguments: what redirections and pipes do."""
    words = [sys.executable, "-m", "tsm_edge"] + [str(argument) for argument in arguments]
    environment = dict(os.environ, PYTHONPATH=os.getcwd())
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment, "universal_newlines": True}
    done = subprocess.run(["bash", "-c", command, "bash"] + words, timeout=120, **given)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_a_reader_that_leaves_ends_the_run_with_whole_files(model, video, tmp_path):
    saved = tmp_path / "o.mp4"
    arguments = ("run", "--engine", model, "--source", video, "--loop", "--save", saved, "--jsonl", "-")
    begun = time.monotonic()
    done = shell('"$@" | head -n 3; exit ${PIPESTATUS[0]}', *arguments)
    assert time.monotonic() - begun < 60
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 3
    assert "the reader of standard output has left" in done.stderr and "error: " not in done.stderr.split("\n\n")[-1]
    assert played(saved)[0] >= 1


@pytest.mark.parametrize("where, code", [(">/dev/full", 2), (">&-", 0), ("| true; exit ${PIPESTATUS[0]}", None)])
def test_a_summary_that_nobody_can_read_costs_no_file(model, video, tmp_path, where, code):
    out, saved = tmp_path / "o.jsonl", tmp_path / "o.mp4"
    done = shell('"$@" ' + where, "run", "--engine", model, "--source", video, "--jsonl", out, "--save", saved)
    assert done.returncode == code or code is None and done.returncode in (0, 1)
    assert len(records(out)[0]) == COUNT == played(saved)[0]
    assert done.stderr.count("error") == (code == 2)


@pytest.mark.parametrize("where, words", [(">/dev/full", "No space left"), (">&-", "standard output is closed")])
def test_json_lines_on_a_standard_output_that_takes_none(model, video, tmp_path, where, words):
    saved = tmp_path / "o.mp4"
    done = shell('"$@" ' + where, "run", "--engine", model, "--source", video, "--jsonl", "-", "--save", saved)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("tsm-edge: error") == 1
    assert not saved.exists() or played(saved)[0] >= 1
