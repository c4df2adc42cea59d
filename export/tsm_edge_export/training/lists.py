"""Lists of clips: the published "path frames label", folders by class, and segments of videos in a CSV file."""

import csv
import math
from pathlib import Path
from typing import Any, NamedTuple

from tsm_edge.errors import InputError, SourceError
from tsm_edge.sources.images import SUFFIXES, natural_key
from tsm_edge_export import recipe

from .broken import Broken
from .clips import FrameFolder, Reversed, VideoClip

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
TEMPLATE = "img_{:05d}.jpg"
COLUMNS = ["path", "start", "end", "label"]


class Data(NamedTuple):
    """train, test: clips (see .clips). named: whether somebody named the labels. broken: what was left out so far."""

    train: list[Any]
    test: list[Any]
    labels: tuple[str, ...]
    named: bool
    broken: Broken


def load_data(config, where) -> Data:
    """The clips that a configuration names. where: its path, for messages.

    Raises InputError for a list that is missing, empty or damaged, labels out of range, a class without training
    clips, and more than 1 % of clips that cannot be used.
    """
    data = _synthetic(config) if config.data.kind == "synthetic" else _listed(config, where)
    train, test = (
        both_ways(clips, data.labels, config.data.reversed, data.broken, where) for clips in (data.train, data.test)
    )
    return data._replace(train=train, test=test)


def load_list(spec, path, labels, where) -> tuple[list[Any], Broken]:
    """The clips of one list, and what of it is broken. spec: a config.DataSpec. labels: of the model, in its order.

    Raises InputError as load_data does; classes without a clip are allowed.
    """
    rows = _read(spec, path, labels)
    _check_rows(path, rows, labels)
    broken = Broken(len(rows))
    clips = _made(rows, labels, broken)
    return both_ways(clips, labels, spec.reversed, broken, where), broken


def _read(spec, path, labels):
    return {"frames": _read_frames, "folders": _read_folders, "segments": _read_segments}[spec.kind](spec, path, labels)


def _listed(config, where):
    data, labels = config.data, named_labels(config)
    if data.kind != "frames" and not Path(data.root).is_dir():
        raise InputError(f"{where}: data.root", data.root, "a folder", "correct the path")
    train, named = _read(data, data.train, labels), labels is not None or data.kind != "frames"
    if labels is None:
        labels = _labels_of(train, data.train)
    test = _read(data, data.test, labels)
    for path, rows in ((data.train, train), (data.test, test)):
        _check_rows(path, rows, labels)
    numbers = {label: number for number, label in enumerate(labels)}
    empty = sorted(set(range(len(labels))) - {numbers.get(row.label, row.label) for row in train})
    if empty:
        raise InputError(
            data.train,
            "no clip of " + ", ".join(repr(labels[number]) for number in empty[:5]),
            "at least one training clip of each label",
            "add clips, or take the label out of the configuration",
        )
    broken = Broken(len(train) + len(test))
    return Data(_made(train, labels, broken), _made(test, labels, broken), tuple(labels), named, broken)


def both_ways(clips, labels, backwards, broken, where):
    """`clips`, and each whose label is in `backwards` once more, played backwards, under its other label.

    Counts them in `broken.total`. Raises InputError for labels that there are not.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    unknown = [str(label) for pair in backwards.items() for label in pair if label not in numbers]
    if unknown:
        raise InputError(f"{where}: data.reversed", ", ".join(unknown), "labels of the data", "correct the labels")
    turned = {numbers[label]: numbers[other] for label, other in backwards.items()}
    again = [Reversed(clip, turned[clip.label]) for clip in clips if clip.label in turned]
    broken.total += len(again)
    return clips + again


class _Row(NamedTuple):
    """One clip of a list. where: list and line. label: number or name. open(label number): makes the clip."""

    where: str
    name: str
    label: Any
    open: Any


def _made(rows, labels, broken):
    numbers = {label: number for number, label in enumerate(labels)}
    return [clip for row in rows if (clip := _opened(row, numbers, broken))]


def _opened(row, numbers, broken):
    try:
        return row.open(numbers.get(row.label, row.label))
    except SourceError as error:
        broken.add(row.name, error)
        return None


def named_labels(config):
    """The labels that a configuration names, None where it leaves them to the data."""
    if config.data.labels_file is None:
        return config.labels
    labels = tuple(line.strip() for line in _lines(config.data.labels_file) if line.strip())
    if len(set(labels)) != len(labels) or not labels:
        raise InputError(config.data.labels_file, "no label, or one twice", "one label a line", "correct the file")
    return labels


def _labels_of(rows, path):
    """The labels of a list when nobody named them: names in order, numbers as class_000, class_001, …"""
    if any(isinstance(row.label, str) for row in rows):
        return tuple(sorted({str(row.label) for row in rows}, key=natural_key))
    most = max((row.label for row in rows), default=0)
    if most >= max(len(rows), 1):
        raise InputError(
            path, f"label {most} in a list of {len(rows)} clips", "a clip of each label below it", "name the labels"
        )
    return recipe.default_labels(most + 1)


def _check_rows(path, rows, labels):
    if not rows:
        raise InputError(path, "no clips", "at least one", "give another list")
    for row in rows:
        fits = 0 <= row.label < len(labels) if isinstance(row.label, int) else row.label in labels
        if not fits:
            known = f"0 to {len(labels) - 1}" if isinstance(row.label, int) else ", ".join(labels[:8])
            raise InputError(
                row.where, f"label {row.label!r}", f"one of the {len(labels)} labels: {known}", "correct it"
            )


def _synthetic(config):
    from tsm_edge_export.synthetic import LABELS, clips, windows

    if config.labels not in (None, LABELS) or config.data.labels_file:
        raise InputError("labels", "labels of your own", "none: synthetic gestures bring theirs", "leave them out")
    spec = config.data.synthetic
    size = (spec.size, spec.size)
    train = clips("train", spec.train, spec.seed, size)
    if spec.windows:
        train = train + windows("train", spec.windows, spec.seed, config.shift.n_segment, config.fps, size)
    test = clips("validation", spec.test, spec.seed, size)  # the test split stays unseen until the evaluation
    return Data(train, test, LABELS, True, Broken(len(train) + len(test)))


def _lines(path):
    try:
        return Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(path, error.strerror, "a file that can be read", "check the path") from None
    except UnicodeDecodeError:
        raise InputError(path, "bytes that are no UTF-8", "a text file", "save it as UTF-8") from None


def _read_frames(data, path, labels):
    """Lines "path frames label"; the path may hold spaces. Source: VideoRecord in ops/dataset.py of the TSM code."""
    rows, template = [], data.template
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        where, parts = f"{path}: line {number}", line.strip().rsplit(None, 2)
        try:
            name, count, label = parts[0], int(parts[1]), int(parts[2])
        except (ValueError, IndexError):
            raise InputError(where, repr(line[:80]), "path frames label", "correct the line") from None
        if count < 1:
            raise InputError(where, f"{count} frames", "at least 1", "correct the count, or remove the line")
        folder = Path(data.root) / name
        template = template or _template_in(folder)

        def open_(label, name=name, folder=folder, count=count, template=template):
            return FrameFolder(name, folder, count, label, template or TEMPLATE)

        rows.append(_Row(where, name, label, open_))
    return rows


def _template_in(folder):
    """How the frames in `folder` are named: "img_00001.jpg" -> "img_{:05d}.jpg". None where number 1 is not there."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    for file in files:
        digits = file.stem[len(file.stem.rstrip("0123456789")) :]
        if file.suffix.lower() in SUFFIXES and digits and int(digits) == 1:
            prefix = file.stem.removesuffix(digits).replace("{", "{{").replace("}", "}}")
            return f"{prefix}{{:0{len(digits)}d}}{file.suffix}"
    return None


def _read_folders(data, path, labels):
    """`path`: a folder with one folder of videos a label. Labels that are not given are the folders' names."""
    root, rows = Path(path), []
    if not root.is_dir():
        raise InputError(path, "no such folder", "a folder with one folder of videos for each label", "check the path")
    for folder in sorted((f for f in root.iterdir() if f.is_dir()), key=lambda f: natural_key(f.name)):
        files = [f for f in folder.iterdir() if f.suffix.lower() in VIDEOS and not f.name.startswith(".")]
        if not files:
            raise InputError(folder, "no videos", "files named *" + ", *".join(VIDEOS), "add some or remove the folder")
        for file in sorted(files, key=lambda f: natural_key(f.name)):
            name = f"{folder.name}/{file.name}"
            rows.append(_Row(str(file), name, folder.name, _opener(name, file)))
    return rows


def _read_segments(data, path, labels):
    """A CSV file with the columns path, start, end (seconds) and label (a name, or a number where labels are given)."""
    rows, lines = [], csv.reader(_lines(path))
    header = [cell.strip() for cell in next(lines, [])]
    if header != COLUMNS:
        raise InputError(f"{path}: line 1", ",".join(header), ",".join(COLUMNS), "begin the file with that line")
    for cells in lines:
        where = f"{path}: line {lines.line_num}"
        if not cells:
            continue
        try:
            file, start, end, label = (cell.strip() for cell in cells)
            start, end = float(start), float(end)
        except ValueError:
            raise InputError(where, ",".join(cells)[:80], "path,start,end,label", "correct the line") from None
        if not 0 <= start < end < math.inf:
            raise InputError(where, f"{start} s to {end} s", "0 <= start < end", "correct the times")
        if labels is not None and label not in labels and label.isdecimal():
            label = int(label)
        name = f"{file} {start:g}-{end:g} s"
        rows.append(_Row(where, name, label, _opener(name, Path(data.root) / file, start, end)))
    return rows


def _opener(name, file, start=None, end=None):
    return lambda label: VideoClip(name, file, label, start, end)
