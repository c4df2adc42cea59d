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

from tsm_edge.errors import InputError
from tsm_edge.heads.classification import Decision, Event
from tsm_edge.sinks.base import Result
from tsm_edge.sinks.console import ProgressSink, format_summary, print_summary
from tsm_edge.sinks.jsonl import JsonlSink, plain
from tsm_edge.sources.base import Frame

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
TOP = [("wave", 0.5), ("push", 0.25), ("pull", 0.125), ("stop", 0.0625), ("none", 0.0625)]
SUMMARY = {
    "kind": "summary",
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


def make_result(index=0, label="wave", confidence=0.5, top=TOP, event=None, fps=20.0, image=None):
    """A result of a run; image: (H, W, 3) uint8 BGR, by default 48x64 of mid grey."""
    if image is None:
        image = np.full((48, 64, 3), 128, np.uint8)
    return Result(Frame(index, index / 25.0, image, False), Decision(label, confidence, top, event), fps)


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
        sink.write(make_result(1, event=Event("wave", 0.0, 0.04, 0.75)))
        sink.event(Event("push", 1.0, 2.5, 0.5))
        sink.finish(SUMMARY)
    frame, ended, event, last, summary = records(path)
    assert last == {"kind": "event", "label": "push", "start": 1.0, "end": 2.5, "confidence": 0.5}
    top = [list(pair) for pair in TOP]
    assert frame == {"kind": "frame", "frame": 0, "time": 0.0, "label": None, "confidence": 0.25, "top": top}
    assert ended["frame"] == 1 and ended["time"] == 0.04 and ended["label"] == "wave"
    assert event == {"kind": "event", "label": "wave", "start": 0.0, "end": 0.04, "confidence": 0.75}
    assert summary == SUMMARY


def test_jsonl_takes_numpy_numbers_any_label_and_more_than_five_labels(tmp_path):
    path = tmp_path / "out.jsonl"
    label = '跌倒 "épée"\n\ud800'
    top = [(label, np.float32(0.1))] * 7
    with JsonlSink(str(path)) as sink:
        sink.write(make_result(np.int64(3), label=label, confidence=np.float32("nan"), top=top))
        sink.finish(dict(SUMMARY, fps=float("inf"), frames=np.int64(1), stages={"engine": {"p50": np.float64("nan")}}))
    frame, summary = records(path)
    assert frame["label"] == label and frame["confidence"] is None and frame["frame"] == 3
    assert frame["top"] == [[label, 0.1]] * 5
    assert summary["fps"] is None and summary["frames"] == 1 and summary["stages"]["engine"]["p50"] is None


def test_a_summary_without_its_kind_gets_it_and_the_callers_dict_stays(tmp_path):
    summary = {"frames": 1}
    with JsonlSink(str(tmp_path / "a")) as sink:
        sink.finish(summary)
    assert records(tmp_path / "a") == [{"kind": "summary", "frames": 1}] and summary == {"frames": 1}


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
    with pytest.raises(InputError) as error:
        JsonlSink(path)
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
        sink.event(Event("wave", 0.0, 1.0, 0.5))  # told once: the end of a run must reach the other sinks
        sink.finish(SUMMARY)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_disk_that_is_full_at_the_summary_alone():
    with JsonlSink("/dev/full") as sink, pytest.raises(InputError, match="No space left"):
        sink.finish(SUMMARY)


def run_python(code, *args, **kwargs):
    environment = dict(os.environ, PYTHONPATH=ROOT)
    return subprocess.Popen([sys.executable, "-c", code] + list(args), env=environment, **kwargs)


FILL = """
import resource, signal, sys
from tests.device.sinks.test_sinks import JsonlSink, make_result
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
from tests.device.sinks.test_sinks import JsonlSink, make_result
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
    with ProgressSink(total=100, stream=stream, clock=clock) as sink:
        for index in range(100):
            clock.now = index / 10.0
            assert sink.write(make_result(index)) is None
    assert stream.getvalue() == "51/100 frames, 20.0 frames/s, wave 50%\n"


def test_a_camera_on_a_terminal_keeps_one_line_at_five_a_second():
    clock, stream, dropped = Clock(), Terminal(), [0]
    with ProgressSink(stream=stream, live=True, dropped=lambda: dropped[0], clock=clock) as sink:
        sink.write(make_result(0, label="a long label", fps=None))
        sink.write(make_result(1))
        clock.now, dropped[0] = 0.21, 7
        sink.write(make_result(2, label=None, confidence=0.1))
    first, second = stream.getvalue().split("\r")[1:]
    assert first == "1 frames, 0 dropped, a long label 50%"
    assert second.rstrip() == "3 frames, 20.0 frames/s, 7 dropped, - 10%"
    assert len(second) - 1 >= len(first) and second.endswith("\n")


def test_a_long_line_is_cut_to_the_terminal():
    stream = Terminal()
    with ProgressSink(stream=stream, live=True) as sink:
        sink.write(make_result(label="x" * 500))
    assert len(stream.getvalue().strip()) == 79


def run_on_terminal(columns, **kwargs):
    """What a ProgressSink over 20 frames shows on a real pseudo terminal."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 25 if columns else 0, columns, 0, 0))
    clock = Clock()
    stream = os.fdopen(follower, "w", encoding="utf-8")
    with stream, ProgressSink(stream=stream, clock=clock, **kwargs) as sink:
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
    sink = ProgressSink(total=total, stream=stream, clock=clock)
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
    with ProgressSink(stream=stream, clock=clock) as sink:
        clock.now = 10.0
        sink.write(make_result(label="\u8dcc\u5012"))
    print_summary(dict(SUMMARY, model="\u8dcc.onnx"), stream)
    stream.flush()
    shown = stream.buffer.getvalue().decode("ascii")
    assert "?? 50%" in shown and "?.onnx" in shown


def test_the_summary_as_a_table():
    stream = io.StringIO()
    print_summary(SUMMARY, stream)
    lines = stream.getvalue().splitlines()
    assert lines[:3] == [
        "frames     280 in 3.0 s, 92.3 frames/s",
        "stopped    to the end of the source",
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
    text = format_summary(summary)
    assert "0 in 3.0 s\n" in text and "error: a.mp4 is damaged" in text and "untrained" in text and "p50" not in text
