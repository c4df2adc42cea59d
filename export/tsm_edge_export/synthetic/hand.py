"""A hand as jointed, rounded bones, and its picture: a height field of tapered capsules with light on it.

Hand coordinates: the wrist is the origin, +y runs to the fingers, the thumb is at -x, +z faces the viewer. One unit is
the length from the wrist to the tip of the middle finger.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np

from .layers import premultiplied
from .looks import HandLook

LEFT, RIGHT, BOTTOM, TOP = -0.82, 0.62, -0.2, 1.12  # the edges of a hand's picture, in hand coordinates
CENTRE = 0.4  # of the palm, on the y axis: the point that a pose places

_KNUCKLES = np.array([(-0.165, 0.50), (-0.055, 0.535), (0.055, 0.515), (0.15, 0.455)], np.float32)
_LENGTHS = np.array([0.43, 0.475, 0.435, 0.34], np.float32)
_PHALANGES = (0.46, 0.30, 0.24)
_FLEXION = (1.45, 1.75, 1.0)  # radians of the three joints of a fully curled finger
_FAN = np.array([-1.0, -0.25, 0.4, 1.1], np.float32)  # how much the spread turns each finger
_GROUND = -0.16  # height where there is no hand


class Shape(NamedTuple):
    """What the fingers do. Curls run from 0 (straight) to 1 (in the palm); angles are radians, negative to the thumb.

    Shapes are blended number by number, and every blend of two is a hand as well.
    """

    curl: tuple[float, ...]  # index, middle, ring, little
    spread: float  # of the four fingers, fanned out
    lean: float  # of the index finger, in the plane of the palm
    bend: float  # of each joint of the index finger, in that plane
    thumb: float  # its direction at the root
    thumb_bend: float  # of its last joint, in the plane of the palm


SHAPES = {
    "open": Shape((0.02, 0.0, 0.02, 0.05), 0.20, 0.0, 0.0, -0.95, 0.10),
    "flat": Shape((0.02, 0.0, 0.02, 0.03), 0.03, 0.0, 0.0, -0.45, 0.15),
    "wide": Shape((0.0, 0.0, 0.0, 0.0), 0.33, 0.0, 0.0, -1.15, -0.05),
    "point": Shape((0.0, 0.9, 0.95, 0.97), 0.03, 0.0, 0.0, -0.15, 0.75),
    "two": Shape((0.0, 0.0, 0.93, 0.95), 0.06, 0.0, 0.0, -0.05, 0.9),
    "fist": Shape((0.93, 0.95, 0.95, 0.95), 0.02, 0.0, 0.0, -0.10, 0.9),
    "relaxed": Shape((0.30, 0.38, 0.44, 0.48), 0.06, 0.0, 0.0, -0.55, 0.30),
    "claw": Shape((0.45, 0.5, 0.52, 0.5), 0.22, 0.0, 0.0, -0.85, 0.4),
    "closed pinch": Shape((0.36, 0.9, 0.95, 0.97), 0.02, -0.24, -0.36, -0.62, 0.05),
    "open pinch": Shape((0.0, 0.9, 0.95, 0.97), 0.02, 0.16, 0.02, -1.30, -0.12),
}


def blend(first: str, second: str, share: float) -> Shape:
    """Return the shape between two of SHAPES; share 0 is the first, 1 the second."""
    a, b = ((*shape.curl, *shape[1:]) for shape in (SHAPES[first], SHAPES[second]))
    values = [x + (y - x) * share for x, y in zip(a, b, strict=True)]
    return Shape(tuple(values[:4]), *values[4:])


def bones(shape: Shape, look: HandLook, back: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the capsules of a hand, (n, 8) float32: x, y, z and radius of a bone's root, then of its tip.

    And (5, 3) float32: x, y, z of the tips of index, middle, ring, little finger and thumb.
    """
    facing = -1.0 if back else 1.0
    rows: list[tuple[float, ...]] = []
    tips = []
    for index, (x, y) in enumerate(_KNUCKLES * np.array([look.breadth, 1.0], np.float32)):
        rows.append((x * 0.62, 0.06, 0.0, 0.085, x, y - 0.02, 0.0, 0.072 * look.girth))
        angle = shape.spread * _FAN[index] + (shape.lean if index == 0 else 0.0)
        bend = shape.bend if index == 0 else 0.0
        tips.append(_finger(rows, (x, y, 0.0), angle, bend, shape.curl[index], _LENGTHS[index] * look.reach[index],
                            0.058 * look.girth * (0.88 if index == 3 else 1.0), facing))  # fmt: skip
    root = (-0.085 * look.breadth, 0.12, 0.03 * facing)
    joint = _step(root, shape.thumb, 0.24, 0.015 * facing)
    rows.append((*root, 0.095, *joint, 0.076 * look.girth))
    middle = _step(joint, shape.thumb + 0.25 * shape.thumb_bend, 0.17 * look.reach[4], 0.02 * facing)
    rows.append((*joint, 0.070 * look.girth, *middle, 0.057 * look.girth))
    end = _step(middle, shape.thumb + 1.25 * shape.thumb_bend, 0.13 * look.reach[4], 0.01 * facing)
    rows.append((*middle, 0.059 * look.girth, *end, 0.046 * look.girth))
    rows.append((0.0, -0.2, -0.01, 0.125 * look.breadth, 0.0, 0.10, 0.0, 0.12 * look.breadth))
    tips.append(end)
    return np.array(rows, np.float32), np.array(tips, np.float32)


def _step(start, angle, length, rise):
    return start[0] + math.sin(angle) * length, start[1] + math.cos(angle) * length, start[2] + rise


def _finger(rows, root, angle, bend, curl, length, radius, facing):
    """Append the three phalanges of a finger to `rows` and return its tip."""
    point, flexed = root, 0.0
    for part, (share, flexion) in enumerate(zip(_PHALANGES, _FLEXION, strict=True)):
        flexed += flexion * curl
        angle += bend
        flat, rise = math.cos(flexed) * length * share, math.sin(flexed) * length * share * facing
        end = (point[0] + math.sin(angle) * flat, point[1] + math.cos(angle) * flat, point[2] + rise * 0.6)
        rows.append((*point, radius * (1 - 0.09 * part), *end, radius * (0.93 - 0.1 * part)))
        point = end
    return point


def picture(
    shape: Shape, look: HandLook, back: bool, light: tuple[float, float, float], resolution: float
) -> np.ndarray:
    """Return the layer of a hand (see layers.py), with the edges LEFT, RIGHT, BOTTOM and TOP.

    `light` is the unit vector to the light in hand coordinates, `resolution` the number of pixels a unit.
    """
    width, height = round((RIGHT - LEFT) * resolution), round((TOP - BOTTOM) * resolution)
    capsules, tips = bones(shape, look, back)
    relief = np.full((height, width), _GROUND, np.float32)
    cover = np.zeros((height, width), np.float32)
    for capsule in capsules:
        _raise(relief, cover, capsule, resolution)
    np.minimum(cover, 1, out=cover)
    skin = _skin(capsules, tips, look, back, resolution, relief)
    return premultiplied(skin * _shade(relief, light, look, resolution), cover)


def _raise(relief, cover, capsule, resolution):
    """Draw one capsule into the height field and the coverage (0 to 1)."""
    ax, ay, az, ar, bx, by, bz, br = (float(v) for v in capsule)
    height, width = relief.shape
    reach = max(ar, br) + 1.5 / resolution
    left = max(0, int((min(ax, bx) - reach - LEFT) * resolution))
    right = min(width, math.ceil((max(ax, bx) + reach - LEFT) * resolution))
    top = max(0, int((TOP - max(ay, by) - reach) * resolution))
    bottom = min(height, math.ceil((TOP - min(ay, by) + reach) * resolution))
    if left >= right or top >= bottom:
        return
    x = (np.arange(left, right, dtype=np.float32) + 0.5) / resolution + (LEFT - ax)
    y = ((TOP - ay) - (np.arange(top, bottom, dtype=np.float32) + 0.5) / resolution)[:, None]
    dx, dy = bx - ax, by - ay
    square = dx * dx + dy * dy + 1e-6
    along = x * (dx / square) + y * (dy / square)
    np.clip(along, 0, 1, out=along)
    radius = along * (br - ar)
    radius += ar
    inside = radius * radius
    inside -= np.square(x - along * dx)
    inside -= np.square(y - along * dy)
    # Near the edge, inside / (2 radius) is the distance to it, so the coverage needs no square root.
    edge = inside / radius
    edge *= 0.5 * resolution
    edge += 0.5
    window = slice(top, bottom), slice(left, right)
    np.maximum(cover[window], edge, out=cover[window])
    outside = inside < 0
    rise = np.sqrt(np.maximum(inside, 0, out=inside), out=inside)
    along *= bz - az
    rise += along
    rise += az
    rise[outside] = _GROUND
    np.maximum(relief[window], rise, out=relief[window])


def _skin(capsules, tips, look, back, resolution, relief):
    """Return the colour without light: (height, width, 3) float32, 0 to 255."""
    albedo = np.empty((*relief.shape, 3), np.float32)
    albedo[:] = look.back if back else look.palm
    marks = np.zeros(relief.shape, np.uint8)
    for number in range(4):
        for joint in (1, 2):
            _crease(marks, capsules[number * 4 + 1 + joint], resolution)
    if not back:
        for curve in (((-0.17, 0.36), (-0.06, 0.27), (-0.03, 0.10)), ((-0.17, 0.37), (-0.02, 0.34), (0.12, 0.24)),
                      ((-0.08, 0.47), (0.02, 0.40), (0.16, 0.36))):  # fmt: skip
            _line(marks, curve, 150, resolution)
    marks = cv2.GaussianBlur(marks, (3, 3), 0)
    albedo *= 1 - marks[..., None].astype(np.float32) * (look.creases / 255)
    if not look.glove:
        warm = np.zeros(relief.shape, np.uint8)
        for tip in tips:
            if _is_visible(tip, relief, resolution):
                cv2.circle(warm, _pixel(tip, resolution), int(0.075 * resolution), (255,), -1)
        warm = cv2.blur(warm, (int(0.1 * resolution) | 1,) * 2)[..., None].astype(np.float32) / 255
        albedo *= 1 + warm * np.array((0.04, -0.07, -0.06), np.float32)
        if back:
            _nails(albedo, capsules, tips, look, resolution, relief)
    return albedo


def _is_visible(tip, relief, resolution):
    """Return whether nothing lies before a finger tip."""
    column, row = _pixel(tip, resolution)
    return 0 <= row < relief.shape[0] and 0 <= column < relief.shape[1] and relief[row, column] < tip[2] + 0.08


def _nails(albedo, capsules, tips, look, resolution, relief):
    lasts = [capsules[number * 4 + 3] for number in range(4)] + [capsules[-2]]
    for bone, tip in zip(lasts, tips, strict=True):
        length = math.hypot(bone[4] - bone[0], bone[5] - bone[1])
        if length < 0.04 or not _is_visible(tip, relief, resolution):
            continue
        angle = math.degrees(math.atan2(bone[4] - bone[0], bone[5] - bone[1]))
        axes = max(1, round(0.030 * resolution)), max(1, round(0.040 * resolution))
        cv2.ellipse(albedo, _pixel(tip, resolution), axes, angle, 0, 360, look.nail, -1, cv2.LINE_8)


def _crease(marks, bone, resolution):
    ax, ay, radius, bx, by = bone[0], bone[1], bone[3], bone[4], bone[5]
    length = math.hypot(bx - ax, by - ay)
    if length < 0.05:  # seen from its end
        return
    nx, ny = -(by - ay) / length * radius * 0.8, (bx - ax) / length * radius * 0.8
    _line(marks, ((ax - nx, ay - ny), (ax + nx, ay + ny)), 170, resolution)


def _line(marks, points, tone, resolution):
    pixels = np.array([_pixel(point, resolution) for point in points], np.int32)
    cv2.polylines(marks, [pixels], False, (tone,), 1, cv2.LINE_AA)


def _pixel(point, resolution):
    """Return the column and row of a point (x, y, …) in hand coordinates."""
    return int(np.float32((point[0] - LEFT) * resolution)), int(np.float32((TOP - point[1]) * resolution))


def _shade(relief, light, look, resolution):
    """Return the light on each pixel and channel: (height, width, 3) float32, about 0.3 to 1.3."""
    smooth = cv2.GaussianBlur(relief, (0, 0), max(0.8, 0.014 * resolution))
    slope = resolution * 0.5
    nx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1) * -slope
    ny = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1) * slope
    lit = (nx * light[0] + ny * light[1] + light[2]) / np.sqrt(nx * nx + ny * ny + 1)
    sunk = cv2.blur(relief, (int(0.14 * resolution) | 1,) * 2) - relief  # between fingers, under curled ones
    shade = look.ambient + look.diffuse * np.maximum(lit, 0) - np.clip(sunk * 1.8, 0, 0.3)
    shade = np.maximum(shade, 0.12)
    if look.glove:
        return np.repeat(shade[..., None], 3, axis=2)
    return cv2.merge([0.86 * shade + 0.14, shade, 1.1 * shade - 0.1])  # light inside skin comes out red
