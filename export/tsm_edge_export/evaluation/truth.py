"""Reads the true events of a stream from a file."""

import json
import math
import os
from pathlib import Path
from typing import Any, Iterable, Sequence

from tsm_edge.errors import InputError
from tsm_edge.files import read_text
from tsm_edge_export.training.lists import MAX_BYTES, read_segments

from .matching import Truth

Rows = Sequence[tuple[str, Sequence[Any]]]  # (where it is, (label, start, end))
_DO = "correct the file"


def read(path: str | Path, video: str, labels: Sequence[str]) -> list[Truth]:
    """Read the true events of a video for a model of `labels`, in the order of their starts.

    path: a CSV file with the columns path,start,end,label (rows of other files than the video's name are left out), or
    JSON with "events": [{"label", "start", "end"}], as synthetic.write_stream writes it.
    Raises InputError for a missing or damaged file, impossible times, unknown labels, and a CSV without this video.
    """
    rows = _from_json(path) if Path(path).suffix.lower() == ".json" else _from_csv(path, video)
    return checked([_event(where, values) for where, values in rows], labels, path)


def checked(events: Iterable[tuple[str, float, float]], labels: Sequence[str], where: object) -> list[Truth]:
    """Return events (label, start, end) as Truth, sorted. Raises InputError for impossible ones."""
    made = []
    for label, start, end in events:
        if not 0 <= start < end < math.inf:
            raise InputError(where, f"{label!r} from {start} s to {end} s", "0 <= start < end", _DO)
        if label not in labels:
            raise InputError(where, f"label {label!r}", "one of the model's: " + ", ".join(labels[:12]), _DO)
        made.append(Truth(label, float(start), float(end)))
    return sorted(made, key=lambda event: (event.start, event.end))


def _event(where: str, values: Sequence[Any]) -> tuple[str, float, float]:
    try:
        label, start, end = values
        return str(label), float(start), float(end)
    except (TypeError, ValueError):
        raise InputError(where, str(values)[:80], "label, start and end in seconds", _DO) from None


def _from_json(path: str | Path) -> Rows:
    try:
        events = json.loads(read_text(path, MAX_BYTES, "a JSON file of events"))["events"]
        return [(f"{path}: event {i}", (e["label"], e["start"], e["end"])) for i, e in enumerate(events)]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            path, "damaged JSON, or no events", '{"events": [{"label", "start", "end"}, …]}', _DO
        ) from None


def _from_csv(path: str | Path, video: str) -> Rows:
    name = os.path.basename(os.path.normpath(video))
    segments = read_segments(path, "a CSV file of events")
    rows = [(at, (label, start, end)) for at, (file, start, end, label) in segments if os.path.basename(file) == name]
    if not rows:
        raise InputError(path, f"no event of {name}", "at least one row with that path", _DO)
    return rows
