"""Pictures of faces, and of heads that have no features: a height field of a head with light on it, and what is on it.

Face coordinates: the origin is the middle of the face, x to the right, y down; one unit is the height of the face.
"""

import math
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..synthetic.layers import premultiplied
from ..synthetic.looks import Colour, HandLook, colour, scaled
from .objects import Part, Thing, cut_out, shrunk

_FACE = -0.46, 0.46, -0.52, 0.52  # left, right, top and bottom edge of the picture of a face
_BUST = -1.15, 1.15, -0.85, 1.35  # of the picture of hair and shoulders
_CHEST = 0.8  # how much further down the chest goes on
_UNITS = 0.88  # about sqrt(width * height) of a face
_OVERSAMPLED = 2  # pixels of a face that are drawn for each pixel of the layer, in each direction
_LEAST_RESOLUTION = 90.0  # pixels a unit of a face, as drawn
KINDS = ("face", "doll", "back of a head")  # a doll has no features
_HAIR = ((38, 28, 22), (62, 42, 28), (96, 66, 40), (150, 112, 66), (196, 164, 108), (128, 62, 34), (150, 150, 150))


class _Head(NamedTuple):
    """What a head looks like. Lengths are in units."""

    skin: Colour
    hair: Colour
    half: float  # of the width
    jaw: float  # how much the face narrows to the chin
    turn: float  # to the side: -1 to 1
    nod: float  # down: -1 to 1
    eyes: float  # half the distance of the eyes
    look: HandLook


class _Canvas:
    """A picture in face coordinates, drawn into with OpenCV. pixels: (height, width, channels). edges: its corner."""

    def __init__(self, pixels: np.ndarray, resolution: float, edges: tuple[float, ...] = _FACE) -> None:
        self.pixels, self.resolution, self.left, self.top = pixels, resolution, edges[0], edges[2]

    def length(self, value: float) -> int:
        return max(1, round(value * self.resolution))

    def at(self, x: float, y: float) -> tuple[int, int]:
        """Return a place in sixteenths of a pixel."""
        return round((x - self.left) * self.resolution * 16), round((y - self.top) * self.resolution * 16)

    def ellipse(self, x: float, y: float, axes: tuple[float, float], tone: Any, angle: float = 0.0,
                start: float = 0.0, end: float = 360.0, thick: int = -1) -> None:  # fmt: skip
        size = tuple(max(8, round(axis * self.resolution * 16)) for axis in axes)
        cv2.ellipse(self.pixels, self.at(x, y), size, angle, start, end, tone, thick, cv2.LINE_AA, 4)

    def line(self, points: Any, tone: Any, thick: float) -> None:
        places = np.array([self.at(*point) for point in points], np.int32)
        cv2.polylines(self.pixels, [places], False, tone, self.length(thick), cv2.LINE_AA, 4)

    def polygon(self, points: Any, tone: Any) -> None:
        cv2.fillPoly(self.pixels, [np.array([self.at(*point) for point in points], np.int32)], tone, cv2.LINE_AA, 4)


def head(
    rng: np.random.Generator, split: str, look: HandLook, light: np.ndarray, size: float, kind: str = "face"
) -> Thing:
    """Return the picture of a face, with hair and shoulders behind it, which are not in its box.

    Args:
        rng: draws the person.
        split: of the colours.
        look: of the skin.
        light: (3,), the unit vector to the light.
        size: about the square root of the area of the face's box, in pixels.
        kind: one of KINDS.
    """
    wanted = size / _UNITS
    resolution = max(_LEAST_RESOLUTION, wanted * _OVERSAMPLED)
    tone = np.array(look.back) * rng.uniform(0.94, 1.06)
    hair = _HAIR[rng.integers(len(_HAIR))] if rng.random() < 0.85 else colour(split, rng, (0.3, 0.8), (0.3, 0.8))
    person = _Head(
        tuple(float(min(255, v)) for v in tone), scaled(hair, rng.uniform(0.7, 1.2)), rng.uniform(0.36, 0.42),
        rng.uniform(0.1, 0.34), rng.normal(0, 0.4), rng.normal(0, 0.3), rng.uniform(0.15, 0.18), look,
    )  # fmt: skip
    face = shrunk(_face(rng, person, light, resolution, kind), wanted / resolution)
    behind = _behind(rng, split, person, light, wanted, kind)
    shift = (_BUST[0] - _FACE[0]) * wanted, (_BUST[2] - _FACE[2]) * wanted
    return cut_out(face, (Part(behind, np.array(((1.0, 0, shift[0]), (0, 1.0, shift[1])))),))


def _place(person: _Head, x: float, y: float) -> tuple[float, float]:
    """Return where a point of the face is seen when the head is turned and nods."""
    turn, nod = 0.13 * person.turn, 0.08 * person.nod
    depth = math.sqrt(max(0.0, 1 - (x / 0.45) ** 2 - (y / 0.6) ** 2))
    return x * (1 - 0.25 * abs(turn)) + turn * depth, y + nod * depth


def _face(rng, person, light, resolution, kind):
    """Return the layer of the face alone, with the edges _FACE."""
    left, right, top, bottom = _FACE
    width, height = round((right - left) * resolution), round((bottom - top) * resolution)
    x = ((np.arange(width, dtype=np.float32) + 0.5) / resolution + left)[None]
    y = ((np.arange(height, dtype=np.float32) + 0.5) / resolution + top)[:, None]
    half = person.half * (1 - person.jaw * np.maximum(0, 2 * y) ** 1.6)
    inside = 1 - np.abs(x / half) ** 2.2 - np.abs(2 * y) ** 2.2
    cover = np.clip(inside * (0.2 * resolution) + 0.5, 0, 1).astype(np.float32)
    relief = 0.36 * np.sqrt(np.maximum(inside, 0))
    canvas = _Canvas(np.empty((height, width, 3), np.float32), resolution)
    if kind == "back of a head":
        streaks = cv2.blur(rng.standard_normal((1, width), dtype=np.float32), (5, 1))[..., None]
        canvas.pixels[:] = np.array(person.hair, np.float32) * (1 + 0.3 * streaks)
    else:
        canvas.pixels[:] = person.skin
    if kind == "face":
        relief = relief + _bumps(person, x, y)
        _cheeks(canvas, person)
        _features(canvas, rng, person)
    if rng.random() < 0.85:
        _fringe(canvas, rng, person)
    return premultiplied(canvas.pixels * _light(relief.astype(np.float32), light, person.look, resolution), cover)


def _bumps(person, x, y):
    """Return what the features add to the height of a head: sockets, nose, cheeks and chin."""

    def bump(at, wide, tall, strength):
        middle_x, middle_y = _place(person, *at)
        return strength * np.exp(-(((x - middle_x) / wide) ** 2) - ((y - middle_y) / tall) ** 2)

    eyes = person.eyes
    total = bump((0, 0.02), 0.035, 0.13, 0.035) + bump((0, 0.12), 0.06, 0.05, 0.06) + bump((0, 0.42), 0.1, 0.07, 0.03)
    for side in (-1, 1):
        total = total + bump((side * eyes, -0.06), 0.085, 0.055, -0.045) + bump((side * 0.2, 0.13), 0.11, 0.1, 0.02)
    return total


def _light(relief, light, look, resolution):
    """Return the light on each pixel, (height, width, 1) float32, about 0.3 to 1.3."""
    smooth = cv2.GaussianBlur(relief, (0, 0), max(0.8, 0.01 * resolution))
    slope = resolution * 0.5
    nx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1) * -slope
    ny = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1) * slope
    lit = (nx * light[0] + ny * light[1] + light[2]) / np.sqrt(nx * nx + ny * ny + 1)
    return np.maximum(look.ambient + 0.1 + look.diffuse * np.maximum(lit, 0), 0.2)[..., None]


def _cheeks(canvas, person):
    glow = np.zeros(canvas.pixels.shape[:2], np.float32)
    soft = _Canvas(glow, canvas.resolution)
    for side in (-1, 1):
        soft.ellipse(*_place(person, side * 0.22, 0.14), (0.09, 0.07), 1.0)
    soft.ellipse(*_place(person, 0, 0.1), (0.05, 0.06), 0.8)
    glow = cv2.blur(glow, (canvas.length(0.12) | 1,) * 2)[..., None]
    canvas.pixels *= 1 + glow * np.array((0.04, -0.1, -0.09), np.float32)


def _features(canvas, rng, person):
    skin, hair = person.skin, person.hair
    brows, lips = scaled(hair, 0.75), tuple(np.array(skin) * (0.86, 0.55, 0.55))
    eye = ((70, 48, 32), (46, 36, 30), (74, 96, 130), (80, 100, 70))[rng.integers(4)]
    open_share, lift, smile = rng.uniform(0.25, 1.0), rng.uniform(-0.02, 0.02), rng.uniform(-0.03, 0.06)
    gaze = rng.uniform(-0.018, 0.018)
    for side in (-1, 1):
        x, y = _place(person, side * person.eyes, -0.07)
        canvas.ellipse(x, y, (0.078, 0.03 + 0.012 * open_share), scaled(skin, 0.66))
        canvas.ellipse(x, y, (0.062, 0.016 + 0.016 * open_share), (236, 232, 226))
        canvas.ellipse(x + gaze, y, (0.029, 0.029), eye)
        canvas.ellipse(x + gaze, y, (0.014, 0.014), (12, 10, 10))
        canvas.ellipse(x, y, (0.07, 0.036), scaled(skin, 0.4), start=190, end=350, thick=canvas.length(0.016))
        inner, outer = _place(person, side * (person.eyes - 0.08), -0.155), _place(person, side * 0.27, -0.15 + lift)
        middle = _place(person, side * (person.eyes + 0.01), -0.185)
        canvas.line((inner, middle, outer), brows, rng.uniform(0.02, 0.04))
        canvas.ellipse(*_place(person, side * 0.035, 0.165), (0.016, 0.011), scaled(skin, 0.42))
    canvas.line([_place(person, *p) for p in ((-0.06, 0.15), (-0.03, 0.178), (0.03, 0.178), (0.06, 0.15))],
                scaled(skin, 0.66), 0.012)  # fmt: skip
    wide = rng.uniform(0.1, 0.15)
    points = [_place(person, x, 0.29 - smile * (abs(x) / wide) ** 2) for x in np.linspace(-wide, wide, 7)]
    if rng.random() < 0.3:  # an open mouth
        canvas.ellipse(*_place(person, 0, 0.3), (wide * 0.9, rng.uniform(0.03, 0.06)), lips)
        canvas.ellipse(*_place(person, 0, 0.3), (wide * 0.7, 0.025), (70, 26, 26))
        canvas.ellipse(*_place(person, 0, 0.287), (wide * 0.55, 0.011), (225, 220, 212))
    else:
        canvas.line([(x, y + 0.014) for x, y in points], lips, 0.045)
        canvas.line(points, scaled(skin, 0.36), 0.013)
    if rng.random() < 0.22:
        _beard(canvas, rng, person)
    if rng.random() < 0.22:
        frame = (30, 28, 30) if rng.random() < 0.6 else (150, 120, 60)
        for side in (-1, 1):
            canvas.ellipse(
                *_place(person, side * person.eyes, -0.06), (0.115, 0.085), frame, thick=canvas.length(0.014)
            )
        canvas.line((_place(person, -0.05, -0.07), _place(person, 0.05, -0.07)), frame, 0.014)


def _beard(canvas, rng, person):
    mask = np.zeros(canvas.pixels.shape[:2], np.float32)
    drawn = _Canvas(mask, canvas.resolution)
    drawn.ellipse(*_place(person, 0, 0.3), (0.34, 0.3), 1.0)
    drawn.ellipse(*_place(person, 0, 0.08), (0.36, 0.16), 0.0)
    drawn.ellipse(*_place(person, 0, 0.3), (0.11, 0.035), 0.0)
    mask = cv2.blur(mask, (canvas.length(0.05) | 1,) * 2)[..., None] * np.float32(rng.uniform(0.4, 0.9))
    canvas.pixels += (np.array(scaled(person.hair, 0.8), np.float32) - canvas.pixels) * mask


def _fringe(canvas, rng, person):
    """Draw the hair over the forehead, cut by the outline of the face."""
    middle, low = rng.uniform(-0.2, 0.2), rng.uniform(-0.42, -0.24)
    points = [(-0.6, -0.7), (0.6, -0.7), (0.6, rng.uniform(-0.3, 0.05)), (0.36, low + 0.06)]
    points += [(middle + 0.12, low - rng.uniform(0, 0.06)), (middle, low - rng.uniform(0, 0.1))]
    points += [(middle - 0.12, low - rng.uniform(0, 0.06)), (-0.36, low + 0.06), (-0.6, rng.uniform(-0.3, 0.05))]
    canvas.polygon(points, person.hair)


def _behind(rng, split, person, light, resolution, kind):
    """Return the layer of hair, ears, neck and shoulders, with the edges _BUST."""
    left, right, top, bottom = _BUST
    width, height = max(2, round((right - left) * resolution)), max(2, round((bottom - top) * resolution))
    colours = _Canvas(np.zeros((height, width, 3), np.uint8), resolution, _BUST)
    cover = _Canvas(np.zeros((height, width), np.uint8), resolution, _BUST)
    shirt = colour(split, rng, (0.0, 0.7), (0.15, 0.9))
    neck, broad, collar = rng.uniform(0.19, 0.25), rng.uniform(0.7, 1.0), rng.uniform(0.68, 0.78)
    long_hair, bald = rng.random() < 0.35, kind != "back of a head" and rng.random() < 0.12

    def both(draw, *shape, tone):
        getattr(colours, draw)(*shape, tone)
        getattr(cover, draw)(*shape, 255)

    if long_hair:
        both("ellipse", 0.0, 0.12, (0.56, rng.uniform(0.65, 0.85)), tone=scaled(person.hair, 0.85))
    if rng.random() < 0.8:  # else the head alone
        torso = [(-neck, collar - 0.02), (neck, collar - 0.02), (broad, collar + 0.2), (broad + 0.1, 1.5)]
        torso += [(-broad - 0.1, 1.5), (-broad, collar + 0.2)]
        both("polygon", torso, tone=shirt)
        both("ellipse", 0.0, collar, (neck, 0.1), tone=scaled(person.skin, 0.8))
    both("polygon", [(-neck, 0.2), (neck, 0.2), (neck, collar), (-neck, collar)], tone=scaled(person.skin, 0.72))
    if not bald:
        both("ellipse", 0.0, -0.12, (person.half + 0.09, rng.uniform(0.42, 0.5)), tone=person.hair)
    for side in (-1, 1):
        if side * person.turn < 0.45:
            both("ellipse", side * (person.half - 0.01), 0.02, (0.055, 0.1), tone=scaled(person.skin, 0.85))
    slope = np.linspace(1 - 0.25 * light[0], 1 + 0.25 * light[0], width, dtype=np.float32)[None, :, None]
    layer = premultiplied(colours.pixels * slope, cover.pixels.astype(np.float32) / 255)
    return cv2.copyMakeBorder(layer, 0, round(_CHEST * resolution), 0, 0, cv2.BORDER_REPLICATE)
