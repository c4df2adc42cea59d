"""The loss of a detector: focal loss on the heat, L1 on sizes and offsets, and the distance to a teacher.

Sources: Law and Deng, "CornerNet" (2018), eq. 1, for the penalty-reduced focal loss; Zhou et al., "Objects as Points"
(2019), eq. 1 to 3; Li et al., "Generalized Focal Loss" (2020), eq. 6, for a focal loss with soft targets.
"""

from typing import NamedTuple

import torch

from tsm_edge.heads.boxes import VALUES

ALPHA, BETA = 2, 4  # as published
SMALLEST = 1e-6  # a heat and its distance to 1 are at least this much in a logarithm


class GridTargets(NamedTuple):
    """`targets.Targets` of a batch as tensors, with the axes (N, T, ...)."""

    heat: torch.Tensor  # (N, T, K, h, w) float32
    counted: torch.Tensor  # (N, T, K, h, w) bool
    values: torch.Tensor  # (N, T, 4, h, w) float32
    centres: torch.Tensor  # (N, T, h, w) bool


class Parts(NamedTuple):
    """The parts of a loss, one number each."""

    heat: torch.Tensor
    size: torch.Tensor
    offset: torch.Tensor


def detection_loss(grid: torch.Tensor, targets: GridTargets) -> Parts:
    """Return the loss of a grid, every frame of the clips with the same weight, those of the cold start included.

    Each part is a sum over the grid divided by the number of boxes: of the heat over all cells that count, of sizes and
    offsets over the centre cells.

    Args:
        grid: (N, T, K + 4, h, w) float, the network's output, the heat after the sigmoid.
        targets: of the same frames.
    """
    grid = grid.float()
    heat, values = grid[:, :, :-VALUES], grid[:, :, -VALUES:]
    boxes = targets.centres.sum().clamp(min=1)
    hot = targets.heat == 1
    log, log_rest = torch.log(heat.clamp(min=SMALLEST)), torch.log((1 - heat).clamp(min=SMALLEST))
    found = (1 - heat) ** ALPHA * log
    missing = (1 - targets.heat) ** BETA * heat**ALPHA * log_rest
    heat_loss = -(torch.where(hot, found, missing) * targets.counted).sum() / boxes
    apart = (values - targets.values).abs() * targets.centres[:, :, None]
    return Parts(heat_loss, apart[:, :, :2].sum() / (2 * boxes), apart[:, :, 2:].sum() / (2 * boxes))


def teacher_loss(grid: torch.Tensor, teacher: torch.Tensor, threshold: float) -> Parts:
    """Return how far a grid is from the teacher's.

    Args:
        grid: (N, T, K + 4, h, w) float, the network's output.
        teacher: the teacher's output for the same frames without degradation, in the same shape.
        threshold: sizes and offsets count where the teacher's heat is at least this, by its heat.
    """
    grid, teacher = grid.float(), teacher.float()
    heat, wanted = grid[:, :, :-VALUES], teacher[:, :, :-VALUES]
    log, log_rest = torch.log(heat.clamp(min=SMALLEST)), torch.log((1 - heat).clamp(min=SMALLEST))
    cross_entropy = -(wanted * log + (1 - wanted) * log_rest)
    hottest = wanted.amax(2, keepdim=True)
    weights = torch.where(hottest >= threshold, hottest, torch.zeros_like(hottest))
    total = weights.sum().clamp(min=1)
    apart = (grid[:, :, -VALUES:] - teacher[:, :, -VALUES:]).abs() * weights
    return Parts(
        ((heat - wanted).abs() ** ALPHA * cross_entropy).sum() / total,
        apart[:, :, :2].sum() / (2 * total),
        apart[:, :, 2:].sum() / (2 * total),
    )
