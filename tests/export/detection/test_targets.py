"""The targets against a slow reference, and through the decoder back to the boxes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsm_edge.heads.boxes import decode
from tsm_edge_export.detection.targets import clip_targets, radius
from tsm_edge_export.detection.truth import Truth


def truth_of(rows, ignored=None):
    """The boxes of a frame. rows: (x1, y1, x2, y2, class)."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    count = len(table)
    hidden = np.zeros(count, bool) if ignored is None else np.array(ignored, bool)
    return Truth(table[:, :4], table[:, 4].astype(np.int64), np.full(count, -1), hidden, (frozenset(),) * count)


def slow(truth, classes, rows, columns):
    """(heat, counted, values, centres) of one frame, cell by cell, as CornerNet and CenterNet say in words."""
    heat, counted = np.zeros((classes, rows, columns)), np.ones((classes, rows, columns), bool)
    values, centres = np.zeros((4, rows, columns)), np.zeros((rows, columns), bool)
    order = sorted(range(len(truth.boxes)), key=lambda n: -(truth.boxes[n][2:] - truth.boxes[n][:2]).prod())
    for number in order:
        x1, y1, x2, y2 = (float(value) / 4 for value in truth.boxes[number])
        label = truth.classes[number]
        for row in range(rows):
            for column in range(columns):
                if truth.ignored[number]:
                    if x1 < column + 1 and column < x2 and y1 < row + 1 and row < y2:
                        counted[label, row, column] = False
                    continue
                at_row, at_column = (
                    min(math.floor((y1 + y2) / 2), rows - 1),
                    min(math.floor((x1 + x2) / 2), columns - 1),
                )
                reach = radius(y2 - y1, x2 - x1)
                if max(abs(row - at_row), abs(column - at_column)) <= reach:
                    deviation = (2 * reach + 1) / 6
                    apart = (row - at_row) ** 2 + (column - at_column) ** 2
                    heat[label, row, column] = max(heat[label, row, column], math.exp(-apart / (2 * deviation**2)))
                if (row, column) == (at_row, at_column):
                    place = (y1 + y2) / 2 - row - 0.5, (x1 + x2) / 2 - column - 0.5
                    values[:, row, column] = math.log(y2 - y1), math.log(x2 - x1), *place
                    centres[row, column] = True
    for number in order:
        if not truth.ignored[number]:
            x, y = (truth.boxes[number][:2] + truth.boxes[number][2:]) / 8
            counted[truth.classes[number], min(int(y), rows - 1), min(int(x), columns - 1)] = True
    return heat, counted, values, centres


@st.composite
def frames(draw):
    """The boxes of a frame of 44 x 60 pixels, and which are ignored."""
    rows = []
    for _ in range(draw(st.integers(0, 6))):
        x1, y1 = draw(st.floats(0, 56, width=16)), draw(st.floats(0, 40, width=16))
        x2, y2 = draw(st.floats(x1 + 2, 60)), draw(st.floats(y1 + 2, 44))
        rows.append((x1, y1, x2, y2, draw(st.integers(0, 2))))
    return truth_of(rows, [draw(st.booleans()) for _ in rows])


@settings(max_examples=60, deadline=None)
@given(frames())
def test_against_the_slow_reference(truth):
    made = clip_targets([truth], 3, 44, 60)
    heat, counted, values, centres = slow(truth, 3, 11, 15)
    assert np.abs(made.heat[0] - heat).max() < 1e-6
    assert np.array_equal(made.counted[0], counted) and np.array_equal(made.centres[0], centres)
    assert np.abs(made.values[0] - values).max() < 1e-5


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_decoder_gives_the_boxes_back(seed):
    rng = np.random.default_rng(seed)
    places = rng.permutation(16)[:4]  # one box in each of four of 4 x 4 fields: no centre hides another
    rows = []
    for label, place in enumerate(places):
        x, y = 32 * (place % 4) + rng.uniform(14, 18), 32 * (place // 4) + rng.uniform(14, 18)
        width, height = rng.uniform(4, 27, 2)
        rows.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2, label))
    made = clip_targets([truth_of(rows)], 4, 128, 128)
    boxes, scores, class_ids = decode(np.concatenate([made.heat[0], made.values[0]]), 4, 0.99)
    order = np.argsort(class_ids)
    assert class_ids[order].tolist() == [0, 1, 2, 3] and (scores == 1).all()
    assert np.abs(boxes[order] - np.array(rows)[:, :4]).max() < 1e-3


@pytest.mark.parametrize(("side", "reach"), [(1, 0), (3, 0), (4, 1), (8, 2), (20, 5)])
def test_radius_of_squares(side, reach):
    assert radius(side, side) == reach


def test_a_frame_without_boxes():
    made = clip_targets([truth_of([]), truth_of([(0, 0, 8, 8, 0)])], 1, 32, 32)
    assert not made.heat[0].any() and made.counted.all() and made.centres.sum(axis=(1, 2)).tolist() == [0, 1]
