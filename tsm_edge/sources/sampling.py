"""Thins a source out to a lower frame rate, evenly in the time of the source."""

import math
from typing import Optional, Tuple

from tsm_edge.records import Gap
from tsm_edge.sources.base import Source, Stamp, Wrapped

# A frame may come this much before it is due: part of a frame interval of the source (so that jitter and rounded time
# stamps do not decide), and at least 1 ms (Matroska rounds its time stamps to that).
EARLY_FRAMES = 0.3
EARLY_SECONDS = 1e-3


def sample(source: Source, fps: Optional[float]) -> Source:
    """Return a source that gives at most `fps` frames per second of the time of `source`; None gives every frame.

    Raises ValueError for a rate that is not a number above 0.
    """
    if fps is None:
        return source
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError("a rate of {} frames/s; expected a number above 0".format(fps))
    return Sampled(source, fps)


class Sampled(Wrapped):
    """Lets a frame through when it is due; the next frame is due 1/`fps` seconds after this one *was due*.

    So the rate does not drift: 30 frames/s sampled at 12 give exactly 12 in each second. All frames of a source slower
    than `fps` pass. After a pause of the source nothing is caught up, except for one frame. (The rule is the leaky
    bucket of ITU-T I.371, "GCRA", with a limit on how many frames may be owed.)

    The pixels of a skipped frame are never made, so a corrupt one is not noticed. A frame keeps the index and time that
    it has in the source. The gaps of a skipped frame move to the next frame that passes.
    """

    def __init__(self, source: Source, fps: float) -> None:
        super(Sampled, self).__init__(source)
        self._interval = 1.0 / fps
        self._due: Optional[float] = None  # time at which the next frame is due
        self._early = max(EARLY_SECONDS, EARLY_FRAMES / source.fps if source.fps else 0.0)
        self._owed = 1.0 / source.fps if source.fps else self._interval  # s that a frame may be late and still count
        self.fps = fps if source.fps is None else min(fps, source.fps)
        if source.frame_count is not None and source.fps is not None and source.fps > fps:
            last = (source.frame_count - 1) / source.fps + self._early  # the n-th frame is due n / fps seconds on
            self.frame_count = int(last * fps * (1 + 1e-12)) + 1

    def grab(self) -> Optional[Stamp]:
        gaps: Tuple[Gap, ...] = ()
        while True:
            stamp = self._source.grab()
            if stamp is None:
                return None
            gaps += stamp.gaps
            if self._due is None:
                self._due = stamp.time
            if stamp.time >= self._due - self._early:
                self._due = max(self._due, stamp.time - self._owed) + self._interval
                return stamp._replace(gaps=gaps)
