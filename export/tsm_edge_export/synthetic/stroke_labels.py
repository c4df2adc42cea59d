"""The classes of the rendered strokes, and how time and mirrors turn them into each other.

Every direction is that of the picture, as its viewer sees it. Two labels of a pair in ORDER_PAIRS show the same frames
in opposite order.
"""

from . import labels
from .labels import Playback

ORDER_PAIRS = (
    ("left", "right"),
    ("up", "down"),
    ("up left", "down right"),
    ("up right", "down left"),
    ("circle clockwise", "circle counter-clockwise"),
    ("square clockwise", "square counter-clockwise"),
    ("triangle clockwise", "triangle counter-clockwise"),
    ("tick", "tick backward"),  # a short stroke down to the right, then a long one up to the right
    ("mirrored tick", "mirrored tick backward"),
    ("caret right", "caret left"),  # up and down again, towards that side
    ("vee right", "vee left"),  # down and up again, towards that side
    ("z", "z backward"),
    ("mirrored z", "mirrored z backward"),
    ("spiral out clockwise", "spiral in counter-clockwise"),
    ("spiral out counter-clockwise", "spiral in clockwise"),
    ("star clockwise", "star counter-clockwise"),  # five strokes between the tips
    ("loop right", "loop left"),  # a line with a loop above it
    ("cross right", "cross left"),  # both diagonals, joined at the bottom, towards that side
    ("push", "pull"),
)
UNPAIRED = ("shake", "nod", "still", "wander")  # side to side, up and down, no motion, motion of no shape
LABELS = tuple(label for pair in ORDER_PAIRS for label in pair) + UNPAIRED


def _flipped(label: str) -> str:
    """Return the label of a clip of `label` that is flipped horizontally."""
    words = {"left": "right", "right": "left", "clockwise": "counter-clockwise", "counter-clockwise": "clockwise"}
    if label.removeprefix("mirrored ").split()[0] in ("tick", "z"):
        return label.removeprefix("mirrored ") if label.startswith("mirrored") else "mirrored " + label
    return " ".join(words.get(word, word) for word in label.split())


FLIPS = {label: _flipped(label) for label in LABELS}


def playback(label: str, mirror: bool) -> Playback:
    """Return the playback that shows `label` in a picture that is flipped afterwards if `mirror`."""
    return labels.playback(label, mirror, FLIPS, ORDER_PAIRS)
