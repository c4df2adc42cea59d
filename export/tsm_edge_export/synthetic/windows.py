"""Pieces of streams with a label for each frame: what an online network must answer while a stream runs."""

import functools

import numpy as np

from tsm_edge.errors import InputError
from tsm_edge_export.synthetic.clip import FPS, SIZE
from tsm_edge_export.synthetic.labels import LABELS, NO_GESTURE
from tsm_edge_export.synthetic.seeds import WINDOW, check_seed, generator
from tsm_edge_export.synthetic.stream import Stream, Window
from tsm_edge_export.training.clips import ANY

_SECONDS = 12.0  # of the stream that a window is cut from
_KNOWN = 0.5  # share of a stroke after which its label is asked for
_HELD = 0.35  # seconds for which the label is still asked for after the stroke
_GESTURES = 0.6  # share of windows that end in an answer other than "no gesture"
_SEEN = 0.25  # share of a stroke that a window may miss and still be asked for its label


class LabelledWindow(Window):
    """A window whose frames have labels. label: that of the last labelled frame."""

    def __init__(self, stream, first, count):
        super().__init__(stream, first, count, NO_GESTURE)
        known = [label for label in self.frame_labels(range(count)) if label != ANY]
        self.label = int(known[-1]) if known else NO_GESTURE

    def frame_labels(self, indices):
        """What each of these frames should be answered with: (len(indices),) int64, ANY where no answer is wrong.

        A gesture's label from the middle of its stroke until shortly after its end, since before nobody can know how
        it ends, and since a decision needs more than one frame; nothing is asked of a gesture whose beginning the
        window does not show. Otherwise "no gesture".
        """
        begin = self.first / self.stream.fps
        times = begin + (np.asarray(indices, np.float64) + 0.5) / self.stream.fps
        labels = np.full(len(times), NO_GESTURE)
        for event in self.stream.events:
            length = event.end - event.start
            inside = (times >= event.start) & (times <= event.end + _HELD)
            whole = begin <= event.start + _SEEN * length
            known = inside & (times >= event.start + _KNOWN * length) & whole
            labels[inside] = ANY
            labels[known] = LABELS.index(event.label)
        return labels


class _Lazy:
    """A window of the stream with this seed that is drawn when it is first needed: planning a stream takes time."""

    def __init__(self, split, seed, n_segment, step, size):
        self.split, self.seed, self.n_segment, self.step, self.size = split, seed, n_segment, step, size
        self.count = n_segment * step
        self.name = f"synthetic/{split}/window/{seed:016x}"

    @functools.cached_property
    def label(self):
        return self._window.label

    @property
    def _window(self):
        return _window(self.split, self.seed, self.n_segment, self.step, self.size)

    def read(self, indices):
        return self._window.read(indices)

    def frame_labels(self, indices):
        return self._window.frame_labels(indices)


@functools.lru_cache(maxsize=4)
def _window(split, seed, n_segment, step, size):
    stream = Stream(seed, _SECONDS, FPS, split, size)
    count, rng = n_segment * step, generator(split, seed, WINDOW)
    gesture = stream.events and rng.random() < _GESTURES
    while True:  # nearly always the first: a window must ask for something
        first = rng.integers(stream.count - count + 1)
        if gesture:
            first = _showing(stream.events[int(rng.integers(len(stream.events)))], count, rng) * stream.fps
        window = LabelledWindow(stream, min(max(0, round(float(first))), stream.count - count), count)
        if (window.frame_labels(range(count)) != ANY).any():
            return window


def _showing(event, count, rng):
    """When a window begins whose last frame is to be answered with this event."""
    stroke, seconds = event.end - event.start, count / FPS
    last = min(event.end + _HELD, event.start + _SEEN * stroke + seconds)
    return rng.uniform(min(event.start + _KNOWN * stroke, last), last) - seconds


def windows(split, count, seed, n_segment, fps, size=SIZE):
    """Return `count` windows of as many streams, each n_segment frames long at `fps`.

    They read as clips of n_segment * (15 / fps) frames of 15 frames/s, so that uniform sampling takes one of each
    n_segment parts; `frame_labels(indices)` are their labels. Raises InputError where 15 is no multiple of fps.
    """
    check_seed(seed)
    step = round(FPS / fps)
    if step < 1 or abs(step * fps - FPS) > 1e-6:
        raise InputError("fps", fps, f"{FPS:g}, or that divided by a whole number", "choose such a rate")
    if n_segment * step >= _SECONDS * FPS:
        raise InputError("n_segment", n_segment, f"windows shorter than {_SECONDS:g} s", "choose fewer frames")
    seeds = [int(generator(split, seed, WINDOW, index).integers(2**63)) for index in range(count)]
    return [_Lazy(split, number, n_segment, step, size) for number in seeds]
