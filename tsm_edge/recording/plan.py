"""What to record: labels, how many clips of each, how long, and the marks of clips in a video."""

import math
import os
import re
import unicodedata
from typing import List, NamedTuple, Optional, Sequence, Tuple

from tsm_edge.errors import InputError
from tsm_edge.files import csv_rows, read_text
from tsm_edge.manifest import is_name
from tsm_edge.schema import shortened

SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}\Z")
MOST_LABELS, MOST_CLIPS = 100, 1000  # of one recording session
SHORTEST, LONGEST = 0.2, 60.0  # seconds of a clip that is recorded
LONGEST_MARK = 600.0  # seconds of a clip that is cut from a video
MOST_MARKS, MARKS_BYTES = 10000, 4 << 20  # of one recording session; of a file of marks
MARK_COLUMNS = ["start", "end", "label"]
_LABEL_BYTES = 200  # a file name may have 255
_FORBIDDEN = '/\\:*?"<>|'  # in names of files, here or on Windows, where the data may be copied to
_MARK = re.compile(r"\s*([0-9.]{1,20})\s*-\s*([0-9.]{1,20})\s*\Z")


class Plan(NamedTuple):
    """What is recorded in one session with a camera.

    labels: in the order of their turns. clips: of each label. seconds: the length of a clip. pressed: a key begins and
    ends a clip, which then lasts `longest` seconds at most. countdown: seconds before a clip. review: ask after each
    clip. nothing: the label of clips that are taken in the pauses, None for none.
    """

    labels: Tuple[str, ...]
    clips: int = 10
    seconds: float = 2.0
    pressed: bool = False
    longest: float = 10.0
    countdown: float = 3.0
    review: bool = False
    nothing: Optional[str] = "nothing"

    def turns(self) -> List[str]:
        """Return the label of each clip in order: the labels take turns."""
        return list(self.labels) * self.clips

    def nothing_is_due(self, turn: int, taken: int) -> bool:
        """Return whether a clip of `nothing` belongs into the pause before `turn` (from 0), where `taken` exist."""
        return self.nothing is not None and taken < self.clips and taken * len(self.labels) <= turn


class Mark(NamedTuple):
    """A clip in a video: from `start` to `end` seconds of it. where: it was read there, for messages."""

    start: float
    end: float
    label: str
    where: str


def check_labels(labels: Sequence[str], nothing: Optional[str]) -> None:
    """Raise InputError for labels that cannot name a folder, or that meet.

    Args:
        labels: as given.
        nothing: the label of the clips between the gestures, None for none.
    """
    if not 1 <= len(labels) <= MOST_LABELS:
        got, do = "{} labels".format(len(labels)), "name what you show: --label wave"
        raise InputError("--label", got, "1 to {} labels".format(MOST_LABELS), do)
    for label in labels:
        check_label(label, "--label")
    if nothing is not None:
        check_label(nothing, "--nothing")
    seen: List[str] = []
    for label in list(labels) + ([] if nothing is None else [nothing]):
        if folded(label) in seen:
            got = "{!r} a second time, or a label that differs from it only by case".format(label)
            if nothing is not None and folded(label) == folded(nothing):
                do = "give --no-nothing, or another name for the clips of the pauses: --nothing idle"
                raise InputError("--label", "{!r}, the name of the clips of the pauses".format(label), "another", do)
            raise InputError("--label", got, "labels that differ", "give each label once; --clips says how many clips")
        seen.append(folded(label))


def check_label(label: str, where: str) -> None:
    """Raise InputError where `label` cannot name a folder on every system. where: its option or line."""
    got = ""
    if not label.strip():
        got = "an empty label"
    elif not is_name(label) or len(label.encode("utf-8", "replace")) > _LABEL_BYTES:
        got = "{}, with control characters or too long".format(shortened(label))
    elif any(character in _FORBIDDEN for character in label):
        got = "{!r}, with one of {}".format(label, " ".join(_FORBIDDEN))
    elif label != label.strip() or label[0] == "." or label[-1] == ".":
        got = "{!r}, with a space or a dot at its begin or end".format(label)
    if got:
        expected = "text that can name a folder, of at most {} bytes".format(_LABEL_BYTES)
        raise InputError(where, got, expected, "give another label, such as wave")


def folded(label: str) -> str:
    """Return `label` in the form in which labels are compared: without case, composed characters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", label).casefold())


def check_session(name: str) -> str:
    """Return the name of a recording session. Raises InputError for one that does not fit a file name."""
    if not SESSION.match(name):
        expected = "1 to 60 letters, digits, - and _, a letter or digit first"
        raise InputError("--session", shortened(name), expected, "give another name, or leave --session away")
    return name


def parse_mark(text: str, label: str) -> Mark:
    """Return the mark that ``--mark 3.5-5.2`` gives. Raises InputError for any other text."""
    where = "--mark {}".format(text[:80])
    found = _MARK.match(text)
    if not found:
        raise InputError(where, "no start and end", "seconds of the video, START-END", "write it like --mark 3.5-5.2")
    return _mark(found.group(1), found.group(2), label, where)


def read_marks(path: str, label: Optional[str]) -> List[Mark]:
    """Read a CSV file with the columns start,end,label (seconds, seconds, text).

    Args:
        path: of the file, UTF-8.
        label: of the lines without one, None where each line must have one.

    Raises:
        InputError: no such file, one above 4 MB, another header, or a line that is no mark.
    """
    rows = csv_rows(path, read_text(path, MARKS_BYTES, "a file of marks"))
    header = next(rows)[1]
    if header not in (MARK_COLUMNS, MARK_COLUMNS[:2]):
        got = ",".join(header)[:80] or "an empty line"
        raise InputError(path + ": line 1", got, ",".join(MARK_COLUMNS), "begin the file with that line")
    marks = [_row(cells, label, where, len(header)) for where, cells in rows if any(cells)]
    if not marks:
        raise InputError(path, "no marks", "at least one line below the header", "add lines, or leave --marks away")
    return marks


def _row(cells: List[str], label: Optional[str], where: str, columns: int) -> Mark:
    if len(cells) != columns:
        raise InputError(where, ",".join(cells)[:80], "{} columns".format(columns), "correct the line")
    name = cells[2] if columns == 3 and cells[2] else label
    if name is None:
        raise InputError(where, "no label", "a label in the third column", "write one, or give one --label")
    check_label(name, where)
    return _mark(cells[0], cells[1], name, where)


def _mark(start: str, end: str, label: str, where: str) -> Mark:
    try:
        times = [float(text) if len(text) <= 20 else math.nan for text in (start, end)]
    except ValueError:
        times = [math.nan, math.nan]
    if not (0 <= times[0] < times[1] < math.inf and times[1] - times[0] <= LONGEST_MARK):
        got = "{} s to {} s".format(start[:20], end[:20])
        expected = "0 <= start < end, at most {:g} s apart".format(LONGEST_MARK)
        raise InputError(where, got, expected, "correct the times")
    return Mark(times[0], times[1], label, where)


def in_order(marks: Sequence[Mark]) -> List[Mark]:
    """Return the marks of one video by their start. Raises InputError where two of them overlap."""
    ordered = sorted(marks)
    for before, after in zip(ordered, ordered[1:]):
        if after.start < before.end:
            got = "{:g} s to {:g} s, which overlaps {:g} s to {:g} s".format(
                after.start, after.end, before.start, before.end
            )
            raise InputError(after.where, got, "clips that share no frame", "correct the times")
    return ordered


def check_place(path: str) -> None:
    """Raise InputError where `path` cannot be a folder of data. Creates nothing."""
    do = "give another folder: -o data/"
    if not path or "\0" in path:
        raise InputError("-o", "an empty name or one with a NUL character", "a folder", do)
    if os.path.exists(path) and not os.path.isdir(path):
        raise InputError("-o {}".format(path), "a file", "a folder, there or not", do)
