"""Results as JSON lines, one record a line, for other programs: see docs/outputs.md."""

import contextlib
import json
import math
import os
import sys
from typing import Any, Dict, List, Optional, Sequence, Union

from tsm_edge.files import OutputFile, unwritable
from tsm_edge.records import Event, Frame, Gap, Result
from tsm_edge.sinks.base import Sink, StreamInfo

STANDARD_OUTPUT = "-"  # the value of --jsonl that means it


class JsonlSink(Sink):
    """Writes a "frame" record for each result, "event" and "gap" records, and the "summary" records last.

    The file is locked at once and emptied at the first record. Each line goes out whole in one unbuffered write, so
    whatever ends the process, the file holds whole lines only; but SIGKILL within a write may cut the last one where a
    page of memory ends, since the kernel looks for it between two pages. Strict ASCII JSON: a number that is not finite
    becomes null.

    Args:
        path: of the file; "-" is the standard output.

    Raises:
        InputError: from the constructor or from any write, where the output cannot be written (full disk included) or
            another process writes it.
        BrokenPipeError: from any write, where nobody reads the standard output any more.
    """

    def __init__(self, path: str) -> None:
        self.on_standard_output = path == STANDARD_OUTPUT
        self._output: Union[OutputFile, StandardOutput] = (
            StandardOutput() if self.on_standard_output else OutputFile(path)
        )
        self._failed: Optional[Exception] = None  # of the first write that failed; nothing is written after it

    def write(self, result: Result) -> None:
        self._line(frame_record(result))

    def event(self, event: Event) -> None:
        self._line(event_record(event))

    def gap(self, frame: Frame, gap: Gap) -> None:
        self._line(gap_record(frame, gap))

    def finish(self, summaries: List[Dict[str, Any]]) -> None:
        if self._failed is None:  # else a write has raised it already
            for summary in summaries:
                self._line(plain(summary))

    def close(self) -> None:
        self._output.close()

    def _line(self, record: Dict[str, Any]) -> None:
        """Write one record. A line that goes out in part (a full disk) is taken back where the file allows it."""
        if self._failed is not None:
            raise self._failed
        descriptor = self._output.begin()
        line = (json.dumps(record, allow_nan=False) + "\n").encode("ascii")
        written = 0
        try:
            while written < len(line):
                written += os.write(descriptor, line[written:])
        except OSError as error:
            if written and self._output.regular:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, self._output.size() - written)
            if self.on_standard_output and isinstance(error, BrokenPipeError):
                self._failed = BrokenPipeError("the reader of standard output has left")
            else:
                self._failed = unwritable(self._output.path, error)
            raise self._failed from error


class StandardOutput:
    """The standard output, in the place of an :class:`OutputFile`. Raises InputError where it is closed."""

    path = "standard output"
    regular = False  # what another program wrote there before stays

    def __init__(self) -> None:
        if sys.__stdout__ is None:
            raise unwritable("--jsonl -", "standard output is closed")
        sys.stdout.flush()
        self._descriptor = sys.stdout.fileno()

    def begin(self) -> int:
        """Return the descriptor to write to."""
        return self._descriptor

    def size(self) -> int:
        """Return the bytes written so far, which is unknown here."""
        return 0

    def close(self) -> None:
        """Leave it open: it belongs to the process."""


def open_sink(value: str, streams: Sequence[StreamInfo]) -> JsonlSink:
    """Open the sink for `--jsonl FILE`; "-" is the standard output."""
    del streams  # every line names its stream
    return JsonlSink(value)


def output_paths(value: str, names: Sequence[str]) -> List[str]:
    """Return the files that the sink writes."""
    del names
    return [] if value == STANDARD_OUTPUT else [value]


def frame_record(result: Result) -> Dict[str, Any]:
    """Return the "frame" record of a result; its time is in seconds of the source."""
    frame = result.frame
    head = {"kind": "frame", "stream": frame.stream, "wall_time": frame.wall_time, "frame": int(frame.index)}
    return plain(dict(head, time=frame.time, **result.prediction.record()))


def event_record(event: Event) -> Dict[str, Any]:
    """Return the "event" record of an event; start and end are in seconds of the source."""
    return plain(dict({"kind": "event"}, **event._asdict()))


def gap_record(frame: Frame, gap: Gap) -> Dict[str, Any]:
    """Return the "gap" record of a gap before a frame; time is that frame's, in seconds of the source."""
    head = {"kind": "gap", "stream": frame.stream, "wall_time": frame.wall_time, "frame": int(frame.index)}
    return plain(dict(head, time=frame.time, reason=gap.reason, seconds=gap.seconds))


def plain(value: Any) -> Any:
    """Return `value` as strict JSON can say it.

    NumPy scalars become Python's. Floats are rounded to a millionth, finer than any clock or probability here; those
    that are not finite become None.
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return plain(value.tolist())
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
