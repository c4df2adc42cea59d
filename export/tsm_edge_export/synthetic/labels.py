"""The classes of the synthetic gestures, and how time and mirrors turn them into each other.

Every direction is that of the picture: "swipe left" moves towards the left edge of the image, "clockwise" is what a
viewer of the image sees.
"""

from typing import NamedTuple

LABELS = (
    "swipe left",
    "swipe right",
    "swipe up",
    "swipe down",
    "zoom in",  # two fingers, or two hands, spread apart
    "zoom out",  # they close
    "rotate clockwise",  # a fingertip or a hand draws circles
    "rotate counter-clockwise",
    "push",  # the open hand approaches the camera
    "pull",  # it withdraws
    "stop",  # an open palm, raised and held
    "no gesture",  # nobody, or hands that do something else
)
NO_GESTURE = LABELS.index("no gesture")

# Played backwards, a clip of one is a clip of the other: no single frame, and no set of frames, tells them apart.
ORDER_PAIRS = (
    ("swipe left", "swipe right"),
    ("swipe up", "swipe down"),
    ("zoom in", "zoom out"),
    ("rotate clockwise", "rotate counter-clockwise"),
    ("push", "pull"),
)

# What a clip shows after a horizontal flip.
FLIPS = {
    **{label: label for label in LABELS},
    "swipe left": "swipe right",
    "swipe right": "swipe left",
    "rotate clockwise": "rotate counter-clockwise",
    "rotate counter-clockwise": "rotate clockwise",
}


class Take(NamedTuple):
    """How a label is performed: the first label of its pair, played backwards or not."""

    motion: str  # the label whose motion is rendered
    backward: bool


def take(label, mirror):
    """Return the :class:`Take` that shows `label` in a picture that is flipped afterwards if `mirror`."""
    seen = FLIPS[label] if mirror else label
    for forward, backward in ORDER_PAIRS:
        if seen == backward:
            return Take(forward, True)
    return Take(seen, False)
