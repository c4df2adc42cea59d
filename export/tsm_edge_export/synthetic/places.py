"""Backgrounds of strokes: rooms, views outdoors, cloth, grain, and pictures made of overlapping shapes.

The splits use the same kinds of places; their numbers, hues (`looks.colour`), walls and furniture are not shared.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np

from . import furniture
from .looks import colour
from .rooms import ROOM_COUNTS, room
from .seeds import PLACE, generator, split_range

PLACE_COUNTS = {"train": 1 << 20, "validation": 1 << 16, "test": 1 << 16}
_CLUTTER_SHARE = 0.25  # of the places, in which small things lie about


def place(split: str, number: int, height: int, width: int) -> np.ndarray:
    """Return the picture of a place without people: (height, width, 3) uint8 RGB.

    number: one of `seeds.split_range(split, PLACE_COUNTS)`.
    """
    rng = generator(split, number, PLACE)
    picture = _KINDS[rng.choice(len(_KINDS), p=_WEIGHTS)](rng, split, height, width)
    if rng.random() < _CLUTTER_SHARE:
        _clutter(picture, rng, split, int(rng.integers(3, 40)), (0.02, 0.25))
    if rng.random() < 0.3:
        _shade_a_part(picture, rng)
    blur = rng.choice((0.0, 0.0, 0.8, 2.0)) * rng.uniform(0.7, 1.3) * min(height, width) / 256
    return cv2.GaussianBlur(picture, (0, 0), blur) if blur > 0.4 else picture


def _room(rng: np.random.Generator, split: str, height: int, width: int) -> np.ndarray:
    numbers = split_range(split, ROOM_COUNTS)
    picture = room(split, numbers[rng.integers(len(numbers))], height, width)
    kinds = furniture.KINDS[split]
    for _ in range(rng.integers(0, 4)):
        kinds[rng.integers(len(kinds))](picture, rng, split)
    return picture


def _outdoors(rng: np.random.Generator, split: str, height: int, width: int) -> np.ndarray:
    """Sky, ground, blocks of flats with rows of windows, and trees."""
    picture = np.empty((height, width, 3), np.uint8)
    horizon = int(height * rng.uniform(0.0, 0.6))
    sky = np.linspace(rng.uniform(0.75, 1.0), 1.0, max(1, horizon))[:, None, None]
    picture[:horizon] = (sky * (rng.uniform(170, 255), rng.uniform(200, 255), rng.uniform(220, 255)))[:horizon]
    picture[horizon:] = colour(split, rng, (0.1, 0.6), (0.2, 0.8))
    _grain(picture[horizon:], rng, rng.uniform(5, 30))
    for _ in range(rng.integers(0, 7)):
        _block(picture, rng, split, horizon)
    green = np.array(colour(split, rng, (0.2, 0.8), (0.15, 0.6)))
    for _ in range(rng.integers(0, 90)):
        x, y = rng.uniform(0, width), horizon + (height - horizon) * (1.1 * rng.random() ** 1.3 - 0.1)
        radius = height * rng.uniform(0.01, 0.07)
        tone = tuple(float(v) for v in np.clip(green * rng.uniform(0.4, 1.5), 0, 255))
        axes = int(radius * rng.uniform(0.7, 1.5)) + 1, int(radius) + 1
        cv2.ellipse(picture, (int(x), int(y)), axes, 0, 0, 360, tone, -1, cv2.LINE_AA)
    return picture


def _block(picture: np.ndarray, rng: np.random.Generator, split: str, horizon: int) -> None:
    """Draw a building with rows of windows."""
    height, width = picture.shape[:2]
    x0, wide = int(rng.uniform(-0.2, 0.9) * width), int(rng.uniform(0.1, 0.5) * width)
    y0 = int(horizon - rng.uniform(-0.1, 0.4) * height)
    y1 = int(y0 + rng.uniform(0.15, 0.6) * height)
    cv2.rectangle(picture, (x0, y0), (x0 + wide, y1), colour(split, rng, (0.0, 0.5), (0.3, 0.95)), -1)
    ink = colour(split, rng, (0.0, 0.5), (0.05, 0.6))
    step = max(4, int(height * rng.uniform(0.03, 0.09)))
    for y in range(y0 + 2, y1 - step // 2, step):
        for x in range(x0 + 2, x0 + wide - step // 2, step):
            cv2.rectangle(picture, (x, y), (x + step // 2, y + step // 2), ink, -1)


def _shapes(rng: np.random.Generator, split: str, height: int, width: int) -> np.ndarray:
    """Overlapping shapes of all sizes, as in the "dead leaves" model of natural pictures."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = colour(split, rng, (0.0, 0.6), (0.1, 0.9))
    _clutter(picture, rng, split, int(rng.integers(30, 200)), (0.03, rng.uniform(0.15, 0.6)))
    return picture


def _cloth(rng: np.random.Generator, split: str, height: int, width: int) -> np.ndarray:
    """Folded or patterned cloth: bent stripes of two or three colours."""
    tones = np.array([colour(split, rng, (0.0, 0.9), (0.1, 0.95)) for _ in range(3)], np.float32)
    small = 24
    bend = cv2.resize(rng.standard_normal((int(rng.integers(2, 6)), int(rng.integers(2, 6)))), (width, height),
                      interpolation=cv2.INTER_CUBIC).astype(np.float32)  # fmt: skip
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / min(height, width)
    angle = rng.uniform(0, math.pi)
    wave = (x * math.cos(angle) + y * math.sin(angle)) * rng.uniform(3, 30) + bend * rng.uniform(0.1, 1.2)
    share = 0.5 + 0.5 * np.sin(2 * math.pi * wave)
    if rng.random() < 0.5:
        share = np.clip((share - 0.5) * rng.uniform(2, 12) + 0.5, 0, 1)
    picture = tones[0] + (tones[1] - tones[0]) * share[..., None]
    picture *= (0.75 + 0.25 * np.sin(2 * math.pi * (wave * 0.31 + bend)))[..., None]
    made = np.clip(picture, 0, 255).astype(np.uint8)
    _grain(made, rng, rng.uniform(2, small))
    return made


def _speckle(rng: np.random.Generator, split: str, height: int, width: int) -> np.ndarray:
    """Carpet, gravel, leaves or a blank wall: grain of one size on a slope of light."""
    first, last = (np.array(colour(split, rng, (0.0, 0.6), (0.1, 0.95))) for _ in range(2))
    angle, close = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.6)
    y, x = np.mgrid[0:24, 0:24] / 23
    slope = np.clip(0.5 + (x - 0.5) * math.cos(angle) + (y - 0.5) * math.sin(angle), 0, 1)[..., None] * close
    picture = cv2.resize((first + (last - first) * slope).astype(np.float32), (width, height)).astype(np.uint8)
    _grain(picture, rng, rng.choice((2.0, 8.0, 20.0, 45.0)) * rng.uniform(0.6, 1.4))
    return picture


def _clutter(picture: np.ndarray, rng: np.random.Generator, split: str, count: int, sizes: tuple[float, float]) -> None:
    """Draw `count` shapes; many are small. sizes: least and greatest, in heights of the picture."""
    height, width = picture.shape[:2]
    tones = [colour(split, rng, (0.0, 0.9), (0.05, 0.98)) for _ in range(int(rng.integers(3, 12)))]
    least, greatest = sizes
    for _ in range(count):
        size = height * least * (greatest / least) ** (rng.random() ** 1.5)
        tone, kind = tones[rng.integers(len(tones))], rng.integers(4)
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        if kind == 0:
            axes = int(size / 2) + 1, int(size * rng.uniform(0.2, 0.5)) + 1
            cv2.ellipse(picture, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, tone, -1, cv2.LINE_AA)
        elif kind == 1:
            far = int(x + size * rng.uniform(0.3, 2)), int(y + size * rng.uniform(0.3, 1))
            cv2.rectangle(picture, (int(x), int(y)), far, tone, -1)
        elif kind == 2:
            corners = (np.array((x, y)) + rng.uniform(-0.6, 0.6, (int(rng.integers(3, 6)), 2)) * size).astype(np.int32)
            cv2.fillConvexPoly(picture, cv2.convexHull(corners), tone, cv2.LINE_AA)
        else:
            far = int(x + rng.normal() * size * 1.5), int(y + rng.normal() * size * 1.5)
            cv2.line(picture, (int(x), int(y)), far, tone, int(1 + size * 0.08), cv2.LINE_AA)


def _grain(picture: np.ndarray, rng: np.random.Generator, strength: float) -> None:
    """Add grain of a random size, deviation `strength`, to a picture in place."""
    height, width = picture.shape[:2]
    if not height or not width:
        return
    step = int(rng.choice((1, 1, 2, 3, 6)))
    coarse = rng.standard_normal((height // step + 1, width // step + 1), dtype=np.float32) * np.float32(strength)
    noise = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    picture[:] = cv2.add(picture, cv2.merge([noise] * 3), dtype=cv2.CV_8U)


def _shade_a_part(picture: np.ndarray, rng: np.random.Generator) -> None:
    """Darken or lighten one side of a random line: a shadow, or sunlight."""
    height, width = picture.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    corners = (rng.uniform(-0.5, 1.5, (4, 2)) * (width, height)).astype(np.int32)
    cv2.fillConvexPoly(mask, cv2.convexHull(corners), (255,))
    soft = cv2.blur(mask, (max(3, int(height * rng.uniform(0.01, 0.15))),) * 2)
    changed = cv2.convertScaleAbs(picture, alpha=rng.choice((0.4, 0.6, 0.8, 1.3)))
    share = soft.astype(np.float32)[..., None] / 255
    lit = picture + (changed.astype(np.float32) - picture) * share
    picture[:] = lit.astype(np.uint8)


_KINDS: tuple[Callable[[np.random.Generator, str, int, int], np.ndarray], ...] = (
    _room, _outdoors, _shapes, _cloth, _speckle,
)  # fmt: skip
_WEIGHTS = (0.44, 0.16, 0.1, 0.15, 0.15)
