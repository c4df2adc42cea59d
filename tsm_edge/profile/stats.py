"""Ratios with confidence intervals, by the bootstrap.

Sources: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13; Kalibera and Jones, "Rigorous
Benchmarking in Reasonable Time" (ISMM 2013). The random numbers are seeded: the same times give the same answer.
"""

from typing import NamedTuple, Sequence

import numpy as np

RESAMPLES = 4000
LEVEL = 0.95
MIN_TIMES = 5  # fewer blocks or rounds say nothing about how much they scatter


class Ratio(NamedTuple):
    """A ratio of times, and the two ends of its 95 % interval."""

    ratio: float
    low: float
    high: float


def paired_ratio(base: Sequence[float], other: Sequence[float]) -> Ratio:
    """Return other / base of two that took turns: the median of the rounds' ratios, its interval over resampled rounds.

    base[i] and other[i] are of the same round, so that a noisy moment hits both. Raises as `unpaired_ratio`.
    """
    ratios = np.asarray(other, float) / np.asarray(base, float)
    _check(ratios)
    return _interval(np.median(ratios), np.median(_resampled(ratios, np.random.RandomState(0)), axis=1))


def unpaired_ratio(base: Sequence[float], other: Sequence[float]) -> Ratio:
    """Return other / base of two separate runs: of the medians over blocks, its interval over resampled blocks.

    Raises ValueError where there are fewer than MIN_TIMES blocks, or a time that is not above 0.
    """
    a, b = np.asarray(base, float), np.asarray(other, float)
    _check(a)
    _check(b)
    rng = np.random.RandomState(0)
    ratios = np.median(_resampled(b, rng), axis=1) / np.median(_resampled(a, rng), axis=1)
    return _interval(np.median(b) / np.median(a), ratios)


def _resampled(values: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    return values[rng.randint(0, len(values), (RESAMPLES, len(values)))]


def _interval(ratio: float, resampled: np.ndarray) -> Ratio:
    low, high = np.percentile(resampled, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Ratio(float(ratio), float(low), float(high))


def _check(values: np.ndarray) -> None:
    if len(values) < MIN_TIMES:
        raise ValueError("{} blocks or rounds, expected at least {}".format(len(values), MIN_TIMES))
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError("times: expected finite numbers above 0")
