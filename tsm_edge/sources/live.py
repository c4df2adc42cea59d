"""What cameras and network streams share: the clock, and coming back after an interruption."""

import threading
import time
from typing import NamedTuple

from tsm_edge.errors import SourceError
from tsm_edge.sources.base import Source, Stamp
from tsm_edge.sources.video import check_size, stated_fps, stated_size

LOST_PICTURES = 30  # this many broken pictures in a row count as an interruption

# How to come back: the wait before each try doubles from `first_wait` to `longest_wait` seconds, for `tries` tries.
Retry = NamedTuple("Retry", [("tries", int), ("first_wait", float), ("longest_wait", float)])
RETRY = Retry(tries=10, first_wait=0.5, longest_wait=8.0)  # 55.5 s of waiting, and the tries themselves


class LiveStream(Source):
    """A source that cannot wait and may be interrupted; `time` is the clock since its first frame.

    name: for messages. connect: opens the device or stream; returns a cv2.VideoCapture that is opened, or raises
    SourceError. retry: how often and how soon to connect again after the stream stalls or ends, each time it does.
    clock, wait: for tests: seconds now; wait(seconds) returns True where the source was closed meanwhile.

    The first connection is tried once: a wrong number or address should say so at once. After an interruption the
    first frame has ``gap`` set and `resets` goes up by one; where no try succeeds, SourceError says how many there
    were. A picture that cannot be decoded is passed over and counted. Frames that change size are a SourceError.
    """

    live = True

    def __init__(self, name, connect, retry=RETRY, clock=time.monotonic, wait=None):
        self.name = name
        self._connect = connect
        self._retry = retry
        self._clock = clock
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        self._lock = threading.Lock()  # held inside OpenCV, which must not be released under a running read
        self._index = -1
        self._start = None
        self._size = None
        self._lost = 0
        self._capture = connect()
        self.fps, self.frame_size = stated_fps(self._capture), stated_size(self._capture)

    def grab(self):
        gap = not self._grab()
        if gap and not self._closed.is_set():
            self._reconnect()
        if self._closed.is_set():
            self.close()
            return None
        now = self._clock()
        if self._start is None:
            self._start = now
        elif gap:
            self.resets += 1
        gap = gap and self._index >= 0
        self._index += 1
        return Stamp(self._index, now - self._start, gap)

    def _grab(self):
        with self._lock:
            return not self._closed.is_set() and self._capture.isOpened() and self._capture.grab()

    def _reconnect(self):
        """Connect until a frame was grabbed or the source was closed; SourceError after the last try."""
        reason = "it stopped sending frames"
        for attempt in range(self._retry.tries):
            with self._lock:
                self._capture.release()
            if self._wait(min(self._retry.first_wait * 2**attempt, self._retry.longest_wait)):
                return
            try:
                capture = self._connect()
            except SourceError as error:
                reason = error.got
                continue
            with self._lock:
                self._capture = capture
            if self._grab() or self._closed.is_set():
                return
            reason = "it opens but sends no frame"
        raise SourceError(
            self.name,
            "interrupted after {} frames, and {} tries to come back failed: {}".format(
                self._index + 1, self._retry.tries, reason
            ),
            "a camera or stream that keeps running",
            "Check the device, its cable or the network, then start again.",
        )

    def retrieve(self, into=None):
        with self._lock:
            if self._closed.is_set():
                return None
            ok, image = self._capture.retrieve(into)
            self._lost = 0 if ok else self._lost + 1
            self.corrupt += not ok
            if self._lost >= LOST_PICTURES:
                self._lost = 0
                self._capture.release()  # the next grab connects again
        if self._closed.is_set():
            self.close()
        if not ok:
            return None
        check_size(self.name, self._index, self._size, image)
        self._size = image.shape
        return image

    def close(self):
        self._closed.set()
        # A read that is under way holds the lock and comes here itself when it is done.
        if self._lock.acquire(blocking=False):
            try:
                self._capture.release()
            finally:
                self._lock.release()
