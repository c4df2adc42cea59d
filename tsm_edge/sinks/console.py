"""What the terminal shows: a progress bar on files, one live line on cameras, each event, and tables at the end."""

import collections
import os
import sys
import threading
import time
from typing import IO, Any, Callable, Deque, Dict, List, Optional, Sequence, Tuple

from tsm_edge.records import Event, Frame, Gap, Result
from tsm_edge.sinks.base import Sink, StreamInfo
from tsm_edge.text import one_line, shown

REDRAW = 0.2  # seconds between two redraws of the line on a terminal
PERIOD = 5.0  # seconds between two lines where the output is a file or a pipe
RATE_SECONDS = 5.0  # the latest ones, over which frames/s are counted
LISTED_EVENTS = 20  # in the table at the end


class ProgressSink(Sink):
    """Shows how a run goes and each event as it begins and ends. It keeps nothing else.

    On a terminal: tqdm's bar for a single recording, else one line that is rewritten (live, several streams, no total,
    or no tqdm installed), and the lines of the events above it. Elsewhere: a plain line every few seconds and for each
    event. A line is due with a frame, and with live streams also when no frame comes. An output that can no longer be
    written (a closed terminal) is left alone.

    Args:
        streams: that will be shown.
        output: a text stream, by default standard error.
        clock: seconds (tests).
    """

    def __init__(
        self, streams: Sequence[StreamInfo], output: Any = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._output = sys.stderr if output is None else output
        self._streams, self._clock = streams, clock
        self._terminal = self._output.isatty()
        self._frames = self._gaps = 0
        self._counts: Deque[Tuple[float, int]] = collections.deque()  # (time, frames until then) of the latest seconds
        self._latest: Dict[str, Result] = {}
        self._width = 0  # of the line that stands on the terminal
        self._next = clock() + (0.0 if self._terminal else PERIOD)
        known = [stream.total for stream in streams if stream.total is not None and not stream.live]
        self._total = sum(known) if len(known) == len(streams) else None
        self._bar = self._new_bar() if self._terminal and self._total is not None and len(streams) == 1 else None
        self._lock = threading.Lock()  # the ticker shows the line too
        self._ended = threading.Event()
        self._ticker: Optional[threading.Thread] = None
        if any(stream.live for stream in streams):
            self._ticker = threading.Thread(target=self._tick, name="status line", daemon=True)
            self._ticker.start()

    def write(self, result: Result) -> None:
        with self._lock:
            now = self._clock()
            self._frames += 1
            self._latest[result.frame.stream] = result
            self._count(now)
            self._show_if_due(now)

    def event(self, event: Event) -> None:
        if event.type != "update":
            with self._lock:
                self._guarded(self._show_event, event_line(event, len(self._streams) > 1))

    def gap(self, frame: Frame, gap: Gap) -> None:
        del frame, gap  # the line has their count
        self._gaps += 1

    def close(self) -> None:
        self._ended.set()
        if self._ticker is not None:
            self._ticker.join()
        with self._lock:
            self._guarded(self._end)
            self._output = None

    def _tick(self) -> None:
        """Run the ticker: show the line where no frame comes that would."""
        while not self._ended.wait(REDRAW):
            with self._lock:
                now = self._clock()
                if now > self._next + REDRAW:
                    self._show_if_due(now)

    def _show_if_due(self, now: float) -> None:
        if now >= self._next and self._output is not None:
            self._next = now + (REDRAW if self._terminal else PERIOD)
            self._guarded(self._show, now)

    def _count(self, now: float) -> None:
        self._counts.append((now, self._frames))
        while len(self._counts) > 2 and self._counts[1][0] <= now - RATE_SECONDS:
            self._counts.popleft()

    def _rate(self, now: float) -> Optional[float]:
        """Return frames/s of the latest seconds, None before the second frame."""
        if len(self._counts) < 2:
            return None
        since, frames = self._counts[0]
        return (self._frames - frames) / (now - since) if now > since else None

    def _new_bar(self) -> Any:
        try:
            from tqdm import tqdm
        except ImportError:
            return None
        width: Dict[str, Any] = {"dynamic_ncols": True}
        if columns(self._output, unknown=0) == 0:  # a serial console: tqdm would draw nothing
            width = {"ncols": columns(self._output) - 1}
        return tqdm(total=self._total, file=self._output, unit=" frames", ascii=True, mininterval=0, **width)

    def _show(self, now: float) -> None:
        if self._bar is not None:
            captions = [one_line(result.prediction.caption()) for result in self._latest.values()]
            self._bar.set_postfix_str(shown(", ".join(captions), self._output), refresh=False)
            self._bar.update(self._frames - self._bar.n)
        elif self._terminal:
            line = shown(self._status(now), self._output)[: columns(self._output) - 1]
            self._output.write("\r" + line.ljust(self._width))
            self._output.flush()
            self._width = len(line)
        else:
            self._output.write(shown(self._status(now), self._output) + "\n")
            self._output.flush()

    def _show_event(self, text: str) -> None:
        text = shown(text, self._output)
        if self._bar is not None:
            self._bar.write(text, file=self._output)  # above the bar
        elif self._terminal:
            self._output.write(("\r" if self._width else "") + text.ljust(self._width) + "\n")
            self._width, self._next = 0, 0.0  # the status line is written anew with the next frame
        else:
            self._output.write(text + "\n")
        self._output.flush()

    def _status(self, now: float) -> str:
        count = "{}".format(self._frames) if self._total is None else "{}/{}".format(self._frames, self._total)
        parts = ["{} frames".format(count)]
        rate = self._rate(now)
        if rate is not None:
            parts.append("{:.1f} frames/s".format(rate))
        if any(stream.live for stream in self._streams):
            parts.append("{} dropped".format(sum(stream.capture.dropped for stream in self._streams if stream.live)))
        if self._gaps:
            parts.append("{} gap{}".format(self._gaps, "" if self._gaps == 1 else "s"))
        for stream in self._streams:
            name = stream.name + ": " if len(self._streams) > 1 else ""
            if stream.live and stream.capture.source.interrupted:
                parts.append(name + "reconnecting")
            elif stream.name in self._latest:
                parts.append(name + self._latest[stream.name].prediction.caption())
        return one_line(", ".join(parts))

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.update(self._frames - self._bar.n)
            self._bar.close()
        elif self._width:
            self._output.write("\n")
            self._output.flush()
        self._bar, self._width = None, 0

    def _guarded(self, action: Callable[..., None], *args: Any) -> None:
        """Run a function that writes to the output. A closed output (pipe, terminal) is not written to again."""
        if self._output is None:
            return
        try:
            action(*args)
        except (OSError, ValueError):  # ValueError: "I/O operation on closed file"
            self._output = None


def open_sink(value: Any, streams: Sequence[StreamInfo]) -> Optional[ProgressSink]:
    """Open the sink. It has no option; `value` False (`--quiet`) opens none."""
    return None if value is False else ProgressSink(streams)


class RecentEvents(Sink):
    """Keeps the latest events that ended, for the table at the end of a run.

    Attributes:
        count: events that ended.
        latest: the last of them, at most LISTED_EVENTS.
    """

    def __init__(self) -> None:
        self.count = 0
        self.latest: Deque[Event] = collections.deque(maxlen=LISTED_EVENTS)

    def write(self, result: Result) -> None:
        """Keep nothing of a result."""

    def event(self, event: Event) -> None:
        if event.type == "end":
            self.count += 1
            self.latest.append(event)


def event_line(event: Event, several: bool) -> str:
    """Return the line of an event that begins or ends. several: there are several streams, so its stream is named."""
    time_of = event.end if event.type == "end" else event.start
    stream = event.stream + "  " if several else ""
    return one_line("{:8.1f} s  {}{:<3}  {} {:.0%}".format(time_of, stream, event.type, event.label, event.confidence))


STOPPED = {
    "end": "at the end of the source",
    "interrupt": "by Ctrl-C",
    "max_frames": "at --max-frames",
    "closed": "when a window was closed",
}


def print_summary(
    summaries: List[Dict[str, Any]],
    output: Optional[IO[str]] = None,
    facts: Sequence[Tuple[str, str]] = (),
    events: Optional[RecentEvents] = None,
) -> None:
    """Print the summaries of a run, those of the streams and then that of the run, as tables.

    Args:
        summaries: of `tsm_edge.session.Session.finish`.
        output: a text stream, by default standard output.
        facts: further rows (name, text) of the run, such as those of `Sink.facts`.
        events: what was seen, None for no table of it.
    """
    output = sys.stdout if output is None else output
    output.write(shown(format_summary(summaries, facts, events), output))
    output.flush()


def format_summary(
    summaries: List[Dict[str, Any]],
    facts: Sequence[Tuple[str, str]] = (),
    events: Optional[RecentEvents] = None,
) -> str:
    """Return the text of `print_summary`: facts of the run, then a table each of several streams, stages and events."""
    run, streams = summaries[-1], summaries[:-1]
    rows = [
        ("frames", "{} in {:.1f} s{}".format(run["frames"], run["seconds"], _rate(run["fps"], ", {:.1f} frames/s"))),
        ("stopped", _how_stopped(run["stopped"], len(streams))),
        ("dropped", run["dropped"]),
        ("corrupt", run["corrupt"]),
        ("resets", run["resets"]),
        ("events", run["events"]),
        ("model", "{} ({}, shift by {})".format(run["model"], run["engine"], run["shift_by"])),
    ]
    if not run["weights_trained"]:
        rows.append(("weights", "untrained: the labels mean nothing"))
    lines = ["{:<10} {}".format(name, one_line(str(value))) for name, value in rows + list(facts)]
    if len(streams) > 1:
        columns = ("frames", "dropped", "corrupt", "resets", "events")
        wide = max(10, max(len(one["stream"]) for one in streams))
        head = "".join(" {:>8}".format(name) for name in columns)
        lines += ["", "{:<{}}{} {:>8}  {}".format("stream", wide, head, "frames/s", "stopped")]
        for one in streams:
            counts = "".join(" {:>8}".format(one[name]) for name in columns)
            stopped = _how_stopped(one["stopped"])
            rate = _rate(one["fps"], "{:.1f}")
            lines.append(one_line("{:<{}}{} {:>8}  {}".format(one["stream"], wide, counts, rate, stopped)))
    stages = run["stages"]
    if stages:
        wide = max(10, max(len(name) for name in stages))
        lines += ["", "{:<{}} {:>9} {:>9} {:>9}".format("stage, ms", wide, "p50", "p95", "p99")]
        for name, stage in stages.items():
            figures = "".join(" {:>9.2f}".format(stage[key]) for key in ("p50", "p95", "p99"))
            lines.append("{:<{}}{}".format(name, wide, figures))
    if events is not None:
        lines += _event_table(events, len(streams) > 1)
    return "\n".join(lines) + "\n"


def _event_table(events: RecentEvents, several: bool) -> List[str]:
    """Return the lines of the table of events, with a column for the stream where there are several; none for none."""
    if not events.count:
        return []
    wide = max([6] + [len(event.stream) for event in events.latest])
    head = "{:>8} {:>8} {:>11}  {}{}".format(
        "start, s", "end, s", "confidence", _cell("stream", wide, several), "event"
    )
    rows = ["", head]
    for event in events.latest:
        stream = _cell(event.stream, wide, several)
        figures = "{0.start:>8.1f} {0.end:>8.1f} {0.confidence:>11.0%}".format(event)
        rows.append("{}  {}{}".format(figures, stream, event.label))
    if events.count > len(events.latest):
        rows.append("(the last {} of {} events)".format(len(events.latest), events.count))
    return [one_line(row) for row in rows]


def _cell(text: str, wide: int, several: bool) -> str:
    return "{:<{}}  ".format(text, wide) if several else ""


def _how_stopped(reason: str, streams: int = 1) -> str:
    """Return how a row "stopped" goes on: "by Ctrl-C". reason: of a summary."""
    if reason.startswith("error: "):
        return "by an error: " + reason[len("error: ") :]
    how = STOPPED.get(reason, "by " + reason)
    return how + "s" if reason == "end" and streams > 1 else how


def _rate(fps: Optional[float], form: str) -> str:
    return "" if fps is None else form.format(fps)


def columns(output: Any, unknown: int = 80) -> int:
    """Return the width of the terminal behind `output`, `unknown` where it does not say."""
    try:
        return os.get_terminal_size(output.fileno()).columns or unknown
    except (OSError, ValueError):
        return unknown
