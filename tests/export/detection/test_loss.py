"""The loss against a reference in NumPy, and its gradients."""

import numpy as np
import pytest
import torch

from tests.export.detection.test_targets import truth_of
from tsm_edge_export.detection.dataset import stacked
from tsm_edge_export.detection.loss import SMALLEST, detection_loss, teacher_loss
from tsm_edge_export.detection.targets import clip_targets

CLASSES, SIDE = 2, 32


def grids(seed, count=2, frames=3):
    """(N, T, K + 4, h, w) float32, as a network gives them."""
    rng = np.random.default_rng(seed)
    heat = 1 / (1 + np.exp(-rng.normal(-1, 2, (count, frames, CLASSES, SIDE // 4, SIDE // 4))))
    values = rng.normal(0, 1, (count, frames, 4, SIDE // 4, SIDE // 4))
    return np.concatenate([heat, values], 2).astype(np.float32)


def targets(seed, count=2, frames=3):
    """(Targets of N clips as tensors, the same as arrays)."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        truths = []
        for _ in range(frames):
            corner = rng.uniform(0, 16, (3, 2))
            boxes = np.concatenate([corner, corner + rng.uniform(4, 16, (3, 2)), rng.integers(0, 2, (3, 1))], 1)
            truths.append(truth_of(boxes, rng.random(3) < 0.3))
        rows.append(clip_targets(truths, CLASSES, SIDE, SIDE))
    made = stacked(rows)
    return made, [tensor.numpy() for tensor in made]


def logs(heat):
    heat = heat.astype(np.float64)
    return np.log(np.maximum(heat, SMALLEST)), np.log(np.maximum(1 - heat, SMALLEST))


def test_against_numpy():
    grid, (tensors, (heat, counted, values, centres)) = grids(0), targets(1)
    assert not counted.all()  # an ignored box is among them
    found, (log, log_rest) = grid[:, :, :CLASSES].astype(np.float64), logs(grid[:, :, :CLASSES])
    boxes = centres.sum()
    of_cells = np.where(heat == 1, (1 - found) ** 2 * log, (1 - heat) ** 4 * found**2 * log_rest)
    expected_heat = -(of_cells * counted).sum() / boxes
    apart = np.abs(grid[:, :, CLASSES:] - values) * centres[:, :, None]
    parts = detection_loss(torch.from_numpy(grid), tensors)
    expected = expected_heat, apart[:, :, :2].sum() / (2 * boxes), apart[:, :, 2:].sum() / (2 * boxes)
    assert [float(part) for part in parts] == pytest.approx(expected, rel=1e-5)


def test_the_distance_to_a_teacher_against_numpy():
    grid, taught = grids(2), grids(3)
    heat, wanted = (array[:, :, :CLASSES].astype(np.float64) for array in (grid, taught))
    log, log_rest = logs(grid[:, :, :CLASSES])
    hottest = wanted.max(2, keepdims=True)
    weights = np.where(hottest >= 0.6, hottest, 0)
    assert 0 < (weights > 0).mean() < 1
    total = weights.sum()
    of_heat = (np.abs(heat - wanted) ** 2 * -(wanted * log + (1 - wanted) * log_rest)).sum() / total
    apart = np.abs(grid[:, :, CLASSES:] - taught[:, :, CLASSES:]) * weights
    expected = of_heat, apart[:, :, :2].sum() / (2 * total), apart[:, :, 2:].sum() / (2 * total)
    parts = teacher_loss(torch.from_numpy(grid), torch.from_numpy(taught), 0.6)
    assert [float(part) for part in parts] == pytest.approx(expected, rel=1e-4)


def test_a_student_that_agrees_has_no_distance():
    grid = torch.from_numpy(grids(4))
    assert [float(part) for part in teacher_loss(grid, grid, 0.3)] == [0, 0, 0]


def test_every_frame_has_the_same_weight():
    grid, (tensors, _) = torch.from_numpy(grids(5)), targets(6)
    turned = detection_loss(grid.flip(1), type(tensors)(*(tensor.flip(1) for tensor in tensors)))
    for first, second in zip(detection_loss(grid, tensors), turned, strict=True):
        assert float(first) == pytest.approx(float(second), rel=1e-6)


def test_gradients_reach_the_heat_everywhere_but_inside_ignored_boxes():
    grid, (tensors, (heat, counted, _, centres)) = torch.from_numpy(grids(7)), targets(8)
    grid.requires_grad_(True)
    sum(detection_loss(grid, tensors)).backward()
    gradient = grid.grad.numpy()
    assert np.array_equal(gradient[:, :, :CLASSES] != 0, counted)
    assert np.array_equal((gradient[:, :, CLASSES:] != 0).all(2), centres)
    assert (gradient[:, :, :CLASSES][(heat == 1) & counted] < 0).all()  # hotter is better at a centre


@pytest.mark.parametrize("heat", [0.0, 1.0])
def test_a_certain_network_has_a_finite_loss(heat):
    grid, (tensors, _) = torch.from_numpy(grids(9)), targets(10)
    grid[:, :, :CLASSES] = heat
    assert all(torch.isfinite(part) for part in detection_loss(grid, tensors))


def test_without_boxes_the_heat_alone_counts():
    made = stacked([clip_targets([truth_of([])], CLASSES, SIDE, SIDE)])
    parts = detection_loss(torch.from_numpy(grids(11, 1, 1)), made)
    assert float(parts.heat) > 0 and float(parts.size) == float(parts.offset) == 0
