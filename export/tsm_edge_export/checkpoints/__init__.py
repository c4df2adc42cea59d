"""Checkpoints of every published dialect, read as tensors under our names; each must fit by name and shape."""

from .dialects import Hints
from .loading import Checkpoint, load, require_direction, require_frame
from .own import save
from .reading import weights_sha256

__all__ = ["Checkpoint", "Hints", "load", "require_direction", "require_frame", "save", "weights_sha256"]
