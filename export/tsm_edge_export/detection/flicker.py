"""How often an object that was found is lost, and found again."""

from collections.abc import Iterable
from typing import NamedTuple


class Flicker(NamedTuple):
    """What happened to the tracks of a set of clips.

    A track is one true object in the frames of its clip where it counts: frames where it is ignored, such as those
    where it is fully hidden, are left out. A dropout is a run of its frames without a match that has a match before it
    and after it. Milan et al., "MOT16", 2016, count dropouts as fragmentations.

    Attributes:
        tracks: true tracks.
        frames: of all tracks together.
        found: those of `frames` with a match.
        dropouts: of all tracks together.
    """

    tracks: int = 0
    frames: int = 0
    found: int = 0
    dropouts: int = 0

    @property
    def per_100_frames(self) -> float | None:
        """Dropouts for each 100 frames of a track; None without tracks."""
        return 100 * self.dropouts / self.frames if self.frames else None


def of_track(matched: Iterable[bool]) -> Flicker:
    """Return the flicker of one track from whether it was found in each frame where it counts, in order."""
    flags = list(matched)
    hits = [frame for frame, hit in enumerate(flags) if hit]
    dropouts = sum(after - before > 1 for before, after in zip(hits, hits[1:], strict=False))
    return Flicker(1, len(flags), len(hits), dropouts)


def total(parts: Iterable[Flicker]) -> Flicker:
    """Return the sum of several."""
    return Flicker(*(sum(values) for values in zip(Flicker(), *parts, strict=True)))
