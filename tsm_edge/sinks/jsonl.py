"""Results as JSON lines, one record a line, for other programs: the records of DESIGN.md "Commands and records"."""

import json
import math
import os

from tsm_edge.sinks.base import Sink
from tsm_edge.sinks.files import check_output, unwritable


class JsonlSink(Sink):
    """Writes `path`: a "frame" record for each result, an "event" after the frame that ended it, a last "summary".

    The file is replaced when the sink is made. Each line goes out whole in one unbuffered write, so whatever ends
    the process, the file holds whole lines only; but SIGKILL within a write may cut the last one where a page of memory
    ends, since the kernel looks for it between two pages. Strict ASCII JSON: a number that is not finite becomes null.
    Raises InputError, from the constructor or from any write, where the path cannot be written (full disk included).
    """

    def __init__(self, path):
        self.path = path
        self._failed = None  # the error of the first write that failed; nothing is written after it
        check_output(path)
        try:
            self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - close() closes it
        except OSError as error:
            raise unwritable(path, error) from error

    def write(self, result):
        self._line(frame_record(result))
        if result.decision.event is not None:
            self._line(event_record(result.decision.event))

    def event(self, event):
        if self._failed is None:  # else write() has raised it, and the other sinks are still to be ended
            self._line(event_record(event))

    def finish(self, summary):
        if self._failed is None:
            self._line(plain(dict(summary, kind="summary")))

    def close(self):
        try:
            self._file.close()
        except OSError as error:  # some file systems (NFS) report a full disk only here
            raise unwritable(self.path, error) from error

    def _line(self, record):
        """One record. A line that goes out in part (a disk that fills up) is taken back where the file allows it."""
        if self._failed is not None:
            raise self._failed
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


def frame_record(result):
    """The "frame" record of a :class:`tsm_edge.sinks.base.Result`; time in seconds of the source."""
    frame, decision = result.frame, result.decision
    return {
        "kind": "frame",
        "frame": int(frame.index),
        "time": _number(frame.time),
        "label": decision.label,
        "confidence": _number(decision.confidence),
        "top": [[label, _number(probability)] for label, probability in decision.top[:5]],
    }


def event_record(event):
    """The "event" record of a :class:`tsm_edge.heads.classification.Event`; start and end in seconds of the source."""
    return {
        "kind": "event",
        "label": event.label,
        "start": _number(event.start),
        "end": _number(event.end),
        "confidence": _number(event.confidence),
    }


def plain(value):
    """`value` in what strict JSON can say: NumPy scalars become Python's, numbers that are not finite become None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return plain(value.tolist())
    if isinstance(value, float):
        return _number(value)
    return value


def _number(value):
    """A float at a millionth: finer than any clock or probability here, and a fifth of the digits of a double."""
    value = float(value)
    return round(value, 6) if math.isfinite(value) else None
