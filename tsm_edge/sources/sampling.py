"""Thins a source out to a lower frame rate, evenly in the time of the source."""

import math

from tsm_edge.sources.base import Source

# A frame may come this much before it is due: part of a frame interval of the source (so that jitter and rounded time
# stamps do not decide), and at least 1 ms (Matroska rounds its time stamps to that).
EARLY_FRAMES = 0.3
EARLY_SECONDS = 1e-3


def sample(source, fps):
    """Return a :class:`Source` that gives at most ``fps`` frames per second of ``source``'s own time.

    fps: frames per second > 0, or None for every frame (``source`` itself is returned). Raises ValueError otherwise.
    """
    if fps is None:
        return source
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError("a rate of {} frames/s; expected a number above 0".format(fps))
    return Sampled(source, fps)


class Sampled(Source):
    """Lets a frame through when it is due; the next one is due 1/``fps`` seconds after this one *was*.

    So the rate does not drift: 30 frames/s sampled at 12 give exactly 12 in each second. A source slower than ``fps``
    passes whole. A source that paused does not catch up: what was due in the pause is let go, but for one frame.
    (The rule is that of the leaky bucket of ITU-T I.371, "GCRA", with a limit on what may be owed.)

    Frames passed over are grabbed but never made into pixels. A frame keeps the index and time it has in the source;
    a ``gap`` on a frame passed over moves to the next one let through. `resets` and `corrupt` are the source's
    own; that a frame passed over is corrupt is never found.
    """

    def __init__(self, source, fps):
        self._source = source
        self._interval = 1.0 / fps
        self._due = None  # time at which the next frame is due
        self._early = max(EARLY_SECONDS, EARLY_FRAMES / source.fps if source.fps else 0.0)
        self._owed = 1.0 / source.fps if source.fps else self._interval  # s that a frame may be late and still count
        self.name, self.live = source.name, source.live
        self.fps = fps if source.fps is None else min(fps, source.fps)
        self.frame_size, self.frame_count = source.frame_size, _sampled_count(source, fps)

    @property
    def resets(self):
        return self._source.resets

    @property
    def corrupt(self):
        return self._source.corrupt

    def grab(self):
        gap = False
        while True:
            stamp = self._source.grab()
            if stamp is None:
                return None
            gap = gap or stamp.gap
            if self._due is None:
                self._due = stamp.time
            if stamp.time >= self._due - self._early:
                self._due = max(self._due, stamp.time - self._owed) + self._interval
                return stamp._replace(gap=gap)

    def retrieve(self, into=None):
        return self._source.retrieve(into)

    def close(self):
        self._source.close()


def _sampled_count(source, fps):
    if source.frame_count is None or source.fps is None or source.fps <= fps:
        return source.frame_count
    return math.ceil(source.frame_count * fps / source.fps)
