"""What the sources share that OpenCV reads: closing one from another thread, and what a cv2.VideoCapture states."""

import math
import threading
from typing import Any, Callable, Optional, Tuple

import cv2
import numpy as np

from tsm_edge.errors import SourceError
from tsm_edge.sources.base import Source

MOST_PIXELS = 1 << 26  # of a picture: 8192 x 8192, which take 200 MB
MOST_TIMES_LONGER = 64  # a side than the other: the short side is enlarged to the model's, and the long one with it

OpenCapture = Callable[..., Any]  # makes a cv2.VideoCapture; tests give another one


class OpenCvSource(Source):
    """A source with a cv2.VideoCapture, which must not be released under a running read.

    A subclass sets `_capture`, holds `_lock` inside of OpenCV, and calls `close` after a read where `_closed` is set.
    """

    _capture: Any

    def __init__(self) -> None:
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._size: Optional[Tuple[int, ...]] = None

    def close(self) -> None:
        self._closed.set()
        # A read that is under way holds the lock and comes here itself when it is done.
        if self._lock.acquire(blocking=False):
            try:
                self._capture.release()
            finally:
                self._lock.release()


def check_pixels(name: str, width: int, height: int) -> None:
    """Raise SourceError where a picture of this size is not worth the memory that it takes."""
    short, long = sorted((width, height))
    if short < 1 or width * height > MOST_PIXELS or long > MOST_TIMES_LONGER * short:
        got = "pictures of {}x{} pixels".format(width, height)
        expected = "at most {} pixels, and no side more than {} times the other".format(MOST_PIXELS, MOST_TIMES_LONGER)
        raise SourceError(name, got, expected, "Scale or crop the pictures first.")


def check_size(name: str, index: int, size: Optional[Tuple[int, ...]], image: np.ndarray) -> None:
    """Raise SourceError where `image` does not have the shape `size` (None: any) of the frames before it."""
    if size is None:
        check_pixels(name, image.shape[1], image.shape[0])
    if size is not None and image.shape != size:
        got = "frame {} is {}x{}".format(index, image.shape[1], image.shape[0])
        expected = "{}x{}, the size of the frames before it".format(size[1], size[0])
        raise SourceError(name, got, expected, "Split the source where its size changes and run the parts one by one.")


def stated_fps(capture: Any) -> Optional[float]:
    """Return the frame rate that a cv2.VideoCapture states, None where it states none that can be true."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    return fps if math.isfinite(fps) and 0 < fps <= 1000 else None


def stated_size(capture: Any) -> Optional[Tuple[int, int]]:
    """Return (width, height) in pixels as a cv2.VideoCapture states them, None where it states none."""
    width, height = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    return (width, height) if min(width, height) > 0 else None


def stated_count(capture: Any) -> Optional[int]:
    """Return the frame count that a cv2.VideoCapture states (sometimes an estimate), None where it states none."""
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if math.isfinite(count) and 0 < count < 2**31 else None
