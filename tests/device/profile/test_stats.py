"""Ratios with intervals, and functions that are timed in turn."""

import numpy as np
import pytest

from tsm_edge.profile import stats
from tsm_edge.profile.interleaved import time_interleaved


def test_a_paired_ratio_sees_through_noise_that_hits_both():
    rng = np.random.RandomState(1)
    noise = rng.lognormal(0, 0.5, 60)
    found = stats.paired_ratio(noise, 1.1 * noise * rng.lognormal(0, 0.005, 60))
    assert found.low < 1.1 < found.high and found.high - found.low < 0.01
    alone = stats.unpaired_ratio(noise, 1.1 * rng.permutation(noise))
    assert alone.high - alone.low > 0.1


def test_intervals_hold_the_true_ratio_as_often_as_they_say():
    rng, held = np.random.RandomState(2), 0
    for _ in range(60):
        base, other = rng.lognormal(0, 0.1, 40), 1.2 * rng.lognormal(0, 0.1, 40)
        found = stats.unpaired_ratio(base, other)
        held += found.low <= 1.2 <= found.high
    assert held >= 51  # 95 % of 60 is 57; fewer than 51 happens once in two thousand


def test_the_same_numbers_give_the_same_interval():
    base, other = np.arange(1, 30), np.arange(2, 31)
    assert stats.paired_ratio(base, other) == stats.paired_ratio(list(base), list(other))


@pytest.mark.parametrize("base", [[1.0] * 4, [1.0] * 9 + [0.0], [1.0] * 9 + [float("nan")]])
def test_too_few_or_impossible_times(base):
    for method in (stats.paired_ratio, stats.unpaired_ratio):
        with pytest.raises(ValueError):
            method([1.0] * len(base), base)


def test_functions_take_turns_there_and_back():
    called = []
    times = time_interleaved([lambda: called.append("a"), lambda: called.append("b")], seconds=0, rounds=3, calls=2)
    assert "".join(called) == "aabbbbaaaabbbbaaaabb"
    assert [len(side) for side in times] == [3, 3]
    assert all(len(side) >= 5 for side in time_interleaved([lambda: None, lambda: None], seconds=0.001))
