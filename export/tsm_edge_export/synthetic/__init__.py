"""Synthetic gestures: rendered clips and streams whose truth is known, reproducible from a seed.

They are test ground and demo, not data of people: a model trained on them knows rendered hands. docs/synthetic.md says
what is varied and what is held apart between the splits.
"""

from tsm_edge_export.synthetic.clip import FPS, SIZE, Event, SyntheticClip, clips
from tsm_edge_export.synthetic.labels import FLIPS, LABELS, NO_GESTURE, ORDER_PAIRS
from tsm_edge_export.synthetic.seeds import SPLITS
from tsm_edge_export.synthetic.stream import Stream, Window
from tsm_edge_export.synthetic.video import write_stream
from tsm_edge_export.synthetic.windows import windows

__all__ = [
    "FLIPS",
    "FPS",
    "LABELS",
    "NO_GESTURE",
    "ORDER_PAIRS",
    "SIZE",
    "SPLITS",
    "Event",
    "Stream",
    "SyntheticClip",
    "Window",
    "clips",
    "windows",
    "write_stream",
]
