"""The clips that a detector's configuration names, for training and for tests, of any kind of data."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import cv2
import numpy as np

from tsm_edge.errors import InputError, SourceError
from tsm_edge.recording.folder import VIDEOS
from tsm_edge_export.training.broken import Broken
from tsm_edge_export.training.clips import Clip, PictureFolder, VideoClip, pictures_in

from . import rendered
from .annotated_clip import AnnotatedClip
from .annotations import read_boxes
from .config import Config
from .truth import BoxClip, BoxData, Truth

MOST_HELD = 1200  # frames of a clip that is kept in memory


class Sets(NamedTuple):
    """The clips of a configuration."""

    train: list[BoxClip]
    test: list[BoxClip]
    labels: tuple[str, ...]
    broken: Broken  # clips that were left out so far
    annotations: tuple[tuple[str, str], ...] = ()  # (where, why) of the annotations that were left out


class Held:
    """A clip whose frames have a short side of at most `side` pixels, and are kept in memory once they are read."""

    def __init__(self, clip: BoxClip, side: int) -> None:
        self.clip, self.name, self.count, self.fps = clip, clip.name, clip.count, clip.fps
        height, width = clip.size
        scale = min(1.0, side / min(height, width))
        self.size = (round(height * scale), round(width * scale))
        self._frames: np.ndarray | None = None

    def load(self) -> int:
        """Read all frames into memory. Returns their bytes. Raises SourceError for a frame that cannot be read."""
        if self._frames is None and self.count <= MOST_HELD:
            parts = [range(at, min(at + 64, self.count)) for at in range(0, self.count, 64)]
            self._frames = np.concatenate([self._reduced(self.clip.read(part)) for part in parts])
        return 0 if self._frames is None else self._frames.nbytes

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Return these frames, (T, height, width, 3) uint8 RGB."""
        if self._frames is not None:
            return self._frames[np.asarray(indices, np.int64)]
        return self._reduced(self.clip.read(indices))

    def truth(self, index: int) -> Truth:
        """Return the true boxes of a frame, in its own pixels."""
        truth = self.clip.truth(index)
        scales = np.array([self.size[1] / self.clip.size[1], self.size[0] / self.clip.size[0]] * 2)
        return truth._replace(boxes=(truth.boxes * scales).astype(np.float32))

    def _reduced(self, frames: np.ndarray) -> np.ndarray:
        if tuple(frames.shape[1:3]) == self.size:
            return frames
        size = self.size[1], self.size[0]
        return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def load_sets(config: Config, where: Any) -> Sets:
    """Return the clips that a configuration names. where: its path, for messages.

    Raises InputError for a list that is missing, empty or damaged, and for labels that do not fit.
    """
    data = config.data
    if data.kind == "rendered":
        spec = data.rendered
        if config.labels not in (None, rendered.LABELS):
            raise InputError(f"{where}: labels", "labels of your own", "none: rendered clips bring theirs", "remove it")
        train = rendered.clips(spec.train, spec.seed, spec.size, spec.frames, "train")
        test = rendered.clips(spec.test, spec.seed, spec.size, spec.frames, "validation")
    else:
        train, test = (_listed(config, path) for path in (data.train, data.test))
    for path, part in ((data.train, train), (data.test, test)):
        if not part.clips:
            raise InputError(path or where, "no clips", "one or more", "add clips to it")
    if train.labels != test.labels:
        got = ", ".join(sorted(set(train.labels) ^ set(test.labels))) or "another order"
        raise InputError(f"{where}: data.test", got, "the labels of data.train", "name the labels in the configuration")
    sets = Sets(
        list(train.clips),
        list(test.clips),
        train.labels,
        Broken(len(train.clips) + len(test.clips), most=data.most_broken),
        train.broken + test.broken,
    )
    if data.hold:
        sets = sets._replace(train=[cast(BoxClip, Held(clip, data.hold)) for clip in sets.train])
    return sets


def _listed(config: Config, path: str | None) -> BoxData:
    assert path is not None
    if config.data.kind == "video":
        return BoxData(config.labels or (), read_videos(path))
    if (config.data.kind == "coco") != (Path(path).suffix.lower() == ".json"):
        got = f"data.kind {config.data.kind!r} with {Path(path).name}"
        do = 'give "coco" a *.json, "mot" a folder or a *.csv'
        raise InputError(path, got, "a list of that kind", do)
    return read_boxes(path, config.labels, config.data.root)


def read_videos(path: str) -> list[BoxClip]:
    """Return the clips of a folder of videos and of folders of pictures, or of one of them. They have no boxes.

    Raises InputError for a folder without either, and SourceError for a video that cannot be read.
    """
    if not os.path.exists(path):
        raise InputError(path, "no such file or folder", "a folder of videos", "correct the path")
    found: list[Clip] = []
    entries = [Path(path), *(sorted(Path(path).iterdir()) if os.path.isdir(path) else [])]
    for entry in entries:
        if entry.suffix.lower() in VIDEOS and entry.is_file():
            found.append(VideoClip(entry.name, entry, 0))
        elif entry.is_dir() and pictures_in(entry):
            found.append(PictureFolder(entry.name, entry, 0))
    if not found:
        raise InputError(path, "no video and no folder of pictures", "one or more", "correct the path")
    return [cast(BoxClip, AnnotatedClip(clip, None, ())) for clip in found]


def hold(clips: Sequence[BoxClip], most_bytes: int, broken: Any) -> None:
    """Read the clips that are `Held` into memory, until they take `most_bytes`.

    broken: called with the name of a clip that cannot be read, and the reason.
    """
    taken = 0
    for clip in clips:
        if isinstance(clip, Held) and taken < most_bytes:
            try:
                taken += clip.load()
            except SourceError as error:
                broken(clip.name, error)
