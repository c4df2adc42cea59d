"""Reads a source in its own thread, so that decoding overlaps with inference."""

import collections
import threading
import time

FILE_DEPTH = 4  # frames decoded ahead: enough to ride out one slow frame, 25 MB at 1080p
LIVE_DEPTH = 1  # a live reader wants the newest frame; anything older that waits is latency
JOIN_SECONDS = 2.0  # how long close() waits for a thread that sits inside a driver's read
# A signal that comes between Python's last look for one and the system's wait would lie there until the next frame, and
# a silent camera has none: so the wait is not one, but many.
SIGNAL_SECONDS = 0.5


class Capture:
    """An iterator of the :class:`Frame` s of a source, read ahead by one thread into at most ``depth`` waiting frames.

    source: owned from here on: the capture closes it. depth: frames that may wait, at least 1; by default 1 for a live
    source and 4 for any other.

    A live source never waits: a new frame pushes out the oldest one that waits, and `dropped` counts those. A `gap`
    on a pushed-out frame moves to the next frame that is delivered. Any other source waits for room, and no frame of it
    is lost. An error of the source is raised here, after all frames that came before it; iterating on ends.

    ``frame.image`` is valid until the next frame is asked for: its memory then goes back to the thread, which circles
    through ``depth + 2`` images at most and in steady state allocates none.

    dropped: stale frames of a live source that nobody saw. last_read_seconds: what the source took to read the frame
    given last (the thread's own time: on a live source most of it is waiting for the camera), None before the first.
    """

    def __init__(self, source, depth=None):
        if depth is None:
            depth = LIVE_DEPTH if source.live else FILE_DEPTH
        if depth < 1:
            raise ValueError("depth is {}, but a queue holds at least 1 frame".format(depth))
        self.source = source
        self.dropped = 0
        self.last_read_seconds = None
        self._depth = depth
        self._changed = threading.Condition()  # guards everything below
        self._waiting = collections.deque()  # (Frame, seconds it took to read)
        self._spare = []  # images to decode into
        self._given = None  # the image the reader holds
        self._pending_gap = False
        self._closed = False
        self._ended = False
        self._error = None
        self._thread = threading.Thread(target=self._run, name="tsm-edge-capture", daemon=True)
        self._thread.start()

    def __iter__(self):
        return self

    def __next__(self):
        """The next :class:`Frame`; StopIteration at the end of the source and once closed."""
        with self._changed:
            if self._given is not None:
                self._spare.append(self._given)
                self._given = None
            while not (self._waiting or self._ended or self._closed):
                self._changed.wait(SIGNAL_SECONDS)
            if self._closed:
                raise StopIteration
            if not self._waiting:
                error, self._error = self._error, None
                if error is not None:
                    raise error
                raise StopIteration
            frame, self.last_read_seconds = self._waiting.popleft()
            self._given = frame.image
            if self._pending_gap:
                frame, self._pending_gap = frame._replace(gap=True), False
            self._changed.notify_all()
            return frame

    def close(self):
        """Stop the thread and close the source. May be called more than once; never waits long for a hung camera."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.source.close()  # wakes a source that waits to reconnect
        if threading.current_thread() is not self._thread:
            self._thread.join(JOIN_SECONDS)
        with self._changed:
            self._waiting.clear()
            del self._spare[:]
            self._given = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _run(self):
        error = None
        try:
            while self._wait_for_room():
                started = time.perf_counter()
                frame = self.source.read(self._take_spare())
                self._put(frame, time.perf_counter() - started)
        except StopIteration:
            pass
        except BaseException as caught:  # handed to the reader, whatever it is
            error = caught
        finally:
            self.source.close()
            with self._changed:
                self._ended, self._error = True, error
                self._changed.notify_all()

    def _wait_for_room(self):
        """Return True when a frame may be read, False when the capture was closed."""
        with self._changed:
            while not (self._closed or self.source.live or len(self._waiting) < self._depth):
                self._changed.wait()
            return not self._closed

    def _take_spare(self):
        with self._changed:
            return self._spare.pop() if self._spare else None

    def _put(self, frame, seconds):
        with self._changed:
            if len(self._waiting) >= self._depth:
                stale, _ = self._waiting.popleft()
                self._spare.append(stale.image)
                self._pending_gap = self._pending_gap or stale.gap
                self.dropped += 1
            self._waiting.append((frame, seconds))
            self._changed.notify_all()
