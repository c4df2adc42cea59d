"""Lists of clips: the published "path frames label", folders by class, and segments of videos in a CSV file."""

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tsm_edge.errors import InputError, SourceError
from tsm_edge.files import csv_rows, read_text
from tsm_edge.manifest import is_name
from tsm_edge.recording.folder import VIDEOS
from tsm_edge.sources.images import SUFFIXES, natural_key
from tsm_edge_export import recipe, synthetic

from .broken import Broken
from .clips import Clip, FrameFolder, PictureFolder, Reversed, Still, VideoClip, pictures_in
from .config import Config, DataSpec
from .memory import Reduced

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


class Row(NamedTuple):
    """One clip of a list."""

    where: str  # list and line, for messages
    name: str
    label: Any  # number or name
    open: Callable[..., Clip]  # makes the clip, given its name and label=number


def load_data(config: Config, where: Any) -> Data:
    """Return the clips that a configuration names. where: its path, for messages.

    Raises InputError for a missing, empty or damaged list, an unknown label, an empty class, and > 1 % broken clips.
    """
    data = _synthetic(config) if config.data.kind == "synthetic" else _listed(config, where)
    if config.data.hold:
        data = data._replace(train=[Reduced(clip, config.data.hold) for clip in data.train])
    backwards = config.data.reversed
    train, test = (both_ways(clips, data.labels, backwards, data.broken, where) for clips in (data.train, data.test))
    if config.data.still is not None:
        train += _held(config.data.still, train, data.labels, data.broken)
    return data._replace(train=train, test=test)


def load_list(spec: DataSpec, path: Any, labels: Sequence[str], where: Any) -> tuple[list[Clip], Broken]:
    """Return the clips of one list and what of it is broken. Classes without a clip are allowed.

    `labels` are the model's; `where` names `spec` in messages. Raises InputError as load_data does.
    """
    rows = _numbered(_read(spec, path, labels), labels, path)
    broken = Broken(len(rows), most=spec.most_broken)
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


def _held(label: str, clips: list[Clip], labels: Sequence[str], broken: Broken) -> list[Clip]:
    """Return clips of `label` that hold single frames of the clips of other labels: the mean number of a label."""
    number = labels.index(label)
    others = [clip for clip in clips if clip.label != number]
    count = max(1, round(len(others) / max(1, len(labels) - 1)))
    broken.total += count
    return [Still(others[index * len(others) // count], number) for index in range(count)] if others else []


def named_labels(config: Config) -> tuple[str, ...] | None:
    """Return the labels that a configuration names, None where it leaves them to the data."""
    path = config.data.labels_file
    if path is None:
        return config.labels
    labels = tuple(line.strip() for line in read_text(path, MAX_BYTES, "a file of labels").splitlines() if line.strip())
    if len(set(labels)) != len(labels) or not labels:
        raise InputError(path, "no label, or one twice", "one label a line", "correct the file")
    return labels


def _synthetic(config: Config) -> Data:
    spec = config.data.synthetic
    family = synthetic.FAMILIES[spec.family]
    if config.labels not in (None, family.labels) or config.data.labels_file:
        raise InputError("labels", "labels of your own", "none: synthetic gestures bring theirs", "leave them out")
    size = spec.size, spec.size
    train: list[Clip] = [*family.clips("train", spec.train, spec.seed, size)]
    if spec.windows:
        train += synthetic.windows("train", spec.windows, spec.seed, config.shift.n_segment, config.fps or 0.0, size)
    test = family.clips("validation", spec.test, spec.seed, size)  # the test split waits for the evaluation
    return Data(train, [*test], family.labels, True, Broken(len(train) + len(test)))


def _listed(config: Config, where: Any) -> Data:
    data, labels = config.data, named_labels(config)
    if data.kind != "frames" and not os.path.isdir(data.root):
        raise InputError(f"{where}: data.root", data.root, "a folder", "correct the path")
    named = labels is not None or data.kind != "frames"
    rows = _read(data, data.train, labels)
    if labels is None:
        labels = _labels_of(rows, data.train)
    if data.still is not None and data.still not in labels:
        labels = (*labels, data.still)
    for label in labels:
        if not is_name(label):
            got, expected = f"the label {label[:80]!r}", "1 to 200 characters that can be printed"
            raise InputError(f"{where}: labels", got, expected, "rename the label")
    train, test = _numbered(rows, labels, data.train), _numbered(_read(data, data.test, labels), labels, data.test)
    empty = sorted(set(range(len(labels))) - {row.label for row in train})
    if [number for number in empty if labels[number] != data.still]:
        got = "no clip of " + ", ".join(repr(labels[number]) for number in empty[:5])
        raise InputError(data.train, got, "training clips of each label", "add clips, or take the label out")
    broken = Broken(len(train) + len(test), most=data.most_broken)
    return Data(_opened(train, broken), _opened(test, broken), tuple(labels), named, broken)


def _read(spec: DataSpec, path: Any, labels: Sequence[str] | None) -> list[Row]:
    if spec.kind == "folders":
        return read_folders(Path(path), spec.fps)
    return _read_videos(spec, path, labels) if spec.kind == "segments" else _read_frames(spec, path)


def _numbered(rows: list[Row], labels: Sequence[str], path: Any) -> list[Row]:
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


def _opened(rows: list[Row], broken: Broken) -> list[Clip]:
    def opened(row: Row) -> Clip:
        try:
            return row.open(row.name, label=row.label)
        except SourceError as error:
            broken.add(row.name, error)
            return None

    return [clip for row in rows if (clip := opened(row))]


def _labels_of(rows: list[Row], path: Any) -> tuple[str, ...]:
    """Return the labels of a list that nobody named: names in order, or class_000, class_001, … for numbers."""
    if any(isinstance(row.label, str) for row in rows):
        return tuple(sorted({str(row.label) for row in rows}, key=natural_key))
    most = max((row.label for row in rows), default=0)
    if most >= max(len(rows), 1):
        raise InputError(path, f"label {most}, {len(rows)} clips", "a clip of each label below it", "name the labels")
    return recipe.default_labels(most + 1)


def read_segments(path: Any, what: str = "a list of segments") -> Iterator[tuple[str, list[str]]]:
    """Yield (file and line, for messages; path, start, end and label as text) for each row of a CSV file of segments.

    Raises InputError as read_text does, and for another header or number of columns.
    """
    lines = csv_rows(path, read_text(path, MAX_BYTES, what))
    header = next(lines)[1]
    if header != COLUMNS:
        got = ",".join(header)[:80] or "an empty line"
        raise InputError(f"{path}: line 1", got, ",".join(COLUMNS), "begin the file with that line")
    for where, cells in lines:
        if cells and len(cells) != len(COLUMNS):
            raise InputError(where, ",".join(cells)[:80], ",".join(COLUMNS), "correct the line")
        if cells:
            yield where, cells


def _read_frames(spec: DataSpec, path: Any) -> list[Row]:
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
        opened = partial(FrameFolder, folder=folder, count=count, template=template or TEMPLATE, fps=spec.fps)
        rows.append(Row(where, name, label, opened))
    return rows


def _lines(path: Any) -> list[str]:
    lines = read_text(path, MAX_BYTES, "a list of clips").splitlines()
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


def read_folders(root: Path, fps: float | None = None) -> list[Row]:
    """Read a folder that holds one folder of clips for each label. The folders' names are the labels.

    A clip is a video, or a folder of pictures of `fps` frames/s. Files and folders whose names begin with a dot are
    passed over. Raises InputError for a missing folder and for a label without clips.
    """
    rows = []
    if not os.path.isdir(root):
        raise InputError(root, "no such folder", "a folder with one folder of clips for each label", "check the path")
    labels = [folder for folder in _entries(root) if os.path.isdir(folder) and not folder.name.startswith(".")]
    for folder in sorted(labels, key=lambda f: natural_key(f.name)):
        files = [file for file in _entries(folder) if not file.name.startswith(".") and _is_clip(file)]
        if not files:
            expected = "files named *" + ", *".join(VIDEOS) + ", or folders of pictures"
            raise InputError(folder, "no videos", expected, "add some or remove the folder")
        files.sort(key=lambda f: natural_key(f.name))
        rows += [Row(str(file), f"{folder.name}/{file.name}", folder.name, _opener(file, fps)) for file in files]
    return rows


def _is_clip(path: Path) -> bool:
    """Return whether a path is named like a video, or is a folder that holds pictures."""
    if not os.path.isdir(path):
        return path.suffix.lower() in VIDEOS
    try:
        return bool(pictures_in(path))
    except OSError:
        return True  # opening it names the fault


def _opener(path: Path, fps: float | None) -> Callable[..., Clip]:
    """Return what opens a whole video or folder of pictures, given name and label."""
    return partial(PictureFolder, folder=path, fps=fps) if os.path.isdir(path) else partial(VideoClip, path=path)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise InputError(folder, error.strerror, "a folder that can be read", "check its permissions") from None


def _read_videos(spec: DataSpec, path: Any, labels: Sequence[str] | None) -> list[Row]:
    """Read a CSV file: path, start, end (seconds), label (a name, or a number where labels are given).

    An empty start and end stand for the whole clip, which may then be a folder of pictures.
    """
    rows: list[Row] = []
    for where, (file, start, end, label) in read_segments(path):
        by_number = labels is not None and label not in labels and re.fullmatch("[0-9]{1,9}", label)
        number = int(label) if by_number else label
        if len(rows) >= MAX_CLIPS:
            raise InputError(where, "one more clip", f"at most {MAX_CLIPS}", "split the list")
        place = Path(spec.root) / file
        if not start and not end:
            rows.append(Row(where, file, number, _opener(place, spec.fps)))
            continue
        try:
            times = float(start), float(end)
        except ValueError:
            times = math.nan, math.nan
        if not 0 <= times[0] < times[1] < math.inf:
            expected, do = "0 <= start < end, in seconds", "correct the times, or leave both empty for the whole clip"
            raise InputError(where, f"{start[:40]} s to {end[:40]} s", expected, do)
        name = f"{file} {times[0]:g}-{times[1]:g} s"
        rows.append(Row(where, name, number, partial(VideoClip, path=place, start=times[0], end=times[1])))
    return rows
