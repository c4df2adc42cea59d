"""Long streams of gestures, with the truth about what happens when."""

import bisect
import functools
from typing import NamedTuple

import numpy as np

from tsm_edge.errors import InputError
from tsm_edge_export.synthetic.clip import FPS, SIZE, Event, check_fps, check_size
from tsm_edge_export.synthetic.labels import LABELS, NO_GESTURE, Take, take
from tsm_edge_export.synthetic.motion import Motion
from tsm_edge_export.synthetic.scene import Scene
from tsm_edge_export.synthetic.seeds import MOTION, STREAM, check_seed, generator, split_code

_GAP = 1.0, 3.5  # seconds without a gesture between two, at least and at most, where nothing else is done
_STAY = 15.0, 40.0  # seconds until room, hands, light and camera change


class Act(NamedTuple):
    """Something that hands do in a stream, from rest to rest, in seconds of the stream."""

    begin: float
    end: float
    number: int  # of the motion's generator
    take: Take


class Stay(NamedTuple):
    """A stretch of a stream in one scene."""

    begin: float
    seed: int  # of the scene
    mirror: bool


class Stream:
    """A long rendered video: gestures, one after the other, with rest and meaningless motion between them.

    seed: 0 to 2**63 - 1. seconds: of the whole, at least 8. fps, split, size: see `clip.SyntheticClip`. Every 15 to 40
    seconds, while no hand is raised, the scene cuts to another; within one the camera drifts.

    name: holds "synthetic". count: frames. events: a list of :class:`Event` in order; each lies wholly in the stream,
    and all labels but "no gesture" take turns in an order drawn anew each round. stays: when which scene began.
    Raises InputError for bad arguments.
    """

    def __init__(self, seed, seconds, fps=FPS, split="test", size=SIZE):
        self.seed, self.split = check_seed(seed), split
        split_code(split)
        self.fps, self.size = check_fps(fps), check_size(size)
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 8 <= seconds <= 86400:
            raise InputError("seconds", repr(seconds), "8 to 86400", "Give the length of the stream.")
        self.count = int(seconds * self.fps)
        self.seconds = self.count / self.fps
        self.name = "synthetic/{}/stream/{:016x}".format(split, self.seed)
        self.events, self.stays, self._acts = [], [], []
        self._plan(generator(split, self.seed, STREAM))

    def _plan(self, rng):
        now, change, deck = 0.0, 0.0, []
        while True:
            if now >= change:
                self.stays.append(Stay(float(now), int(rng.integers(2**63)), bool(rng.random() < 0.5)))
                change = now + rng.uniform(*_STAY)
            now += rng.uniform(*_GAP)
            if rng.random() < 0.5:
                now = self._add(now, NO_GESTURE)
            deck = deck or [int(label) for label in rng.permutation(len(LABELS)) if label != NO_GESTURE]
            now = self._add(now, deck.pop())
            if now > self.seconds:
                return

    def _add(self, begin, label):
        """Append an act, and its event, unless it would outlast the stream. Returns when it ends."""
        chosen = take(LABELS[label], self.stays[-1].mirror)
        number = len(self._acts)
        motion = self._motion(number, chosen)
        end = begin + motion.duration
        if end > self.seconds:
            return self.seconds + 1
        self._acts.append(Act(float(begin), float(end), number, chosen))
        if label != NO_GESTURE:
            start, stop = motion.start, motion.end
            if chosen.backward:
                start, stop = motion.duration - stop, motion.duration - start
            self.events.append(Event(LABELS[label], float(begin + start), float(begin + stop)))
        return end

    def _motion(self, number, chosen):
        height, width = self.size
        return Motion(chosen.motion, generator(self.split, self.seed, MOTION, number), width / height)

    @property
    def labels(self):
        """The class of each frame: (count,) int64, that of the event whose stroke the middle of the frame is in."""
        times = (np.arange(self.count) + 0.5) / self.fps
        truth = np.full(self.count, NO_GESTURE)
        for event in self.events:
            truth[(times >= event.start) & (times <= event.end)] = LABELS.index(event.label)
        return truth

    def read(self, indices):
        """Return the frames of these indices: (len(indices), height, width, 3) uint8 RGB. IndexError beyond them."""
        frames = np.empty((len(indices), *self.size, 3), np.uint8)
        for place, index in enumerate(indices):
            if not 0 <= index < self.count:
                raise IndexError("frame {} of {}, which has {}".format(index, self.name, self.count))
            frames[place] = self._frame(int(index))
        return frames

    def _frame(self, index):
        clock = (index + 0.5) / self.fps
        stay = self.stays[bisect.bisect_right(self.stays, clock, key=lambda s: s.begin) - 1]
        scene = _scene(self.split, stay.seed, self.size)
        place = bisect.bisect_right(self._acts, clock, key=lambda a: a.begin) - 1
        motion, time = None, 0.0
        if place >= 0 and clock < self._acts[place].end:
            act = self._acts[place]
            motion = self._motion(act.number, act.take)
            time = act.end - clock if act.take.backward else clock - act.begin
        frame = scene.render(motion, time, 1 / self.fps, index, clock)
        return frame[:, ::-1] if stay.mirror else frame

    def window(self, first, count, label):
        """Return `count` frames from `first` as a clip with this label (an index): what a model is trained on."""
        if not 0 <= first <= self.count - count or count < 1:
            expected = "first and count inside the {} frames".format(self.count)
            raise InputError(self.name, "{} frames from {}".format(count, first), expected, "Choose such a window.")
        return Window(self, first, count, label)


class Window:
    """Part of a stream, read as a clip: name, label, count, read."""

    def __init__(self, stream, first, count, label):
        self.stream, self.first, self.count, self.label = stream, first, count, label
        self.name = "{}/{}+{}".format(stream.name, first, count)

    def read(self, indices):
        """Return these frames of the window: (len(indices), height, width, 3) uint8 RGB. IndexError beyond them."""
        if any(not 0 <= index < self.count for index in indices):
            raise IndexError("frames {} of {}".format(list(indices), self.name))
        return self.stream.read([self.first + int(index) for index in indices])


@functools.lru_cache(maxsize=2)
def _scene(split, seed, size):
    return Scene(split, seed, *size)
