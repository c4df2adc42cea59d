"""The classes of the synthetic gestures, and how time and mirrors turn them into each other.

Every direction is that of the picture, as its viewer sees it: "swipe left" moves towards the left edge.
"""

from collections.abc import Mapping, Sequence
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
UNLABELLED = -1  # in place of a frame's label: no answer to this frame is wrong

# A clip of one label, played backwards, is a clip of the other: only the order of the frames tells a pair apart.
ORDER_PAIRS = tuple(zip(LABELS[0:10:2], LABELS[1:10:2], strict=True))

# What a clip shows after a horizontal flip.
_SIDES = {"swipe left": "swipe right", "rotate clockwise": "rotate counter-clockwise"}
FLIPS = {**{label: label for label in LABELS}, **_SIDES, **{other: label for label, other in _SIDES.items()}}


class Playback(NamedTuple):
    """How a label is rendered: the motion of the first label of its pair, played backwards or not."""

    motion: str
    backward: bool


def playback(
    label: str,
    mirror: bool,
    flips: Mapping[str, str] = FLIPS,
    order_pairs: Sequence[tuple[str, str]] = ORDER_PAIRS,
) -> Playback:
    """Return the playback that shows `label` in a picture that is flipped afterwards if `mirror`.

    flips, order_pairs: of the family of rendered clips.
    """
    seen = flips[label] if mirror else label
    for forward, backward in order_pairs:
        if seen == backward:
            return Playback(forward, True)
    return Playback(seen, False)
