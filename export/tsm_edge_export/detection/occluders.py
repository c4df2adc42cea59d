"""What hides objects in the rendered benchmark: bars, boards, fences, leaves and cushions that pass before an object.

A planned occluder passes one object and hides it for a drawn number of frames. Posts stand still.
"""

import math

import cv2
import numpy as np

from ..synthetic.layers import passer_by, premultiplied
from ..synthetic.looks import colour
from .objects import Thing, cut_out
from .scenes_paths import Actor, Path, moment_times

LENGTHS = ((1, 4), (5, 8), (13, 18))  # frames that an occlusion is planned for
_KINDS = ("bar", "board", "board", "fence", "leaves", "cushion")
_FIRST_FRAME = 3  # the earliest start of an occlusion: the object has been seen before


def passing(
    rng: np.random.Generator, split: str, target: Path, size: float, height: int, width: int, frames: int
) -> Actor:
    """Return an occluder that hides an object for 1 to 4, 5 to 8, or 13 to 18 frames.

    Args:
        rng: draws the occluder.
        split: of its colours.
        target: the path of the object.
        size: of the object, in pixels.
        height: of the frame, in pixels.
        width: of the frame, in pixels.
        frames: of the clip.
    """
    least, most = LENGTHS[rng.integers(len(LENGTHS))]
    hidden = int(rng.integers(least, most + 1))
    start = int(rng.integers(_FIRST_FRAME, max(_FIRST_FRAME + 1, frames - min(hidden, frames // 2))))
    kind = _KINDS[rng.integers(len(_KINDS))]
    along, across = size * rng.uniform(0.7, 1.7), size * rng.uniform(0.8, 1.5)
    if kind == "bar":
        along, across = size * rng.uniform(0.6, 1.2), 1.5 * math.hypot(height, width)
    thing = _thing(rng, split, kind, max(4, round(along)), max(4, round(across)))
    angle = rng.uniform(0, 2 * math.pi)
    first, last = start - 0.5, start + hidden - 0.5
    time = moment_times(frames)
    offset = _offset(rng, time, first, last, along, size)
    # Beside the occlusion the occluder goes on without following the object.
    followed = np.clip(time, first - 1, last + 1)
    slip = size * rng.uniform(-0.25, 0.25) if kind != "bar" else 0.0  # beside the object's middle
    x = np.interp(followed, time, target.x) + offset * math.cos(angle) - slip * math.sin(angle)
    y = np.interp(followed, time, target.y) + offset * math.sin(angle) + slip * math.cos(angle)
    path = Path(x, y, np.ones_like(time), np.full_like(time, angle))
    return Actor(thing, 1.0, path, -1, kind)


def _offset(rng, time, first, last, along, size):
    """Return how far the occluder's middle is from the object's, in pixels along its direction.

    It hides about half of the object while that is less than along / 2, which is from `first` to `last`.
    """
    swift = max(0.35 * size, (along + size) / rng.uniform(2, 4))  # a frame, before and after
    before, after = np.minimum(0, time - first), np.maximum(0, time - last)
    inside = np.clip((time - first) / (last - first), 0, 1)
    if rng.random() < 0.5:  # it passes evenly
        return swift * (before + after) + along * (inside - 0.5)
    # It comes, stays, and goes on or back.
    stay = along * rng.uniform(-0.3, 0.3)
    come = np.clip((time - first) * swift - along / 2, -along / 2, stay) + swift * before
    if rng.random() < 0.5:
        return np.where(time < last - 1, come, np.maximum(stay, (time - last) * swift + along / 2))
    return np.where(time < last - 1, come, np.minimum(stay, -(time - last) * swift - along / 2))


def post(rng: np.random.Generator, split: str, height: int, width: int, frames: int) -> Actor:
    """Return a post or a rail that stands still in the foreground."""
    unit = min(height, width)
    thick = max(3, round(unit * rng.uniform(0.03, 0.12)))
    thing = _thing(rng, split, "bar", thick, round(1.5 * math.hypot(height, width)))
    time = moment_times(frames)
    upright = rng.random() < 0.7
    tilt = rng.normal(0, 0.1) + (0 if upright else math.pi / 2)
    x, y = width * rng.uniform(0.1, 0.9), height * rng.uniform(0.1, 0.9)
    one = np.ones_like(time)
    return Actor(thing, 1.0, Path(x * one, y * one, one, tilt * one), -1, "post")


def _thing(rng: np.random.Generator, split: str, kind: str, along: int, across: int) -> Thing:
    """Return the picture of an occluder, `along` pixels wide and `across` pixels high."""
    if kind == "cushion":
        layer = passer_by(rng, split, max(8, round(across / 0.45)))
        size = max(4, round(along * 1.25)), max(4, round(across * 1.25))
        return cut_out(np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_AREA)))
    if kind == "leaves":
        return cut_out(_leaves(rng, split, along, across))
    shape = across + 4, along + 4  # an empty edge
    rgb, cover = np.empty((*shape, 3), np.float32), np.zeros(shape, np.float32)
    cover[2:-2, 2:-2] = 1
    rgb[:] = colour(split, rng, (0.0, 0.7), (0.1, 0.9))
    _surface(rgb, rng, split)
    if kind == "fence":
        slats, gap = int(rng.integers(2, 5)), rng.uniform(0.15, 0.4)
        place = np.arange(shape[0], dtype=np.float32)[:, None] * slats / shape[0]
        cover *= np.where(place % 1 < gap, 0, 1)
    return cut_out(premultiplied(rgb, cover))


def _surface(rgb, rng, split):
    """Give a plain surface light from one side, and a grain, stripes or a lighter edge."""
    height, width = rgb.shape[:2]
    left, right = rng.uniform(0.75, 1.15, 2)
    rgb *= np.linspace(left, right, width, dtype=np.float32)[None, :, None]
    choice = rng.integers(4)
    if choice == 0:
        grain = cv2.resize(rng.standard_normal((3, max(2, width // 3)), dtype=np.float32), (width, height))
        rgb *= 1 + 0.08 * grain[..., None]
    elif choice == 1:
        stripes = np.arange(height) // max(2, round(height * rng.uniform(0.05, 0.2))) % 2 == 0
        rgb[stripes] = rgb[stripes] * 0.4 + 0.6 * np.array(colour(split, rng, (0.1, 0.8), (0.2, 0.9)), np.float32)
    elif choice == 2:
        rgb[:, :4] *= 1.3
        rgb[:, -4:] *= 0.6


def _leaves(rng, split, along, across):
    rgb, cover = np.zeros((across + 4, along + 4, 3), np.float32), np.zeros((across + 4, along + 4), np.float32)
    tone = np.array(colour(split, rng, (0.3, 0.8), (0.2, 0.6)))
    for _ in range(rng.integers(14, 30)):
        at = int(along * rng.uniform(0.1, 0.9)) + 2, int(across * rng.uniform(0.1, 0.9)) + 2
        axes = max(2, int(along * rng.uniform(0.12, 0.3))), max(1, int(across * rng.uniform(0.05, 0.14)))
        angle, ink = rng.uniform(0, 180), tuple(tone * rng.uniform(0.5, 1.4))
        for canvas, value in ((rgb, ink), (cover, (1.0,))):
            cv2.ellipse(canvas, at, axes, angle, 0, 360, value, -1, cv2.LINE_8)
    return premultiplied(rgb, cover)
