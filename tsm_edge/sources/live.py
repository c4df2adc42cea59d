"""What cameras and network streams share: the clock, and coming back after an interruption."""

import itertools
import logging
import time
from typing import Any, Callable, NamedTuple, Optional, Tuple

import numpy as np

from tsm_edge.errors import SourceError, StreamError
from tsm_edge.records import Gap
from tsm_edge.sources.base import Stamp
from tsm_edge.sources.opencv import OpenCvSource, check_size, stated_fps, stated_size

LOST_PICTURES = 30  # this many broken pictures in a row count as an interruption

_LOG = logging.getLogger(__name__)


class Retry(NamedTuple):
    """How to come back after an interruption.

    The wait before each try doubles from `first_wait` to `longest_wait` seconds, for `tries` tries (None: for ever).
    """

    tries: Optional[int] = 10
    first_wait: float = 0.5
    longest_wait: float = 8.0


RETRY = Retry()  # 55.5 s of waiting, and the tries themselves


class LiveStream(OpenCvSource):
    """A source that cannot wait and may be interrupted; `time` is the clock since its first frame.

    The first connection is tried once: a wrong number or address should be reported at once. After an interruption the
    first frame has a :class:`Gap` with its reason and its length on the clock, and `resets` goes up by one. Where no
    try succeeds, reading raises StreamError. A picture that cannot be decoded is passed over and counted. Frames that
    change size are a StreamError.

    Args:
        name: for messages.
        connect: opens the device or stream; returns a cv2.VideoCapture that is opened, or raises SourceError.
        silence: seconds after which OpenCV gives up waiting for a frame, None where it returns no frame then. FFmpeg's
            decoder may hold frames from before the silence, and OpenCV gives one each time it gives up waiting.
        retry: how to come back each time after the stream stalls or ends.
        persistent: try for ever.
        clock: seconds now (tests).
        wait: takes seconds; returns True where the source was closed meanwhile (tests).
    """

    live = True

    def __init__(
        self,
        name: str,
        connect: Callable[[], Any],
        silence: Optional[float] = None,
        retry: Retry = RETRY,
        persistent: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wait: Optional[Callable[[float], bool]] = None,
    ) -> None:
        super(LiveStream, self).__init__()
        self.name = name
        self._connect = connect
        self._silence = silence
        self._retry = retry._replace(tries=None) if persistent else retry
        self._clock = clock
        self._wait = wait or self._closed.wait
        self._index = -1
        self._start: Optional[float] = None
        self._latest = 0.0  # reading of the clock at the latest frame
        self._lost = 0
        self._interruption = ""  # why the next grab has to connect again
        self._capture = connect()
        self.fps, self.frame_size = stated_fps(self._capture), stated_size(self._capture)

    def grab(self) -> Optional[Stamp]:
        gaps: Tuple[Gap, ...] = ()
        if not self._grab() and not self._closed.is_set():
            reason, self.interrupted = self._interruption, True
            try:
                self._reconnect(reason)
            finally:
                self.interrupted = False
            if self._index >= 0 and not self._closed.is_set():
                self.resets += 1
                gaps = (Gap("reconnected: {}".format(reason), self._clock() - self._latest),)
        if self._closed.is_set():
            self.close()
            return None
        self._latest = self._clock()
        if self._start is None:
            self._start = self._latest
        self._index += 1
        return Stamp(self._index, self._latest - self._start, gaps)

    def _grab(self) -> bool:
        """Grab a frame. Where there is none, or one from before a silence, say why in `_interruption`."""
        with self._lock:
            if self._closed.is_set():
                return False
            if not self._capture.isOpened():
                self._interruption = self._interruption or "it was closed"
                return False
            begun = self._clock()
            grabbed = self._capture.grab()
            # OpenCV looks at the time when something happens, up to 0.1 s late and never early.
            if self._silence is not None and self._clock() - begun >= self._silence:
                self._interruption = "it sent no frame for {:g} s".format(self._silence)
                return False
            self._interruption = "" if grabbed else "it stopped sending frames"
            return grabbed

    def _reconnect(self, reason: str) -> None:
        """Connect until a frame was grabbed or the source was closed; StreamError after the last try."""
        _LOG.warning("%s: interrupted after %d frames: %s; connecting again", self.name, self._index + 1, reason)
        for attempt in itertools.count() if self._retry.tries is None else range(self._retry.tries):
            with self._lock:
                self._capture.release()
            if self._wait(min(self._retry.first_wait * 2 ** min(attempt, 30), self._retry.longest_wait)):
                return
            try:
                capture = self._connect()
            except SourceError as error:
                reason = error.got
                continue
            with self._lock:
                self._capture = capture
            if self._grab():
                _LOG.warning("%s: back after %d tries", self.name, attempt + 1)
                return
            if self._closed.is_set():
                return
            reason = "it opens but sends no frame"
        raise StreamError(
            "{}: interrupted after {} frames, and {} tries to come back failed: {}".format(
                self.name, self._index + 1, self._retry.tries, reason
            )
        )

    def retrieve(self, into: Optional[np.ndarray] = None) -> Optional[np.ndarray]:
        with self._lock:
            if self._closed.is_set():
                return None
            ok, image = self._capture.retrieve(into)
            self._lost = 0 if ok else self._lost + 1
            self.corrupt += not ok
            if self._lost >= LOST_PICTURES:
                self._lost = 0
                self._interruption = "{} pictures in a row could not be decoded".format(LOST_PICTURES)
                self._capture.release()  # the next grab connects again
        if self._closed.is_set():
            self.close()
        if not ok:
            return None
        try:
            check_size(self.name, self._index, self._size, image)
        except SourceError as error:
            raise StreamError("{}: {}, expected {}".format(self.name, error.got, error.expected)) from error
        self._size = image.shape
        return image
