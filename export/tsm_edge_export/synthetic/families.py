"""The two families of rendered clips, by name."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from . import clip, labels, stroke_labels, strokes


class Family(NamedTuple):
    """A set of labels and what renders clips of them."""

    labels: tuple[str, ...]
    flips: Mapping[str, str]  # label -> label of the flipped clip
    order_pairs: tuple[tuple[str, str], ...]  # labels of the same frames in opposite order
    clips: Callable[..., Sequence[clip.Rendered]]  # of (split, count, seed, size, fps); see clip.clips


FAMILIES = {
    "gestures": Family(labels.LABELS, labels.FLIPS, labels.ORDER_PAIRS, clip.clips),
    "strokes": Family(stroke_labels.LABELS, stroke_labels.FLIPS, stroke_labels.ORDER_PAIRS, strokes.clips),
}
