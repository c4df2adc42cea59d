"""A frozen network that sees each frame alone, before it is degraded. It says what is in the degraded frame."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from tsm_edge.heads.boxes import decode, nms
from tsm_edge.manifest import ArchSpec, FrameSpec
from tsm_edge_export import checkpoints, models
from tsm_edge_export.checkpoints import require_direction
from tsm_edge_export.checkpoints.loading import require_frame
from tsm_edge_export.training.train import start_file

from .augment import View, view_truth
from .config import Config
from .targets import Targets, clip_targets
from .truth import Truth

SAME_BOX = 0.4  # overlap from which on two boxes of one class are the same object
DOUBTFUL = 0.5  # of the threshold of a label: a box from here on is no label, but is not wrong either


class Teacher:
    """The frozen network.

    Args:
        config: its teacher.weights name the checkpoint.
        classes: the number of labels, which is that of the teacher.
        device: where it runs.

    Attributes:
        sha256: of its weights.
    """

    def __init__(self, config: Config, classes: int, device: torch.device | str) -> None:
        assert config.teacher.weights is not None
        arch = ArchSpec(config.arch.name, config.arch.width, classes)
        path = start_file(config.teacher.weights)
        checkpoint = checkpoints.load(path, arch, fold_div=config.shift.fold_div)
        require_frame(checkpoint, config.frame, path)
        require_direction(checkpoint, "none", path)
        network = models.build(arch, config.shift.fold_div)
        network.load_state_dict(checkpoint.state, strict=True)
        self.sha256, self.classes, self.sure = checkpoint.sha256, classes, config.teacher.sure
        self.network = models.fuse(network.eval()).to(device).requires_grad_(False)
        if config.speed.channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def grid(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the teacher says of each frame: (N, T, 3, H, W) float32 -> (N, T, K + 4, h, w) float32."""
        (grid,) = self.network.clip(x, "none")
        return grid

    def truths(self, grids: np.ndarray, frame: FrameSpec) -> list[Truth]:
        """Return the teacher's boxes as the true ones: (T, K + 4, h, w) float32 -> the boxes of each frame.

        They are in pixels of the input tensor, inside of it. A box of which the teacher is not sure is ignored.
        """
        return [view_truth(self._truth(grid), View(1.0, 1.0, 0.0, 0.0), frame) for grid in grids]

    def targets(self, grids: np.ndarray, frame: FrameSpec) -> Targets:
        """Return the targets of a clip without annotations."""
        return clip_targets(self.truths(grids, frame), self.classes, frame.height, frame.width)

    def _truth(self, grid: np.ndarray) -> Truth:
        boxes, scores, class_ids = decode(grid, self.classes, DOUBTFUL * self.sure)
        kept = nms(boxes, scores, class_ids, SAME_BOX)
        none: Sequence[frozenset[str]] = [frozenset()] * len(kept)
        return Truth(boxes[kept], class_ids[kept], np.full(len(kept), -1), scores[kept] < self.sure, tuple(none))


def name_of(config: Config) -> str:
    """Return the file name of the teacher's weights."""
    return Path(config.teacher.weights or "").name
