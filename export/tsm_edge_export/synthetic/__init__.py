"""Synthetic gestures: rendered clips and streams with exact labels, reproducible from a seed.

They serve tests and the demo. They show drawn hands, so a model trained on them knows nothing about real people.
docs/synthetic.md says what varies and what the splits keep apart.
"""

from .clip import SyntheticClip, clips
from .families import FAMILIES
from .labels import FLIPS, LABELS, NO_GESTURE, ORDER_PAIRS
from .seeds import SPLITS
from .stream import Stream, windows
from .video import write_stream

__all__ = ["FAMILIES", "FLIPS", "LABELS", "NO_GESTURE", "ORDER_PAIRS", "SPLITS", "Stream", "SyntheticClip"]
__all__ += ["clips", "windows", "write_stream"]
