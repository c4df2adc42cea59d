"""A toy engine from outside the package, registered by `test_registry.py`: NumPy, one shift and one linear layer."""

import numpy as np

from tsm_edge.engines import load_manifest
from tsm_edge.engines.base import Engine, State
from tsm_edge.shift import shift_clip, shift_step


def open_engine(path, options):
    """Open the linear layer at `path`, an array (classes, 3) of np.save."""
    engine = ToyEngine(load_manifest(path), path)
    engine.options = options
    with open(path, "rb") as file:
        engine.weights = np.load(file)
    return engine


class ToyEngine(Engine):
    """logits = weights @ mean over the picture of the shifted frame."""

    backend = "toy"

    def _new_state(self, streams):
        return ToyState(self.manifest, streams)

    def _step(self, frames, state, rows):
        shifted = np.empty_like(frames)
        for place, row in enumerate(rows):
            read, written = (state.caches[which][row : row + 1] for which in (state.sets[row], 1 - state.sets[row]))
            shifted[place : place + 1], written[...] = shift_step(frames[place : place + 1], read)
        return self._logits(shifted.mean((2, 3)))

    def _clip(self, frames):
        flat = frames.reshape((-1,) + frames.shape[2:])
        shifted = shift_clip(flat, frames.shape[1], 1, self.manifest.shift.direction == "bidirectional")
        return self._logits(shifted.mean((2, 3)).reshape(frames.shape[:2] + (3,)).mean(1))

    def _logits(self, means):
        with np.errstate(invalid="ignore"):  # the base class finds what is not finite
            return {"logits": means @ self.weights.T}


class ToyState(State):
    """One cache, the first channel of the frame before."""

    def __init__(self, manifest, streams):
        super().__init__(manifest, streams)
        self.caches = [np.zeros((streams,) + manifest.caches[0].shape, np.float32) for _ in range(2)]

    def _read(self, which):
        return [self.caches[which]]

    def _write(self, which, caches):
        self.caches[which][...] = caches[0]

    def _clear(self, which, stream):
        self.caches[which][slice(None) if stream is None else stream] = 0
