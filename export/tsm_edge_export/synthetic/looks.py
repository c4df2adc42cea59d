"""Hands and colours, divided among the splits so that no split shows those of another.

The splits divide lists of skin and glove tones, sectors of the colour circle (for all other hues), and numbered hands.
"""

import colorsys
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .seeds import HAND, generator, split_code

Colour = tuple[float, ...]  # red, green, blue from 0 to 255
Limits = tuple[float, float]  # least and greatest

# The back of the hand, from light to dark. The palm is derived from it: lighter and redder, more so on dark skin.
_SKIN = (
    (247, 214, 194), (241, 200, 172), (236, 190, 160), (230, 180, 148), (224, 172, 138), (217, 164, 126),
    (208, 152, 116), (200, 142, 106), (190, 132, 96), (180, 121, 86), (168, 110, 76), (156, 100, 69),
    (145, 91, 62), (132, 82, 55), (118, 72, 49), (106, 64, 44), (94, 57, 40), (82, 50, 36), (72, 44, 33),
)  # fmt: skip
_GLOVES = (
    (40, 42, 48), (232, 232, 228), (52, 84, 150), (170, 46, 52), (120, 150, 62), (90, 90, 96),
    (226, 186, 60), (78, 54, 110), (214, 120, 50), (46, 120, 120), (150, 128, 104), (186, 200, 214),
)  # fmt: skip
# The places in each run of six items that belong to a split: test and validation tones lie between training tones.
_PLACES = {"train": (0, 1, 3, 4), "validation": (2,), "test": (5,)}
HAND_COUNTS = {"train": 4096, "validation": 512, "test": 1024}
SECTORS = 36  # of the colour circle


class HandLook(NamedTuple):
    """One hand: what stays the same during every gesture. Lengths are relative to an average hand."""

    number: int
    glove: bool
    back: Colour
    palm: Colour
    nail: Colour
    reach: tuple[float, ...]  # lengths of index, middle, ring, little finger and thumb
    girth: float  # of the fingers
    breadth: float  # of the palm
    creases: float  # how much they darken
    ambient: float
    diffuse: float
    sleeve: Colour
    sleeve_from: float  # share of the forearm that is bare


@functools.lru_cache(maxsize=None)
def items_of(split: str, items: Sequence[Any]) -> tuple[Any, ...]:
    """Return the items of a list that belong to a split. Each item belongs to exactly one split."""
    split_code(split)
    return tuple(item for index, item in enumerate(items) if index % 6 in _PLACES[split])


def colour(split: str, rng: np.random.Generator, saturation: Limits, value: Limits) -> Colour:
    """Draw a colour whose hue is in one of the split's sectors. Low saturations are more likely, as in real rooms."""
    sectors = items_of(split, range(SECTORS))
    hue = (sectors[rng.integers(len(sectors))] + rng.uniform(0.1, 0.9)) / SECTORS
    strength = saturation[0] + (saturation[1] - saturation[0]) * rng.random() ** 1.8
    red, green, blue = colorsys.hsv_to_rgb(hue, strength, rng.uniform(*value))
    return red * 255, green * 255, blue * 255


def scaled(tone: Colour, factor: float) -> Colour:
    """Return a colour made lighter or darker."""
    return tuple(float(min(255, value * factor)) for value in tone)


def hand_look(split: str, number: int) -> HandLook:
    """Return the look of a hand. number: one of `seeds.split_range(split, HAND_COUNTS)`."""
    rng = generator(split, number, HAND)
    glove = rng.random() < 0.15
    tones = items_of(split, _GLOVES if glove else _SKIN)
    tone = np.array(tones[rng.integers(len(tones))], np.float64)
    if not glove:
        tone = tone * rng.uniform(0.97, 1.03)
    dark = 1 - tone.mean() / 255
    palm = tone if glove else tone + (np.array((246, 196, 178)) - tone) * (0.25 + 0.45 * dark)
    nail = tone + (np.array((250, 216, 208)) - tone) * rng.uniform(0.35, 0.7)
    if rng.random() < 0.12:
        nail = np.array(colour(split, rng, (0.5, 0.9), (0.4, 0.9)))
    return HandLook(
        number=int(number),
        glove=bool(glove),
        back=tuple(tone),
        palm=tuple(palm),
        nail=tuple(nail),
        reach=tuple(rng.uniform(0.92, 1.07, 5)),
        girth=rng.uniform(0.86, 1.16) * (1.12 if glove else 1.0),
        breadth=rng.uniform(0.9, 1.12),
        creases=rng.uniform(0.1, 0.35) * (0.5 if glove else 1.0),
        ambient=rng.uniform(0.42, 0.6),
        diffuse=rng.uniform(0.4, 0.62),
        sleeve=colour(split, rng, (0.0, 0.65), (0.15, 0.85)),
        sleeve_from=rng.choice((0.1, 0.25, 0.5, 0.9)) * rng.uniform(0.8, 1.2),
    )
