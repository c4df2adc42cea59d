"""What a data folder holds: labels, clips, recording sessions, and the clips that no training can use."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from tsm_edge.errors import InputError, SourceError
from tsm_edge.manifest import is_name
from tsm_edge.recording.folder import LOG
from tsm_edge.recording.plan import folded
from tsm_edge_export.training import lists
from tsm_edge_export.training.clips import Clip
from tsm_edge_export.training.overlap import duplicates

# Labels of clips without a gesture. `tsm-edge record` names them "nothing".
NOTHING = ("nothing", "none", "background", "idle", "no gesture", "no_gesture")
MAX_BROKEN = 0.2  # share of the clips of a folder that may be unreadable
FEW = 5  # training clips of a label from which on no warning is printed
SHOWN = 5  # names in a message
_LAST_PART = re.compile(r"_[^_]*\Z")

Say = Callable[[str], object]


class Contents(NamedTuple):
    """The clips of a data folder.

    labels: in natural order. clips: each with the number of its label. sessions: of each clip, in the same order.
    left_out: name of a clip -> why it is not used.
    """

    folder: Path
    labels: tuple[str, ...]
    clips: list[Clip]
    sessions: list[str]
    left_out: dict[str, str]

    @property
    def nothing(self) -> str | None:
        """The label of the clips without a gesture, None where the folder has none."""
        return next((label for label in self.labels if folded(label) in NOTHING), None)


def scan(folder: Path, fps: float | None = None) -> Contents:
    """Open each clip of a data folder: `folder/label/clip`, where a clip is a video or a folder of pictures.

    A clip with one frame, a clip that cannot be opened, and a copy of another clip of the same label are left out.

    Args:
        folder: the data folder.
        fps: frames/s of folders of pictures.

    Raises:
        InputError: no such folder, no clips, a single label, labels that differ only by case, a label that cannot be
            shown, the same clip under two labels, a label whose clips are all left out, too many unreadable clips.
    """
    rows = lists.read_folders(folder, fps)
    labels = tuple(dict.fromkeys(str(row.label) for row in rows))
    _check_labels(folder, labels)
    clips: list[Clip] = []
    left_out: dict[str, str] = {}
    for row in tqdm(rows, desc="opening clips", unit="clip", leave=False, disable=None):
        try:
            clip = row.open(row.name, label=labels.index(row.label))
        except SourceError as error:
            left_out[row.name] = " ".join(str(error).split())
            continue
        if clip.count < 2:
            left_out[row.name] = f"{clip.count} frame: a gesture needs several"
        else:
            clips.append(clip)
    if len(left_out) > max(1, MAX_BROKEN * len(rows)):
        got = "; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[:SHOWN])
        where, most = f"{folder}: {len(left_out)} of {len(rows)} clips cannot be used", f"at most {MAX_BROKEN:.0%}"
        raise InputError(where, got, most, "record these clips again, or remove them")
    clips = _without_copies(folder, clips, left_out)
    counts = Counter(clip.label for clip in clips)
    for number, label in enumerate(labels):
        if counts[number] < 2:
            do = f'record more: tsm-edge record --camera 0 -o {folder} --label "{label}"'
            raise InputError(folder / label, f"{counts[number]} usable clip", "at least 2 clips of each label", do)
    return Contents(folder, labels, clips, sessions_of(folder, [clip.name for clip in clips]), left_out)


def sessions_of(folder: Path, names: Sequence[str]) -> list[str]:
    """Return the recording session of each clip, named `label/file`.

    `tsm-edge record` logs it. Any other name is taken up to its last "_": clip `wave/S03_007.mp4` is of session S03.
    Clips without a "_" in their names share the session "".
    """
    logged = _logged(folder / LOG)
    return [logged.get(name, _by_name(name)) for name in names]


def _by_name(name: str) -> str:
    stem = os.path.splitext(name.rpartition("/")[2])[0]
    return _LAST_PART.sub("", stem) if "_" in stem else ""


def _logged(path: Path) -> dict[str, str]:
    """Return file -> session of the log of `tsm-edge record`. Damaged lines are passed over: names say the same."""
    found = {}
    try:
        lines = path.read_text("utf-8", "replace").splitlines() if path.is_file() else []
    except OSError:
        lines = []
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and record.get("kind") == "clip":
            file, session = record.get("file"), record.get("session")
            if isinstance(file, str) and isinstance(session, str):
                found[file] = session
    return found


def _check_labels(folder: Path, labels: Sequence[str]) -> None:
    if len(labels) < 2:
        got = f"one label, {labels[0]!r}" if labels else "no folder of clips"
        do = f'record another: tsm-edge record --camera 0 -o {folder} --label "other" --clips 10'
        raise InputError(folder, got, "a folder of clips for each of at least 2 labels", do)
    for label in labels:
        if not is_name(label):
            got, expected = f"the label {label[:80]!r}", "1 to 200 characters that can be printed"
            raise InputError(folder, got, expected, "rename the folder")
    seen: dict[str, str] = {}
    for label in labels:
        other = seen.setdefault(folded(label), label)
        if other != label:
            got, expected = f"the labels {other!r} and {label!r}", "labels that differ by more than case"
            raise InputError(folder, got, expected, f"move the clips of {label!r} to {other!r}, or rename one")


def _without_copies(folder: Path, clips: list[Clip], left_out: dict[str, str]) -> list[Clip]:
    """Return the clips without copies of others; copies of the same label are noted in `left_out`."""
    copies = duplicates(clips)
    crossed = [(clip, other) for clip, other in copies if clip.label != other.label]
    if crossed:
        clip, other = crossed[0]
        got = f"the same clip under two labels: {other.name} and {clip.name}"
        got += f", and {len(crossed) - 1} more" if len(crossed) > 1 else ""
        raise InputError(folder, got, "each clip under one label", "remove the wrong copy")
    for clip, other in copies:
        left_out[clip.name] = f"a copy of {other.name}"
    return [clip for clip in clips if clip.name not in left_out]


def warnings_of(contents: Contents, train: Sequence[Clip]) -> list[str]:
    """Return a line of text for each thing that makes the training worse or its accuracy doubtful.

    train: the training clips.
    """
    texts = []
    if contents.left_out:
        shown = [f"{name} ({reason})" for name, reason in list(contents.left_out.items())[:SHOWN]]
        more = f", and {len(contents.left_out) - SHOWN} more" if len(contents.left_out) > SHOWN else ""
        texts.append(f"{len(contents.left_out)} clips are left out: " + "; ".join(shown) + more)
    counts = Counter(clip.label for clip in train)
    few = [f"{contents.labels[number]} {count}" for number, count in sorted(counts.items()) if count < FEW]
    if few:
        texts.append(f"few training clips: {', '.join(few)}; ten clips of each label are a good start")
    most = max(counts.values())
    rare = [contents.labels[number] for number, count in sorted(counts.items()) if FEW <= count < most / 3]
    if rare:
        texts.append(f"far fewer clips than of other labels (at most {most}): {', '.join(rare)}")
    short = sum(clip.count < 8 for clip in contents.clips)
    if short:
        texts.append(f"{short} clips have fewer than 8 frames, so a training clip shows frames twice")
    return texts
