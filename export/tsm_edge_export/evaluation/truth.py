"""What really happens in a stream, read from a file beside it."""

import csv
import json
import math
import os
from pathlib import Path

from tsm_edge.errors import InputError
from tsm_edge_export.training.lists import COLUMNS

from .matching import Truth

_DO = "correct the file"


def read(path, video, labels) -> list[Truth]:
    """The true events of `video`, in the order of their starts.

    path: a CSV file with the columns path,start,end,label (rows of other files than the video's name are left out), or
    JSON with "events": [{"label", "start", "end"}], as synthetic.write_stream writes it. labels: of the model.
    Raises InputError for a file that is missing or damaged, times that cannot be, labels that the model does not have,
    and a CSV file that says nothing of this video.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(path, error.strerror, "a CSV or JSON file of events", "check the path") from None
    except UnicodeDecodeError:
        raise InputError(path, "bytes that are no UTF-8", "a CSV or JSON file of events", "save it as UTF-8") from None
    rows = _from_json(text, path) if path.suffix.lower() == ".json" else _from_csv(text, path, video)
    return checked([_event(where, values) for where, values in rows], labels, path)


def checked(events, labels, where) -> list[Truth]:
    """Events (anything with label, start, end) as Truth, sorted. Raises InputError for impossible ones."""
    made = []
    for event in events:
        label, start, end = event
        if not 0 <= start < end < math.inf:
            raise InputError(where, f"{label!r} from {start} s to {end} s", "0 <= start < end", _DO)
        if label not in labels:
            raise InputError(where, f"label {label!r}", "one of the model's: " + ", ".join(labels[:12]), _DO)
        made.append(Truth(label, float(start), float(end)))
    return sorted(made, key=lambda event: (event.start, event.end))


def _event(where, values):
    try:
        label, start, end = values
        return str(label), float(start), float(end)
    except (TypeError, ValueError):
        raise InputError(where, str(values)[:80], "label, start and end in seconds", _DO) from None


def _from_json(text, path):
    try:
        events = json.loads(text)["events"]
        return [(f"{path}: event {i}", (e["label"], e["start"], e["end"])) for i, e in enumerate(events)]
    except (ValueError, KeyError, TypeError, RecursionError):
        expected = '{"events": [{"label", "start", "end"}, …]}'
        raise InputError(path, "damaged JSON, or no events in it", expected, _DO) from None


def _from_csv(text, path, video):
    lines = csv.reader(text.splitlines())
    header = [cell.strip() for cell in next(lines, [])]
    if header != COLUMNS:
        raise InputError(f"{path}: line 1", ",".join(header), ",".join(COLUMNS), "begin the file with that line")
    rows, name = [], os.path.basename(os.path.normpath(video))
    for cells in lines:
        where = f"{path}: line {lines.line_num}"
        if cells and len(cells) != len(COLUMNS):
            raise InputError(where, ",".join(cells)[:80], ",".join(COLUMNS), _DO)
        if cells and os.path.basename(cells[0].strip()) == name:
            rows.append((where, (cells[3].strip(), cells[1], cells[2])))
    if not rows:
        raise InputError(path, f"no event of {name}", "at least one row with that path", _DO)
    return rows
