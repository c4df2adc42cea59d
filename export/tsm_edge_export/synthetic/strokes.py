"""Clips of strokes: a hand, seen by its owner or by a camera, draws a shape. See docs/synthetic.md."""

import functools

from tsm_edge.errors import InputError

from .clip import FPS, SIZE, MotionClip, Size, seeds_of
from .pointing import StrokeScene
from .seeds import STROKE, STROKE_LIST, generator
from .stroke_labels import LABELS, playback
from .stroke_motion import StrokeMotion

_cached_scene = functools.lru_cache(maxsize=3)(StrokeScene)


@functools.lru_cache(maxsize=8)
def _cached_motion(name: str, split: str, seed: int, aspect: float) -> StrokeMotion:
    return StrokeMotion(name, generator(split, seed, STROKE), aspect)


class StrokeClip(MotionClip):
    """A rendered clip of one stroke; see :class:`clip.Rendered` for seed, split, size and fps.

    Two clips that differ only in the labels of an order pair of stroke_labels show the same frames in opposite order.
    A clip of the label in its FLIPS and the opposite `mirror` shows every frame mirrored.

    label: as an attribute, its index in stroke_labels.LABELS. mirror: whether the picture is flipped; None lets the
    seed decide. events: the stroke as a list of one :class:`clip.Event`.
    """

    def __init__(
        self, seed: int, label: str, split: str, size: Size = SIZE, fps: float = FPS, mirror: bool | None = None
    ) -> None:
        super().__init__(seed, split, size, fps)
        if label not in LABELS:
            raise InputError("label", repr(label), "one of " + ", ".join(LABELS), "correct the argument")
        self.label = LABELS.index(label)
        drawn = generator(split, self.seed, STROKE, 1).random() < 0.5
        self.mirror = bool(drawn if mirror is None else mirror)
        self.playback = playback(label, self.mirror)
        motion = self._hands()
        self.count = max(2, round(motion.duration * self.fps))
        self.name = f"strokes/{split}/{label.replace(' ', '-')}/{self.seed:016x}"
        self.events = [self._event(label, motion.start, motion.end)]

    def _hands(self) -> StrokeMotion:
        return _cached_motion(self.playback.motion, self.split, self.seed, self.size[1] / self.size[0])

    def _scene(self) -> StrokeScene:
        return _cached_scene(self.split, self.seed, *self.size)


def clips(split: str, count: int, seed: int, size: Size = SIZE, fps: float = FPS) -> list[StrokeClip]:
    """Return `count` clips (1 to MAX_CLIPS) whose labels take turns. The first n of a longer list are the list of n."""
    seeds = seeds_of(split, count, seed, STROKE_LIST)
    return [StrokeClip(s, LABELS[i % len(LABELS)], split, size, fps) for i, s in enumerate(seeds)]
