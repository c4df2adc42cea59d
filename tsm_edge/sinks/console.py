"""What the terminal shows: a progress bar on files, one live line on cameras, a table at the end."""

import os
import sys
import time
from typing import Any, Callable, Dict, List, Optional, Sequence

from tsm_edge.records import Event, Result
from tsm_edge.sinks.base import Sink, StreamInfo
from tsm_edge.text import shown

REDRAW = 0.2  # seconds between two redraws of the line on a terminal
PERIOD = 5.0  # seconds between two lines where the output is a file or a pipe


class ProgressSink(Sink):
    """Shows how a run goes. It keeps nothing else.

    On a terminal: tqdm's bar for a single recording, else one line that is rewritten (live, several streams, no total,
    or no tqdm installed). Elsewhere: a plain line every few seconds. An output that can no longer be written (a closed
    terminal) is left alone; the run goes on.

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
        self._frames = 0
        self._latest: Dict[str, Result] = {}
        self._width = 0  # of the line that stands on the terminal
        self._next = clock() + (0.0 if self._terminal else PERIOD)
        known = [stream.total for stream in streams if stream.total is not None and not stream.live]
        self._total = sum(known) if len(known) == len(streams) else None
        self._bar = self._new_bar() if self._terminal and self._total is not None and len(streams) == 1 else None

    def write(self, result: Result) -> None:
        self._frames += 1
        self._latest[result.frame.stream] = result
        now = self._clock()
        if now < self._next or self._output is None:
            return
        self._next = now + (REDRAW if self._terminal else PERIOD)
        self._guarded(self._show, result)

    def event(self, event: Event) -> None:
        """Show nothing: the line has the current label."""

    def close(self) -> None:
        self._guarded(self._end)
        self._output = None

    def _new_bar(self) -> Any:
        try:
            from tqdm import tqdm
        except ImportError:
            return None
        width: Dict[str, Any] = {"dynamic_ncols": True}
        if _columns(self._output, unknown=0) == 0:  # a serial console: tqdm would draw nothing
            width = {"ncols": _columns(self._output) - 1}
        return tqdm(total=self._total, file=self._output, unit=" frames", ascii=True, mininterval=0, **width)

    def _show(self, result: Result) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(shown(result.prediction.caption(), self._output), refresh=False)
            self._bar.update(self._frames - self._bar.n)
        elif self._terminal:
            line = shown(self._status(), self._output)[: _columns(self._output) - 1]
            self._output.write("\r" + line.ljust(self._width))
            self._output.flush()
            self._width = len(line)
        else:
            self._output.write(shown(self._status(), self._output) + "\n")
            self._output.flush()

    def _status(self) -> str:
        count = "{}".format(self._frames) if self._total is None else "{}/{}".format(self._frames, self._total)
        parts = ["{} frames".format(count)]
        latest = [self._latest[stream.name] for stream in self._streams if stream.name in self._latest]
        rates = [result.fps for result in latest if result.fps is not None]
        if rates:
            parts.append("{:.1f} frames/s".format(sum(rates)))
        if any(stream.live for stream in self._streams):
            parts.append("{} dropped".format(sum(stream.capture.dropped for stream in self._streams if stream.live)))
        several = len(self._streams) > 1
        parts += [(r.frame.stream + ": " if several else "") + r.prediction.caption() for r in latest]
        return ", ".join(parts)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.update(self._frames - self._bar.n)
            self._bar.close()
        elif self._width:
            self._output.write("\n")
            self._output.flush()
        self._bar, self._width = None, 0

    def _guarded(self, action: Callable[..., None], *args: Any) -> None:
        """Run what writes to the output; one that is gone (closed pipe or terminal) is not written to again."""
        if self._output is None:
            return
        try:
            action(*args)
        except (OSError, ValueError):  # ValueError: "I/O operation on closed file"
            self._output = None


def open_sink(value: Any, streams: Sequence[StreamInfo]) -> ProgressSink:
    """Open the sink; it has no option."""
    del value
    return ProgressSink(streams)


STOPPED = {
    "end": "at the end of the source",
    "interrupt": "by Ctrl-C",
    "max_frames": "at --max-frames",
    "closed": "at the window",
}


def print_summary(summaries: List[Dict[str, Any]], output: Any = None) -> None:
    """Print the summaries of a run, those of the streams and then that of the run, as tables (standard output)."""
    output = sys.stdout if output is None else output
    output.write(shown(format_summary(summaries), output))
    output.flush()


def format_summary(summaries: List[Dict[str, Any]]) -> str:
    """Return the text of `print_summary`: the facts of the run, a row for each of several streams, a row a stage."""
    run, streams = summaries[-1], summaries[:-1]
    rows = [
        ("frames", "{} in {:.1f} s{}".format(run["frames"], run["seconds"], _rate(run["fps"], ", {:.1f} frames/s"))),
        ("stopped", STOPPED.get(run["stopped"], run["stopped"])),
        ("dropped", run["dropped"]),
        ("corrupt", run["corrupt"]),
        ("resets", run["resets"]),
        ("events", run["events"]),
        ("model", "{} ({}, shift by {})".format(run["model"], run["engine"], run["shift_by"])),
    ]
    if not run["weights_trained"]:
        rows.append(("weights", "untrained: the labels mean nothing"))
    lines = ["{:<10} {}".format(name, value) for name, value in rows]
    if len(streams) > 1:
        columns = ("frames", "dropped", "corrupt", "resets", "events")
        wide = max(10, max(len(one["stream"]) for one in streams))
        head = "".join(" {:>8}".format(name) for name in columns)
        lines += ["", "{:<{}}{} {:>8}  {}".format("stream", wide, head, "frames/s", "stopped")]
        for one in streams:
            counts = "".join(" {:>8}".format(one[name]) for name in columns)
            stopped = STOPPED.get(one["stopped"], one["stopped"])
            rate = _rate(one["fps"], "{:.1f}")
            lines.append("{:<{}}{} {:>8}  {}".format(one["stream"], wide, counts, rate, stopped))
    stages = run["stages"]
    if stages:
        wide = max(10, max(len(name) for name in stages))
        lines += ["", "{:<{}} {:>9} {:>9} {:>9}".format("stage, ms", wide, "p50", "p95", "p99")]
        for name, stage in stages.items():
            figures = "".join(" {:>9.2f}".format(stage[key]) for key in ("p50", "p95", "p99"))
            lines.append("{:<{}}{}".format(name, wide, figures))
    return "\n".join(lines) + "\n"


def _rate(fps: Optional[float], form: str) -> str:
    return "" if fps is None else form.format(fps)


def _columns(output: Any, unknown: int = 80) -> int:
    """Return the width of the terminal behind `output`, `unknown` where it does not say."""
    try:
        return os.get_terminal_size(output.fileno()).columns or unknown
    except (OSError, ValueError):
        return unknown
