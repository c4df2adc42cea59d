"""A detector that finds the white square of annotated.py, so that every box of an evaluation is known."""

import numpy as np

from tsm_edge.engines.base import Engine, State
from tsm_edge.heads.boxes import STRIDE, grid_size
from tsm_edge.manifest import WeightsSpec
from tsm_edge_export import models, recipe

LABELS = ("ball", "cup")


def manifest(labels=LABELS, mode="online", direction="bidirectional", height=48, width=64, decision=None):
    """The manifest of a detector. direction: of an offline one."""
    spec = recipe.Recipe(
        name="squares",
        arch=recipe.ArchSpec("mobilenetv2_centernet", 0.25, len(labels)),
        shift=recipe.RecipeShift(n_segment=4, offline_direction=direction),
        frame=recipe.FrameSpec("NCHW", "RGB", height, width, 64, "letterbox", (0.0,) * 3, (1.0,) * 3),
        fps=5.0,
        labels=labels,
        decision=decision or {},
    )
    network = models.outline(spec.arch)
    return recipe.manifest_of(spec, mode, "standard", network, WeightsSpec("0" * 64, "none", True), "squares")


class SquareEngine(Engine):
    """Finds the square as a ball, from the frame `blind` of a stream on; before, it sees nothing.

    moved: pixels by which its boxes are off. false: it also finds a cup, of this confidence, in a corner.
    """

    backend = "squares"

    def __init__(self, blind=0, moved=0.0, false=None, **more):
        super().__init__(manifest(**more), "squares")
        self.blind, self.moved, self.false = blind, moved, false

    def _new_state(self, streams):
        return _Counts(self.manifest, streams)

    def _step(self, frames, state, rows):
        grids = []
        for frame, row in zip(frames, rows, strict=True):
            which = state.sets[row]
            state.seen[1 - which][row] = state.seen[which][row] + 1
            grids.append(self._grid(frame, state.seen[which][row]))
        return {"grid": np.stack(grids)}

    def _grid(self, frame, seen):
        height, width = frame.shape[1:]
        grid = np.zeros((6, grid_size(height), grid_size(width)), np.float32)
        rows, columns = np.nonzero(frame[0] > 0.5)
        if len(rows) and seen >= self.blind:
            box = columns.min() + self.moved, rows.min(), columns.max() + 1 + self.moved, rows.max() + 1
            put(grid, 0, 0.9, box)
        if self.false is not None:
            put(grid, 1, self.false, (width - 10, height - 10, width - 2, height - 2))
        return grid


def put(grid, class_id, heat, box):
    """Write one box, which has whole numbers as edges."""
    x, y = (box[0] + box[2]) / 2 / STRIDE, (box[1] + box[3]) / 2 / STRIDE
    row, column = int(y), int(x)
    sizes = np.log((box[3] - box[1]) / STRIDE), np.log((box[2] - box[0]) / STRIDE)
    grid[class_id, row, column] = heat
    grid[2:, row, column] = (*sizes, y - row - 0.5, x - column - 0.5)


class _Counts(State):
    """How many frames each stream has shown, in the place of caches."""

    def __init__(self, manifest, streams):
        super().__init__(manifest, streams)
        self.seen = np.zeros((2, streams), np.int64)

    def _clear(self, which, stream):
        self.seen[which, slice(None) if stream is None else stream] = 0
