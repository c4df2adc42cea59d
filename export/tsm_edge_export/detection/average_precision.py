"""Average precision as COCO computes it, and recall at a fixed number of false boxes a frame.

Source: `accumulate` and `summarize` of pycocotools/cocoeval.py (cocodataset/cocoapi).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RECALLS = np.linspace(0.0, 1.0, 101)  # at which the precision is read; written as pycocotools has them
EPSILON = np.spacing(1)  # in the denominator of the precision, as in pycocotools


class Outcomes(NamedTuple):
    """What became of the D found boxes of one class in all clips, in the order of the frames, at T least overlaps.

    Attributes:
        scores: (D,) float64.
        true: (T, D) bool, matches a true box that counts.
        ignored: (T, D) bool, does not count: neither true nor false.
        clips: (D,) int64, the number of the clip.
        positives: (clips,) int64, true boxes that count in each clip.
        frames: (clips,) int64, frames of each clip.
    """

    scores: np.ndarray
    true: np.ndarray
    ignored: np.ndarray
    clips: np.ndarray
    positives: np.ndarray
    frames: np.ndarray


class Ranked:
    """The outcomes of one class sorted by score, best first. The bootstrap weighs its clips again and again.

    Args:
        outcomes: of the class.
    """

    def __init__(self, outcomes: Outcomes) -> None:
        order = np.argsort(-outcomes.scores, kind="mergesort")
        self.scores, self.clips = outcomes.scores[order], outcomes.clips[order]
        self.positives, self.frames = outcomes.positives, outcomes.frames
        self.true = outcomes.true[:, order]
        self.false = ~self.true & ~outcomes.ignored[:, order]

    def curve(self, weights: np.ndarray | None = None, levels: int | None = None) -> tuple[np.ndarray, np.ndarray, int]:
        """Return the running counts of true and false boxes, (T, D) float64 each, and the number of true boxes.

        Args:
            weights: (clips,) int, how often each clip counts; None for once.
            levels: T, the first least overlaps; None for all.
        """
        weights = np.ones(len(self.positives), np.int64) if weights is None else weights
        of_box = weights[self.clips].astype(np.float64)
        true, false = np.cumsum(self.true[:levels] * of_box, 1), np.cumsum(self.false[:levels] * of_box, 1)
        return true, false, int(weights @ self.positives)

    def precisions(self, weights: np.ndarray | None = None, levels: int | None = None) -> np.ndarray:
        """Return the precision at each of RECALLS, (T, 101) float64; NaN where the class has no true box.

        The precision at a recall is the highest one at this recall or a higher one, and 0 where no score reaches it.
        """
        true, false, positives = self.curve(weights, levels)
        found = np.full((len(true), len(RECALLS)), np.nan)
        if not positives:
            return found
        precision = true / (true + false + EPSILON)
        highest = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
        for level, recall in enumerate(true / positives):
            places = np.searchsorted(recall, RECALLS, side="left")
            reached = places < recall.size
            found[level] = 0.0
            found[level, reached] = highest[level, places[reached]]
        return found


def average_precision(
    classes: Sequence[Ranked], weights: np.ndarray | None = None, levels: int | None = None
) -> np.ndarray:
    """Return the mean average precision at each least overlap, (T,) float64, 0 to 1.

    It is the mean over the recalls and over the classes that have true boxes; NaN where there are none.

    Args:
        classes: the outcomes of each class.
        weights: (clips,) int, how often each clip counts; None for once.
        levels: T, the first least overlaps; None for all.
    """
    values = np.stack([ranked.precisions(weights, levels).mean(1) for ranked in classes])
    known = values[~np.isnan(values[:, 0])]
    return known.mean(0) if len(known) else np.full(values.shape[1], np.nan)


class Operating(NamedTuple):
    """A detector at one confidence threshold, over all classes, at a least overlap of 0.5."""

    threshold: float | None  # None: no threshold keeps to the rate of false boxes
    recall: float | None  # found share of the true boxes that count, 0 to 1; None without any
    precision: float | None  # true share of the found boxes that count; None without any
    false_per_frame: float  # found boxes that are no true box, for each frame


def at_threshold(classes: Sequence[Ranked], threshold: float, weights: np.ndarray | None = None) -> Operating:
    """Return what is found at one confidence threshold."""
    weights = np.ones(len(classes[0].positives), np.int64) if weights is None else weights
    true = false = 0.0
    for ranked in classes:
        kept = weights[ranked.clips] * (ranked.scores >= threshold)
        true, false = true + float(kept @ ranked.true[0]), false + float(kept @ ranked.false[0])
    return _operating(threshold, true, false, classes, weights)


def at_false_rate(classes: Sequence[Ranked], rate: float, weights: np.ndarray | None = None) -> Operating:
    """Return what is found at the lowest confidence threshold with at most `rate` false boxes a frame.

    The threshold is one for all classes. Boxes of equal confidence are all kept, or none of them.
    """
    weights = np.ones(len(classes[0].positives), np.int64) if weights is None else weights
    scores = np.concatenate([ranked.scores for ranked in classes])
    of_box = np.concatenate([weights[ranked.clips] for ranked in classes])
    order = np.argsort(-scores, kind="mergesort")
    order = order[of_box[order] > 0]
    scores, of_box = scores[order], of_box[order]
    true = np.cumsum(of_box * np.concatenate([ranked.true[0] for ranked in classes])[order])
    false = np.cumsum(of_box * np.concatenate([ranked.false[0] for ranked in classes])[order])
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.zeros(0, np.int64)
    allowed = ends[false[ends] <= rate * float(weights @ classes[0].frames)]
    if not len(allowed):
        return _operating(None, 0.0, 0.0, classes, weights)
    last = allowed[-1]
    return _operating(float(scores[last]), float(true[last]), float(false[last]), classes, weights)


def _operating(
    threshold: float | None, true: float, false: float, classes: Sequence[Ranked], weights: np.ndarray
) -> Operating:
    positives = sum(int(weights @ ranked.positives) for ranked in classes)
    recall, precision = _share(true, positives), _share(true, true + false)
    return Operating(threshold, recall, precision, false / max(1.0, float(weights @ classes[0].frames)))


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
