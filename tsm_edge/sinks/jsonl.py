"""Results as JSON lines, one record a line, for other programs: the records of docs/design.md."""

import json
import math
import os
from typing import Any, BinaryIO, Dict, List, Optional, Sequence

from tsm_edge.errors import InputError
from tsm_edge.files import check_output, unwritable
from tsm_edge.records import Event, Frame, Gap, Result
from tsm_edge.sinks.base import Sink, StreamInfo


class JsonlSink(Sink):
    """Writes a "frame" record for each result, "event" and "gap" records, and the "summary" records last.

    The file is replaced at the first record. Each line goes out whole in one unbuffered write, so whatever ends the
    process, the file holds whole lines only; but SIGKILL within a write may cut the last one where a page of memory
    ends, since the kernel looks for it between two pages. Strict ASCII JSON: a number that is not finite becomes null.

    Args:
        path: the file.

    Raises:
        InputError: from the constructor or from any write, where the path cannot be written (full disk included).
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._file: Optional[Any] = None
        self._failed: Optional[InputError] = None  # the first write that failed; nothing is written after it
        check_output(path)

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
        try:
            if self._file is not None:
                self._file.close()
        except OSError as error:  # some file systems (NFS) report a full disk only here
            raise unwritable(self.path, error) from error

    def _open(self) -> BinaryIO:
        try:
            return open(self.path, "wb", buffering=0)  # type: ignore[return-value]
        except OSError as error:
            self._failed = unwritable(self.path, error)
            raise self._failed from error

    def _line(self, record: Dict[str, Any]) -> None:
        """Write one record. A line that goes out in part (a full disk) is taken back where the file allows it."""
        if self._failed is not None:
            raise self._failed
        if self._file is None:
            self._file = self._open()
        line = (json.dumps(record, allow_nan=False) + "\n").encode("ascii")
        written = 0
        try:
            while written < len(line):
                written += self._file.write(line[written:])
        except OSError as error:
            if written and self._file.seekable():
                self._file.seek(-written, os.SEEK_CUR)
                self._file.truncate()
            self._failed = unwritable(self.path, error)
            raise self._failed from error


def open_sink(value: str, streams: Sequence[StreamInfo]) -> JsonlSink:
    """Open the sink for `--jsonl FILE`."""
    del streams  # every line names its stream
    return JsonlSink(value)


def output_paths(value: str, names: Sequence[str]) -> List[str]:
    """Return the files that the sink writes."""
    del names
    return [value]


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
