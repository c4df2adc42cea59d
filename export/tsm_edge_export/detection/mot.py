"""MOT text: one box a line, of a MOTChallenge folder or of any video with such a file.

A line is `frame, id, left, top, width, height[, flag[, class[, visibility]]]`. Frames, classes, and the pixels of left
and top count from 1. Source: Milan et al., "MOT16: A Benchmark for Multi-Object Tracking", 2016, section 3.3.
"""

import configparser
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

from tsm_edge.errors import InputError
from tsm_edge.files import csv_rows, read_text
from tsm_edge.sources.images import natural_key
from tsm_edge_export.training.clips import Clip, PictureFolder, StrPath, VideoClip
from tsm_edge_export.training.lists import COLUMNS as SEGMENTS
from tsm_edge_export.training.lists import MAX_BYTES, MAX_CLIPS

from .annotated_clip import MAX_SIDE, AnnotatedClip, Annotation, Check, Size
from .truth import BoxData

SEQUENCE, TRUTH, LABELS = "seqinfo.ini", os.path.join("gt", "gt.txt"), os.path.join("gt", "labels.txt")
COLUMNS = ["path", "truth"]  # of a list of videos
MAX_INI_BYTES = 1 << 16
HALF_VISIBLE = 0.5  # a box of less visibility has the tag "occluded"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)
_DO = "correct the file"


def is_sequence(folder: StrPath) -> bool:
    """Return whether a folder is a sequence of MOTChallenge: it holds `seqinfo.ini`."""
    return os.path.isfile(os.path.join(folder, SEQUENCE))


def read_sequences(path: StrPath, labels: Sequence[str] | None = None) -> BoxData:
    """Read a MOTChallenge folder (seqinfo.ini, img1/, gt/gt.txt), or all those that a folder holds.

    Args:
        path: the folder.
        labels: class k of the files is labels[k - 1]. Where a file gt/labels.txt names the classes of a sequence, one a
            line, they are found in `labels` by name. None needs that file, and takes its labels.

    Raises:
        InputError: no such folder, damaged files, no labels, or more than 1 % broken annotations.
        SourceError: a sequence without pictures.
    """
    folders = [Path(path)] if is_sequence(path) else _inside(path)
    check, clips = Check(path), list[AnnotatedClip]()
    for folder in folders:
        frames, size = _frames(folder, folder.name)
        labels, names = _labels(folder, labels)
        clips.append(_clip(frames, folder / TRUTH, size, labels, names, check))
    check.finish()
    return BoxData(tuple(labels or ()), clips, tuple(check.broken), check.clipped)


def read_videos(path: StrPath, labels: Sequence[str], root: StrPath | None = None) -> BoxData:
    """Read a CSV file with the columns path,truth.

    A path is a video or a folder of pictures, and its truth is a file of MOT text. A MOTChallenge folder needs no
    truth, because it holds its own.

    Args:
        path: the CSV file.
        labels: class k of the files is labels[k - 1].
        root: what its paths are relative to; None for its folder.

    Raises:
        InputError: a damaged file, or more than 1 % broken annotations.
        SourceError: a video that cannot be opened.
    """
    base = Path(path).parent if root is None else Path(root)
    rows = csv_rows(path, read_text(path, MAX_BYTES, "a CSV file of videos and MOT text"))
    header = next(rows)[1]
    if header != COLUMNS:
        do = "give it to a classifier: it names no boxes" if header == SEGMENTS else _DO
        raise InputError(f"{path}: line 1", ",".join(header)[:80] or "an empty line", ",".join(COLUMNS), do)
    check, clips = Check(path), list[AnnotatedClip]()
    for where, cells in rows:
        if not any(cells):
            continue
        if len(cells) != 2 or not cells[0] or len(clips) >= MAX_CLIPS:
            raise InputError(where, ",".join(cells)[:80], ",".join(COLUMNS) + f", at most {MAX_CLIPS} lines", _DO)
        place, names, size = base / cells[0], None, None
        if is_sequence(place) and not cells[1]:
            frames, size = _frames(place, cells[0])
            labels, names = _labels(place, labels)
            truth = place / TRUTH
        else:
            if not cells[1]:
                raise InputError(where, "no truth", "a file of MOT text", "name it after the comma")
            truth = base / cells[1]
            opened: type[PictureFolder] | type[VideoClip] = PictureFolder if os.path.isdir(place) else VideoClip
            frames = opened(cells[0], place, 0)
        clips.append(_clip(frames, truth, size, labels, names, check))
    if not clips:
        raise InputError(path, "no videos", "at least one", "give another list")
    check.finish()
    return BoxData(tuple(labels), clips, tuple(check.broken), check.clipped)


def _inside(path: StrPath) -> list[Path]:
    try:
        names = sorted(os.listdir(path), key=natural_key)
    except OSError as error:
        raise InputError(path, error.strerror, "a MOTChallenge folder", "check the path") from None
    folders = [Path(path) / name for name in names if is_sequence(os.path.join(path, name))]
    if not folders:
        got, expected = f"a folder without {SEQUENCE}", f"{SEQUENCE}, img1/ and {TRUTH}, or folders that hold these"
        do = "give a MOTChallenge folder, or a COCO file; class folders of clips are for a classifier"
        raise InputError(path, got, expected, do)
    return folders


def _frames(folder: Path, name: str) -> tuple[Clip, Size | None]:
    """Return the pictures of a sequence, and the (height, width) that its seqinfo.ini states."""
    where, parser = folder / SEQUENCE, configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(read_text(where, MAX_INI_BYTES, "the facts of a sequence"))
        facts = dict(parser["Sequence"])
    except (configparser.Error, KeyError):
        raise InputError(where, "damaged", "a section [Sequence]", _DO) from None
    values = {}
    for key, most in (("framerate", 1e6), ("seqlength", 1e9), ("imwidth", MAX_SIDE), ("imheight", MAX_SIDE)):
        value = _number(facts.get(key, "nan"))
        if key in facts and not (value is not None and 0 < value <= most):
            raise InputError(f"{where}: {key}", facts[key][:80], f"a number above 0, at most {most:g}", _DO)
        values[key] = value if key in facts else None
    frames = PictureFolder(name, folder / facts.get("imdir", "img1"), 0, values["framerate"])
    if values["seqlength"] not in (None, frames.count):
        got = f"{frames.count} pictures in {facts.get('imdir', 'img1')}"
        raise InputError(where, got, f"seqLength={values['seqlength']:g}", "extract the frames again")
    height, width = values["imheight"], values["imwidth"]
    return frames, None if height is None or width is None else (int(height), int(width))


def _labels(folder: Path, labels: Sequence[str] | None) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Return the labels of all sequences, and those that this sequence's own file names (None without one)."""
    path = folder / LABELS
    if not os.path.isfile(path):
        if labels is None:
            raise InputError(folder, f"no {LABELS}", "the names of the classes, one a line", "write that file")
        return tuple(labels), None
    text = read_text(path, MAX_INI_BYTES, "a file of labels")
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not names or len(set(names)) != len(names):
        raise InputError(path, "no label, or one twice", "one label a line", _DO)
    return names if labels is None else tuple(labels), names


def _clip(
    frames: Clip, truth: Path, size: Size | None, labels: Sequence[str], names: Sequence[str] | None, check: Check
) -> AnnotatedClip:
    clip = AnnotatedClip(frames, size, ())
    known = {label: number for number, label in enumerate(labels)}
    class_of = {k: known.get(name) for k, name in enumerate(labels if names is None else names, 1)}
    rows = []
    for number, line in enumerate(read_text(truth, MAX_BYTES, "a file of MOT text").splitlines(), 1):
        if line.strip():
            check.total += 1
            row = _annotation(line, f"{truth}: line {number}", clip, class_of, check)
            rows += [] if row is None else [row]
    return AnnotatedClip(frames, clip.size, rows)


def _annotation(
    line: str, where: str, clip: AnnotatedClip, class_of: dict[int, int | None], check: Check
) -> Annotation | None:
    """Return the annotation of one line; None for a broken one, which is noted, and one of a class to leave out."""
    cells = [_number(cell) for cell in line.split(",")]
    if not 6 <= len(cells) <= 10:
        return check.fail(where, f"{len(cells)} values, not 6 to 10")
    if None in cells:
        return check.fail(where, "a value that is no number")
    values = [math.nan if cell is None else cell for cell in cells]
    frame, track = (_whole(value) for value in values[:2])
    if frame is None or not 1 <= frame <= clip.count:
        return check.fail(where, f"frame {values[0]:g} of a video of {clip.count} frames")
    if track is None:
        return check.fail(where, f"track {values[1]:g}")
    flag = values[6] if len(values) > 6 else 1.0
    if len(values) in (8, 9) and values[7] != -1:  # with ten values, those after the flag are places in the world
        class_id = class_of.get(_whole(values[7]) or 0)
        if class_id is None:
            # MOTChallenge marks what is no object of the challenge, such as a car, with the flag 0.
            return None if flag == 0 else check.fail(where, f"unknown class {values[7]:g}")
    elif len(class_of) == 1:
        class_id = class_of[1] or 0
    else:
        return check.fail(where, f"no class, of {len(class_of)}")
    left, top, width, height = values[2:6]
    box = check.box(where, (left - 1, top - 1, width, height), clip.size)
    if box is None:
        return None
    occluded = len(values) == 9 and 0 <= values[8] < HALF_VISIBLE
    tags = frozenset({"occluded"} if occluded else ())
    return Annotation(frame - 1, box, class_id, max(track, -1), flag == 0, tags)


def _number(text: str) -> float | None:
    """Return a number, maybe NaN or infinity; None for any other text."""
    text = text.strip()
    return float(text) if len(text) <= 40 and _NUMBER.fullmatch(text) else None


def _whole(value: float) -> int | None:
    return int(value) if math.isfinite(value) and value == int(value) and abs(value) < 1 << 53 else None
