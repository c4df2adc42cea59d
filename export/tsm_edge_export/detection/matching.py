"""Which found box is which true box: in one frame and of one class, the best score first, as COCO has it.

Source: `evaluateImg` of pycocotools/cocoeval.py (cocodataset/cocoapi).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tsm_edge.heads import boxes as head_boxes

from .truth import Truth

# Least overlaps of a match. Written as pycocotools has them: two of them differ from 0.05 * k in the last bit.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
MOST = 100  # found boxes of one class in a frame; the best ones count


class Predicted(NamedTuple):
    """The found boxes of one frame, n of them.

    Attributes:
        boxes: (n, 4) float, x1, y1, x2, y2 in pixels of the upright frame.
        scores: (n,) float, finite.
        classes: (n,) int, indices into the labels.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


class FrameMatch(NamedTuple):
    """The found boxes of one class in one frame, best first, at T least overlaps.

    Attributes:
        found: (n,) int64, their places among the found boxes of the frame.
        truth: (T, n) int64, the place of the true box that each one matches among the true boxes of the frame; -1 for
            none.
        ignored: (T, n) bool, whether the match is a true box that does not count. The found box then does not count
            either.
    """

    found: np.ndarray
    truth: np.ndarray
    ignored: np.ndarray


def overlaps(found: np.ndarray, true: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Return the overlap of each found box with each true box: (n, 4), (m, 4), (m,) bool -> (n, m) float64.

    It is the intersection over the union. For a crowd, it is the intersection over the area of the found box.
    """
    values = head_boxes.iou(found, true)
    if crowd.any():
        found, others = found.astype(np.float64)[:, None], true[crowd].astype(np.float64)[None]
        sides = np.minimum(found[..., 2:], others[..., 2:]) - np.maximum(found[..., :2], others[..., :2])
        area = (found[..., 2:] - found[..., :2]).prod(2)
        values[:, crowd] = np.maximum(sides, 0).prod(2) / np.where(area > 0, area, 1)
    return values


def match_frame(
    predicted: Predicted,
    truth: Truth,
    class_id: int,
    outside: np.ndarray | None = None,
    thresholds: Sequence[float] | np.ndarray = THRESHOLDS,
) -> FrameMatch:
    """Match the found and the true boxes of one class in one frame.

    Each found box, the best first, takes the true box that it overlaps the most, by at least the threshold, and that no
    other found box has. A true box that counts goes before one that does not. An ignored true box (`Truth.ignored`) is
    a crowd as COCO has it: it may be taken several times, and by a found box that lies within it.

    Args:
        predicted: the found boxes of the frame, of all classes.
        truth: the true boxes of the frame, of all classes.
        class_id: the class.
        outside: (m,) bool, the true boxes of the frame that lie outside of the group that is measured. They do not
            count either, but are no crowds. None for none.
        thresholds: (T,) least overlaps, 0 to 1.
    """
    found = np.flatnonzero(np.asarray(predicted.classes) == class_id)
    found = found[np.argsort(-np.asarray(predicted.scores)[found], kind="mergesort")][:MOST]
    true = np.flatnonzero(truth.classes == class_id)
    matches = np.full((len(thresholds), len(found)), -1, np.int64)
    ignored = np.zeros((len(thresholds), len(found)), bool)
    if not len(found) or not len(true):
        return FrameMatch(found, matches, ignored)
    crowd = truth.ignored[true]
    uncounted = crowd if outside is None else crowd | outside[true]
    order = np.argsort(uncounted, kind="mergesort")  # those that count first
    true, crowd, uncounted = true[order], crowd[order], uncounted[order]
    table = overlaps(np.asarray(predicted.boxes)[found], truth.boxes[true], crowd)
    if table.max() >= min(thresholds):
        rows, crowds, last = table.tolist(), crowd.tolist(), int((~uncounted).sum())
        near = np.flatnonzero(table.max(1) >= min(thresholds)).tolist()
        for level, threshold in enumerate(thresholds):
            for place, chosen in _assign(rows, near, crowds, last, float(threshold)):
                matches[level, place] = true[chosen]
                ignored[level, place] = uncounted[chosen]
    return FrameMatch(found, matches, ignored)


def _assign(
    table: list[list[float]], near: list[int], crowd: list[bool], counted: int, threshold: float
) -> list[tuple[int, int]]:
    """Return (found box, true box) of each match at one threshold. The first `counted` true boxes count."""
    taken, pairs = [False] * len(crowd), []
    for place in near:
        best, chosen = min(threshold, 1 - 1e-10), -1
        for number, overlap in enumerate(table[place]):
            if taken[number] and not crowd[number]:
                continue
            if 0 <= chosen < counted <= number:
                break  # one that counts was found
            if overlap >= best:  # of equal overlaps the last, as in pycocotools
                best, chosen = overlap, number
        if chosen >= 0:
            taken[chosen] = True
            pairs.append((place, chosen))
    return pairs
