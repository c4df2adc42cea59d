"""The data folder: a folder of clips for each label, their numbers, and a log with a line a clip.

    data/wave/20261124-101500_01.avi     label / session _ number
    data/recording.jsonl

A clip is moved into place whole. No file is ever overwritten.
"""

import contextlib
import json
import os
import re
import time
from typing import Any, Dict, Iterator, List, NamedTuple

from tsm_edge.errors import InputError
from tsm_edge.files import locked_folder, unwritable
from tsm_edge.recording.draft import DRAFT, Draft, no_room
from tsm_edge.recording.plan import check_place, folded
from tsm_edge.text import masked_address

LOG = "recording.jsonl"
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")  # that training reads
STALE_SECONDS = 3600.0  # a draft that is older was left by a process that was killed
_CLIP = re.compile(r"(.+)_([0-9]{2,9})\.avi\Z")


class Clip(NamedTuple):
    """A clip in the data folder; also its line in the log, but for `path`.

    path: of the file. file: the same from the data folder. source: without a password. start: seconds of the source at
    the first frame. wall_time: Unix time in seconds then. seconds: frames / fps. fps: measured. dropped: frames that
    the source gave during the clip and that this machine was too slow for.
    """

    path: str
    file: str
    label: str
    session: str
    source: str
    start: float
    wall_time: float
    seconds: float
    frames: int
    fps: float
    width: int
    height: int
    dropped: int


class DataFolder:
    """A data folder that this process alone records into. Made by `open_folder`.

    Attributes:
        path: as given.
        clips: that this process has kept, in their order.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.clips: List[Clip] = []

    def check(self, labels: List[str]) -> None:
        """Raise InputError if a label cannot have its folder: a folder that differs only by case exists, or a file."""
        there = {folded(name): name for name in os.listdir(self.path)}
        for label in labels:
            name = there.get(folded(label), label)
            place = os.path.join(self.path, name)
            if name != label:
                got, expected = "{!r}, where {!r} is there already".format(label, name), "labels that differ by more"
                raise InputError("label", got, expected + " than case", "name it like the folder: {}".format(name))
            if os.path.exists(place) and not os.path.isdir(place):
                raise InputError(place, "a file", "a folder of clips, or nothing", "move the file away")
            if os.path.isdir(place) and not os.access(place, os.W_OK | os.X_OK):
                raise unwritable(place, "no permission to write there")

    def new_session(self) -> str:
        """Return a session name that no clip has: date and time, and -2, -3, … where that is taken."""
        taken = self._sessions()
        name = base = time.strftime("%Y%m%d-%H%M%S")
        count = 1
        while name in taken or any(one.startswith(name + "-") for one in taken):
            count += 1
            name = "{}-{}".format(base, count)
        return name

    def keep(self, draft: Draft, label: str, session: str, source: str, dropped: int = 0) -> Clip:
        """Finish a draft, move it into place under the next free number, and log it.

        Raises InputError where that cannot be written; a clip that is in place stays there.
        """
        draft.finish()
        return self.place(draft, label, session, source, dropped)

    def place(self, draft: Draft, label: str, session: str, source: str, dropped: int = 0) -> Clip:
        """Move a finished draft into place and log it, as `keep` does."""
        folder = os.path.join(self.path, label)
        try:
            os.makedirs(folder, exist_ok=True)
            path = _moved(draft.path, folder, session)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.rmdir(folder)  # only where it is empty
            raise no_room(folder, error) from error
        (width, height), file = draft.size, "{}/{}".format(label, os.path.basename(path))
        clip = Clip(
            *(path, file, label, session, masked_address(source)),
            start=round(draft.start or 0.0, 3),
            wall_time=round(draft.wall_time, 3),
            seconds=round(draft.seconds, 3),
            frames=draft.frames,
            fps=round(draft.fps, 6),
            width=width,
            height=height,
            dropped=dropped,
        )
        self.clips.append(clip)
        self._log({"kind": "clip", **{name: value for name, value in clip._asdict().items() if name != "path"}})
        return clip

    def remove(self, clip: Clip) -> None:
        """Take a clip that this process kept away again. Raises InputError where that cannot be."""
        try:
            os.remove(clip.path)
        except OSError as error:
            raise unwritable(clip.path, error) from error
        self.clips.remove(clip)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(clip.path))
        self._log({"kind": "removed", "file": clip.file, "wall_time": round(time.time(), 3)})

    def labels(self) -> List[str]:
        """Return the labels that have videos, sorted."""
        return sorted(name for name in _names(self.path) if name[0] != "." and self.count(name))

    def count(self, label: str) -> int:
        """Return how many videos the folder of a label holds."""
        return sum(name.lower().endswith(VIDEOS) for name in _names(os.path.join(self.path, label)) if name[0] != ".")

    def _sessions(self) -> List[str]:
        found = []
        for label in _names(self.path):
            if os.path.isdir(os.path.join(self.path, label)):
                matches = map(_CLIP.match, _names(os.path.join(self.path, label)))
                found += [match.group(1) for match in matches if match]
        return sorted(set(found))

    def _log(self, record: Dict[str, Any]) -> None:
        """Append a line. An unfinished line of a killed process is ended first. A failed write is cut off."""
        path = os.path.join(self.path, LOG)
        try:
            with open(path, "ab+", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                if size:
                    file.seek(size - 1)
                line = json.dumps(record).encode("ascii") + b"\n"
                line = (b"\n" if size and file.read(1) != b"\n" else b"") + line
                try:
                    if file.write(line) != len(line):
                        raise OSError("the disk is full")
                except OSError:
                    os.ftruncate(file.fileno(), size)
                    raise
        except OSError as error:
            raise unwritable(path, error) from error


@contextlib.contextmanager
def open_folder(path: str) -> Iterator[DataFolder]:
    """Make a data folder where there is none, and keep it for this process until the end of the block.

    A folder that was made here and is still empty at the end is removed.

    Raises:
        InputError: `path` is a file or cannot be written, or another process records there.
    """
    check_place(path)
    made = not os.path.exists(path)
    try:
        os.makedirs(path, exist_ok=True)
    except (OSError, ValueError) as error:
        raise unwritable(path, error if isinstance(error, OSError) else str(error)) from error
    try:
        if not os.access(path, os.W_OK | os.X_OK):
            raise unwritable(path, "no permission to write there")
        with locked_folder(path):
            _remove_stale_drafts(path)
            yield DataFolder(path)
    finally:
        if made:
            with contextlib.suppress(OSError):
                os.rmdir(path)


def _names(folder: str) -> List[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _moved(draft: str, folder: str, session: str) -> str:
    """Move a draft to the next free number of the session, without overwriting. Returns the path."""
    numbers = [int(m.group(2)) for m in map(_CLIP.match, os.listdir(folder)) if m and m.group(1) == session]
    number = max(numbers + [0])
    while True:
        number += 1
        path = os.path.join(folder, "{}_{:02d}.avi".format(session, number))
        try:
            os.link(draft, path)  # fails where the name is taken, which os.rename does not
        except FileExistsError:
            continue
        except OSError:  # a file system without hard links, such as exFAT
            if not _reserved(path):
                continue
            try:
                os.replace(draft, path)
            except BaseException:
                os.remove(path)
                raise
            return path
        os.remove(draft)
        return path


def _reserved(path: str) -> bool:
    """Create an empty file under a free name. Returns False where the name is taken."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        return False
    return True


def _remove_stale_drafts(path: str) -> None:
    for name in _names(path):
        if name.startswith(DRAFT):
            draft = os.path.join(path, name)
            with contextlib.suppress(OSError):
                if time.time() - os.stat(draft).st_mtime > STALE_SECONDS:
                    os.remove(draft)
