"""A detector that can be reckoned in the head: its manifest, and grids made of boxes."""

import numpy as np

from tests.device.toys import toy_manifest
from tsm_edge.heads.boxes import STRIDE, grid_size
from tsm_edge.manifest import ArchSpec, FrameSpec, OutputSpec

LABELS = ("ball", "cup")
LETTERBOX = FrameSpec("NCHW", "BGR", 96, 128, 128, "letterbox", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def detector_manifest(frame=LETTERBOX, labels=LABELS, **decision):
    """The manifest of a detector whose input is `frame`."""
    shape = len(labels) + 4, grid_size(frame.height), grid_size(frame.width)
    return toy_manifest()._replace(
        task="detection",
        arch=ArchSpec("toy", 1.0, len(labels)),
        frame=frame,
        labels=tuple(labels),
        outputs=(OutputSpec("grid", shape, "float32"),),
        decision=decision,
    )


def grid_with(manifest, *objects):
    """A grid that holds (box in pixels of the input tensor, score, class id) objects."""
    grid = np.zeros(manifest.outputs[0].shape, np.float32)
    for (x1, y1, x2, y2), score, class_id in objects:
        x, y = (x1 + x2) / 2 / STRIDE, (y1 + y2) / 2 / STRIDE
        row, column = min(int(y), grid.shape[1] - 1), min(int(x), grid.shape[2] - 1)
        grid[class_id, row, column] = score
        sizes = np.log((y2 - y1) / STRIDE), np.log((x2 - x1) / STRIDE)
        grid[len(manifest.labels) :, row, column] = sizes + (y - row - 0.5, x - column - 0.5)
    return grid
