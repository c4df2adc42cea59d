"""A stand-in where there is no video: noise of the model's own size."""

from typing import Optional

import numpy as np

from tsm_edge.geometry import unresized_size
from tsm_edge.manifest import Manifest
from tsm_edge.sources.base import Source, Stamp

PICTURES = 8
DEFAULT_FPS = 30.0  # of the time stamps, where the model states no rate


class SyntheticSource(Source):
    """Pictures of noise without end, of the size that the model takes without a resize.

    So nothing is decoded or resized: the times of its decode and preprocess stages are those of no real source.
    """

    def __init__(self, manifest: Manifest) -> None:
        height, width = unresized_size(manifest.frame)
        rng = np.random.RandomState(0)
        self._images = [rng.randint(0, 256, (height, width, 3)).astype(np.uint8) for _ in range(PICTURES)]
        self.fps: float = manifest.fps or DEFAULT_FPS
        self.name, self.frame_size = "synthetic {}x{} noise".format(width, height), (width, height)
        self._index = -1
        self._open = True

    def grab(self) -> Optional[Stamp]:
        if not self._open:
            return None
        self._index += 1
        return Stamp(self._index, self._index / self.fps)

    def retrieve(self, into: Optional[np.ndarray] = None) -> np.ndarray:
        del into  # the pictures are made once
        return self._images[self._index % PICTURES]

    def close(self) -> None:
        self._open = False
