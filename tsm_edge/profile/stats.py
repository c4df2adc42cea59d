"""Ratios with confidence intervals, by the bootstrap.

Percentile intervals of Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13, for a ratio of two
implementations' times as Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time" (ISMM 2013), ask for. The
random numbers are seeded: the same files give the same answer.
"""

from typing import NamedTuple

import numpy as np

RESAMPLES = 4000
LEVEL = 0.95
LEAST = 5  # blocks or rounds: fewer say nothing about how much they scatter

Ratio = NamedTuple("Ratio", [("ratio", float), ("low", float), ("high", float)])


def paired_ratio(base, other):
    """other / base where both took turns: base[i] and other[i] are of round i, a noisy moment hits both.

    The median of the rounds' ratios, and its interval over resampled rounds. Raises ValueError below LEAST rounds.
    """
    ratios = np.asarray(other, float) / np.asarray(base, float)
    _check(ratios)
    picked = _resampled(ratios, np.random.RandomState(0))
    return _interval(np.median(ratios), np.median(picked, axis=1))


def unpaired_ratio(base, other):
    """other / base of two runs of their own: medians over blocks, and the interval over blocks resampled in each.

    What changed on the machine between the two runs is in the ratio and not in the interval.
    """
    base, other = np.asarray(base, float), np.asarray(other, float)
    _check(base)
    _check(other)
    rng = np.random.RandomState(0)
    ratios = np.median(_resampled(other, rng), axis=1) / np.median(_resampled(base, rng), axis=1)
    return _interval(np.median(other) / np.median(base), ratios)


def _resampled(values, rng):
    return values[rng.randint(0, len(values), (RESAMPLES, len(values)))]


def _interval(ratio, resampled):
    low, high = np.percentile(resampled, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Ratio(float(ratio), float(low), float(high))


def _check(values):
    if len(values) < LEAST:
        raise ValueError("{} blocks or rounds, expected at least {}".format(len(values), LEAST))
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError("times: expected finite numbers above 0")
