"""Long streams of gestures whose events are known exactly, and windows of streams with a label for each frame."""

import bisect
import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tsm_edge.errors import InputError

from .clip import FPS, MAX_CLIPS, SIZE, Event, Rendered, Size, cached_scene
from .labels import LABELS, NO_GESTURE, UNLABELLED, Playback, playback
from .seeds import STREAM, WINDOW, check_number, check_seed, generator

_GAP_SECONDS = 1.0, 3.5  # least and most between two gestures, where hands do nothing else
_STAY_SECONDS = 15.0, 40.0  # least and most until room, hands, light and camera change
# Of windows:
_STREAM_SECONDS = 12.0  # of the stream that a window is cut from
_KNOWN_SHARE = 0.5  # of a stroke: from there on its label is asked for
_HELD_SECONDS = 0.35  # for which the label is still asked for after the stroke
_UNSEEN_SHARE = 0.25  # of a stroke: a window that misses more of it is not asked for its label
_GESTURE_SHARE = 0.6  # of all windows: these end in a gesture's label


class Act(NamedTuple):
    """What hands do in a stream, from rest to rest, in seconds of the stream."""

    begin: float
    end: float
    number: int  # of the motion
    playback: Playback


class Stay(NamedTuple):
    """A stretch of a stream in one scene."""

    begin: float
    seed: int  # of the scene
    mirror: bool


class Stream(Rendered):
    """A long rendered video of 8 to 86400 seconds; see :class:`Rendered` for seed, split, size and fps.

    Gestures follow one another, with rest and meaningless motion between them. All labels but "no gesture" take turns,
    in an order drawn anew each round. Every 15 to 40 seconds, while no hand is raised, the scene cuts to another one.

    events: a list of :class:`Event` in order, each wholly in the stream. stays: a list of :class:`Stay` in order.
    """

    def __init__(self, seed: int, seconds: float, fps: float = FPS, split: str = "test", size: Size = SIZE) -> None:
        super().__init__(seed, split, size, fps)
        self.count = int(check_number("seconds", seconds, 8, 86400, whole=False) * self.fps)
        self.seconds = self.count / self.fps
        self.name = f"synthetic/{split}/stream/{self.seed:016x}"
        self.events: list[Event] = []
        self.stays: list[Stay] = []
        self._acts: list[Act] = []
        self._plan(generator(split, self.seed, STREAM))

    def _plan(self, rng: np.random.Generator) -> None:
        now, change = 0.0, 0.0
        deck: list[int] = []
        while now <= self.seconds:
            if now >= change:
                self.stays.append(Stay(float(now), int(rng.integers(2**63)), bool(rng.random() < 0.5)))
                change = now + rng.uniform(*_STAY_SECONDS)
            now += rng.uniform(*_GAP_SECONDS)
            if rng.random() < 0.5:
                now = self._add(now, NO_GESTURE)
            deck = deck or [int(label) for label in rng.permutation(len(LABELS)) if label != NO_GESTURE]
            now = self._add(now, deck.pop())

    def _add(self, begin: float, label: int) -> float:
        """Append an act and its event, unless the act would outlast the stream. Return when the act ends."""
        chosen = playback(LABELS[label], self.stays[-1].mirror)
        motion = self._motion(chosen, len(self._acts))
        end = begin + motion.duration
        if end > self.seconds:
            return self.seconds + 1
        self._acts.append(Act(float(begin), float(end), len(self._acts), chosen))
        if label != NO_GESTURE:
            start, stop = motion.start, motion.end
            if chosen.backward:
                start, stop = motion.duration - stop, motion.duration - start
            self.events.append(Event(LABELS[label], float(begin + start), float(begin + stop)))
        return end

    def _frame(self, index: int) -> np.ndarray:
        clock = (index + 0.5) / self.fps
        stay = self.stays[bisect.bisect_right(self.stays, clock, key=lambda s: s.begin) - 1]
        place = bisect.bisect_right(self._acts, clock, key=lambda a: a.begin) - 1
        motion, time = None, 0.0
        if place >= 0 and clock < self._acts[place].end:
            act = self._acts[place]
            motion = self._motion(act.playback, act.number)
            time = act.end - clock if act.playback.backward else clock - act.begin
        frame = cached_scene(self.split, stay.seed, *self.size).render(motion, time, 1 / self.fps, index, clock)
        return frame[:, ::-1] if stay.mirror else frame


def frame_labels(stream: Stream, first: int, indices: Sequence[int]) -> np.ndarray:
    """Return what an online network that starts at frame `first` of a stream should answer: (len(indices),) int64.

    A gesture's label is asked for from the middle of its stroke, since nobody can know it earlier, until shortly after
    its end, since a decision needs several frames. The rest of a gesture is UNLABELLED, and so is a gesture whose
    beginning the network does not see. Everywhere else the label is "no gesture". `indices` count from `first`.
    """
    begin = first / stream.fps
    times = begin + (np.asarray(indices, np.float64) + 0.5) / stream.fps
    labels = np.full(len(times), NO_GESTURE)
    for event in stream.events:
        stroke = event.end - event.start
        inside = (times >= event.start) & (times <= event.end + _HELD_SECONDS)
        labels[inside] = UNLABELLED
        if begin <= event.start + _UNSEEN_SHARE * stroke:
            labels[inside & (times >= event.start + _KNOWN_SHARE * stroke)] = LABELS.index(event.label)
    return labels


class Window(Rendered):
    """`count` frames of a stream, read as a clip. The stream is planned at the first use, as planning takes time."""

    def __init__(self, seed: int, split: str, size: Size, count: int) -> None:
        super().__init__(seed, split, size, FPS)
        self.count = count
        self.name = f"synthetic/{split}/window/{seed:016x}"

    @functools.cached_property
    def label(self) -> int:
        """The label of the last labelled frame."""
        labels = self.frame_labels(range(self.count))
        return int(labels[labels != UNLABELLED][-1])

    def frame_labels(self, indices: Sequence[int]) -> np.ndarray:
        """Return the labels of frames; see :func:`frame_labels`."""
        return frame_labels(*_placed(self.seed, self.split, self.size, self.count), indices)

    def _frame(self, index: int) -> np.ndarray:
        stream, first = _placed(self.seed, self.split, self.size, self.count)
        return stream.read([first + index])[0]


@functools.lru_cache(maxsize=4)
def _placed(seed: int, split: str, size: Size, count: int) -> tuple[Stream, int]:
    """Return a window's stream and where the window begins in it."""
    stream, rng = Stream(seed, _STREAM_SECONDS, FPS, split, size), generator(split, seed, WINDOW)
    last = stream.count - count
    tries = 100 if stream.events and rng.random() < _GESTURE_SHARE else 0  # a short window may fit none of the gestures
    for attempt in itertools.count():
        first = float(rng.integers(last + 1))
        if attempt < tries:
            first = _begin_for(stream.events[int(rng.integers(len(stream.events)))], count / FPS, rng) * stream.fps
        place = min(max(0, round(first)), last)
        if (frame_labels(stream, place, range(count)) != UNLABELLED).any():  # nearly always at once
            break
    return stream, place


def _begin_for(event: Event, seconds: float, rng: np.random.Generator) -> float:
    """Draw when a window of `seconds` begins whose last frame has this event's label."""
    stroke = event.end - event.start
    last = min(event.end + _HELD_SECONDS, event.start + _UNSEEN_SHARE * stroke + seconds)
    return rng.uniform(min(event.start + _KNOWN_SHARE * stroke, last), last) - seconds


def windows(split: str, count: int, seed: int, n_segment: int, fps: float, size: Size = SIZE) -> list[Window]:
    """Return `count` windows of as many streams, each n_segment frames long at `fps`.

    Their frames are 1/15 s apart, n_segment * (15 / fps) of them: uniform sampling takes one of each n_segment parts.
    Raises InputError where 15 is no multiple of fps, or the window lasts 12 s or more.
    """
    check_seed(seed)
    check_number("count", count, 0, MAX_CLIPS)
    check_number("fps", fps, 0.001, FPS, whole=False)
    step = round(FPS / fps)
    if step < 1 or abs(step * fps - FPS) > 1e-6:
        raise InputError("fps", fps, f"{FPS:g}, or that divided by a whole number", "choose such a rate")
    if n_segment * step >= _STREAM_SECONDS * FPS:
        raise InputError("n_segment", n_segment, f"windows shorter than {_STREAM_SECONDS:g} s", "choose fewer frames")
    seeds = [int(generator(split, seed, WINDOW, index).integers(2**63)) for index in range(count)]
    return [Window(number, split, size, n_segment * step) for number in seeds]
