"""Releases the frames of a recording as a camera would: at a given rate, whoever is late."""

import time
from typing import Callable, Optional

import numpy as np

from tsm_edge.records import Frame, ReadTimes
from tsm_edge.sources.base import Source, Wrapped


class Paced(Wrapped):
    """A recording that behaves as a live source: a frame appears when it is due; one that nobody took is dropped.

    The latency of a frame counts from when it was due. Counted from when it was read, it would leave out the time that
    a slow reader made it wait (Gil Tene, "How NOT to Measure Latency", Strange Loop 2015: "coordinated omission").

    Args:
        source: the recording; closed with this one.
        fps: frames/s to release.
        wait: sleeps for so many seconds (tests).
    """

    def __init__(self, source: Source, fps: float, wait: Callable[[float], object] = time.sleep) -> None:
        super(Paced, self).__init__(source)
        self.live, self.fps = True, fps
        self._interval, self._wait = 1 / fps, wait
        self._first: Optional[float] = None
        self._count = 0

    def read(self, into: Optional[np.ndarray] = None) -> Frame:
        begun = time.perf_counter()
        if self._first is None:
            self._first = begun
        due = self._first + self._count * self._interval
        self._count += 1
        if due > begun:
            self._wait(due - begun)
        ready = time.perf_counter()
        frame = self._source.read(into)
        return frame._replace(times=ReadTimes(due, begun, ready, time.perf_counter()))
