"""Intervals by the bootstrap over clips: frames of one clip are alike, so clips are drawn, and not frames.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (the percentile interval).
"""

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

REPEATS, LEVEL = 1000, 0.95

Statistic = Callable[[np.ndarray], float]  # of (clips,) int64, how often each clip counts


class Estimate(NamedTuple):
    """A figure and the interval that holds 95 % of its bootstrap values; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


def draws(clips: int, repeats: int = REPEATS, seed: int = 0) -> np.ndarray:
    """Return how often each clip is drawn, `clips` draws with replacement: (repeats, clips) int64."""
    return np.random.default_rng(seed).multinomial(clips, np.full(clips, 1 / clips), repeats)


def estimate(statistic: Statistic, weights: np.ndarray) -> Estimate:
    """Return a figure of the clips and its interval.

    Args:
        statistic: may return NaN where its clips do not define it. Such draws are left out of the interval.
        weights: of `draws`.
    """
    clips = weights.shape[1]
    value = statistic(np.ones(clips, np.int64))
    if np.isnan(value):
        return Estimate(None)
    return Estimate(float(value), *_interval([statistic(draw) for draw in weights] if clips > 1 else []))


def difference(first: Statistic, second: Statistic, weights: np.ndarray) -> Estimate:
    """Return the first figure less the second, of the same clips, and its interval. Each draw takes both."""
    return estimate(lambda draw: first(draw) - second(draw), weights)


def _interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of draws that are all NaN
        tail = 100 * (1 - LEVEL) / 2
        low, high = np.nanpercentile(values, (tail, 100 - tail)) if len(values) else (np.nan, np.nan)
    return (None, None) if np.isnan(low) else (float(low), float(high))
