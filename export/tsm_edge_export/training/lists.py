"""Lists of clips: the published "path frames label", folders by class, and segments of videos in a CSV file."""

import csv
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tsm_edge.errors import InputError, SourceError
from tsm_edge.files import read_limited
from tsm_edge.manifest import is_name
from tsm_edge.sources.images import SUFFIXES, natural_key
from tsm_edge_export import recipe, synthetic

from .broken import Broken
from .clips import Clip, FrameFolder, Reversed, VideoClip
from .config import Config, DataSpec

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
TEMPLATE = "img_{:05d}.jpg"
COLUMNS = ["path", "start", "end", "label"]
MAX_BYTES, MAX_CLIPS = 64 << 20, 1_000_000  # of a list; Kinetics-700 has 650,000 clips


class Data(NamedTuple):
    """The clips of a configuration."""

    train: list[Clip]
    test: list[Clip]
    labels: tuple[str, ...]
    named: bool  # whether a person named the labels
    broken: Broken  # what was left out so far


class _Row(NamedTuple):
    """One clip of a list."""

    where: str  # list and line, for messages
    name: str
    label: Any  # number or name
    open: Callable[..., Clip]  # makes the clip, given label=number


def load_data(config: Config, where: Any) -> Data:
    """Return the clips that a configuration names. where: its path, for messages.

    Raises InputError for a missing, empty or damaged list, an unknown label, an empty class, and > 1 % broken clips.
    """
    data = _synthetic(config) if config.data.kind == "synthetic" else _listed(config, where)
    backwards = config.data.reversed
    train, test = (both_ways(clips, data.labels, backwards, data.broken, where) for clips in (data.train, data.test))
    return data._replace(train=train, test=test)


def load_list(spec: DataSpec, path: Any, labels: Sequence[str], where: Any) -> tuple[list[Clip], Broken]:
    """Return the clips of one list and what of it is broken. Classes without a clip are allowed.

    `labels` are the model's; `where` names `spec` in messages. Raises InputError as load_data does.
    """
    rows = _numbered(_read(spec, path, labels), labels, path)
    broken = Broken(len(rows))
    return both_ways(_opened(rows, broken), labels, spec.reversed, broken, where), broken


def both_ways(
    clips: list[Clip], labels: Sequence[str], backwards: Mapping[str, Any], broken: Broken, where: Any
) -> list[Clip]:
    """Return `clips`, and those whose label is in `backwards` a second time: backwards, under the label given there.

    Adds their number to `broken.total`. Raises InputError for unknown labels.
    """
    unknown = [str(label) for pair in backwards.items() for label in pair if label not in labels]
    if unknown:
        raise InputError(f"{where}: data.reversed", ", ".join(unknown), "labels of the data", "correct the labels")
    turned = {labels.index(label): labels.index(other) for label, other in backwards.items()}
    again = [Reversed(clip, turned[clip.label]) for clip in clips if clip.label in turned]
    broken.total += len(again)
    return clips + again


def named_labels(config: Config) -> tuple[str, ...] | None:
    """Return the labels that a configuration names, None where it leaves them to the data."""
    path = config.data.labels_file
    if path is None:
        return config.labels
    labels = tuple(line.strip() for line in read_text(path, "a file of labels").splitlines() if line.strip())
    if len(set(labels)) != len(labels) or not labels:
        raise InputError(path, "no label, or one twice", "one label a line", "correct the file")
    return labels


def _synthetic(config: Config) -> Data:
    if config.labels not in (None, synthetic.LABELS) or config.data.labels_file:
        raise InputError("labels", "labels of your own", "none: synthetic gestures bring theirs", "leave them out")
    spec = config.data.synthetic
    size = spec.size, spec.size
    train: list[Clip] = [*synthetic.clips("train", spec.train, spec.seed, size)]
    if spec.windows:
        train += synthetic.windows("train", spec.windows, spec.seed, config.shift.n_segment, config.fps or 0.0, size)
    test = synthetic.clips("validation", spec.test, spec.seed, size)  # the test split waits for the evaluation
    return Data(train, [*test], synthetic.LABELS, True, Broken(len(train) + len(test)))


def _listed(config: Config, where: Any) -> Data:
    data, labels = config.data, named_labels(config)
    if data.kind != "frames" and not os.path.isdir(data.root):
        raise InputError(f"{where}: data.root", data.root, "a folder", "correct the path")
    named = labels is not None or data.kind != "frames"
    rows = _read(data, data.train, labels)
    if labels is None:
        labels = _labels_of(rows, data.train)
    for label in labels:
        if not is_name(label):
            got, expected = f"the label {label[:80]!r}", "1 to 200 characters that can be printed"
            raise InputError(f"{where}: labels", got, expected, "rename the label")
    train, test = _numbered(rows, labels, data.train), _numbered(_read(data, data.test, labels), labels, data.test)
    empty = sorted(set(range(len(labels))) - {row.label for row in train})
    if empty:
        got = "no clip of " + ", ".join(repr(labels[number]) for number in empty[:5])
        raise InputError(data.train, got, "training clips of each label", "add clips, or take the label out")
    broken = Broken(len(train) + len(test))
    return Data(_opened(train, broken), _opened(test, broken), tuple(labels), named, broken)


def _read(spec: DataSpec, path: Any, labels: Sequence[str] | None) -> list[_Row]:
    if spec.kind == "folders":
        return _read_folders(Path(path))
    return _read_videos(spec, path, labels) if spec.kind == "segments" else _read_frames(spec, path)


def _numbered(rows: list[_Row], labels: Sequence[str], path: Any) -> list[_Row]:
    """Return the rows of the list `path` with numbers for labels. Raises InputError for no rows or unknown labels."""
    if not rows:
        raise InputError(path, "no clips", "at least one", "give another list")
    numbers: dict[Any, int] = {label: number for number, label in enumerate(labels)}
    numbers.update({number: number for number in range(len(labels))})
    for row in rows:
        if row.label not in numbers:
            known = f"0 to {len(labels) - 1}" if isinstance(row.label, int) else ", ".join(labels[:8])
            raise InputError(row.where, f"label {row.label!r}", f"one of {len(labels)} labels: {known}", "correct it")
    return [row._replace(label=numbers[row.label]) for row in rows]


def _opened(rows: list[_Row], broken: Broken) -> list[Clip]:
    def opened(row: _Row) -> Clip:
        try:
            return row.open(label=row.label)
        except SourceError as error:
            broken.add(row.name, error)
            return None

    return [clip for row in rows if (clip := opened(row))]


def _labels_of(rows: list[_Row], path: Any) -> tuple[str, ...]:
    """Return the labels of a list that nobody named: names in order, or class_000, class_001, … for numbers."""
    if any(isinstance(row.label, str) for row in rows):
        return tuple(sorted({str(row.label) for row in rows}, key=natural_key))
    most = max((row.label for row in rows), default=0)
    if most >= max(len(rows), 1):
        raise InputError(path, f"label {most}, {len(rows)} clips", "a clip of each label below it", "name the labels")
    return recipe.default_labels(most + 1)


def read_text(path: Any, what: str = "a list of clips", limit: int = MAX_BYTES) -> str:
    """Return the text of a UTF-8 file of at most `limit` bytes.

    Raises InputError, which says that `what` was expected, for any other file and for text with NUL characters.
    """
    try:
        text = read_limited(path, limit, what).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(path, "bytes that are no UTF-8", what, "save it as UTF-8") from None
    if "\0" in text:
        raise InputError(path, "NUL characters", what, "save it as UTF-8")
    return text


def read_segments(path: Any, what: str = "a list of segments") -> Iterator[tuple[str, list[str]]]:
    """Yield (file and line, for messages; path, start, end and label as text) for each row of a CSV file of segments.

    Raises InputError as read_text does, and for another header or number of columns.
    """
    lines = _csv_rows(path, read_text(path, what))
    header = next(lines)[1]
    if header != COLUMNS:
        got = ",".join(header)[:80] or "an empty line"
        raise InputError(f"{path}: line 1", got, ",".join(COLUMNS), "begin the file with that line")
    for where, cells in lines:
        if cells and len(cells) != len(COLUMNS):
            raise InputError(where, ",".join(cells)[:80], ",".join(COLUMNS), "correct the line")
        if cells:
            yield where, cells


def _csv_rows(path: Any, text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield file and line, and the cells, for each row; at least one, of a text without rows an empty one."""
    rows = csv.reader(text.splitlines())
    try:
        for cells in rows:
            yield f"{path}: line {rows.line_num}", [cell.strip() for cell in cells]
    except csv.Error as error:  # a cell of more than 128 kB
        raise InputError(f"{path}: line {rows.line_num}", str(error), "a CSV file", "correct the line") from None
    if not rows.line_num:
        yield f"{path}: line 1", []


def _read_frames(spec: DataSpec, path: Any) -> list[_Row]:
    """Read lines "path frames label"; the path may hold spaces.

    Source: VideoRecord in ops/dataset.py of mit-han-lab/temporal-shift-module.
    """
    rows, template = [], spec.template
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        where, parts = f"{path}: line {number}", line.strip().rsplit(None, 2)
        try:
            name, (count, label) = parts[0], map(_whole_number, parts[1:])
        except (ValueError, IndexError):
            raise InputError(where, repr(line[:80]), "path frames label", "correct the line") from None
        if count < 1:
            raise InputError(where, f"{count} frames", "at least 1", "correct the count, or remove the line")
        folder = Path(spec.root) / name
        template = template or _template_in(folder)
        rows.append(_Row(where, name, label, partial(FrameFolder, name, folder, count, template=template or TEMPLATE)))
    return rows


def _lines(path: Any) -> list[str]:
    lines = read_text(path).splitlines()
    if len(lines) > MAX_CLIPS:
        raise InputError(path, f"{len(lines)} lines", f"at most {MAX_CLIPS}", "split the list")
    return lines


def _whole_number(text: str) -> int:
    """Return a whole number of at most 9 digits. Raises ValueError for any other text."""
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise ValueError(text[:80])
    return int(text)


def _template_in(folder: Path) -> str | None:
    """Return how the frames in a folder are named: "img_00001.jpg" -> "img_{:05d}.jpg". None without a number 1."""
    for file in _entries(folder) if os.path.isdir(folder) else []:
        digits = file.stem[len(file.stem.rstrip("0123456789")) :]
        if file.suffix.lower() in SUFFIXES and digits and int(digits) == 1:
            prefix = file.stem.removesuffix(digits).replace("{", "{{").replace("}", "}}")
            return f"{prefix}{{:0{len(digits)}d}}{file.suffix}"
    return None


def _read_folders(root: Path) -> list[_Row]:
    """Read a folder that holds one folder of videos for each label. The folders' names are the labels."""
    rows = []
    if not os.path.isdir(root):
        raise InputError(root, "no such folder", "a folder with one folder of videos for each label", "check the path")
    for folder in sorted((f for f in _entries(root) if os.path.isdir(f)), key=lambda f: natural_key(f.name)):
        files = [f for f in _entries(folder) if f.suffix.lower() in VIDEOS and not f.name.startswith(".")]
        if not files:
            raise InputError(folder, "no videos", "files named *" + ", *".join(VIDEOS), "add some or remove the folder")
        for file in sorted(files, key=lambda f: natural_key(f.name)):
            name = f"{folder.name}/{file.name}"
            rows.append(_Row(str(file), name, folder.name, partial(VideoClip, name, file)))
    return rows


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise InputError(folder, error.strerror, "a folder that can be read", "check its permissions") from None


def _read_videos(spec: DataSpec, path: Any, labels: Sequence[str] | None) -> list[_Row]:
    """Read a CSV file: path, start, end (seconds), label (a name, or a number where labels are given)."""
    rows: list[_Row] = []
    for where, (file, start, end, label) in read_segments(path):
        try:
            times = float(start), float(end)
        except ValueError:
            times = math.nan, math.nan
        if not 0 <= times[0] < times[1] < math.inf:
            raise InputError(
                where, f"{start[:40]} s to {end[:40]} s", "0 <= start < end, in seconds", "correct the times"
            )
        by_number = labels is not None and label not in labels and re.fullmatch("[0-9]{1,9}", label)
        if len(rows) >= MAX_CLIPS:
            raise InputError(where, "one more clip", f"at most {MAX_CLIPS}", "split the list")
        name = f"{file} {times[0]:g}-{times[1]:g} s"
        clip = partial(VideoClip, name, Path(spec.root) / file, start=times[0], end=times[1])
        rows.append(_Row(where, name, int(label) if by_number else label, clip))
    return rows
