"""Pictures with transparency that move over the background: forearms, a seated person, passers-by.

A layer is premultiplied RGBA, (height, width, 4) uint8. Its place in a frame is a (2, 3) float64 matrix from its pixels
to the frame's; several matrices are the moments of one exposure.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from .looks import HandLook, colour, scaled

FOREARM_LENGTH, FOREARM_WIDTH = 160, 56  # pixels of a forearm's layer


class Mover(NamedTuple):
    """A layer that moves behind the hands. Lengths are in short sides of the frame."""

    layer: np.ndarray
    place: tuple[float, float]  # x, y from the frame's centre
    sway: tuple[float, float, float]  # reach, rate in Hz, phase
    speed: float  # a second, to the right


def paste(frame: np.ndarray, layer: np.ndarray, moments: Sequence[np.ndarray], shadow: float = 0.0) -> None:
    """Draw a layer into a frame, averaged over the moments of the exposure.

    frame: (height, width, 4) uint8, changed in place; the fourth channel means nothing, but OpenCV is faster with four.
    moments: matrices from the layer to the frame. shadow: how dark a soft shadow the layer casts, 0 to 1.
    """
    height, width = layer.shape[:2]
    corners = np.array(((0, 0, 1), (width, 0, 1), (0, height, 1), (width, height, 1)), float)
    spots = np.concatenate([corners @ moment.T for moment in moments])
    margin = 2 + (round(0.06 * min(frame.shape[:2])) if shadow else 0)
    left, top = np.maximum(np.floor(spots.min(axis=0)).astype(int) - margin, 0)
    right, bottom = np.minimum(np.ceil(spots.max(axis=0)).astype(int) + margin, frame.shape[1::-1])
    if left >= right or top >= bottom:
        return
    size = int(right - left), int(bottom - top)
    total = np.zeros((size[1], size[0], 4), np.float32)
    for moment in moments:
        moved = moment.copy()
        moved[:, 2] -= left, top
        drawn = cv2.warpAffine(layer, moved, size, flags=cv2.INTER_LINEAR)
        if len(moments) > 1:
            cv2.accumulate(drawn, total)
    if len(moments) > 1:
        drawn = cv2.convertScaleAbs(total, alpha=1 / len(moments))
    cover = cv2.extractChannel(drawn, 3)
    behind = cv2.bitwise_not(cover)
    if shadow:
        behind = cv2.multiply(behind, _shadow(cover, shadow, margin), scale=1 / 255)
    window = frame[top:bottom, left:right]
    frame[top:bottom, left:right] = cv2.add(cv2.multiply(window, cv2.merge([behind] * 4), scale=1 / 255), drawn)


def _shadow(cover: np.ndarray, strength: float, reach: int) -> np.ndarray:
    """Return the shadow of a cover: 255 where none falls. It is blurred at a quarter of the size."""
    height, width = cover.shape
    small = cv2.resize(cv2.convertScaleAbs(cover, alpha=strength), (max(1, width // 4), max(1, height // 4)))
    small = cv2.blur(small, (max(3, reach // 3) | 1,) * 2)
    shift = max(1, reach // 8)
    moved = np.zeros_like(small)
    moved[shift:, shift:] = small[:-shift, :-shift]
    return cv2.subtract(np.full((height, width), 255, np.uint8), cv2.resize(moved, (width, height)))


def premultiplied(rgb: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Return the layer of a picture (height, width, 3), 0 to 255, and its cover (height, width), 0 to 1."""
    layer = np.empty((*cover.shape, 4), np.uint8)
    layer[..., :3] = np.clip(rgb, 0, 255) * cover[..., None]
    layer[..., 3] = cover * 255
    return layer


def placed(at: tuple[float, float], scale: float, angle: float, anchor: tuple[float, float]) -> np.ndarray:
    """Return the matrix that puts the layer's pixel `anchor` at the frame's pixel `at`, scaled and turned."""
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    (x, y), (ax, ay) = at, anchor
    return np.array(((cos, -sin, x - cos * ax + sin * ay), (sin, cos, y - sin * ax - cos * ay)), np.float64)


def forearm(look: HandLook, light: np.ndarray) -> np.ndarray:
    """Return the layer of a forearm with its sleeve: the wrist at the top, the elbow at the bottom."""
    length, width = FOREARM_LENGTH, FOREARM_WIDTH
    along = np.linspace(0, 1, length, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, width, dtype=np.float32)[None]
    bare = along < look.sleeve_from
    half = np.where(bare, 0.62 + 0.25 * along, 0.82 + 0.16 * along + 0.02 * np.sin(along * 37))
    place = across / half
    cover = np.clip((1 - np.abs(place)) * half * width / 2 + 0.5, 0, 1)
    depth = np.sqrt(np.maximum(1 - place * place, 0))
    shade = look.ambient + look.diffuse * np.maximum(place * light[0] + depth * light[2], 0)
    folds = 0.07 * np.sin(along * 31 + 2.2 * place) + 0.05 * np.sin(along * 67 - 3 * place)
    shade = shade * np.where(bare, 1, 1 + folds) * np.where(np.abs(along - look.sleeve_from) < 0.012, 0.75, 1)
    skin = look.sleeve if look.glove else look.back
    tone = np.where(bare[..., None], np.array(skin, np.float32), np.array(look.sleeve, np.float32))
    return premultiplied(tone * shade[..., None], cover)


def person(rng: np.random.Generator, split: str, look: HandLook, height: int) -> np.ndarray:
    """Return the layer of a seated person, head to chest, out of focus: (height, 1.1 height, 4)."""
    width = round(1.1 * height)
    rgb, cover = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    middle, skin = width // 2, look.palm if look.glove else look.back

    def ellipse(y: int, axes: Any, tone: Any, x: int = middle, start: int = 0, end: int = 360) -> None:
        cv2.ellipse(rgb, (x, y), axes, 0, start, end, tone, -1)

    def outline(y: int, axes: Any, tone: Any) -> None:
        """Draw an ellipse that belongs to the person's outline."""
        ellipse(y, axes, tone)
        cv2.ellipse(cover, (middle, y), axes, 0, 0, 360, 255, -1)

    if look.glove:
        skin = tuple(np.array((205, 160, 130)) * rng.uniform(0.4, 1.1))
    shirt, hair = colour(split, rng, (0.0, 0.7), (0.15, 0.85)), colour(split, rng, (0.1, 0.5), (0.08, 0.5))
    wide, tall = round(height * rng.uniform(0.15, 0.18)), round(height * rng.uniform(0.2, 0.23))  # half the head
    head, shoulders = round(height * 0.3), round(height * rng.uniform(0.56, 0.62))
    broad = round(width * rng.uniform(0.36, 0.44))
    if rng.random() < 0.4:  # long hair, behind the neck
        outline(head + tall // 3, (int(wide * 1.25), int(tall * rng.uniform(1.3, 1.9))), hair)
    neck = wide // 2
    for canvas, tone in ((rgb, scaled(skin, 0.8)), (cover, (255,))):
        cv2.rectangle(canvas, (middle - neck, head), (middle + neck, shoulders + 4), tone, -1)
    torso = np.array(
        ((middle - neck, shoulders - height // 20), (middle + neck, shoulders - height // 20),
         (middle + broad, shoulders + height // 12), (middle + broad + height // 20, height),
         (middle - broad - height // 20, height), (middle - broad, shoulders + height // 12)), np.int32
    )  # fmt: skip
    for canvas, tone in ((rgb, shirt), (cover, (255,))):
        cv2.fillPoly(canvas, [torso], tone, cv2.LINE_AA)
    ellipse(shoulders - height // 20, (neck, height // 16), scaled(skin, 0.85), end=180)
    outline(head - tall // 8, (int(wide * 1.1), int(tall * 1.05)), hair)
    outline(head + tall // 8, (wide, tall), skin)
    ellipse(head - tall // 4, (wide, int(tall * rng.uniform(0.1, 0.6))), hair, start=180)  # the fringe
    for side in (-1, 1):
        x, y = middle + side * wide // 2, head + tall // 12
        ellipse(y, (wide // 5, tall // 14), (60, 45, 40), x)
        cv2.line(rgb, (x - wide // 4, y - tall // 5), (x + wide // 4, y - tall // 5), hair, 2)
    ellipse(head + tall // 3, (wide // 8, tall // 5), scaled(skin, 0.87))
    ellipse(head + tall * 3 // 4, (wide // 3, tall // 14), scaled(skin, 0.6))
    ends = (1.08, 0.7) if rng.random() < 0.5 else (0.7, 1.08)
    shade = np.linspace(*ends, width, dtype=np.float32)
    blur = height * rng.uniform(0.008, 0.022)
    soft = cv2.GaussianBlur(rgb, (0, 0), blur).astype(np.float32) * shade[None, :, None]
    whole = cv2.GaussianBlur(cover, (0, 0), blur).astype(np.float32) / 255
    # What is blurred with black is already premultiplied.
    return np.dstack([np.minimum(soft, 255 * whole[..., None]), whole * 255]).astype(np.uint8)


def passer_by(rng: np.random.Generator, split: str, height: int) -> np.ndarray:
    """Return the layer of a blurred thing that may cross the background: a walker, a ball, a cushion, a pet."""
    tall = round(height * rng.uniform(0.15, 0.7))
    width = max(8, round(tall * rng.uniform(0.3, 1.1)))
    pad = tall // 5 + 2
    cover = np.zeros((tall + 2 * pad, width + 2 * pad), np.uint8)
    middle = pad + width // 2
    if rng.random() < 0.5:
        cv2.ellipse(cover, (middle, pad + tall // 2), (width // 2, tall // 2), 0, 0, 360, 255, -1)
    else:
        cv2.ellipse(cover, (middle, pad + tall * 2 // 3), (width // 2, tall // 3), 0, 0, 360, 255, -1)
        cv2.circle(cover, (middle, pad + tall // 5), max(2, tall // 6), 255, -1)
    soft = cv2.GaussianBlur(cover, (0, 0), max(0.8, tall * rng.uniform(0.02, 0.06))).astype(np.float32) / 255
    tone = np.array(colour(split, rng, (0.0, 0.7), (0.1, 0.9)), np.float32)
    shade = np.linspace(1.15, 0.7, soft.shape[0], dtype=np.float32)[:, None, None]
    return premultiplied(tone * shade, soft)
