"""Checkpoints of every published dialect -> our keys, strictly: each tensor accounted for, by name and shape."""

from .direction import require_direction
from .hashing import weights_sha256
from .hints import Hints
from .loading import Checkpoint, load
from .own import save

__all__ = ["Checkpoint", "Hints", "load", "require_direction", "save", "weights_sha256"]
