"""The assignment: exact, against all permutations and against SciPy where it is installed."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsm_edge.heads.assignment import assign


def random_values(rows, columns, seed):
    """Values from 0 to 1, of which many are 0 and many are equal where the seed is odd."""
    random = np.random.RandomState(seed)
    values = random.rand(rows, columns) * (random.rand(rows, columns) < 0.7)
    return np.round(values, 1) if seed % 2 else values


def check(values, least, best):
    pairs = assign(values, least)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(values[pair] >= least and values[pair] > 0 for pair in pairs)
    assert sum(values[pair] for pair in pairs) == pytest.approx(best, abs=1e-9)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 5), st.integers(0, 5), st.floats(0, 1), st.integers(0, 999))
def test_no_other_assignment_has_a_larger_sum(rows, columns, least, seed):
    values = random_values(rows, columns, seed)
    allowed = np.where(values >= least, values, 0)
    allowed = allowed.T if rows > columns else allowed
    few, many = allowed.shape
    orders = itertools.permutations(range(many), few)
    check(values, least, max(sum(allowed[row, column] for row, column in enumerate(order)) for order in orders))


@pytest.mark.parametrize("seed", range(10))
def test_large_ones_equal_those_of_scipy(seed):
    optimize = pytest.importorskip("scipy.optimize")
    values = random_values(30 + 5 * seed, 70 - 3 * seed, seed)
    allowed = np.where(values >= 0.3, values, 0)
    check(values, 0.3, allowed[optimize.linear_sum_assignment(allowed, maximize=True)].sum())


def test_by_hand():
    # The greedy choice, 0.9 first, would leave 0.1; both rows are better off with 0.8 and 0.7.
    values = np.array([[0.9, 0.8], [0.7, 0.1]])
    assert assign(values, 0.0) == [(0, 1), (1, 0)]
    assert assign(values, 0.75) == [(0, 0)]
    assert assign(values, 0.95) == []
    assert assign(np.zeros((2, 3)), 0.0) == []  # an overlap of 0 is none
    assert assign(np.zeros((0, 3)), 0.0) == assign(np.zeros((3, 0)), 0.0) == []
