"""Thins a source out to a lower frame rate, evenly in the time of the source."""

import math

from tsm_edge.sources.base import Source

# A frame may come this much early and still fill the slot of the time grid that it is meant for: part of a frame
# interval of the source (camera jitter), and at least 1 ms (Matroska rounds its time stamps to that).
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
    """Lets the first frame through, then the first frame of each further slot of a grid of 1/``fps`` seconds.

    The grid stands still, so the rate does not drift: 30 frames/s sampled at 12 give exactly 12 in each second, and a
    source slower than ``fps`` passes whole. Frames passed over are grabbed but never made into pixels. A frame keeps
    the index and time it has in the source; a ``gap`` on a frame passed over moves to the next frame let through.
    `resets` is the source's own.
    """

    def __init__(self, source, fps):
        self._source = source
        self._rate = fps
        self._first = None  # time of the first frame: the origin of the grid
        self._slot = -1  # of the last frame let through
        self._early = max(EARLY_SECONDS, EARLY_FRAMES / source.fps if source.fps else 0.0)
        self.name, self.live = source.name, source.live
        self.fps = fps if source.fps is None else min(fps, source.fps)
        self.frame_count = _sampled_count(source, fps)

    @property
    def resets(self):
        return self._source.resets

    def grab(self):
        gap = False
        while True:
            stamp = self._source.grab()
            if stamp is None:
                return None
            gap = gap or stamp.gap
            if self._first is None:
                self._first = stamp.time
            slot = math.floor((stamp.time - self._first + self._early) * self._rate)
            if slot > self._slot:
                # A frame that came one slot late through rounded or jittering time stamps fills the slot it missed,
                # else rates near the source's own would lose a frame each time the two grids drift past each other.
                self._slot = slot - 1 if slot == self._slot + 2 else slot
                return stamp._replace(gap=gap)

    def retrieve(self, into=None):
        return self._source.retrieve(into)

    def close(self):
        self._source.close()


def _sampled_count(source, fps):
    if source.frame_count is None or source.fps is None or source.fps <= fps:
        return source.frame_count
    return math.ceil(source.frame_count * fps / source.fps)
