"""What a detector should answer: a Gaussian around each centre; in the centre's cell, the box's size and place.

Sources: Law and Deng, "CornerNet" (ECCV 2018), for the Gaussians; Zhou et al., "Objects as Points" (2019), for the
grid.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tsm_edge.heads.boxes import STRIDE, VALUES, grid_size

from .truth import Truth

MIN_OVERLAP = 0.7  # that a box moved by the radius still has


class Targets(NamedTuple):
    """The right answer for T frames of K classes, on a grid of h x w cells.

    Attributes:
        heat: (T, K, h, w) float32, 1 at the centres, below it around them.
        counted: (T, K, h, w) bool, whether the heat of this cell counts: False inside of an ignored box of the class.
        values: (T, 4, h, w) float32, log(height / 4), log(width / 4), offset y, offset x; 0 where no centre is.
        centres: (T, h, w) bool, the cells with the centre of a box.
    """

    heat: np.ndarray
    counted: np.ndarray
    values: np.ndarray
    centres: np.ndarray


def radius(height: float, width: float) -> int:
    """Return the radius in cells of the Gaussian of a box of height x width cells.

    The published code (gaussian_radius of xingyizhou/CenterNet) takes the least of three radii. Its formulas lack a
    division, and the third one is always the least; networks are trained with it, so it stands here:
    sqrt(m^2 (h + w)^2 + 4 m (1 - m) h w) - m (h + w) for an overlap of m, which is 0.27 of the side of a square.
    """
    both = MIN_OVERLAP * (height + width)
    return int(math.sqrt(both * both + 4 * MIN_OVERLAP * (1 - MIN_OVERLAP) * height * width) - both)


def clip_targets(truths: Sequence[Truth], classes: int, height: int, width: int) -> Targets:
    """Return the targets of the frames of a clip.

    Args:
        truths: the boxes of each of T frames, in pixels of the input tensor, inside of it.
        classes: K.
        height: of the input tensor, in pixels.
        width: of the input tensor, in pixels.
    """
    count, rows, columns = len(truths), grid_size(height), grid_size(width)
    made = Targets(
        np.zeros((count, classes, rows, columns), np.float32),
        np.ones((count, classes, rows, columns), bool),
        np.zeros((count, VALUES, rows, columns), np.float32),
        np.zeros((count, rows, columns), bool),
    )
    for index, truth in enumerate(truths):
        _draw(truth, *(array[index] for array in made))
    return made


def _draw(truth: Truth, heat: np.ndarray, counted: np.ndarray, values: np.ndarray, centres: np.ndarray) -> None:
    """Write one frame's boxes into its targets. Of two boxes with one centre cell the smaller one counts."""
    boxes = truth.boxes.astype(np.float64) / STRIDE  # in cells
    sizes = boxes[:, 2:] - boxes[:, :2]
    rows, columns = heat.shape[1:]
    for number in np.flatnonzero(truth.ignored):
        left, top = np.floor(np.maximum(boxes[number, :2], 0)).astype(int)
        right, bottom = np.ceil(np.maximum(boxes[number, 2:], 0)).astype(int)
        counted[truth.classes[number], top:bottom, left:right] = False
    known = np.flatnonzero(~truth.ignored)
    for number in known[np.argsort(-sizes[known].prod(1), kind="stable")]:
        (width, height), (x, y) = sizes[number], (boxes[number, :2] + boxes[number, 2:]) / 2
        row, column = min(int(y), rows - 1), min(int(x), columns - 1)
        _gaussian(heat[truth.classes[number]], row, column, radius(height, width))
        values[:, row, column] = math.log(height), math.log(width), y - row - 0.5, x - column - 0.5
        centres[row, column] = True
        counted[truth.classes[number], row, column] = True


def _gaussian(heat: np.ndarray, row: int, column: int, reach: int) -> None:
    """Raise the heat to a Gaussian of deviation (2 reach + 1) / 6 around a cell, cut off beyond `reach` cells."""
    rows, columns = heat.shape
    top, bottom = max(row - reach, 0), min(row + reach + 1, rows)
    left, right = max(column - reach, 0), min(column + reach + 1, columns)
    deviation = (2 * reach + 1) / 6
    down = np.exp(-((np.arange(top, bottom) - row) ** 2) / (2 * deviation**2))
    across = np.exp(-((np.arange(left, right) - column) ** 2) / (2 * deviation**2))
    part = heat[top:bottom, left:right]
    np.maximum(part, (down[:, None] * across[None]).astype(np.float32), out=part)
