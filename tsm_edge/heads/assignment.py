"""The assignment of tracks to boxes: the pairs whose values have the largest sum. SciPy does not run on every board."""

from typing import List, Tuple

import numpy as np


def assign(values: np.ndarray, least: float) -> List[Tuple[int, int]]:
    """Return the pairs (row, column) of the largest sum of values. Each row and each column is in one pair at most.

    The result is exact. Only values of at least `least` and above 0 make a pair, and only these are summed. Source: the
    Hungarian method by shortest augmenting paths; Jonker and Volgenant, "A shortest augmenting path algorithm for dense
    and sparse linear assignment problems", Computing 38, 1987.

    Args:
        values: (n, m) float, finite; n and m may be 0.
        least: the least value of a pair.
    """
    values = np.asarray(values, np.float64)
    allowed = (values >= least) & (values > 0)
    rows, columns = np.flatnonzero(allowed.any(axis=1)), np.flatnonzero(allowed.any(axis=0))
    if not len(rows):
        return []
    if allowed.sum(axis=0).max() == 1 and allowed.sum(axis=1).max() == 1:  # nothing to choose, as most of the time
        return [(int(row), int(column)) for row, column in zip(*np.nonzero(allowed))]
    costs = -np.where(allowed, values, 0.0)[np.ix_(rows, columns)]
    turned = len(rows) > len(columns)
    of_row = _cheapest(costs.T if turned else costs)
    pairs = [(column, row) if turned else (row, column) for row, column in enumerate(of_row)]
    found = [(int(rows[row]), int(columns[column])) for row, column in pairs]
    return sorted(pair for pair in found if allowed[pair])


def _cheapest(costs: np.ndarray) -> np.ndarray:
    """Return for each row of (n, m) costs, n <= m, its column in the assignment of the smallest sum: (n,) int."""
    n, m = costs.shape
    row_of = np.full(m, -1)  # of each column
    row_price, column_price = np.zeros(n), np.zeros(m)
    for start in range(n):
        # The shortest path from the row `start` to a free column, by Dijkstra on the reduced costs.
        lengths, before, done = np.full(m, np.inf), np.full(m, -1), np.zeros(m, bool)
        row, column, length = start, -1, 0.0
        while True:
            through = length + costs[row] - row_price[row] - column_price
            shorter = ~done & (through < lengths)
            lengths[shorter], before[shorter] = through[shorter], column
            column = int(np.argmin(np.where(done, np.inf, lengths)))
            length, done[column] = lengths[column], True
            if row_of[column] < 0:
                break
            row = row_of[column]
        inner = [int(c) for c in np.flatnonzero(done) if c != column]
        row_price[start] += length
        for c in inner:
            row_price[row_of[c]] += length - lengths[c]
            column_price[c] -= length - lengths[c]
        while column >= 0:  # turn the path round
            earlier = int(before[column])
            row_of[column] = start if earlier < 0 else row_of[earlier]
            column = earlier
    column_of = np.full(n, -1)
    taken = np.flatnonzero(row_of >= 0)
    column_of[row_of[taken]] = taken
    return column_of
