"""Reads sources in separate threads, so that decoding overlaps with inference and no source delays another."""

import collections
import threading
from typing import Any, Deque, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from tsm_edge.records import Frame, Gap
from tsm_edge.sources.base import Source

FILE_DEPTH = 4  # frames decoded ahead: enough to ride out one slow frame, 25 MB at 1080p
LIVE_DEPTH = 1  # a live reader wants the newest frame; anything older that waits is latency
JOIN_SECONDS = 2.0  # how long close() waits for a thread that sits inside a driver's read
# Python handles a signal only between two waits, and a silent camera would make one wait last for ever.
SIGNAL_SECONDS = 0.5


class Capture:
    """The frames of a source, read ahead by one thread into at most `depth` waiting frames; an iterator of them.

    A live source never waits: a new frame pushes out the oldest one that waits, and `dropped` counts those. The gaps of
    a pushed-out frame move to the next frame that is delivered. Any other source waits for room, and no frame of it is
    lost. An error of the source is raised after all frames that came before it; iterating on ends.

    `frame.image` is valid until the next frame is taken: its memory then goes back to the thread, which circles
    through `depth + 2` images at most and in steady state allocates none.

    Args:
        source: owned from here on: the capture closes it.
        depth: frames that may wait, at least 1; by default 1 for a live source and 4 for any other.
        stream: the name that goes into `Frame.stream`.
        changed: a condition that several captures share, so that one wait is for all of them.

    Attributes:
        dropped: stale frames of a live source that were never delivered.
    """

    def __init__(
        self,
        source: Source,
        depth: Optional[int] = None,
        stream: str = "",
        changed: Optional[threading.Condition] = None,
    ) -> None:
        if depth is None:
            depth = LIVE_DEPTH if source.live else FILE_DEPTH
        if depth < 1:
            raise ValueError("depth is {}, but a queue holds at least 1 frame".format(depth))
        self.source = source
        self.dropped = 0
        self._depth = depth
        self._stream = stream
        self._room = threading.Semaphore(depth)  # a permit for each frame of a recording that may wait
        self._changed = changed or threading.Condition()  # guards everything below
        self._waiting: Deque[Frame] = collections.deque()
        self._spare: List[np.ndarray] = []  # images to decode into
        self._given: Optional[np.ndarray] = None  # the image the reader holds
        self._pending_gaps: Tuple[Gap, ...] = ()
        self._closed = False
        self._ended = False
        self._error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, name="tsm-edge-capture", daemon=True)
        self._thread.start()

    def ready(self) -> bool:
        """Return whether `take` has something to say: a frame, an error or the end. Hold the condition."""
        return bool(self._waiting) or self._ended or self._closed

    def take(self) -> Optional[Frame]:
        """Return a frame that waits; None at the end. Call it when `ready`. Raises what the source raised."""
        with self._changed:
            if self._given is not None:
                self._spare.append(self._given)
                self._given = None
            if self._closed:
                return None
            if not self._waiting:
                error, self._error = self._error, None
                if error is not None:
                    raise error
                return None
            frame = self._waiting.popleft()
            self._given = frame.image
            if self._pending_gaps:
                frame, self._pending_gaps = frame._replace(gaps=self._pending_gaps + frame.gaps), ()
            self._room.release()
            return frame

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        """Wait for the next frame and return it; StopIteration at the end of the source and once closed."""
        wait_for_any(self._changed, [self])
        frame = self.take()
        if frame is None:
            raise StopIteration
        return frame

    def stop(self) -> None:
        """Ask the thread to end and close the source, without waiting for it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._room.release()  # wakes a thread that waits for room
        self.source.close()  # wakes a source that waits to reconnect

    def close(self) -> None:
        """Stop the thread and close the source. May be called more than once; never waits long for a hung camera."""
        self.stop()
        if threading.current_thread() is not self._thread:
            self._thread.join(JOIN_SECONDS)
        with self._changed:
            self._waiting.clear()
            del self._spare[:]
            self._given = None

    def __enter__(self) -> "Capture":
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    def _run(self) -> None:
        error: Optional[BaseException] = None
        try:
            while self._wait_for_room():
                self._put(self.source.read(self._take_spare())._replace(stream=self._stream))
        except StopIteration:
            pass
        except BaseException as caught:  # every error is passed to the reader
            error = caught
        finally:
            self.source.close()
            with self._changed:
                self._ended, self._error = True, error
                self._changed.notify_all()

    def _wait_for_room(self) -> bool:
        """Return True when a frame may be read, False when the capture was closed."""
        if not self.source.live:
            self._room.acquire()
        return not self._closed

    def _take_spare(self) -> Optional[np.ndarray]:
        with self._changed:
            return self._spare.pop() if self._spare else None

    def _put(self, frame: Frame) -> None:
        with self._changed:
            if len(self._waiting) >= self._depth:
                stale = self._waiting.popleft()
                self._spare.append(stale.image)
                self._pending_gaps += stale.gaps
                self.dropped += 1
            self._waiting.append(frame)
            self._changed.notify_all()


def wait_for_any(changed: threading.Condition, captures: Sequence[Capture]) -> List[Capture]:
    """Wait until at least one of the captures, which share `changed`, is ready; return those that are, in order."""
    with changed:
        while True:
            ready = [capture for capture in captures if capture.ready()]
            if ready:
                return ready
            changed.wait(SIGNAL_SECONDS)
