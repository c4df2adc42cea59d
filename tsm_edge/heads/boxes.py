"""Boxes in NumPy: from a detector's grid to boxes, the overlap of boxes, and the removal of boxes that say the same.

A box is x1 y1 x2 y2. The convention of the grid is that of CenterFace (Star-Clouds/CenterFace, `centerface.py`), after
Zhou et al., "Objects as Points", 2019.
"""

from typing import Tuple

import numpy as np

STRIDE = 4  # pixels of the input tensor for one cell of the grid
VALUES = 4  # channels after the heat: log height, log width, offset y, offset x


def grid_size(length: int) -> int:
    """Return the cells of the grid along an axis of `length` pixels of the input tensor."""
    return -(-length // STRIDE)


def decode(
    grid: np.ndarray, classes: int, threshold: float, most: int = 100
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the boxes of one grid, best first.

    A cell gives a box of a class if its heat is at least `threshold` and no neighbour in the 3x3 cells around it is
    hotter. Of equal heats, the first class and the first cell come first. A value that is not finite gives no box.

    Args:
        grid: (classes + 4, rows, columns) float: the heat of each class from 0 to 1, log(height / 4), log(width / 4),
            offset y and offset x. The centre is at ((column + offset x + 0.5) * 4, (row + offset y + 0.5) * 4).
        classes: at least 1.
        threshold: the least heat.
        most: boxes at most.

    Returns:
        Boxes (n, 4) float32 in pixels of the input tensor, not clipped; scores (n,) float32; class ids (n,) int64.

    Raises:
        ValueError: a grid of another shape.
    """
    grid = np.asarray(grid)
    if grid.ndim != 3 or grid.shape[0] != classes + VALUES:
        raise ValueError("grid: got shape {}, expected ({}, rows, columns)".format(grid.shape, classes + VALUES))
    heat = grid[:classes]
    class_ids, rows, columns = np.nonzero(heat >= threshold)
    scores = heat[class_ids, rows, columns]
    around = np.pad(heat, ((0, 0), (1, 1), (1, 1)), mode="constant", constant_values=-np.inf)
    peak = np.isfinite(scores)
    for down in range(3):
        for right in range(3):
            peak &= ~(around[class_ids, rows + down, columns + right] > scores)
    log_height, log_width, offset_y, offset_x = grid[classes:, rows, columns].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        half_height, half_width = STRIDE / 2 * np.exp(log_height), STRIDE / 2 * np.exp(log_width)
        x, y = (columns + offset_x + 0.5) * STRIDE, (rows + offset_y + 0.5) * STRIDE
        edges = (x - half_width, y - half_height, x + half_width, y + half_height)
        boxes = np.stack(edges, axis=1).astype(np.float32)
    found = np.flatnonzero(peak & np.isfinite(boxes).all(axis=1))
    best = found[np.argsort(-scores[found], kind="mergesort")[:most]]  # NumPy's stable sort
    return boxes[best], scores[best].astype(np.float32), class_ids[best].astype(np.int64)


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the intersection over the union of each pair of boxes: (n, 4) and (m, 4) -> (n, m) float64, 0 to 1.

    A box whose sides are not in order has no area. Two boxes that have no area have an overlap of 0.
    """
    return _overlaps(a, b)


def nms(boxes: np.ndarray, scores: np.ndarray, class_ids: np.ndarray, iou: float) -> np.ndarray:
    """Return which boxes stay where a better box of the same class removes all that overlap it by more than `iou`.

    Args:
        boxes: (n, 4).
        scores: (n,); of equal scores the first box is the better one.
        class_ids: (n,).
        iou: 0 to 1.

    Returns:
        (k,) int64 indices of the boxes that stay, best first.
    """
    class_ids = np.asarray(class_ids)
    rivals = (_overlaps(boxes, boxes) > iou) & (class_ids[:, None] == class_ids[None, :])
    kept, removed = [], np.zeros(len(class_ids), bool)
    for index in np.argsort(-np.asarray(scores), kind="mergesort"):
        if not removed[index]:
            kept.append(index)
            removed |= rivals[index]
    return np.array(kept, np.int64)


def _overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (a, b))
    first = np.maximum(a[:, None, :2], b[None, :, :2])
    last = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.maximum(last - first, 0).prod(axis=2)
    areas_a, areas_b = (np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1) for boxes in (a, b))
    union = areas_a[:, None] + areas_b[None, :] - shared
    return shared / np.where(union > 0, union, 1)
