"""The scene of a stroke: a place, a hand, other people, a camera that may sit on a moving head."""

import functools
import math

import cv2
import numpy as np

from . import hand, layers
from .motion import HandPose
from .places import PLACE_COUNTS, place
from .scene import Scene
from .seeds import POINTING, generator, split_range

_BORDER = 0.24  # of the short side: how much more of the place there is than the camera shows
_GREY = np.array((0.3, 0.55, 0.15), np.float32)
_INFRARED = np.array((0.95, 0.15, -0.1), np.float32)  # skin is bright, as under an infrared lamp


class StrokeScene(Scene):
    """A scene as in scene.py with other backgrounds, more motion of the camera, and more kinds of light and cameras."""

    def __init__(self, split: str, seed: int, height: int, width: int) -> None:
        super().__init__(split, seed, height, width)
        rng = generator(split, seed, POINTING)
        numbers = split_range(split, PLACE_COUNTS)
        self.place_number = numbers[rng.integers(len(numbers))]
        self._shake = rng.choice((0.0, 0.002, 0.006, 0.012)), rng.uniform(0.3, 4.0, 4), rng.uniform(0, 2 * math.pi, 4)
        reach = rng.choice((0.0, 0.01, 0.03, 0.1)) * rng.uniform(0.5, 1.0)
        self._drift = reach, rng.uniform(0.05, 0.4, 2), rng.uniform(0, 2 * math.pi, 2)
        self._exposure = rng.uniform(0.2, 0.9)
        self._squash = rng.uniform(0.75, 1.08)  # the hand points into the depth of the picture
        bare = 2.0 if rng.random() < 0.55 else self.look.sleeve_from  # no sleeve in the picture
        # A hand before a bright window is dark.
        lit = rng.choice((0.22, 0.5, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.25))
        self.look = self.look._replace(
            ambient=self.look.ambient * lit, diffuse=self.look.diffuse * lit * rng.uniform(0.6, 1.1), sleeve_from=bare
        )
        self._gain = self._gain * np.float32(rng.uniform(0.8, 1.35))
        self._noise *= rng.uniform(0.3, 1.0)
        self._colours = _colours(rng)
        self._more = rng  # the pixels continue from here

    @functools.cached_property
    def _pixels(self) -> tuple[np.ndarray, np.ndarray, list[layers.Mover]]:
        """The place (height, width, 4), the forearm, and what moves behind the hands, back to front."""
        rng, unit = self._more, self.unit
        border = 2 * math.ceil(_BORDER * unit)
        picture = place(self.split, self.place_number, self.height + border, self.width + border)
        movers = []
        for _ in range(rng.choice((0, 0, 0, 0, 0, 1, 1, 2))):
            tall = round(unit * rng.uniform(0.3, 1.1))
            seat = rng.uniform(-0.6, 0.6), (self.height / unit - tall / unit) / 2 + rng.uniform(-0.2, 0.15)
            sway = rng.choice((0.005, 0.02, 0.08)), rng.uniform(0.1, 0.8), rng.uniform(0, 2 * math.pi)
            speed = rng.normal(0, 0.2) if rng.random() < 0.3 else 0.0
            movers.append(layers.Mover(layers.person(rng, self.split, self.look, tall), seat, sway, speed))
        for _ in range(rng.choice((0, 0, 0, 0, 1, 2))):
            layer = layers.passer_by(rng, self.split, unit)
            sway = rng.choice((0.0, 0.03, 0.1)), rng.uniform(0.1, 0.8), rng.uniform(0, 2 * math.pi)
            speed = rng.uniform(0.05, 0.6) * rng.choice((-1, 1)) if rng.random() < 0.6 else 0.0
            movers.insert(0, layers.Mover(layer, (rng.uniform(-0.6, 0.6), rng.uniform(-0.3, 0.45)), sway, speed))
        arm = layers.forearm(self.look, self._light)
        if rng.random() < 0.35:
            _bracelet(arm, rng)
        return cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), arm, movers

    def _hand_matrix(self, pose: HandPose, resolution: float) -> np.ndarray:
        matrix = super()._hand_matrix(pose, resolution)
        centre = matrix @ np.array((*_anchor(resolution), 1.0))
        matrix[:, 1] *= self._squash
        matrix[:, 2] = centre - matrix[:, :2] @ _anchor(resolution)
        return matrix

    def _camera(self, frame: np.ndarray, clock: float, key: int) -> np.ndarray:
        made = super()._camera(frame, clock, key)
        return made if self._colours is None else cv2.transform(made, self._colours)


def _anchor(resolution: float) -> tuple[float, float]:
    """Return the column and row of the palm's centre in a hand's picture."""
    return -hand.LEFT * resolution, (hand.TOP - hand.CENTRE) * resolution


def _bracelet(arm: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a bracelet or a watch round the wrist of a forearm's layer, in place."""
    length, width = arm.shape[:2]
    top = int(length * rng.uniform(0.04, 0.14))
    rows = slice(top, top + int(length * rng.uniform(0.02, 0.09)) + 1)
    shine = 0.6 + 0.4 * np.cos(np.linspace(-1.2, 1.2, width) + rng.uniform(-0.4, 0.4))
    tone = rng.choice((30, 120, 230)) * rng.uniform(0.8, 1.1, 3)
    cover = arm[rows, :, 3:] / 255
    arm[rows, :, :3] = np.clip(tone * shine[None, :, None], 0, 255) * cover


def _colours(rng: np.random.Generator) -> np.ndarray | None:
    """Return what the camera does to colours, (3, 4) float32 for cv2.transform; None for nothing."""
    kind = rng.choice(("true", "cast", "pale", "grey", "infrared", "washed"), p=(0.66, 0.14, 0.07, 0.07, 0.03, 0.03))
    if kind == "true":
        return None
    matrix = np.eye(3, dtype=np.float32)
    offset = np.zeros(3, np.float32)
    if kind == "cast":
        matrix *= rng.uniform(0.78, 1.15, 3).astype(np.float32)[:, None]
    elif kind == "pale":
        share = rng.uniform(0.3, 0.8)
        matrix = matrix * np.float32(1 - share) + np.float32(share) * _GREY
    elif kind in ("grey", "infrared"):
        matrix = np.tile(_GREY if kind == "grey" else _INFRARED, (3, 1))
    if kind in ("washed", "infrared", "grey") and rng.random() < (1.0 if kind == "washed" else 0.5):
        contrast = np.float32(rng.uniform(0.45, 0.85))
        matrix = matrix * contrast
        offset[:] = (1 - contrast) * rng.uniform(40, 200)
    return np.column_stack((matrix, offset)).astype(np.float32)
