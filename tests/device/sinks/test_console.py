"""What the terminal shows: a line that says how the run goes, a summary that reads well, and never in the way."""

import fcntl
import io
import os
import pty
import struct
import sys
import termios
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.toys import SUMMARY, make_event, make_infos, make_result
from tsm_edge.records import Gap
from tsm_edge.sinks import console
from tsm_edge.sinks.console import LISTED_EVENTS, ProgressSink, RecentEvents, event_line, format_summary, print_summary


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
    assert stream.getvalue() == "51/100 frames, 10.0 frames/s, wave 50%\n"


def test_a_camera_on_a_terminal_keeps_one_line_at_five_a_second():
    clock, stream, infos = Clock(), Terminal(), make_infos(live=True)
    with ProgressSink(infos, stream, clock) as sink:
        sink.write(make_result(0, label="a long label", fps=None))
        sink.write(make_result(1))
        clock.now, infos[0].capture.dropped = 0.21, 7
        sink.write(make_result(2, label=None, confidence=0.1))
    first, second = stream.getvalue().split("\r")[1:]
    assert first == "1 frames, 0 dropped, a long label 50%"
    assert second.rstrip() == "3 frames, 9.5 frames/s, 7 dropped, -"
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
            if index in (5, 6, 7, 12):
                kind = {5: "new", 6: "update", 7: "end", 12: "new"}[index]
                sink.event(make_event("sitdown \u8dcc", start=index / 10.0, end=index / 5.0, kind=kind))
    shown = b""
    with os.fdopen(leader, "rb", buffering=0) as screen:
        try:
            while True:
                shown += screen.read(4096)
        except OSError:  # how Linux reports that the other side is closed
            pass
    return shown.decode("utf-8")


EVENT_LINES = [
    "     0.5 s  new  sitdown \u8dcc 75%",
    "     1.4 s  end  sitdown \u8dcc 75%",
    "     1.2 s  new  sitdown \u8dcc 75%",
]


def screen_of(shown):
    """The lines that stand on a screen on which `shown` was written: a carriage return begins a line again."""
    lines = []
    for line in shown.replace("\r\n", "\n").split("\n"):
        cells = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        lines.append("".join(cells).rstrip())
    return [line for line in lines if line]


@pytest.mark.parametrize("columns", [100, 0])  # 0: a serial console states no width
def test_a_file_on_a_terminal_gets_a_bar_that_ends_full(columns):
    pytest.importorskip("tqdm")
    shown = run_on_terminal(columns, total=20)
    assert "20/20" in shown and "100%|" in shown and "sitdown \u8dcc 50%" in shown and "\x1b" not in shown
    assert screen_of(shown)[:3] == EVENT_LINES
    assert len(screen_of(shown)) == 4 and "20/20" in screen_of(shown)[3]


def test_without_tqdm_a_terminal_gets_the_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    shown = run_on_terminal(80, total=20)
    lines = screen_of(shown)
    assert lines[:3] == EVENT_LINES and len(lines) == 4
    assert lines[3].startswith("20/20 frames") and "|" not in shown


def test_a_pipe_gets_a_plain_line_for_each_event_and_none_for_a_change():
    stream = io.StringIO()
    with ProgressSink(make_infos("door", "yard"), stream, Clock()) as sink:
        for kind, name in [("new", "yard"), ("update", "yard"), ("new", "door"), ("end", "yard")]:
            sink.event(make_event(kind=kind, stream=name))
    assert stream.getvalue().splitlines() == [
        "     0.5 s  yard  new  wave 75%",
        "     0.5 s  door  new  wave 75%",
        "     1.5 s  yard  end  wave 75%",
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["write", "new", "end", "update"]), max_size=30), st.booleans())
def test_an_event_never_breaks_the_live_line(calls, live):
    """On the screen, each event has a line of its own, in order; what is left is the live line, below them."""
    stream, clock = Terminal(), Clock()
    with ProgressSink(make_infos("door", "yard", total=None if live else 30), stream, clock) as sink:
        for index, call in enumerate(calls):
            clock.now += 0.5
            if call == "write":
                sink.write(make_result(index, label="x" * (index % 7 * 9)))
            else:
                sink.event(make_event("y" * index, start=index, end=index, kind=call))
    told = [(index, call) for index, call in enumerate(calls) if call in ("new", "end")]
    lines, expected = screen_of(stream.getvalue()), []
    for index, kind in told:
        expected.append(event_line(make_event("y" * index, start=index, end=index, kind=kind), True))
    assert lines[: len(told)] == expected
    assert all(" frames" in line for line in lines[len(told) :]) and len(lines) <= len(told) + 1


def test_quiet_opens_no_sink():
    assert console.open_sink(False, make_infos()) is None
    with console.open_sink(None, make_infos()) as sink:
        assert isinstance(sink, ProgressSink)


def test_an_event_on_a_terminal_that_goes_away_does_not_end_the_run():
    stream = Terminal()
    with ProgressSink(make_infos(), stream, Clock()) as sink:
        stream.close()
        sink.event(make_event())


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
    assert lines[head + 2].endswith("  by an error: gone")


def recent(count, **fields):
    """What is kept of so many events, told as a head tells them."""
    events = RecentEvents()
    for index in range(count):
        for kind in ("new", "update", "end"):
            events.event(make_event("label {}".format(index), float(index), index + 0.5, kind=kind, **fields))
    return events


def test_the_summary_ends_with_the_events():
    lines = format_summary([SUMMARY], events=recent(2)).splitlines()
    assert lines[-4:] == [
        "",
        "start, s   end, s  confidence  event",
        "     0.0      0.5         75%  label 0",
        "     1.0      1.5         75%  label 1",
    ]
    assert format_summary([SUMMARY], events=RecentEvents()) == format_summary([SUMMARY])


def test_the_table_of_events_names_the_stream_where_there_are_several():
    streams = [dict(SUMMARY, stream="door"), dict(SUMMARY, stream="yard")]
    lines = format_summary(streams + [SUMMARY], events=recent(1, stream="backyard")).splitlines()
    assert lines[-2:] == [
        "start, s   end, s  confidence  stream    event",
        "     0.0      0.5         75%  backyard  label 0",
    ]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 3 * LISTED_EVENTS))
def test_the_table_of_events_is_bounded_and_counts_the_rest(count):
    events = recent(count)
    assert len(events.latest) == min(count, LISTED_EVENTS) and events.count == count
    rows = [line for line in format_summary([SUMMARY], events=events).splitlines() if "label " in line]
    first = max(0, count - LISTED_EVENTS)
    assert [row.split()[-1] for row in rows] == [str(index) for index in range(first, count)]
    told = "(the last {} of {} events)".format(LISTED_EVENTS, count)
    assert (told in format_summary([SUMMARY], events=events)) == (count > LISTED_EVENTS)


def test_the_status_line_of_several_streams_shows_each_and_the_total():
    clock, stream = Clock(), Terminal()
    with ProgressSink(make_infos("door", "yard"), stream, clock) as sink:
        sink.write(make_result(0))
        clock.now = 1.0
        sink.write(make_result(0, label="push", stream="yard"))
    assert "2 frames, 1.0 frames/s, door: wave 50%, yard: push 50%" in stream.getvalue()


def status(clock, infos, **kwargs):
    """The status line of a camera's run one second later, where no frame comes meanwhile."""
    stream = Terminal()
    with ProgressSink(infos, stream, clock) as sink:
        for info in infos:
            sink.write(make_result(stream=info.name, **kwargs))
        clock.now += 1.0
        until = time.monotonic() + 20
        while stream.getvalue().count("\r") < 2:
            assert time.monotonic() < until, "no line without a frame"
            time.sleep(0.01)
    return stream.getvalue().split("\r")[-1].strip()


def test_a_camera_that_is_opened_again_is_shown_without_a_frame():
    infos = make_infos("door", live=True, interrupted=True)
    assert status(Clock(), infos) == "1 frames, 0 dropped, reconnecting"
    infos += make_infos("yard", live=True)
    assert status(Clock(), infos) == "2 frames, 1.0 frames/s, 0 dropped, door: reconnecting, yard: wave 50%"


def test_gaps_are_counted():
    clock, stream = Clock(), io.StringIO()
    with ProgressSink(make_infos(live=True), stream, clock) as sink:
        for index in range(3):
            if index:
                sink.gap(make_result(index).frame, Gap("reconnected", 2.0))
            clock.now += 5.0
            sink.write(make_result(index))
    lines = stream.getvalue().splitlines()
    assert "gap" not in lines[0]
    assert ", 1 gap, " in lines[1] and ", 2 gaps, " in lines[2]


def test_the_rate_is_that_of_the_latest_seconds():
    clock, stream = Clock(), io.StringIO()
    with ProgressSink(make_infos(), stream, clock) as sink:
        for pause in [0.05] * 400 + [0.5] * 22:
            clock.now += pause
            sink.write(make_result(0))
    lines = stream.getvalue().splitlines()
    assert "20.0 frames/s" in lines[1] and "20.0 frames/s" in lines[2]
    assert ", 2.0 frames/s" in lines[-1]


@pytest.mark.parametrize(
    "stopped, row",
    [
        ("end", "stopped    at the end of the source"),
        ("interrupt", "stopped    by Ctrl-C"),
        ("SIGTERM", "stopped    by SIGTERM"),
        ("max_frames", "stopped    at --max-frames"),
        ("closed", "stopped    when a window was closed"),
        ("error: no\nroom", "stopped    by an error: no\\nroom"),
    ],
)
def test_how_a_run_stopped_is_told_once(stopped, row):
    assert row in format_summary([dict(SUMMARY, stopped=stopped)]).splitlines()


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30))
def test_no_name_or_label_breaks_a_line(label, name):
    clock, stream = Clock(), io.StringIO()
    with ProgressSink(make_infos(name, "other"), stream, clock) as sink:
        clock.now = 10.0
        sink.write(make_result(label=label, stream=name))
        sink.event(make_event(label, stream=name))
    assert stream.getvalue().count("\n") == 2 and len(stream.getvalue().splitlines()) == 2
    events = RecentEvents()
    events.event(make_event(label, stream=name))
    one = dict(SUMMARY, stream=name, stopped=label)
    plain = format_summary([dict(one, stream="x", stopped="end")] * 2 + [SUMMARY])
    text = format_summary([one, one, dict(SUMMARY, model=label)], [("video", name)], events)
    assert len(text.splitlines()) == len(plain.splitlines()) + 4


def test_a_label_that_is_held_has_its_own_confidence():
    stream, clock = Terminal(), Clock()
    with ProgressSink(make_infos(live=True), stream, clock) as sink:
        sink.write(make_result(confidence=0.95, top=[("none", 0.95), ("wave", 0.03)]))
        clock.now = 1.0
        sink.write(make_result(confidence=0.95, top=[("none", 0.95)]))
    first, second = stream.getvalue().rstrip().split("\r")[1:]
    assert first.endswith(", wave 3%") and second.endswith(", wave")


def test_an_ignored_label_has_no_confidence():
    stream = Terminal()
    with ProgressSink(make_infos(live=True), stream) as sink:
        sink.write(make_result(label=None, confidence=0.95))
    assert stream.getvalue().rstrip().endswith(", -")
