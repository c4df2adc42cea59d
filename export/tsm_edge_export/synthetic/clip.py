"""Clips of one gesture each."""

import functools
from typing import NamedTuple

import numpy as np

from tsm_edge.errors import InputError
from tsm_edge_export.synthetic.labels import FLIPS, LABELS, NO_GESTURE, take
from tsm_edge_export.synthetic.motion import Motion
from tsm_edge_export.synthetic.scene import Scene
from tsm_edge_export.synthetic.seeds import CLIP, LIST, MOTION, check_seed, generator, split_code

SIZE = (256, 256)  # height, width
FPS = 15.0


class Event(NamedTuple):
    """A gesture in a clip or stream, rendered and therefore known. Times are seconds, of the stroke alone."""

    label: str
    start: float
    end: float


class SyntheticClip:
    """One rendered clip. Nothing is kept but its parameters; frames are made when they are read, in any order.

    seed: 0 to 2**63 - 1; it chooses room, hands, light, camera and all of the motion but its direction. label: one of
    LABELS, or its index. split: "train", "validation" or "test"; the same seed shows other things in another split.
    size: (height, width), each 32 to 2048. fps: frames per second, 1 to 120. mirror: whether the picture is flipped;
    the seed decides where it is not given.

    name: holds "synthetic", the split, the seed and the label. label: the index in LABELS. count: frames. events: the
    gesture as a list of one :class:`Event`, or of none.

    By construction: clips of the two labels of an order pair that agree in the other arguments show the same frames
    in opposite order, and `flipped()` shows every frame mirrored. Raises InputError for bad arguments.
    """

    def __init__(self, seed, label, split, size=SIZE, fps=FPS, mirror=None):
        self.seed, self.label, self.split = check_seed(seed), label_index(label), split
        split_code(split)
        self.size, self.fps = check_size(size), check_fps(fps)
        rng = generator(split, self.seed, CLIP)
        drawn = bool(rng.random() < 0.5)
        self.mirror = drawn if mirror is None else bool(mirror)
        self.take = take(LABELS[self.label], self.mirror)
        motion = self._motion()
        stroke = motion.end - motion.start
        before, after = rng.uniform(0.05, 0.35, 2) * stroke
        if self.label == NO_GESTURE:  # hands that come up and go down again are no gesture either
            before, after = rng.uniform(0.0, 1.0, 2) * (motion.start, motion.duration - motion.end)
        self._from = max(0.0, motion.start - before)
        seconds = min(motion.duration, motion.end + after) - self._from
        self.count = max(2, round(seconds * self.fps))
        self.name = "synthetic/{}/{}/{:016x}".format(split, LABELS[self.label].replace(" ", "-"), self.seed)
        self.events = []
        if self.label != NO_GESTURE:
            start, end = motion.start - self._from, motion.end - self._from
            if self.take.backward:
                start, end = self.count / self.fps - end, self.count / self.fps - start
            self.events = [Event(LABELS[self.label], max(0.0, float(start)), float(min(end, self.count / self.fps)))]

    def _motion(self):
        height, width = self.size
        return Motion(self.take.motion, generator(self.split, self.seed, MOTION), width / height)

    def read(self, indices):
        """Return the frames of these indices: (len(indices), height, width, 3) uint8 RGB. IndexError beyond them."""
        scene, motion = _scene(self.split, self.seed, self.size), self._motion()
        frames = np.empty((len(indices), *self.size, 3), np.uint8)
        for place, index in enumerate(indices):
            if not 0 <= index < self.count:
                raise IndexError("frame {} of {}, which has {}".format(index, self.name, self.count))
            key = self.count - 1 - int(index) if self.take.backward else int(index)
            time = self._from + (key + 0.5) / self.fps
            frame = scene.render(motion, time, 1 / self.fps, key)
            frames[place] = frame[:, ::-1] if self.mirror else frame
        return frames

    def flipped(self):
        """Return the clip whose every frame is this one's, mirrored, under the label that this makes it."""
        return SyntheticClip(
            self.seed, FLIPS[LABELS[self.label]], self.split, self.size, self.fps, mirror=not self.mirror
        )

    def __repr__(self):
        return "<{} {} frames>".format(self.name, self.count)


def clips(split, count, seed, size=SIZE, fps=FPS):
    """Return `count` clips of a split whose labels take turns: any whole number of rounds is balanced.

    seed: of the list; another one gives other clips. size, fps: see :class:`SyntheticClip`. The first n clips of a
    longer list are the list of n.
    """
    check_seed(seed)
    split_code(split)
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise InputError("count", repr(count), "a whole number of at least 1", "Give the number of clips.")
    return [
        SyntheticClip(int(generator(split, seed, LIST, index).integers(2**63)), index % len(LABELS), split, size, fps)
        for index in range(count)
    ]


@functools.lru_cache(maxsize=3)
def _scene(split, seed, size):
    """The scene of a clip. The last few are kept, so that reading frame by frame does not draw the room each time."""
    return Scene(split, seed, *size)


def label_index(label):
    """Return the index of a label that is given by name or index. Raises InputError where there is none."""
    if isinstance(label, str) and label in LABELS:
        return LABELS.index(label)
    if isinstance(label, (int, np.integer)) and not isinstance(label, bool) and 0 <= label < len(LABELS):
        return int(label)
    raise InputError("label", repr(label), "one of " + ", ".join(LABELS), "Name a synthetic gesture.")


def check_size(size):
    """Return (height, width) as ints. Raises InputError unless both are whole and 32 to 2048."""
    try:
        height, width = size
        whole = int(height) == height and int(width) == width and 32 <= height <= 2048 and 32 <= width <= 2048
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise InputError("size", repr(size), "(height, width), each 32 to 2048", "Give the size of the frames.")
    return int(height), int(width)


def check_fps(fps):
    """Return frames per second as a float. Raises InputError unless 1 to 120."""
    if isinstance(fps, bool) or not isinstance(fps, (int, float, np.number)) or not 1 <= fps <= 120:
        raise InputError("fps", repr(fps), "1 to 120", "Give the frames per second.")
    return float(fps)
