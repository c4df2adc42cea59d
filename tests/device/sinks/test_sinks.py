"""The JSON lines: whole records whatever happens. And the registry of sinks."""

import json
import mmap
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.toys import SUMMARY, TOP, make_event, make_infos, make_result
from tsm_edge.errors import InputError
from tsm_edge.sinks import SINKS, check_outputs, open_sinks
from tsm_edge.sinks.base import Sink
from tsm_edge.sinks.jsonl import JsonlSink, plain

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def strict(line):
    def refuse(name):
        raise AssertionError("not strict JSON: " + name)

    return json.loads(line, parse_constant=refuse)


def records(path, cut=False):
    """cut: the last line may be cut where a page ends; it is then left out."""
    with open(str(path), "rb") as file:
        text = file.read()
    if cut and len(text) % mmap.PAGESIZE == 0:
        text = text[: text.rindex(b"\n") + 1]
    assert text.endswith(b"\n")
    return [strict(line.decode("ascii")) for line in text.splitlines()]


# ---------------------------------------------------------------- JSON lines


def test_jsonl_holds_the_documented_records_in_order(tmp_path):
    path = tmp_path / "out.jsonl"
    with JsonlSink(str(path)) as sink:
        assert sink.write(make_result(0, label=None, confidence=0.25)) is None
        sink.write(make_result(1))
        sink.event(make_event("wave", 0.0, 0.04, 0.75, kind="new"))
        sink.finish([dict(SUMMARY, stream="door"), SUMMARY])
    frame, second, event, of_stream, of_run = records(path)
    head = {"kind": "frame", "stream": "door", "wall_time": 1.5e9, "frame": 0, "time": 0.0}
    assert frame == dict(head, label=None, confidence=0.25, top=[list(pair) for pair in TOP])
    assert second["frame"] == 1 and second["time"] == 0.04 and second["label"] == "wave"
    assert event == {
        "kind": "event",
        "id": "door-1-1",
        "type": "new",
        "stream": "door",
        "label": "wave",
        "start": 0.0,
        "end": 0.04,
        "confidence": 0.75,
        "leading": True,
        "wall_time": 1.5e9,
    }
    assert (of_stream["stream"], of_run) == ("door", SUMMARY)


def test_jsonl_takes_numpy_numbers_and_any_label(tmp_path):
    path = tmp_path / "out.jsonl"
    label = '跌倒 "épée"\n\ud800'
    top = [(label, np.float32(0.1))] * 7
    with JsonlSink(str(path)) as sink:
        sink.write(make_result(np.int64(3), label=label, confidence=np.float32("nan"), top=top))
        nan = {"engine": {"p50": np.float64("nan")}}
        sink.finish([dict(SUMMARY, fps=float("inf"), frames=np.int64(1), stages=nan)])
    frame, summary = records(path)
    assert frame["label"] == label and frame["confidence"] is None and frame["frame"] == 3
    assert frame["top"] == [[label, 0.1]] * 7
    assert summary["fps"] is None and summary["frames"] == 1 and summary["stages"]["engine"]["p50"] is None


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=40, deadline=None)
@given(JSON_LIKE)
def test_plain_always_gives_strict_json(value):
    assert strict(json.dumps(plain(value), allow_nan=False)) == plain(value)


def missing_folder(tmp_path):
    return str(tmp_path / "none" / "out.jsonl"), "no folder"


def a_folder(tmp_path):
    return str(tmp_path), "a folder"


def below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    return str(tmp_path / "file" / "out.jsonl"), "no folder"


def too_long(tmp_path):
    return str(tmp_path / ("x" * 300)), "File name too long"


@pytest.mark.parametrize("place", [missing_folder, a_folder, below_a_file, too_long])
def test_jsonl_names_the_path_it_cannot_write(tmp_path, place):
    path, reason = place(tmp_path)
    with pytest.raises(InputError) as error, JsonlSink(path) as sink:
        sink.write(make_result())
    assert path in str(error.value) and reason in str(error.value)


def test_jsonl_without_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root, who may write anywhere, runs this too
    with pytest.raises(InputError, match="no permission"):
        JsonlSink(str(tmp_path / "out.jsonl"))
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_jsonl_on_a_full_disk():
    with JsonlSink("/dev/full") as sink:
        for _ in range(2):
            with pytest.raises(InputError, match="/dev/full\n.*No space left"):
                sink.write(make_result())
        sink.finish([SUMMARY])  # reported once: the end of a run must reach the other sinks


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_disk_that_is_full_at_the_summary_alone():
    with JsonlSink("/dev/full") as sink, pytest.raises(InputError, match="No space left"):
        sink.finish([SUMMARY])


def run_python(code, *args, **kwargs):
    environment = dict(os.environ, PYTHONPATH=ROOT)
    return subprocess.Popen([sys.executable, "-c", code] + list(args), env=environment, **kwargs)


FILL = """
import resource, signal, sys
from tests.device.toys import make_result
from tsm_edge.sinks.jsonl import JsonlSink
from tsm_edge.errors import InputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # as a disk that fills up in the middle of a line
with JsonlSink(sys.argv[1]) as sink:
    try:
        for index in range(100):
            sink.write(make_result(index))
    except InputError as error:
        assert "File too large" in str(error), error
        sys.exit(2)
"""


def test_a_disk_that_fills_up_leaves_whole_lines(tmp_path):
    path = tmp_path / "out.jsonl"
    assert run_python(FILL, str(path)).wait() == 2
    kept = [record["frame"] for record in records(path)]
    assert kept == list(range(len(kept))) and len(kept) >= 3


ENDLESS = """
import itertools, sys
from tests.device.toys import make_result
from tsm_edge.sinks.jsonl import JsonlSink
with JsonlSink(sys.argv[1]) as sink:
    for index in itertools.count():
        sink.write(make_result(index))
        if index == 100:
            print("going", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_killed_leaves_whole_lines(tmp_path, number):
    path = tmp_path / "out.jsonl"
    process = run_python(ENDLESS, str(path), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == b"going\n"
    process.send_signal(number)
    process.wait()
    process.stdout.close()
    frames = [record["frame"] for record in records(path, cut=number == signal.SIGKILL)]
    assert frames == list(range(len(frames))) and len(frames) > 100


PRINT = """
import sys
from tests.device.toys import make_result
from tsm_edge.sinks.jsonl import JsonlSink
print("before")
with JsonlSink("-") as sink:
    assert sink.on_standard_output
    try:
        for index in range(int(sys.argv[1])):
            sink.write(make_result(index))
    except BrokenPipeError:
        sys.exit(3)
"""


def test_a_hyphen_is_the_standard_output(tmp_path):
    process = run_python(PRINT, "3", stdout=subprocess.PIPE, cwd=str(tmp_path))
    lines = process.communicate()[0].splitlines()
    assert lines[0] == b"before" and [strict(line.decode())["frame"] for line in lines[1:]] == [0, 1, 2]
    assert os.listdir(str(tmp_path)) == []
    assert SINKS.load("jsonl").output_paths("-", ["door"]) == []
    assert SINKS.load("jsonl").output_paths("./-", ["door"]) == ["./-"]


def test_a_reader_that_leaves_is_told_apart_from_a_full_disk():
    process = run_python(PRINT, "100000", stdout=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait() == 3


def test_two_sinks_on_one_file(tmp_path):
    path = tmp_path / "out.jsonl"
    with JsonlSink(str(path)) as sink:
        for index in range(3):
            sink.write(make_result(index))
            with pytest.raises(InputError, match="writes it"):
                JsonlSink(str(path))
    assert [record["frame"] for record in records(path)] == [0, 1, 2]


def test_a_log_that_is_cut_meanwhile_gets_no_nul_bytes(tmp_path):
    """As logrotate's copytruncate does it."""
    path = tmp_path / "out.jsonl"
    with JsonlSink(str(path)) as sink:
        sink.write(make_result(0))
        os.truncate(str(path), 0)
        sink.write(make_result(1))
    assert [record["frame"] for record in records(path)] == [1]


# ---------------------------------------------------------------- the contract, and the registry


def test_a_sink_that_leaves_out_events_cannot_be_made():
    class Forgetful(Sink):
        def write(self, result):
            pass

    with pytest.raises(TypeError, match="event"):
        Forgetful()


def test_the_sinks_that_a_run_asks_for_are_opened_in_the_order_of_the_registry(tmp_path):
    pytest.importorskip("cv2")
    values = {"save": str(tmp_path / "o.mp4"), "jsonl": str(tmp_path / "o.jsonl"), "display": False}
    sinks = open_sinks(values, make_infos())
    assert [type(sink).__name__ for sink in sinks] == ["JsonlSink", "VideoSink", "ProgressSink"]
    for sink in sinks:
        sink.close()


def test_a_sink_that_cannot_be_opened_closes_those_before_it(tmp_path):
    pytest.importorskip("cv2")
    values = {"save": str(tmp_path / "o.gif"), "jsonl": str(tmp_path / "o.jsonl")}
    with pytest.raises(InputError, match="o.gif"):
        open_sinks(values, make_infos())
    assert os.listdir(str(tmp_path)) == []


def test_an_output_that_became_an_input_is_not_emptied(tmp_path):
    """The file was no input when the options were checked, and is one when it is opened."""
    source, out = tmp_path / "in.mp4", tmp_path / "o.jsonl"
    source.write_text("precious")
    taken = [("a source", str(source))]
    check_outputs({"jsonl": str(out)}, ["door"], taken)
    os.link(str(source), str(out))
    with pytest.raises(InputError, match="the same file as a source"):
        open_sinks({"jsonl": str(out)}, make_infos(), taken)
    assert source.read_text() == "precious"


def test_an_option_that_is_an_empty_text_is_no_option_left_away(tmp_path, monkeypatch):
    pytest.importorskip("cv2")
    monkeypatch.chdir(str(tmp_path))
    for key in ("jsonl", "save"):
        with pytest.raises(InputError):
            open_sinks({key: ""}, make_infos())
        with pytest.raises(InputError):
            check_outputs({key: ""}, ["door"], [])
    assert os.listdir(str(tmp_path)) == []


def test_every_entry_of_the_registry_opens_by_its_module():
    for entry in SINKS:
        if "cv2" in entry.packages:
            pytest.importorskip("cv2")
        assert callable(SINKS.load(entry.key).open_sink)
