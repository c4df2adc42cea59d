"""Backgrounds: a numbered room a clip, with a wall, light, furniture and out-of-focus blur.

Splits share no room number, no kind of wall, no kind of furniture and no hue (`looks.colour`).
"""

import cv2
import numpy as np

from tsm_edge_export.synthetic import furniture
from tsm_edge_export.synthetic.looks import colour
from tsm_edge_export.synthetic.seeds import ROOM, generator, split_code

ROOM_COUNTS = {"train": 65536, "validation": 4096, "test": 8192}


def room_numbers(split):
    """Return the range of room numbers of a split."""
    start = sum(ROOM_COUNTS[name] for name in list(ROOM_COUNTS)[: split_code(split)])
    return range(start, start + ROOM_COUNTS[split])


def room(split, number, height, width):
    """Return the picture of an empty room: (height, width, 3) uint8 RGB."""
    rng = generator(split, number, ROOM)
    pale = rng.random() < 0.6
    tone = np.array(colour(split, rng, (0.03, 0.22) if pale else (0.2, 0.6), (0.45, 0.9) if pale else (0.2, 0.7)))
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = tone
    walls = WALLS[split]
    walls[rng.integers(len(walls))](picture, rng, split)
    picture *= _light(rng, height, width)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    _corner(picture, rng)
    horizon = round(height * rng.uniform(0.62, 1.15))
    if horizon < height:
        _floor(picture, rng, split, horizon)
    kinds = furniture.KINDS[split]
    for _ in range(rng.integers(1, 6)):
        kinds[rng.integers(len(kinds))](picture, rng, split)
    blur = rng.choice((0.0, 0.8, 1.6, 3.0)) * rng.uniform(0.7, 1.3) * min(height, width) / 256
    if blur > 0.4:
        picture = cv2.GaussianBlur(picture, (0, 0), blur)
    return picture


def clouds(rng, height, width, octaves=(3, 7, 17, 47), fall=0.55):
    """Return fractal noise: (height, width) float32, mean about 0, deviation about 1."""
    half = (width + 1) // 2, (height + 1) // 2  # a quarter of the work, and walls are out of focus anyway
    total, weight = np.zeros((half[1], half[0]), np.float32), 1.0
    for cells in octaves:
        grid = rng.standard_normal((cells, cells), dtype=np.float32)
        total += cv2.resize(grid, half, interpolation=cv2.INTER_CUBIC) * weight
        weight *= fall
    return cv2.resize(total, (width, height))


def _light(rng, height, width):
    """Light falling on a wall from somewhere: (height, width, 1) float32, about 0.6 to 1.2."""
    angle = rng.uniform(0, 2 * np.pi)
    x, y = np.linspace(-1, 1, 24, dtype=np.float32), np.linspace(-1, 1, 24, dtype=np.float32)[:, None]
    slope = 1 + rng.uniform(0.0, 0.3) * (x * np.cos(angle) + y * np.sin(angle))
    spot_x, spot_y = rng.uniform(-1, 1, 2)
    spot = rng.uniform(0, 0.4) * np.exp(-1.5 * ((x - spot_x) ** 2 + (y - spot_y) ** 2))
    return cv2.resize((slope + spot).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)[..., None]


def _corner(picture, rng):
    """Darken what is beyond a corner of the room, now and then."""
    if rng.random() > 0.35:
        return
    height, width = picture.shape[:2]
    top, slant = rng.uniform(0.1, 0.9) * width, rng.uniform(-0.04, 0.04) * width
    side = 0 if rng.random() < 0.5 else width
    shape = np.array(((side, 0), (top, 0), (top + slant, height), (side, height)), np.int32)
    mask = cv2.fillConvexPoly(np.zeros((height, width), np.uint8), shape, 255, cv2.LINE_AA)
    darker = cv2.convertScaleAbs(picture, alpha=rng.uniform(0.6, 0.9))
    cv2.copyTo(darker, mask, picture)


def _floor(picture, rng, split, horizon):
    """A floor, a carpet or a table top below `horizon`, with its edge."""
    height, width = picture.shape[:2]
    base = np.array(colour(split, rng, (0.05, 0.5), (0.2, 0.75)), np.float32)
    fade = np.linspace(0.8, 1.1, height - horizon, dtype=np.float32)[:, None, None]
    grain = 1 + 0.05 * clouds(rng, height - horizon, width, (9, 60))[..., None]
    picture[horizon:] = np.clip(base * fade * grain, 0, 255)
    if rng.random() < 0.6:
        skirting = tuple(float(v) for v in base * rng.uniform(0.5, 1.3))
        cv2.rectangle(picture, (0, horizon - max(1, height // 50)), (width, horizon), skirting, -1)


def _plain(picture, rng, _split):
    picture *= 1 + rng.uniform(0.005, 0.03) * clouds(rng, *picture.shape[:2], (5, 23, 90), 0.9)[..., None]


def _plaster(picture, rng, _split):
    picture *= 1 + rng.uniform(0.04, 0.10) * clouds(rng, *picture.shape[:2], (4, 9, 21, 51, 120), 0.7)[..., None]


def _stripes(picture, rng, split):
    height, width = picture.shape[:2]
    period = width / rng.integers(5, 24)
    band = (np.arange(width) % period < period * rng.uniform(0.3, 0.7)).astype(np.float32)
    other = np.array(colour(split, rng, (0.05, 0.5), (0.3, 0.9)), np.float32) - picture[0, 0]
    picture += band[None, :, None] * other * rng.uniform(0.3, 0.9)


def _bricks(picture, rng, _split):
    height, width = picture.shape[:2]
    rows = int(rng.integers(8, 20))
    columns = max(2, round(rows * width / height / 2.6))
    tones = 1 + 0.09 * rng.standard_normal((rows + 1, columns + 2), dtype=np.float32)
    _masonry(picture, rng, tones, rows, columns, 0.5)


def _tiles(picture, rng, _split):
    rows = int(rng.integers(4, 12))
    columns = max(2, round(rows * picture.shape[1] / picture.shape[0]))
    _masonry(picture, rng, 1 + 0.025 * rng.standard_normal((rows + 1, columns + 2), dtype=np.float32), rows, columns, 0)


def _stones(picture, rng, _split):
    rows = int(rng.integers(5, 10))
    columns = max(2, round(rows * picture.shape[1] / picture.shape[0] / 1.4))
    tones = 1 + 0.2 * rng.standard_normal((rows + 1, columns + 2), dtype=np.float32)
    _masonry(picture, rng, tones, rows, columns, 0.37)
    _plaster(picture, rng, _split)


def _masonry(picture, rng, tones, rows, columns, shift):
    """Multiply by a tone a block, and darken or lighten the joints; odd rows are moved by `shift` of a block."""
    height, width = picture.shape[:2]
    y = np.arange(height, dtype=np.float32) * (rows / height)
    row = y.astype(np.int32)
    x = np.arange(width, dtype=np.float32)[None] * (columns / width) + (row % 2 * np.float32(shift))[:, None]
    column = x.astype(np.int32)
    gap = 0.07 * rng.uniform(0.6, 1.4)
    joint = ((y - row) < gap * rows / columns * width / height)[:, None] | ((x - column) < gap)
    tone = tones[row[:, None], column]
    tone[joint] = rng.choice((0.75, 0.85, 1.15))
    picture *= tone[..., None]


def _boards(picture, rng, _split):
    height, width = picture.shape[:2]
    count = int(rng.integers(5, 15))
    tones = 1 + 0.08 * rng.standard_normal(count + 1, dtype=np.float32)
    x = np.arange(width, dtype=np.float32) * (count / width)
    tone = tones[x.astype(np.int32)] * np.where(x % 1 < 0.06, 0.6, 1).astype(np.float32)
    grain = cv2.resize(rng.standard_normal((6, width // 2), dtype=np.float32), (width, height))
    picture *= tone[None, :, None] * (1 + 0.05 * grain[..., None])


def _dots(picture, rng, split):
    height, width = picture.shape[:2]
    step, radius = height / rng.integers(8, 18), rng.uniform(0.12, 0.3)
    ink = colour(split, rng, (0.2, 0.7), (0.3, 0.95))
    for row in range(int(height / step) + 1):
        for column in range(int(width / step) + 2):
            centre = int((column - row % 2 * 0.5) * step), int(row * step)
            cv2.circle(picture, centre, max(1, int(radius * step)), ink, -1, cv2.LINE_8)


def _concrete(picture, rng, _split):
    _plaster(picture, rng, _split)
    picture[:] = picture.mean(axis=2, keepdims=True) * 0.8 + picture * 0.2
    height, width = picture.shape[:2]
    for share in rng.uniform(0.1, 0.9, 2):
        cv2.line(picture, (int(share * width), 0), (int(share * width), height), (70, 70, 68), 1, cv2.LINE_8)


def _curtain(picture, rng, _split):
    height, width = picture.shape[:2]
    folds, lean = rng.uniform(6, 16), rng.uniform(0, 0.6)
    x = np.linspace(0, folds, width, dtype=np.float32)
    y = np.linspace(0, lean, height, dtype=np.float32)[:, None]
    wave = np.sin(2 * np.pi * x + y + 1.5 * np.sin(x * 1.7).astype(np.float32))
    picture *= (1 + rng.uniform(0.12, 0.28) * wave)[..., None]


def _checks(picture, rng, split):
    height, width = picture.shape[:2]
    period = width / rng.integers(5, 14)
    ink = np.array(colour(split, rng, (0.2, 0.7), (0.2, 0.8)), np.float32)
    across = ((np.arange(width) % period) < period / 2).astype(np.float32)
    down = ((np.arange(height) % period) < period / 2).astype(np.float32)
    share = (across[None] + down[:, None])[..., None] * rng.uniform(0.1, 0.35)
    picture += (ink - picture) * share


WALLS = {
    "train": (_plain, _plain, _plaster, _stripes, _bricks, _tiles, _boards),
    "validation": (_dots, _concrete),
    "test": (_curtain, _checks, _stones),
}
