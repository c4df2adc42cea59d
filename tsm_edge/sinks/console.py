"""What the terminal shows: a progress bar on files, one live line on cameras, a table at the end."""

import os
import sys
import time

from tsm_edge.sinks.base import Sink

REDRAW = 0.2  # seconds between two redraws of the line on a terminal
PERIOD = 5.0  # seconds between two lines where the stream is a file or a pipe


class ProgressSink(Sink):
    """Shows how a run goes on `stream` (default: stderr). It shows and keeps nothing else.

    total: frames to come, None where unknown. live: a camera: no bar, but the count of dropped frames.
    dropped: a function without arguments that gives that count. clock: seconds, for tests.
    On a terminal: tqdm's bar, or one line that is rewritten (live, no total, or no tqdm installed). Elsewhere: a plain
    line every few seconds. A stream that can no longer be written (a closed terminal) is left alone; the run goes on.
    """

    def __init__(self, total=None, stream=None, live=False, dropped=None, clock=time.monotonic):
        self._stream = sys.stderr if stream is None else stream
        self._total, self._dropped, self._clock = total, dropped, clock
        self._terminal = self._stream.isatty()
        self._frames = 0
        self._width = 0  # of the line that stands on the terminal
        self._next = clock() + (0.0 if self._terminal else PERIOD)
        self._bar = self._new_bar() if self._terminal and total is not None and not live else None

    def write(self, result):
        self._frames += 1
        now = self._clock()
        if now < self._next or self._stream is None:
            return
        self._next = now + (REDRAW if self._terminal else PERIOD)
        self._guarded(self._show, result)

    def close(self):
        self._guarded(self._end)
        self._stream = None

    def _new_bar(self):
        try:
            from tqdm import tqdm
        except ImportError:
            return None
        width = {"dynamic_ncols": True}
        if _columns(self._stream, unknown=0) == 0:  # a serial console: tqdm would draw nothing
            width = {"ncols": _columns(self._stream) - 1}
        return tqdm(total=self._total, file=self._stream, unit=" frames", ascii=True, mininterval=0, **width)

    def _show(self, result):
        if self._bar is not None:
            self._bar.set_postfix_str(encodable(_label(result.decision), self._stream), refresh=False)
            self._bar.update(self._frames - self._bar.n)
        elif self._terminal:
            line = encodable(self._status(result), self._stream)[: _columns(self._stream) - 1]
            self._stream.write("\r" + line.ljust(self._width))
            self._stream.flush()
            self._width = len(line)
        else:
            self._stream.write(encodable(self._status(result), self._stream) + "\n")
            self._stream.flush()

    def _status(self, result):
        count = "{}".format(self._frames) if self._total is None else "{}/{}".format(self._frames, self._total)
        parts = ["{} frames".format(count)]
        if result.fps is not None:
            parts.append("{:.1f} frames/s".format(result.fps))
        if self._dropped is not None:
            parts.append("{} dropped".format(self._dropped()))
        return ", ".join(parts + [_label(result.decision)])

    def _end(self):
        if self._bar is not None:
            self._bar.update(self._frames - self._bar.n)
            self._bar.close()
        elif self._width:
            self._stream.write("\n")
            self._stream.flush()
        self._bar, self._width = None, 0

    def _guarded(self, action, *args):
        """Run what writes to the stream; one that is gone (closed pipe or terminal) is not written to again."""
        if self._stream is None:
            return
        try:
            action(*args)
        except (OSError, ValueError):  # ValueError: "I/O operation on closed file"
            self._stream = None


STOPPED = {
    "end": "to the end of the source",
    "interrupt": "stopped by Ctrl-C",
    "max_frames": "stopped at --max-frames",
    "closed": "stopped at the window",
}


def print_summary(summary, stream=None):
    """Print the summary of a run (the dict of DESIGN.md "Commands and records") as a table on `stream` (stdout)."""
    stream = sys.stdout if stream is None else stream
    stream.write(encodable(format_summary(summary), stream))
    stream.flush()


def format_summary(summary):
    """The text of :func:`print_summary`: a few lines of facts, then one row of milliseconds for each stage."""
    stopped = summary["stopped"]
    fps = summary["fps"]
    rate = "" if fps is None else ", {:.1f} frames/s".format(fps)
    rows = [
        ("frames", "{} in {:.1f} s{}".format(summary["frames"], summary["seconds"], rate)),
        ("stopped", STOPPED.get(stopped, stopped)),
        ("dropped", summary["dropped"]),
        ("corrupt", summary["corrupt"]),
        ("resets", summary["resets"]),
        ("events", summary["events"]),
        ("model", "{} ({}, shift by {})".format(summary["model"], summary["engine"], summary["shift_by"])),
    ]
    if not summary["weights_trained"]:
        rows.append(("weights", "untrained: the labels mean nothing"))
    lines = ["{:<10} {}".format(name, value) for name, value in rows]
    stages = summary["stages"]
    if stages:
        wide = max(10, max(len(name) for name in stages))
        lines += ["", "{:<{}} {:>9} {:>9} {:>9}".format("stage, ms", wide, "p50", "p95", "p99")]
        for name, stage in stages.items():
            lines.append(
                "{:<{}} {:>9.2f} {:>9.2f} {:>9.2f}".format(name, wide, stage["p50"], stage["p95"], stage["p99"])
            )
    return "\n".join(lines) + "\n"


def encodable(text, stream):
    """`text` with what the stream's encoding lacks replaced: a label must not crash a terminal with LANG=C."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def _label(decision):
    return "{} {:.0%}".format("-" if decision.label is None else decision.label, decision.confidence)


def _columns(stream, unknown=80):
    """Width of the terminal behind `stream`, `unknown` where it does not say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or unknown
    except (OSError, ValueError):
        return unknown
