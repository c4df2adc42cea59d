"""Clips on disk with the boxes of an annotation file, and the check that each annotation passes."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tsm_edge.errors import InputError, SourceError
from tsm_edge.sources.base import Source
from tsm_edge.sources.video import VideoFile
from tsm_edge_export.evaluation.stream import ClipSource
from tsm_edge_export.training.broken import MOST_BROKEN
from tsm_edge_export.training.clips import Clip, VideoClip

from .truth import Truth

MAX_SIDE = 1 << 16  # pixels of a picture that an annotation file states
NAMED = 5  # broken annotations that the error names
DEFAULT_FPS = 30.0  # of the time stamps of pictures whose rate is unknown

Size = tuple[int, int]  # (height, width) in pixels


class Annotation(NamedTuple):
    """One box of one frame, checked."""

    frame: int  # counts the frames of the clip from 0
    box: tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels, inside the picture
    class_id: int
    track: int  # -1 where unknown
    ignored: bool
    tags: frozenset[str] = frozenset()


class Check:
    """Checks the annotations of one list, and counts those that are broken or reach over the picture's edge.

    Attributes:
        total: annotations so far.
        broken: (where, why) of each broken one.
        clipped: boxes that reached over the edge of the picture, and were cut there.
    """

    def __init__(self, where: Any, what: str = "annotations") -> None:
        self.where, self.what = where, what
        self.total = self.clipped = 0
        self.broken: list[tuple[str, str]] = []

    def fail(self, where: str, why: str) -> Any:
        """Note a broken annotation. Return None, in the place of what was to be read."""
        self.broken.append((where, why))

    def box(self, where: str, values: Sequence[Any], size: Size) -> tuple[float, float, float, float] | None:
        """Return a box as edges x1, y1, x2, y2 inside the picture; None for a broken one, which is noted.

        Args:
            where: the annotation, for messages.
            values: left, top, width and height in pixels, as the file has them.
            size: (height, width) of the picture.
        """
        if len(values) != 4 or not all(_is_number(value) for value in values):
            return self.fail(where, "a box that is not four numbers")
        x, y, width, height = (float(value) for value in values)
        if not all(math.isfinite(value) for value in (x, y, width, height, x + width, y + height)):
            return self.fail(where, "a box with NaN or infinity")
        if width <= 0 or height <= 0:
            return self.fail(where, f"a box of no area, {width:g} x {height:g}")
        inside = max(x, 0.0), max(y, 0.0), min(x + width, float(size[1])), min(y + height, float(size[0]))
        left, top, right, bottom = np.asarray(inside, np.float32)
        if not (left < right and top < bottom):
            if inside[0] < inside[2] and inside[1] < inside[3]:
                return self.fail(where, f"a box of no area, {width:g} x {height:g}")
            picture = f"the picture of {size[1]} x {size[0]}"
            return self.fail(where, f"a box outside {picture}: {x:g}, {y:g}, {width:g}, {height:g}")
        self.clipped += inside != (x, y, x + width, y + height)
        return float(left), float(top), float(right), float(bottom)

    def finish(self) -> None:
        """Raise InputError where more than 1 % of the annotations are broken. It names the first ones."""
        if len(self.broken) > MOST_BROKEN * self.total:
            got = "; ".join(f"{where}: {why}" for where, why in self.broken[:NAMED])
            got += f"; and {len(self.broken) - NAMED} more" if len(self.broken) > NAMED else ""
            raise InputError(
                f"{self.where}: {len(self.broken)} of {self.total} {self.what} are broken",
                got,
                f"at most {100 * MOST_BROKEN:g} %",
                f"mend these {self.what}, or take them out of the file",
            )


class AnnotatedClip:
    """A clip on disk with true boxes: a BoxClip, see truth.py.

    Args:
        frames: a clip of training/clips.py, of its frames.
        size: (height, width) of its frames; None reads the first frame.
        annotations: of all frames, in any order.

    Raises:
        SourceError: the size is not given, and the first frame cannot be read.
    """

    def __init__(self, frames: Clip, size: Size | None, annotations: Sequence[Annotation]) -> None:
        self._frames = frames
        self.name: str = frames.name
        self.count: int = frames.count
        self.fps: float | None = frames.fps
        self.size: Size = frames.read([0]).shape[1:3] if size is None else size
        rows = sorted(annotations, key=lambda row: row.frame)
        self._boxes = np.array([row.box for row in rows], np.float32).reshape(-1, 4)
        self._classes = np.array([row.class_id for row in rows], np.int64)
        self._tracks = np.array([row.track for row in rows], np.int64)
        self._ignored = np.array([row.ignored for row in rows], bool)
        self._tags = [row.tags for row in rows]
        self._starts = np.searchsorted([row.frame for row in rows], np.arange(self.count + 1))

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Return these frames, (len(indices), height, width, 3) uint8 RGB.

        Raises SourceError where they cannot be read, or have another size than the annotations say.
        """
        frames = self._frames.read(indices)
        self.check_size(frames.shape[1:3])
        return frames

    def check_size(self, size: Sequence[int]) -> None:
        """Raise SourceError where a frame has another (height, width) than the annotations say."""
        if tuple(size) != tuple(self.size):
            got, expected = (f"frames of {shape[1]} x {shape[0]}" for shape in (size, self.size))
            raise SourceError(self.name, got, f"{expected}, as the annotations say", "extract the frames again")

    def truth(self, index: int) -> Truth:
        """Return the true boxes of a frame."""
        if not 0 <= index < self.count:
            raise IndexError(f"{self.name}: frame {index} of {self.count}")
        rows = slice(self._starts[index], self._starts[index + 1])
        tags = tuple(self._tags[rows])
        return Truth(self._boxes[rows], self._classes[rows], self._tracks[rows], self._ignored[rows], tags)

    def source(self) -> Source:
        """Return the frames as a source, which decodes a video file once from its beginning."""
        if isinstance(self._frames, VideoClip):
            return VideoFile(self._frames.place)
        return ClipSource(self, self.fps or DEFAULT_FPS)


def _is_number(value: Any) -> bool:
    """Return whether a value of JSON is a number that a float can hold."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53)
