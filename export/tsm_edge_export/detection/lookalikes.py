"""Pictures of things that look like a hand or a face and have no box."""

import math
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from ..synthetic.layers import placed, premultiplied
from ..synthetic.looks import HandLook, colour
from .objects import LABELS, Part, Thing, cut_out, hand, person_look, shrunk
from .objects_face import head

_RESOLUTION = 100.0  # pixels of a thing of size 1, as drawn: it is shrunk or magnified by at most 1.3
_SIDE = 170  # pixels of the square that a thing is drawn into
_MIDDLE = _SIDE / 2


class _Draft:
    """A thing while it is drawn: its colours and its cover. Lengths are in sizes of the thing, from its middle."""

    def __init__(self) -> None:
        self.colours, self.cover = np.zeros((_SIDE, _SIDE, 3), np.float32), np.zeros((_SIDE, _SIDE), np.float32)

    def _at(self, x: float, y: float) -> tuple[int, int]:
        return round((_MIDDLE + x * _RESOLUTION) * 16), round((_MIDDLE + y * _RESOLUTION) * 16)

    def ellipse(self, x: float, y: float, axes: tuple[float, float], tone: tuple[float, ...], angle: float = 0) -> None:
        size = tuple(max(8, round(axis * _RESOLUTION * 16)) for axis in axes)
        for canvas, ink in ((self.colours, tone), (self.cover, (1.0,))):
            cv2.ellipse(canvas, self._at(x, y), size, angle, 0, 360, ink, -1, cv2.LINE_AA, 4)

    def line(self, start: tuple[float, float], end: tuple[float, float], tone: tuple[float, ...], thick: float) -> None:
        for canvas, ink in ((self.colours, tone), (self.cover, (1.0,))):
            pixels = max(1, round(thick * _RESOLUTION))
            cv2.line(canvas, self._at(*start), self._at(*end), ink, pixels, cv2.LINE_AA, 4)

    def thing(self, size: float, light: np.ndarray | None, depth: float = 0.25) -> Thing:
        """Return the Thing. light: to the light, None for a flat thing. depth: how far its middle stands out."""
        cover = np.clip(self.cover, 0, 1)
        colours = self.colours
        if light is not None:
            spread = 0.16 * _RESOLUTION
            small = cv2.resize(cover, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
            relief = cv2.resize(
                cv2.GaussianBlur(small, (0, 0), spread / 4), (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC
            )
            slope = depth * 2 * spread
            nx = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=1) * -slope
            ny = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=1) * slope
            lit = (nx * light[0] + ny * light[1] + light[2]) / np.sqrt(nx * nx + ny * ny + 1)
            colours = colours * (0.5 + 0.6 * np.maximum(lit, 0))[..., None]
        layer = premultiplied(colours, cover)
        thing = cut_out(layer)
        factor = size / thing.extent
        return cut_out(shrunk(thing.layer, factor)) if factor < 1 else thing


class _Wanted(NamedTuple):
    """The arguments of :func:`lookalike`, for the function of each kind."""

    rng: np.random.Generator
    split: str
    look: HandLook
    light: np.ndarray
    size: float


def _skin(rng: np.random.Generator, look: HandLook) -> np.ndarray:
    tone = np.array(look.palm if rng.random() < 0.5 else look.back)
    return np.asarray(tone * rng.uniform(0.9, 1.08))


def _ball(wanted):
    """A ball or an egg of skin colour, on some of them a seam."""
    rng, _, look, light, size = wanted
    draft, tone = _Draft(), _skin(rng, look)
    long = rng.uniform(1.0, 1.45)
    draft.ellipse(0, 0, (0.5 / math.sqrt(long), 0.5 * math.sqrt(long)), tuple(tone))
    if rng.random() < 0.4:
        ink, low = tuple(tone * rng.uniform(0.4, 0.8)), rng.uniform(-0.2, 0.2)
        draft.line((-0.34, low), (0.34, low + rng.uniform(-0.1, 0.1)), ink, 0.03)
    return draft.thing(size, light if rng.random() < 0.75 else None, rng.uniform(0.6, 1.4))


def _clock(wanted):
    """The face of a clock: marks and two hands, on some of them a rim."""
    rng, split, look, _, size = wanted
    draft = _Draft()
    light_face = rng.random() < 0.75
    face = _skin(rng, look) if rng.random() < 0.4 else np.array((236, 232, 222)) * rng.uniform(0.8, 1.0)
    face, ink = (face, (24, 24, 28)) if light_face else (face * 0.25, (230, 226, 216))
    draft.ellipse(0, 0, (0.5, 0.5), colour(split, rng, (0.0, 0.7), (0.1, 0.9)))
    draft.ellipse(0, 0, (0.45, 0.45), tuple(face))
    for mark in range(0, 12, 1 if rng.random() < 0.6 else 3):
        x, y = math.sin(mark * math.pi / 6), math.cos(mark * math.pi / 6)
        draft.line((0.34 * x, 0.34 * y), (0.41 * x, 0.41 * y), ink, 0.03)
    for length, thick in ((0.2, 0.05), (0.31, 0.03)):
        angle = rng.uniform(0, 2 * math.pi)
        draft.line((0, 0), (length * math.sin(angle), length * math.cos(angle)), ink, thick)
    return draft.thing(size, None)


def _sticks(wanted):
    """Sticks that fan out from a handle, like the fingers of a hand: a rake, a twig, a candlestick."""
    rng, _, look, light, size = wanted
    draft, tone = _Draft(), _skin(rng, look)
    count, wide, thick = int(rng.integers(3, 7)), rng.uniform(0.3, 0.65), rng.uniform(0.05, 0.1)
    foot = rng.uniform(0.0, 0.2)
    draft.line((0, foot), (0, 0.62), tuple(tone), thick * rng.uniform(1.0, 1.6))
    for place in np.linspace(-1, 1, count):
        angle, length = wide * place + rng.normal(0, 0.04), rng.uniform(0.45, 0.62)
        draft.line((0.12 * place, foot), (0.12 * place + length * math.sin(angle), foot - length * math.cos(angle)),
                   tuple(tone * rng.uniform(0.9, 1.0)), thick)  # fmt: skip
    return draft.thing(size, light, 0.5)


def _mitten(wanted):
    """A mitten: a thumb, and one bag for the fingers."""
    rng, split, look, light, size = wanted
    draft = _Draft()
    tone = _skin(rng, look) if rng.random() < 0.4 else np.array(colour(split, rng, (0.1, 0.8), (0.2, 0.9)))
    side = 1 if rng.random() < 0.5 else -1
    draft.line((side * 0.12, 0.15), (side * 0.36, -0.12), tuple(tone), 0.17)
    draft.ellipse(0, -0.1, (0.24, rng.uniform(0.42, 0.5)), tuple(tone))
    cuff = tuple(tone * rng.uniform(0.6, 1.0))
    draft.line((-0.1, 0.38), (0.1, 0.38), cuff, 0.28)
    return draft.thing(size, light, 0.8)


def _stone(wanted):
    """A lump of skin colour, such as a stone or a bun, which is like a fist."""
    rng, _, look, light, size = wanted
    draft, tone = _Draft(), _skin(rng, look)
    for _ in range(rng.integers(4, 8)):
        x, y = rng.uniform(-0.2, 0.2, 2)
        axes = rng.uniform(0.2, 0.32), rng.uniform(0.22, 0.36)
        draft.ellipse(x, y, axes, tuple(tone * rng.uniform(0.9, 1.05)), rng.uniform(0, 180))
    return draft.thing(size, light, rng.uniform(0.6, 1.2))


def _club(wanted):
    """A knob with one stick, like a fist with one finger: a ladle, a lollipop, a key."""
    rng, _, look, light, size = wanted
    draft, tone = _Draft(), _skin(rng, look)
    lean = rng.uniform(-0.12, 0.12)
    draft.line((lean, 0), (lean * 2, -0.68), tuple(tone), rng.uniform(0.1, 0.16))
    draft.ellipse(0, 0.2, (rng.uniform(0.22, 0.3), rng.uniform(0.24, 0.36)), tuple(tone * rng.uniform(0.85, 1.0)))
    return draft.thing(size, light, 0.8)


def _glove(wanted):
    """An empty glove on a string, fingers up or down."""
    rng, split, _, light, size = wanted
    look = person_look(rng, split, glove=True)
    glove = hand(rng, LABELS[0], look, light, size, arm=False)
    thread = np.zeros((round(3 * size), 3, 4), np.uint8)
    thread[:, 1] = (70, 66, 60, 255)
    layer = np.ascontiguousarray(glove.layer[::-1]) if rng.random() < 0.6 else glove.layer
    return cut_out(layer, (Part(thread, placed(glove.centre, 1.0, 0.0, (1.0, float(len(thread))))),))


def _doll(wanted):
    """The head of a doll: hair and skin, and no features."""
    rng, split, look, light, size = wanted
    return head(rng, split, look, light, size, "doll")


def _back_of_head(wanted):
    """A head that is seen from behind."""
    rng, split, look, light, size = wanted
    return head(rng, split, look, light, size, "back of a head")


KINDS: dict[str, Callable[[_Wanted], Thing]] = {
    "ball": _ball, "clock": _clock, "doll": _doll, "back of a head": _back_of_head,
    "glove": _glove, "mitten": _mitten, "sticks": _sticks, "stone": _stone, "club": _club,
}  # fmt: skip
HUNG = ("glove", "clock")  # often on the wall: they keep their place


def lookalike(rng: np.random.Generator, kind: str, split: str, look: HandLook, light: np.ndarray, size: float) -> Thing:
    """Return the picture of a thing that looks like a hand or a face.

    Args:
        rng: draws the thing.
        kind: one of KINDS.
        split: of the colours.
        look: of the skin whose colour many of the things have.
        light: (3,), the unit vector to the light.
        size: about the square root of the area of the box around it, in pixels.
    """
    return KINDS[kind](_Wanted(rng, split, look, light, size))
