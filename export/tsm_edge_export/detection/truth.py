"""Annotated video: what every reader and renderer of boxes gives, and what training and evaluation take."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np


class Truth(NamedTuple):
    """The true boxes of one frame, n of them.

    Attributes:
        boxes: (n, 4) float32, x1, y1, x2, y2 in pixels of the upright frame; a pixel's edges are whole numbers, so the
            whole frame is (0, 0, width, height). x1 < x2 and y1 < y2.
        classes: (n,) int64, indices into the labels.
        tracks: (n,) int64, the same number for one object in all frames of its clip; -1 where that is not known.
        ignored: (n,) bool, boxes that are neither to be found nor wrong when found: crowds, fully hidden objects.
        tags: (n) sets of words that evaluation may group by, such as {"fast", "dark", "occluded 5-8"}; may be empty.
    """

    boxes: np.ndarray
    classes: np.ndarray
    tracks: np.ndarray
    ignored: np.ndarray
    tags: tuple[frozenset[str], ...]


class BoxClip(Protocol):
    """A clip with boxes.

    Attributes:
        name: for messages and reports; different in each clip of a set.
        count: its frames.
        size: (height, width) of its frames in pixels.
        fps: frames/s, None where unknown.
    """

    name: str
    count: int
    size: tuple[int, int]
    fps: float | None

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Return frames, (T, height, width, 3) uint8 RGB. Raises SourceError where they cannot be read."""
        ...

    def truth(self, index: int) -> Truth:
        """Return the true boxes of a frame. A frame without objects has a Truth of no boxes."""
        ...


class BoxData(NamedTuple):
    """A set of clips with boxes: of one list, or rendered."""

    labels: tuple[str, ...]  # the name of each class
    clips: Sequence[BoxClip]
    broken: tuple[tuple[str, str], ...] = ()  # (where, why) of the annotations that were left out
    clipped: int = 0  # boxes that reached over the edge of the picture, and were cut there
