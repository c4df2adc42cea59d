"""A detector over whole clips, in torch: the grids of their frames, and the boxes in source pixels."""

import numpy as np
import torch

from tsm_edge.geometry import placement
from tsm_edge.heads.boxes import decode
from tsm_edge.manifest import FrameSpec
from tsm_edge_export.models import Network
from tsm_edge_export.training.config import Speed
from tsm_edge_export.training.predict import to_input

from .matching import Predicted

LEAST_SCORE = 0.01  # boxes below it change no average precision that anybody prints


@torch.no_grad()
def clip_grids(
    network: Network, frames: np.ndarray, direction: str, frame: FrameSpec, speed: Speed, device: torch.device | str
) -> torch.Tensor:
    """Return the grids of a clip from a stream's start: (T, h, w, 3) uint8 -> (T, K + 4, h/4, w/4) float32, on the CPU.

    The network must be in eval mode. The frames are in the colour order of the input.
    """
    x = to_input(torch.from_numpy(frames)[None].to(device), frame, speed)
    (grid,) = network.clip(x, direction)
    return grid[0].float().cpu()


def boxes_in_source(
    grids: np.ndarray, classes: int, frame: FrameSpec, size: tuple[int, int], threshold: float = LEAST_SCORE
) -> list[Predicted]:
    """Return the boxes of each frame in pixels of the source: (T, K + 4, h, w) float32 -> T times the found boxes.

    size: (height, width) of the source's frames. threshold: least heat. Boxes are cut off at the edges of the frame.
    """
    at, found = placement(frame, *size), []
    for grid in grids:
        boxes, scores, class_ids = decode(grid, classes, threshold)
        boxes = at.to_source(boxes).clip(0, (size[1], size[0]) * 2)
        found.append(Predicted(boxes, scores, class_ids))
    return found
