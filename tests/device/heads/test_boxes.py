"""Boxes: the decoding of a grid by hand, overlaps and non-maximum suppression, and grids that hold anything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsm_edge.heads.boxes import STRIDE, decode, grid_size, iou, nms


def grid_of(objects, classes=2, rows=12, columns=16):
    """A grid with (class, row, column, heat, height, width, offset y, offset x), sizes in pixels of the input."""
    grid = np.zeros((classes + 4, rows, columns), np.float32)
    for class_id, row, column, heat, height, width, offset_y, offset_x in objects:
        grid[class_id, row, column] = heat
        grid[classes:, row, column] = np.log(height / 4), np.log(width / 4), offset_y, offset_x
    return grid


def test_a_box_by_hand():
    boxes, scores, class_ids = decode(grid_of([(1, 3, 5, 0.75, 8, 16, 0.25, -0.5)]), 2, 0.3)
    np.testing.assert_allclose(
        boxes, [[20 - 8, 15 - 4, 20 + 8, 15 + 4]], rtol=1e-6
    )  # centre x 4 * 5, centre y 4 * 3.75
    assert (scores.tolist(), class_ids.tolist()) == ([0.75], [1])
    assert (boxes.dtype, scores.dtype, class_ids.dtype) == (np.float32, np.float32, np.int64)


def test_the_best_come_first_and_the_threshold_is_a_least_heat():
    size = (8, 8, 0, 0)
    grid = grid_of([(0, 1, 1, 0.5, *size), (1, 1, 9, 0.75, *size), (0, 9, 1, 0.25, *size), (0, 9, 9, 0.5, *size)])
    _, scores, class_ids = decode(grid, 2, 0.25)
    assert (scores.tolist(), class_ids.tolist()) == ([0.75, 0.5, 0.5, 0.25], [1, 0, 0, 0])
    boxes, scores, _ = decode(grid, 2, 0.26, most=2)
    assert scores.tolist() == [0.75, 0.5] and boxes[1].tolist() == [2, 2, 10, 10]  # of equal ones the first cell
    assert [len(part) for part in decode(grid, 2, 0.8)] == [0, 0, 0]
    assert len(decode(grid, 2, 0.1, most=0)[1]) == 0


def test_a_cell_beside_a_hotter_one_gives_no_box_of_this_class():
    size = (8, 8, 0, 0)
    grid = grid_of([(0, 4, 4, 0.9, *size), (0, 5, 5, 0.8, *size), (0, 4, 6, 0.7, *size), (1, 4, 5, 0.6, *size)])
    _, scores, class_ids = decode(grid, 2, 0.3)
    assert scores.tolist() == pytest.approx([0.9, 0.6]) and class_ids.tolist() == [0, 1]
    assert len(decode(grid_of([(0, 0, 0, 0.5, *size), (0, 0, 1, 0.5, *size)]), 2, 0.3)[1]) == 2  # equal heats stay


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channel", range(6))
def test_a_value_that_is_not_finite_gives_no_box_and_no_error(bad, channel):
    size = (8, 8, 0, 0)
    grid = grid_of([(0, 4, 4, 0.9, *size), (0, 9, 9, 0.8, *size)])
    grid[channel, 4, 4] = bad
    boxes, scores, _ = decode(grid, 2, 0.3)
    assert np.isfinite(boxes).all() and np.float32(0.8) in scores
    assert (np.float32(0.9) in scores) == (channel == 1 or (channel in (2, 3) and bad == -np.inf))
    assert len(decode(np.full((6, 3, 3), bad), 2, 0.3)[1]) == 0


def test_a_size_beyond_all_bounds_gives_no_box():
    grid = grid_of([(0, 4, 4, 0.9, 8, 8, 0, 0)])
    grid[2, 4, 4] = 1000.0
    assert len(decode(grid, 2, 0.3)[1]) == 0


@pytest.mark.parametrize("shape", [(5, 3, 3), (7, 3, 3), (6, 3), (1, 6, 3, 3), ()])
def test_a_grid_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="grid"):
        decode(np.zeros(shape), 2, 0.3)


def slow(grid, classes, threshold, most):
    """The rules of `decode`, one cell after the other."""
    found = []
    for c in range(classes):
        for y in range(grid.shape[1]):
            for x in range(grid.shape[2]):
                heat = grid[c, y, x]
                near = grid[c, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
                if heat >= threshold and heat == near.max():
                    height, width = STRIDE * np.exp(grid[classes : classes + 2, y, x].astype(float))
                    down, right = (y + grid[-2, y, x] + 0.5) * STRIDE, (x + grid[-1, y, x] + 0.5) * STRIDE
                    found.append(
                        (heat, c, (right - width / 2, down - height / 2, right + width / 2, down + height / 2))
                    )
    return sorted(found, key=lambda one: -one[0])[:most]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.floats(0, 1), st.integers(0, 20), st.integers(0, 99))
def test_decode_is_its_rules_cell_by_cell(classes, rows, columns, threshold, most, seed):
    random = np.random.RandomState(seed)
    grid = random.randn(classes + 4, rows, columns).astype(np.float32)
    grid[:classes] = random.randint(0, 6, (classes, rows, columns)) / 5.0  # with equal neighbours
    boxes, scores, class_ids = decode(grid, classes, threshold, most)
    expected = slow(grid, classes, threshold, most)
    assert scores.tolist() == [one[0] for one in expected] and class_ids.tolist() == [one[1] for one in expected]
    np.testing.assert_allclose(boxes, np.reshape([one[2] for one in expected], (-1, 4)), rtol=1e-4, atol=1e-4)


def test_the_size_of_a_grid_rounds_up():
    assert [grid_size(length) for length in (1, 4, 5, 256)] == [1, 1, 2, 64]


def test_overlaps_by_hand():
    a = [[0, 0, 2, 2], [0, 0, 0, 0]]
    b = [[0, 0, 2, 2], [1, 0, 3, 2], [2, 0, 4, 2], [1, 1, 1, 1], [3, 3, 1, 1]]
    np.testing.assert_allclose(iou(a, b), [[1, 1 / 3, 0, 0, 0], [0, 0, 0, 0, 0]])
    assert iou(np.zeros((0, 4)), b).shape == (0, 5)


corners = st.lists(st.tuples(*[st.floats(-50, 50)] * 4), max_size=5)


@given(corners, corners)
def test_overlaps_lie_between_0_and_1_and_have_no_order(a, b):
    a, b = np.reshape(a, (-1, 4)), np.reshape(b, (-1, 4))
    made = iou(a, b)
    assert (made >= 0).all() and (made <= 1 + 1e-9).all()
    np.testing.assert_allclose(made, iou(b, a).T)


def test_a_better_box_of_its_class_removes_a_box():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [20, 0, 30, 10], [2, 0, 12, 10]], np.float32)
    scores, class_ids = np.array([0.5, 0.9, 0.8, 0.1, 0.5]), np.array([0, 0, 1, 0, 0])
    assert nms(boxes, scores, class_ids, 0.5).tolist() == [1, 2, 3]
    assert nms(boxes, scores, class_ids, 1.0).tolist() == [1, 2, 0, 4, 3]
    assert nms(boxes, scores, class_ids, 0.0).tolist() == [1, 2, 3]
    assert nms(np.zeros((0, 4)), [], [], 0.5).tolist() == []
