"""Things in a room. Each function draws one into a (height, width, 3) uint8 RGB picture, at a random place and size."""

import cv2
import numpy as np

from .looks import colour, scaled


def _box(picture, rng, wide, high, highest=-0.1, lowest=1.0):
    """Return x0, y0, x1, y1 of a random rectangle.

    wide, high: least and greatest size, in the picture's short sides. highest, lowest: of its middle, in heights of it.
    """
    height, width = picture.shape[:2]
    short = min(height, width)
    w, h = round(rng.uniform(*wide) * short), round(rng.uniform(*high) * short)
    x, y = round(rng.uniform(-0.1, 0.9) * width), round(rng.uniform(highest, lowest) * height - h / 2)
    return x, y, x + max(4, w), y + max(4, h)


def _fill(picture, x0, y0, x1, y1, tone):
    cv2.rectangle(picture, (int(x0), int(y0)), (int(x1), int(y1)), tone, -1)


def _disc(picture, x, y, radius, tone):
    cv2.circle(picture, (int(x), int(y)), int(radius), tone, -1, cv2.LINE_AA)


def _quad(picture, tone, *corners):
    cv2.fillConvexPoly(picture, np.array(corners, np.int32), tone, cv2.LINE_AA)


def _shelf(picture, rng, split):
    x0, y0, x1, y1 = _box(picture, rng, (0.3, 0.7), (0.3, 0.9))
    wood = colour(split, rng, (0.1, 0.5), (0.25, 0.7))
    _fill(picture, x0, y0, x1, y1, scaled(wood, 0.5))
    rows = int(rng.integers(2, 5))
    step = (y1 - y0) / rows
    for row in range(rows):
        foot, x = y0 + (row + 1) * step, x0 + 3.0
        while x < x1 - 4:
            thick, tall = rng.uniform(0.05, 0.22) * step + 1, rng.uniform(0.5, 0.88) * step
            if rng.random() < 0.85:
                book = colour(split, rng, (0.1, 0.8), (0.15, 0.9))
                _fill(picture, x, foot - tall, x + thick, foot, book)
                _fill(picture, x, foot - tall * 0.8, x + thick, foot - tall * 0.7, scaled(book, 1.4))
            x += thick + 1
        _fill(picture, x0, foot - 2, x1, foot, wood)


def _window(picture, rng, split):
    x0, y0, x1, y1 = _box(picture, rng, (0.25, 0.6), (0.35, 0.8), 0.2, 0.6)
    _fill(picture, x0 - 4, y0 - 4, x1 + 4, y1 + 4, (225, 222, 215))
    sky, land = (rng.uniform(190, 250), rng.uniform(210, 250), 252), colour(split, rng, (0.2, 0.6), (0.3, 0.7))
    horizon = y0 + (y1 - y0) * rng.uniform(0.4, 0.8)
    _fill(picture, x0, y0, x1, horizon, sky)
    _fill(picture, x0, horizon, x1, y1, land)
    for _ in range(rng.integers(2, 6)):
        x, tall = rng.uniform(x0, x1), rng.uniform(0.05, 0.35) * (y1 - y0)
        _fill(picture, x, horizon - tall, min(x1, x + tall * 0.6), horizon, scaled(land, rng.uniform(0.5, 1.3)))
    bars = int(rng.integers(1, 4))
    for bar in range(1, bars):
        x = x0 + (x1 - x0) * bar / bars
        _fill(picture, x - 2, y0, x + 2, y1, (225, 222, 215))


def _picture(picture, rng, split):
    x0, y0, x1, y1 = _box(picture, rng, (0.12, 0.35), (0.12, 0.35), 0.1, 0.6)
    _fill(picture, x0, y0, x1, y1, colour(split, rng, (0.0, 0.5), (0.1, 0.9)))
    border = max(1, min(x1 - x0, y1 - y0) // 10)
    _fill(picture, x0 + border, y0 + border, x1 - border, y1 - border, colour(split, rng, (0.05, 0.4), (0.6, 0.95)))
    for _ in range(4):
        x, y = x0 + (x1 - x0) * rng.uniform(0.2, 0.8), y0 + (y1 - y0) * rng.uniform(0.2, 0.8)
        _disc(picture, x, y, border, colour(split, rng, (0.2, 0.8), (0.2, 0.9)))


def _lamp(picture, rng, split):
    x0, y0, x1, y1 = _box(picture, rng, (0.1, 0.2), (0.08, 0.16), 0.1, 0.6)
    middle, height = (x0 + x1) // 2, picture.shape[0]
    cv2.line(picture, (middle, y1), (middle, height), colour(split, rng, (0, 0.3), (0.2, 0.6)), 2, cv2.LINE_AA)
    spot = np.zeros(picture.shape[:2], np.uint8)
    cv2.circle(spot, (middle, (y0 + y1) // 2), x1 - x0, 90, -1)
    spot = cv2.blur(spot, ((x1 - x0) | 1,) * 2)
    picture[:] = cv2.add(picture, cv2.merge([cv2.convertScaleAbs(spot, alpha=share) for share in (1, 0.85, 0.6)]))
    cut = (x1 - x0) // 5
    _quad(picture, (255, 240, 205), (x0 + cut, y0), (x1 - cut, y0), (x1, y1), (x0, y1))


def _crate(picture, rng, split):
    x0, y0, x1, y1 = _box(picture, rng, (0.12, 0.4), (0.1, 0.35), 0.55, 1.05)
    tone, depth = colour(split, rng, (0.05, 0.7), (0.2, 0.85)), (x1 - x0) // 5
    _fill(picture, x0, y0, x1, y1, tone)
    _quad(picture, scaled(tone, 1.25), (x0, y0), (x0 + depth, y0 - depth), (x1 + depth, y0 - depth), (x1, y0))
    _quad(picture, scaled(tone, 0.65), (x1, y0), (x1 + depth, y0 - depth), (x1 + depth, y1 - depth), (x1, y1))


def _door(picture, rng, split):
    x0, y0, x1, y1 = _box(picture, rng, (0.28, 0.42), (0.85, 1.1), 0.5, 0.7)
    tone = colour(split, rng, (0.05, 0.5), (0.3, 0.9))
    _fill(picture, x0 - 4, y0 - 4, x1 + 4, y1 + 90, scaled(tone, 1.2))
    _fill(picture, x0, y0, x1, y1 + 90, tone)
    inset = (x1 - x0) // 6
    for share in (0.06, 0.52):
        top = y0 + (y1 - y0) * share
        cv2.rectangle(picture, (x0 + inset, int(top)), (x1 - inset, int(top + 0.38 * (y1 - y0))), scaled(tone, 0.75), 2)
    _disc(picture, x1 - inset // 2, (y0 + y1) // 2, max(2, inset // 4), (200, 190, 150))


def _monitor(picture, rng, split):
    x0, y0, x1, y1 = _box(picture, rng, (0.25, 0.5), (0.16, 0.3), 0.4, 0.8)
    _fill(picture, (x0 + x1) // 2 - 4, y1, (x0 + x1) // 2 + 4, y1 + (y1 - y0) // 3, (50, 50, 52))
    _fill(picture, x0 - 3, y0 - 3, x1 + 3, y1 + 3, (24, 24, 26))
    _fill(picture, x0, y0, x1, y1, colour(split, rng, (0.1, 0.7), (0.2, 0.95)))
    for _ in range(rng.integers(0, 9)):
        x, y = rng.uniform(x0, x1), rng.uniform(y0, y1)
        _fill(picture, x, y, min(x1, x + 0.3 * (x1 - x0)), y + 1, (235, 235, 240))


def _sofa(picture, rng, split):
    x0, y0, x1, y1 = _box(picture, rng, (0.5, 1.0), (0.25, 0.4), 0.75, 1.0)
    tone, round_off = colour(split, rng, (0.05, 0.6), (0.2, 0.8)), (y1 - y0) // 4
    _fill(picture, x0, y0, x1, y1 + 60, tone)
    for x in (x0, x1):
        _disc(picture, x, y0 + round_off * 2, round_off, scaled(tone, 0.85))
        _fill(picture, x - round_off, y0 + round_off * 2, x + round_off, y1 + 60, scaled(tone, 0.85))
    cushion = colour(split, rng, (0.2, 0.8), (0.3, 0.9))
    middle = (x0 + x1) // 2, (y0 + y1) // 2
    cv2.ellipse(picture, middle, (round_off * 2, round_off), 20, 0, 360, cushion, -1, cv2.LINE_AA)


def _whiteboard(picture, rng, split):
    x0, y0, x1, y1 = _box(picture, rng, (0.5, 0.9), (0.35, 0.6), 0.2, 0.5)
    _fill(picture, x0 - 3, y0 - 3, x1 + 3, y1 + 3, (150, 152, 156))
    _fill(picture, x0, y0, x1, y1, (236, 238, 240))
    for _ in range(rng.integers(3, 9)):
        walk = np.cumsum(rng.uniform(-0.05, 0.12, (12, 2)) * (x1 - x0) * (1, 0.3), axis=0)
        walk += (rng.uniform(x0, x1), rng.uniform(y0, y1))
        walk = np.clip(walk, (x0, y0), (x1, y1)).astype(np.int32)
        cv2.polylines(picture, [walk], False, colour(split, rng, (0.5, 0.9), (0.3, 0.7)), 1, cv2.LINE_AA)


def _wardrobe(picture, rng, split):
    x0, y0, x1, y1 = _box(picture, rng, (0.5, 0.8), (0.8, 1.1), 0.4, 0.7)
    tone, middle = colour(split, rng, (0.05, 0.5), (0.3, 0.85)), (x0 + x1) // 2
    _fill(picture, x0, y0, x1, y1, tone)
    _fill(picture, middle - 1, y0, middle + 1, y1, scaled(tone, 0.5))
    for x in (middle - 8, middle + 8):
        _fill(picture, x - 1, (y0 + y1) / 2 - 9, x + 1, (y0 + y1) / 2 + 9, (60, 58, 55))


def _poster(picture, rng, split):
    x0, y0, x1, y1 = _box(picture, rng, (0.2, 0.45), (0.3, 0.55), 0.2, 0.6)
    for band in range(8):
        top = y0 + (y1 - y0) * band / 8
        _fill(picture, x0, top, x1, top + (y1 - y0) / 8, colour(split, rng, (0.3, 0.8), (0.3, 0.95)))
    _disc(picture, (x0 + x1) // 2, (y0 + y1) // 2, (x1 - x0) // 4, (245, 240, 230))


def _plant(picture, rng, split):
    x0, y0, x1, y1 = _box(picture, rng, (0.15, 0.25), (0.12, 0.2), 0.7, 1.0)
    middle, reach = (x0 + x1) // 2, (y1 - y0) * rng.uniform(1.4, 2.6)
    green = colour(split, rng, (0.3, 0.7), (0.3, 0.6))
    for _ in range(rng.integers(12, 30)):
        angle, far = rng.normal(0, 0.7), rng.uniform(0.35, 1) * reach
        tip = int(middle + np.sin(angle) * far * 0.6), int(y0 - np.cos(angle) * far * 0.6)
        axes = max(2, int(0.07 * reach)), max(3, int(0.24 * reach))
        leaf = scaled(green, rng.uniform(0.6, 1.3))
        cv2.ellipse(picture, tip, axes, float(np.degrees(angle)), 0, 360, leaf, -1, cv2.LINE_AA)
    cut = (x1 - x0) // 6
    pot = colour(split, rng, (0.1, 0.6), (0.3, 0.8))
    _quad(picture, pot, (x0, y0), (x1, y0), (x1 - cut, y1), (x0 + cut, y1))


def _blinds(picture, rng, split):
    x0, y0, x1, y1 = _box(picture, rng, (0.3, 0.7), (0.35, 0.8), 0.2, 0.5)
    slat = max(3, (y1 - y0) // int(rng.integers(10, 22)))
    tone = colour(split, rng, (0.0, 0.25), (0.6, 0.9))
    _fill(picture, x0, y0, x1, y1, (250, 250, 245))
    for y in range(y0, y1, slat):
        _fill(picture, x0, y, x1, y + slat * 2 // 3, scaled(tone, 0.9))


def _clock(picture, rng, split):
    x0, y0, x1, _ = _box(picture, rng, (0.1, 0.2), (0.1, 0.2), 0.1, 0.5)
    radius = (x1 - x0) // 2
    centre = x0 + radius, y0 + radius
    _disc(picture, *centre, radius, colour(split, rng, (0.1, 0.7), (0.1, 0.6)))
    _disc(picture, *centre, radius * 0.85, (240, 238, 230))
    for length in (0.5, 0.75):
        angle = rng.uniform(0, 2 * np.pi)
        tip = int(centre[0] + np.sin(angle) * length * radius), int(centre[1] - np.cos(angle) * length * radius)
        cv2.line(picture, centre, tip, (30, 30, 30), 1, cv2.LINE_AA)


def _radiator(picture, rng, split):
    x0, y0, x1, y1 = _box(picture, rng, (0.3, 0.7), (0.2, 0.4), 0.6, 1.0)
    ribs = int(rng.integers(6, 16))
    tone = colour(split, rng, (0.0, 0.15), (0.7, 0.95))
    for rib in range(ribs):
        x = x0 + (x1 - x0) * rib / ribs
        _fill(picture, x, y0, x + (x1 - x0) / ribs * 0.75, y1, tone)
        _fill(picture, x + (x1 - x0) / ribs * 0.5, y0, x + (x1 - x0) / ribs * 0.75, y1, scaled(tone, 0.75))


KINDS = {
    "train": (_shelf, _window, _picture, _lamp, _crate, _door, _monitor, _sofa),
    "validation": (_whiteboard, _wardrobe, _poster),
    "test": (_plant, _blinds, _clock, _radiator),
}
