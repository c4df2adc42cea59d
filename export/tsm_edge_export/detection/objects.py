"""Pictures of the objects that the rendered benchmark boxes: hands of three shapes, and faces.

A picture is a premultiplied RGBA layer (see synthetic/layers.py), cut to what is drawn.
"""

import functools
import math
from typing import NamedTuple

import cv2
import numpy as np

from ..synthetic import hand as hands
from ..synthetic import layers
from ..synthetic.looks import HAND_COUNTS, HandLook, hand_look
from ..synthetic.seeds import split_range

LABELS = ("open hand", "fist", "pointing hand", "face")
FACE = LABELS.index("face")

# Shapes of each hand: two of hand.SHAPES, and the greatest share of the way from the first to the second.
_HANDS = {
    "open hand": (("open", "wide", 1.0), ("flat", "open", 1.0), ("open", "relaxed", 0.25)),
    "fist": (("fist", "relaxed", 0.12), ("fist", "fist", 0.0)),
    "pointing hand": (("point", "two", 0.2), ("point", "open pinch", 0.35), ("point", "fist", 0.1)),
}
_UNITS = {"open hand": 1.15, "fist": 0.72, "pointing hand": 0.85}  # about sqrt(width * height), in hand units
_LEAST_RESOLUTION = 48.0  # pixels a unit: a small hand is drawn larger and shrunk
_COVERED = 128  # of a layer's fourth channel: pixels from here on are inside the outline
_ARM_UNITS, _ARM_BREADTH = 3.2, 0.44  # length and width of a forearm, in hand units


class Part(NamedTuple):
    """A layer that moves along behind an object and is not in its box: a forearm, hair, shoulders."""

    layer: np.ndarray
    matrix: np.ndarray  # (2, 3) float64, from its pixels to those of the object's layer


class Thing(NamedTuple):
    """The picture of an object, or of a thing that looks like one.

    Attributes:
        layer: (height, width, 4) uint8, premultiplied RGBA.
        outline: (n, 2) float64, x and y in the layer's pixels: the corners of the convex hull of what is drawn. The
            centre of the first pixel is (0, 0), as in OpenCV.
        centre: of its box, x and y in the layer's pixels.
        extent: the square root of the area of its box, in pixels of the layer.
        parts: what moves along behind it.
    """

    layer: np.ndarray
    outline: np.ndarray
    centre: tuple[float, float]
    extent: float
    parts: tuple[Part, ...] = ()


def cut_out(layer: np.ndarray, parts: tuple[Part, ...] = ()) -> Thing:
    """Return the Thing of a layer, cut to its drawn pixels. The matrices of `parts` refer to the layer as given."""
    left, top, width, height = cv2.boundingRect(cv2.extractChannel(layer, 3))
    left, top = max(0, left - 1), max(0, top - 1)  # an empty edge, so that the layer's edges are smooth when turned
    cut = np.ascontiguousarray(layer[top : top + height + 2, left : left + width + 2])
    moved = tuple(Part(part.layer, part.matrix - [(0, 0, left), (0, 0, top)]) for part in parts)
    outline = _outline(cut)
    first, last = outline.min(axis=0), outline.max(axis=0)
    x, y = (first + last) / 2
    return Thing(cut, outline, (float(x), float(y)), math.sqrt((last - first).prod()), moved)


def _outline(layer: np.ndarray) -> np.ndarray:
    covered = layer[..., 3] >= _COVERED
    rows = np.flatnonzero(covered.any(axis=1))
    first = covered[rows].argmax(axis=1)
    last = covered.shape[1] - 1 - covered[rows, ::-1].argmax(axis=1)
    ends = np.concatenate([np.column_stack((columns, rows)) for columns in (first - 0.5, last + 0.5)])
    corners = np.concatenate([ends + (0, -0.5), ends + (0, 0.5)])
    return np.asarray(cv2.convexHull(corners.astype(np.float32)))[:, 0].astype(np.float64)


def shrunk(layer: np.ndarray, factor: float) -> np.ndarray:
    """Return a layer made smaller by `factor` (at most 1) without aliasing."""
    if factor >= 1:
        return layer
    size = max(1, round(layer.shape[1] * factor)), max(1, round(layer.shape[0] * factor))
    return np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_AREA))


@functools.lru_cache(maxsize=256)
def _look(split: str, number: int) -> HandLook:
    return hand_look(split, number)


def person_look(rng: np.random.Generator, split: str, glove: bool = False) -> HandLook:
    """Draw the look of a person's skin and hands: bare ones, or such with gloves."""
    numbers = split_range(split, HAND_COUNTS)
    while True:
        look = _look(split, numbers[rng.integers(len(numbers))])
        if look.glove == glove:
            return look


def hand(
    rng: np.random.Generator, label: str, look: HandLook, light: np.ndarray, size: float, arm: bool = True
) -> Thing:
    """Return the picture of a hand with its fingers up, or of a glove.

    Args:
        rng: draws the shape of the fingers, the side and the forearm.
        label: "open hand", "fist" or "pointing hand".
        look: of the person.
        light: (3,), the unit vector to the light.
        size: about the square root of the area of its box, in pixels.
        arm: whether a forearm may be drawn, which is not in the box.
    """
    wanted = size / _UNITS[label]  # pixels a unit
    resolution = max(_LEAST_RESOLUTION, wanted)
    kinds = _HANDS[label]
    first, second, share = kinds[rng.integers(len(kinds))]
    shape = hands.blend(first, second, rng.uniform(0, share))
    left, back = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
    x, y, z = light
    layer = hands.picture(shape, look, back, (-x if left else x, y, z), resolution)
    layer = np.ascontiguousarray(layer[:, ::-1]) if left else layer
    parts: tuple[Part, ...] = ()
    if arm and rng.random() < 0.7:
        parts = (_forearm(rng, look, light, wanted, left),)
    return cut_out(shrunk(layer, wanted / resolution), parts)


def _forearm(rng: np.random.Generator, look: HandLook, light: np.ndarray, resolution: float, left: bool) -> Part:
    width, length = _ARM_BREADTH * look.breadth * resolution, _ARM_UNITS * resolution
    arm = layers.forearm(look, light)
    size = max(3, round(width)), max(8, round(length))
    arm = cv2.resize(arm, size, interpolation=cv2.INTER_AREA if size[0] < arm.shape[1] else cv2.INTER_LINEAR)
    wrist = (hands.RIGHT if left else -hands.LEFT) * resolution, (hands.TOP - 0.02) * resolution
    return Part(np.asarray(arm), layers.placed(wrist, 1.0, rng.uniform(-0.3, 0.3), (size[0] / 2, 0.0)))
