"""Gives the frames of a recording at a pace: as a camera would at a given rate, or as they were recorded."""

import threading
import time
from typing import Callable, Optional

import numpy as np

from tsm_edge.records import Frame, ReadTimes
from tsm_edge.sources.base import Source, Wrapped


class Paced(Wrapped):
    """A recording that behaves like a live source: a frame appears when it is due, and is dropped if it is not taken.

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


CAUGHT_UP_SECONDS = 1.0  # after a stall; more would show as a burst of frames
LONGEST_WAIT = 60.0  # seconds of one wait; a time stamp may ask for more than the system's timers take


class Realtime(Wrapped):
    """A recording that is read at its own pace: no frame comes before its time stamp is due. No frame is dropped.

    The clock starts with the first frame. A reader that is too slow gets the frames as fast as it takes them. After a
    stall it catches up with CAUGHT_UP_SECONDS at most; the clock is set back by the rest. The pixels are made before
    the wait, so that the frame comes when it is due. `close` ends a wait.

    Args:
        source: the recording, thinned out already; closed with this one.
        clock: seconds now (tests).
        wait: waits for so many seconds, and returns True where the source was closed meanwhile (tests).
    """

    def __init__(
        self,
        source: Source,
        clock: Callable[[], float] = time.perf_counter,
        wait: Optional[Callable[[float], bool]] = None,
    ) -> None:
        super(Realtime, self).__init__(source)
        self._clock = clock
        self._closed = threading.Event()
        self._wait = self._closed.wait if wait is None else wait
        self._start: Optional[float] = None  # on the clock, of the time 0 of the source

    def read(self, into: Optional[np.ndarray] = None) -> Frame:
        frame = self._source.read(into)
        if self._start is None:
            self._start = self._clock() - frame.time
        while True:
            due = self._start + frame.time
            now = self._clock()
            if not now < due:
                break
            if self._wait(min(due - now, LONGEST_WAIT)):
                raise StopIteration
        self._start = max(self._start, now - CAUGHT_UP_SECONDS - frame.time)
        return frame._replace(wall_time=time.time())

    def close(self) -> None:
        self._closed.set()
        self._source.close()
