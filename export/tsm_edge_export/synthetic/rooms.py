"""Backgrounds: numbered rooms with a wall, light, furniture and out-of-focus blur.

Splits share no room number, no kind of wall, no kind of furniture and no hue (`looks.colour`).
"""

import functools

import cv2
import numpy as np

from . import furniture
from .looks import colour
from .seeds import ROOM, generator

ROOM_COUNTS = {"train": 65536, "validation": 4096, "test": 8192}


def room(split: str, number: int, height: int, width: int) -> np.ndarray:
    """Return the picture of a room without people: (height, width, 3) uint8 RGB.

    number: one of `seeds.split_range(split, ROOM_COUNTS)`.
    """
    rng = generator(split, number, ROOM)
    saturation, value = ((0.03, 0.22), (0.45, 0.9)) if rng.random() < 0.6 else ((0.2, 0.6), (0.2, 0.7))
    wall = np.empty((height, width, 3), np.float32)
    wall[:] = colour(split, rng, saturation, value)
    walls = WALLS[split]
    walls[rng.integers(len(walls))](wall, rng, split)
    wall *= _light(rng, height, width)
    picture = np.clip(wall, 0, 255).astype(np.uint8)
    _corner(picture, rng)
    horizon = round(height * rng.uniform(0.62, 1.15))
    if horizon < height:
        _floor(picture, rng, split, horizon)
    kinds = furniture.KINDS[split]
    for _ in range(rng.integers(1, 6)):
        kinds[rng.integers(len(kinds))](picture, rng, split)
    blur = rng.choice((0.0, 0.8, 1.6, 3.0)) * rng.uniform(0.7, 1.3) * min(height, width) / 256
    return cv2.GaussianBlur(picture, (0, 0), blur) if blur > 0.4 else picture


def _clouds(rng: np.random.Generator, picture: np.ndarray, octaves: tuple[int, ...], fall: float = 0.55) -> np.ndarray:
    """Return fractal noise of a picture's size, (height, width, 1) float32, mean about 0, deviation about 1."""
    height, width = picture.shape[:2]
    half = (width + 1) // 2, (height + 1) // 2  # a quarter of the work, and walls are out of focus anyway
    total, weight = np.zeros((half[1], half[0]), np.float32), 1.0
    for cells in octaves:
        grid = rng.standard_normal((cells, cells), dtype=np.float32)
        total += cv2.resize(grid, half, interpolation=cv2.INTER_CUBIC) * weight
        weight *= fall
    return cv2.resize(total, (width, height))[..., None]


def _light(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return the light on a wall: (height, width, 1) float32, about 0.6 to 1.2."""
    angle = rng.uniform(0, 2 * np.pi)
    x, y = np.linspace(-1, 1, 24, dtype=np.float32), np.linspace(-1, 1, 24, dtype=np.float32)[:, None]
    slope = 1 + rng.uniform(0.0, 0.3) * (x * np.cos(angle) + y * np.sin(angle))
    spot_x, spot_y = rng.uniform(-1, 1, 2)
    spot = rng.uniform(0, 0.4) * np.exp(-1.5 * ((x - spot_x) ** 2 + (y - spot_y) ** 2))
    return cv2.resize((slope + spot).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)[..., None]


def _corner(picture, rng):
    """Darken what is beyond a corner of the room, in about one room of three."""
    if rng.random() > 0.35:
        return
    height, width = picture.shape[:2]
    top, slant = rng.uniform(0.1, 0.9) * width, rng.uniform(-0.04, 0.04) * width
    side = 0 if rng.random() < 0.5 else width
    shape = np.array(((side, 0), (top, 0), (top + slant, height), (side, height)), np.int32)
    mask = cv2.fillConvexPoly(np.zeros((height, width), np.uint8), shape, (255,), cv2.LINE_AA)
    darker = cv2.convertScaleAbs(picture, alpha=rng.uniform(0.6, 0.9))
    cv2.copyTo(darker, mask, picture)


def _floor(picture, rng, split, horizon):
    """Draw a floor, a carpet or a table top below `horizon`, with its edge."""
    height, width = picture.shape[:2]
    base = np.array(colour(split, rng, (0.05, 0.5), (0.2, 0.75)), np.float32)
    fade = np.linspace(0.8, 1.1, height - horizon, dtype=np.float32)[:, None, None]
    grain = 1 + 0.05 * _clouds(rng, picture[horizon:], (9, 60))
    picture[horizon:] = np.clip(base * fade * grain, 0, 255)
    if rng.random() < 0.6:
        skirting = tuple(float(v) for v in base * rng.uniform(0.5, 1.3))
        cv2.rectangle(picture, (0, horizon - max(1, height // 50)), (width, horizon), skirting, -1)


# Kinds of walls. Each changes `wall`, (height, width, 3) float32 of one colour, in place.


def _plain(wall, rng, _split):
    wall *= 1 + rng.uniform(0.005, 0.03) * _clouds(rng, wall, (5, 23, 90), 0.9)


def _plaster(wall, rng, _split):
    wall *= 1 + rng.uniform(0.04, 0.10) * _clouds(rng, wall, (4, 9, 21, 51, 120), 0.7)


def _stripes(wall, rng, split):
    width = wall.shape[1]
    period = width / rng.integers(5, 24)
    band = (np.arange(width) % period < period * rng.uniform(0.3, 0.7)).astype(np.float32)
    other = np.array(colour(split, rng, (0.05, 0.5), (0.3, 0.9)), np.float32) - wall[0, 0]
    wall += band[None, :, None] * other * rng.uniform(0.3, 0.9)


def _stones(wall, rng, split):
    _masonry(wall, rng, split, (5, 10), 1.4, 0.2, 0.37)
    _plaster(wall, rng, split)


def _masonry(wall, rng, _split, rows_range, aspect, contrast, shift):
    """Give each block a different tone, and darken or lighten the joints.

    rows_range: of the number of rows. aspect: width / height of a block. contrast: of the tones. shift: of odd rows.
    """
    height, width = wall.shape[:2]
    rows = int(rng.integers(*rows_range))
    columns = max(2, round(rows * width / height / aspect))
    tones = 1 + contrast * rng.standard_normal((rows + 1, columns + 2), dtype=np.float32)
    y = np.arange(height, dtype=np.float32) * (rows / height)
    row = y.astype(np.int32)
    x = np.arange(width, dtype=np.float32)[None] * (columns / width) + (row % 2 * np.float32(shift))[:, None]
    column = x.astype(np.int32)
    gap = 0.07 * rng.uniform(0.6, 1.4)
    joint = ((y - row) < gap * rows / columns * width / height)[:, None] | ((x - column) < gap)
    tone = tones[row[:, None], column]
    tone[joint] = rng.choice((0.75, 0.85, 1.15))
    wall *= tone[..., None]


_bricks = functools.partial(_masonry, rows_range=(8, 20), aspect=2.6, contrast=0.09, shift=0.5)
_tiles = functools.partial(_masonry, rows_range=(4, 12), aspect=1.0, contrast=0.025, shift=0.0)


def _boards(wall, rng, _split):
    height, width = wall.shape[:2]
    count = int(rng.integers(5, 15))
    tones = 1 + 0.08 * rng.standard_normal(count + 1, dtype=np.float32)
    x = np.arange(width, dtype=np.float32) * (count / width)
    tone = tones[x.astype(np.int32)] * np.where(x % 1 < 0.06, 0.6, 1).astype(np.float32)
    grain = cv2.resize(rng.standard_normal((6, width // 2), dtype=np.float32), (width, height))
    wall *= tone[None, :, None] * (1 + 0.05 * grain[..., None])


def _dots(wall, rng, split):
    height, width = wall.shape[:2]
    step, radius = height / rng.integers(8, 18), rng.uniform(0.12, 0.3)
    ink = colour(split, rng, (0.2, 0.7), (0.3, 0.95))
    for row in range(int(height / step) + 1):
        for column in range(int(width / step) + 2):
            centre = int((column - row % 2 * 0.5) * step), int(row * step)
            cv2.circle(wall, centre, max(1, int(radius * step)), ink, -1, cv2.LINE_8)


def _concrete(wall, rng, split):
    _plaster(wall, rng, split)
    wall[:] = wall.mean(axis=2, keepdims=True) * 0.8 + wall * 0.2
    height, width = wall.shape[:2]
    for share in rng.uniform(0.1, 0.9, 2):
        cv2.line(wall, (int(share * width), 0), (int(share * width), height), (70, 70, 68), 1, cv2.LINE_8)


def _curtain(wall, rng, _split):
    height, width = wall.shape[:2]
    folds, lean = rng.uniform(6, 16), rng.uniform(0, 0.6)
    x = np.linspace(0, folds, width, dtype=np.float32)
    y = np.linspace(0, lean, height, dtype=np.float32)[:, None]
    wave = np.sin(2 * np.pi * x + y + 1.5 * np.sin(x * 1.7).astype(np.float32))
    wall *= (1 + rng.uniform(0.12, 0.28) * wave)[..., None]


def _checks(wall, rng, split):
    height, width = wall.shape[:2]
    period = width / rng.integers(5, 14)
    ink = np.array(colour(split, rng, (0.2, 0.7), (0.2, 0.8)), np.float32)
    across = ((np.arange(width) % period) < period / 2).astype(np.float32)
    down = ((np.arange(height) % period) < period / 2).astype(np.float32)
    share = (across[None] + down[:, None])[..., None] * rng.uniform(0.1, 0.35)
    wall += (ink - wall) * share


WALLS = {
    "train": (_plain, _plain, _plaster, _stripes, _bricks, _tiles, _boards),
    "validation": (_dots, _concrete),
    "test": (_curtain, _checks, _stones),
}
