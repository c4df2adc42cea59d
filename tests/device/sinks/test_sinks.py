"""The JSON lines and the console: whole records whatever happens, and a terminal that is never in the way."""

import fcntl
import io
import json
import mmap
import os
import pty
import signal
import struct
import subprocess
import sys
import termios

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.toys import TOP, make_event, make_infos, make_result
from tsm_edge.errors import InputError
from tsm_edge.sinks import SINKS, open_sinks
from tsm_edge.sinks.base import Sink
from tsm_edge.sinks.console import ProgressSink, format_summary, print_summary
from tsm_edge.sinks.jsonl import JsonlSink, plain

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SUMMARY = {
    "kind": "summary",
    "stream": None,
    "frames": 280,
    "fps": 92.31,
    "seconds": 3.03,
    "stages": {"capture": {"p50": 0.1, "p95": 0.2, "p99": 0.3}, "engine": {"p50": 9.5, "p95": 10.25, "p99": 1234.5}},
    "dropped": 3,
    "corrupt": 4,
    "resets": 1,
    "events": 2,
    "engine": "onnxruntime",
    "shift_by": "function body",
    "model": "build/model.onnx",
    "weights_trained": True,
    "stopped": "end",
}


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


# ---------------------------------------------------------------- console


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_a_pipe_gets_a_plain_line_every_few_seconds():
    clock, stream = Clock(), io.StringIO()
    with ProgressSink(make_infos(total=100), stream, clock) as sink:
        for index in range(100):
            clock.now = index / 10.0
            assert sink.write(make_result(index)) is None
    assert stream.getvalue() == "51/100 frames, 20.0 frames/s, wave 50%\n"


def test_a_camera_on_a_terminal_keeps_one_line_at_five_a_second():
    clock, stream, infos = Clock(), Terminal(), make_infos(live=True)
    with ProgressSink(infos, stream, clock) as sink:
        sink.write(make_result(0, label="a long label", fps=None))
        sink.write(make_result(1))
        clock.now, infos[0].capture.dropped = 0.21, 7
        sink.write(make_result(2, label=None, confidence=0.1))
    first, second = stream.getvalue().split("\r")[1:]
    assert first == "1 frames, 0 dropped, a long label 50%"
    assert second.rstrip() == "3 frames, 20.0 frames/s, 7 dropped, -"
    assert len(second) - 1 >= len(first) and second.endswith("\n")


def test_a_long_line_is_cut_to_the_terminal():
    stream = Terminal()
    with ProgressSink(make_infos(live=True), stream) as sink:
        sink.write(make_result(label="x" * 500))
    assert len(stream.getvalue().strip()) == 79


def run_on_terminal(columns, **kwargs):
    """What a ProgressSink over 20 frames shows on a real pseudo terminal."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 25 if columns else 0, columns, 0, 0))
    clock = Clock()
    stream = os.fdopen(follower, "w", encoding="utf-8")
    with stream, ProgressSink(make_infos(**kwargs), stream, clock) as sink:
        for index in range(20):
            clock.now = index * 0.25
            sink.write(make_result(index, label="sitdown \u8dcc"))
    shown = b""
    with os.fdopen(leader, "rb", buffering=0) as screen:
        try:
            while True:
                shown += screen.read(4096)
        except OSError:  # how Linux reports that the other side is closed
            pass
    return shown.decode("utf-8")


@pytest.mark.parametrize("columns", [100, 0])  # 0: a serial console states no width
def test_a_file_on_a_terminal_gets_a_bar_that_ends_full(columns):
    pytest.importorskip("tqdm")
    shown = run_on_terminal(columns, total=20)
    assert "20/20" in shown and "100%|" in shown and "sitdown \u8dcc 50%" in shown and "\x1b" not in shown


def test_without_tqdm_a_terminal_gets_the_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    shown = run_on_terminal(80, total=20)
    assert "20/20 frames" in shown and "|" not in shown and shown.count("\n") == 1


@pytest.mark.parametrize("total", [None, 5])
def test_a_terminal_that_goes_away_does_not_end_the_run(total):
    stream, clock = Terminal(), Clock()
    sink = ProgressSink(make_infos(total=total), stream, clock)
    sink.write(make_result(0))
    stream.close()
    for index in range(1, 5):
        clock.now += 1
        sink.write(make_result(index))
    sink.close()
    sink.close()


def test_a_label_that_the_terminal_cannot_show():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    clock = Clock()
    with ProgressSink(make_infos(), stream, clock) as sink:
        clock.now = 10.0
        sink.write(make_result(label="\u8dcc\u5012"))
    print_summary([dict(SUMMARY, model="\u8dcc.onnx")], stream)
    stream.flush()
    shown = stream.buffer.getvalue().decode("ascii")
    assert "?? 50%" in shown and "?.onnx" in shown


def test_the_summary_as_a_table():
    stream = io.StringIO()
    print_summary([dict(SUMMARY, stream="door"), SUMMARY], stream)
    lines = stream.getvalue().splitlines()
    assert lines[:3] == [
        "frames     280 in 3.0 s, 92.3 frames/s",
        "stopped    at the end of the source",
        "dropped    3",
    ]
    assert lines[-3:] == [
        "stage, ms        p50       p95       p99",
        "capture         0.10      0.20      0.30",
        "engine          9.50     10.25   1234.50",
    ]
    assert "untrained" not in stream.getvalue()


def test_the_summary_of_a_run_that_broke_before_its_first_frame():
    summary = dict(SUMMARY, frames=0, fps=None, stages={}, stopped="error: a.mp4 is damaged", weights_trained=False)
    text = format_summary([summary])
    assert "0 in 3.0 s\n" in text and "error: a.mp4 is damaged" in text and "untrained" in text and "p50" not in text


def test_the_summary_of_several_streams_has_a_row_for_each():
    streams = [dict(SUMMARY, stream="door", frames=200), dict(SUMMARY, stream="yard", stopped="error: gone", fps=None)]
    lines = format_summary(streams + [SUMMARY]).splitlines()
    head = next(index for index, line in enumerate(lines) if line.startswith("stream "))
    assert lines[head].split() == ["stream", "frames", "dropped", "corrupt", "resets", "events", "frames/s", "stopped"]
    assert lines[head + 1].split()[:7] == ["door", "200", "3", "4", "1", "2", "92.3"]
    assert lines[head + 2].endswith("error: gone")


def test_the_status_line_of_several_streams_shows_each_and_the_total():
    clock, stream = Clock(), Terminal()
    with ProgressSink(make_infos("door", "yard"), stream, clock) as sink:
        sink.write(make_result(0))
        clock.now = 1.0
        sink.write(make_result(0, label="push", stream="yard"))
    assert "2 frames, 40.0 frames/s, door: wave 50%, yard: push 50%" in stream.getvalue()


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


def test_every_entry_of_the_registry_opens_by_its_module():
    for entry in SINKS:
        if "cv2" in entry.packages:
            pytest.importorskip("cv2")
        assert callable(SINKS.load(entry.key).open_sink)
