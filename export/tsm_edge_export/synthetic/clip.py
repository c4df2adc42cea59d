"""Clips of one gesture each, and what clips and streams share."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tsm_edge.errors import InputError

from .labels import LABELS, NO_GESTURE, Playback, playback
from .motion import Motion
from .scene import Scene
from .seeds import CLIP, LIST, MOTION, check_number, check_seed, generator, split_code

Size = tuple[int, int]  # height, width
SIZE, FPS = (256, 256), 15.0  # where no others are given
MAX_CLIPS = 1_000_000
cached_scene = functools.lru_cache(maxsize=3)(Scene)  # reading frame by frame does not draw the room each time


class Event(NamedTuple):
    """A rendered gesture. start and end are the times of its stroke, in seconds of the clip or stream."""

    label: str
    start: float
    end: float


class Rendered:
    """A sequence of frames that are rendered when they are read. A subclass sets `name` and `count`.

    seed: 0 to 2**63 - 1. split: "train", "validation" or "test"; the same seed shows other things in another split.
    size: (height, width), each 32 to 2048. fps: frames per second, 1 to 120.
    Raises InputError for an argument outside its range.
    """

    name: str
    count: int

    def __init__(self, seed: int, split: str, size: Size, fps: float) -> None:
        split_code(split)  # raises for an unknown one
        self.seed, self.split = check_seed(seed), split
        self.fps = float(check_number("fps", fps, 1, 120, whole=False))
        if not isinstance(size, (tuple, list)) or len(size) != 2:
            raise InputError("size", repr(size), "(height, width)", "correct the argument")
        height, width = (int(check_number("size", side, 32, 2048)) for side in size)
        self.size = height, width

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Return frames in any order, (len(indices), height, width, 3) uint8 RGB. Raises IndexError beyond the clip."""
        frames = np.empty((len(indices), *self.size, 3), np.uint8)
        for place, index in enumerate(indices):
            if not 0 <= index < self.count:
                raise IndexError(f"frame {index} of {self.name}, which has {self.count}")
            frames[place] = self._frame(int(index))
        return frames

    def _frame(self, index: int) -> np.ndarray:
        raise NotImplementedError

    def _motion(self, playback: Playback, *number: int) -> Motion:
        """Return the motion of a playback. number: tells the motions of one stream apart."""
        return Motion(playback.motion, generator(self.split, self.seed, MOTION, *number), self.size[1] / self.size[0])


class MotionClip(Rendered):
    """A clip of one motion. A subclass sets `mirror` and `playback`, and `start_seconds` if the clip starts later."""

    mirror: bool
    playback: Playback
    start_seconds = 0.0  # of the motion, at the clip's first frame

    def _hands(self) -> Any:
        """Return the motion, cached or cheap to make."""
        raise NotImplementedError

    def _scene(self) -> Any:
        """Return the scene, cached."""
        raise NotImplementedError

    def _event(self, label: str, start: float, end: float) -> Event:
        """Return the event of a stroke from `start` to `end` seconds of the clip, before it is played backwards."""
        seconds = self.count / self.fps
        if self.playback.backward:
            start, end = seconds - end, seconds - start
        return Event(label, max(0.0, float(start)), float(min(end, seconds)))

    def _frame(self, index: int) -> np.ndarray:
        key = self.count - 1 - index if self.playback.backward else index
        time = self.start_seconds + (key + 0.5) / self.fps
        frame = self._scene().render(self._hands(), time, 1 / self.fps, key)
        return frame[:, ::-1] if self.mirror else frame


class SyntheticClip(MotionClip):
    """A rendered clip of one gesture; see :class:`Rendered` for seed, split, size and fps.

    Two clips that differ only in the labels of an order pair show the same frames in opposite order. A clip of the
    label in `FLIPS` and the opposite `mirror` shows every frame mirrored.

    label: as an attribute, its index in LABELS. mirror: whether the picture is flipped; None lets the seed decide.
    events: the gesture as a list of one :class:`Event`; empty for "no gesture".
    """

    def __init__(
        self, seed: int, label: str, split: str, size: Size = SIZE, fps: float = FPS, mirror: bool | None = None
    ) -> None:
        super().__init__(seed, split, size, fps)
        if label not in LABELS:
            raise InputError("label", repr(label), "one of " + ", ".join(LABELS), "correct the argument")
        self.label = LABELS.index(label)
        rng = generator(split, self.seed, CLIP)
        drawn = rng.random() < 0.5
        self.mirror = bool(drawn if mirror is None else mirror)
        self.playback = playback(label, self.mirror)
        motion = self._motion(self.playback)
        stroke = motion.end - motion.start
        before, after = rng.uniform(0.05, 0.35, 2) * stroke
        if self.label == NO_GESTURE:  # hands that come up and go down again are no gesture either
            before, after = rng.uniform(0.0, 1.0, 2) * (motion.start, motion.duration - motion.end)
        self.start_seconds = max(0.0, motion.start - before)
        seconds = min(motion.duration, motion.end + after) - self.start_seconds
        self.count = max(2, round(seconds * self.fps))
        self.name = f"synthetic/{split}/{label.replace(' ', '-')}/{self.seed:016x}"
        self.events = []
        if self.label != NO_GESTURE:
            self.events = [self._event(label, motion.start - self.start_seconds, motion.end - self.start_seconds)]

    def _hands(self) -> Motion:
        return self._motion(self.playback)

    def _scene(self) -> Scene:
        return cached_scene(self.split, self.seed, *self.size)


def clips(split: str, count: int, seed: int, size: Size = SIZE, fps: float = FPS) -> list[SyntheticClip]:
    """Return `count` clips (1 to MAX_CLIPS) whose labels take turns. The first n of a longer list are the list of n."""
    seeds = seeds_of(split, count, seed, LIST)
    return [SyntheticClip(s, LABELS[i % len(LABELS)], split, size, fps) for i, s in enumerate(seeds)]


def seeds_of(split: str, count: int, seed: int, code: int) -> list[int]:
    """Return the seeds of the clips of a list. code: of the list's generator. Raises InputError beyond MAX_CLIPS."""
    check_seed(seed)
    check_number("count", count, 1, MAX_CLIPS)
    return [int(generator(split, seed, code, index).integers(2**63)) for index in range(count)]
