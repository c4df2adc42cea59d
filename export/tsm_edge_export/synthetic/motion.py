"""How hands move: one gesture, from the hand's rest below the picture to its return there.

Positions are in short sides of the picture from its centre, x to the right, y down; angles are radians, clockwise in
the picture; times are seconds from the start of the motion. Every motion can be played backwards: the way into a
gesture and the way out of it are drawn from one distribution.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from .labels import LABELS, NO_GESTURE

SHORTEST, LONGEST = 0.5, 2.0  # seconds of a stroke
Fingers = tuple[str, str, float]  # two of hand.SHAPES, and the share of the way from the first to the second


class HandPose(NamedTuple):
    """One hand at one moment."""

    x: float  # of the palm's centre
    y: float
    size: float  # wrist to finger tip
    tilt: float
    elbow: tuple[float, float]  # x, y
    fingers: Fingers
    left: bool  # mirrored: the thumb on the other side
    back: bool  # of the hand, turned to the viewer


class Hands(Protocol):
    """What a scene draws: a :class:`Motion`, or a stroke_motion.StrokeMotion."""

    facing: float  # the tilt, in radians, for which the light on the hand is right

    def poses(self, time: float) -> tuple[HandPose, ...]:
        """Return the hands of a moment; empty while none is raised."""


Path = Callable[[float, float], list[HandPose]]  # the hands at a phase (0 to 1) of the stroke and a time of the motion


class Motion:
    """What hands do for a label, as a function of time, in a picture of width / height = `aspect`.

    duration: from rest to rest. start, end: of the stroke, which an event's times refer to. facing: the tilt in the
    middle of the stroke, for which the light on the hand is right.
    """

    def __init__(self, label: str, rng: np.random.Generator, aspect: float = 1.0) -> None:
        wide, high = max(1.0, aspect), max(1.0, 1 / aspect)
        self._bottom, self._wide = high / 2, wide
        self._reach_x, self._reach_y = min(wide, 1.3), min(high, 1.3)
        self._size = rng.uniform(0.30, 0.46)
        self._x, self._y = rng.uniform(-0.16, 0.16) * wide, rng.uniform(-0.10, 0.10) * high  # the middle of the stroke
        self._tilt = rng.uniform(-0.35, 0.35)
        self._left = bool(rng.random() < 0.5)
        self._back = bool(rng.random() < 0.4)
        self._power = rng.uniform(0.8, 1.25)
        self._tremor = rng.uniform(0.8, 4.5, 4), rng.uniform(0, 2 * math.pi, 4), rng.uniform(0.2, 1.0)
        stroke = rng.uniform(SHORTEST, LONGEST)
        self._shortest = 0.0  # seconds that the path needs
        self._path = _PATHS[label](self, rng)
        stroke = max(stroke, self._shortest)
        holds = rng.uniform(0.0, 0.25, 2)
        self._rises = rng.uniform(0.25, 0.5, 2)
        # The way up and the way down: where the hand rests, how far its path bulges to the side, and how it turns.
        self._rests = rng.uniform(-0.35, 0.35, 2), rng.uniform(-0.15, 0.15, 2), rng.uniform(-0.5, 0.5, 2)
        side = 1 if self._left == self._back else -1  # of the shoulder of a person who faces the camera
        self._shoulder = rng.uniform(0.05, 0.35) * side, self._bottom + rng.uniform(0.15, 0.4)
        self.start = self._rises[0] + holds[0]
        self.end = self.start + stroke
        self.duration = self.end + holds[1] + self._rises[1]
        self.facing = self._path(0.5, (self.start + self.end) / 2)[0].tilt if self._path else 0.0

    def poses(self, time: float) -> tuple[HandPose, ...]:
        """Return the hands of a moment; empty while none is raised."""
        if not 0 < time < self.duration or self._path is None:
            return ()
        phase = min(1.0, max(0.0, (time - self.start) / (self.end - self.start)))
        hands = self._path(phase, time)
        for way, gone in ((0, time / self._rises[0]), (1, (self.duration - time) / self._rises[1])):
            if gone < 1:
                hands = [self._raised(hand, way, _smooth(gone)) for hand in hands]
        rate, phases, strength = self._tremor
        wave = np.sin(2 * math.pi * rate * time + phases) * strength
        dx, dy, turn, growth = wave * (0.004, 0.004, 0.02, 0.006)
        return tuple(
            hand._replace(x=hand.x + dx, y=hand.y + dy, tilt=hand.tilt + turn, size=hand.size * (1 + growth))
            for hand in hands
        )

    def _raised(self, hand: HandPose, way: int, share: float) -> HandPose:
        """Return a hand on its way between rest (share 0) and the stroke (1). way: 0 for up, 1 for down."""
        rest_x, bulge, turn = (values[way] for values in self._rests)
        low = self._bottom + 0.75 * hand.size
        x = hand.x + rest_x * (1 - share) + bulge * 4 * share * (1 - share)
        y = low + (hand.y - low) * share
        formed = min(1.0, max(0.0, 2 * share - 0.8))  # the fingers take their shape on the second half of the way
        fingers = hand.fingers
        if formed < 1:
            fingers = "relaxed", fingers[0] if fingers[2] < 0.5 else fingers[1], formed
        tilt = hand.tilt * share + turn * (1 - share)
        return hand._replace(x=x, y=y, tilt=tilt, elbow=self._elbow(x, y), fingers=fingers)

    def _elbow(self, x: float, y: float) -> tuple[float, float]:
        shoulder_x, shoulder_y = self._shoulder
        return shoulder_x + self._x + 0.55 * (x - self._x), shoulder_y + 0.35 * (y - self._y)

    def _hand(self, x: float, y: float, fingers: str | Fingers, **changes: Any) -> HandPose:
        """Return a hand at a place, with this motion's size, tilt and side where `changes` holds no others."""
        shape = (fingers, fingers, 0.0) if isinstance(fingers, str) else fingers
        pose = HandPose(x, y, self._size, self._tilt, self._elbow(x, y), shape, self._left, self._back)
        return pose._replace(**changes)

    def _ease(self, phase: float) -> float:
        """Return the progress of a stroke, 0 to 1: slow at both ends, its fastest moment near the middle."""
        return _smooth(phase**self._power)

    # One method for each motion: each draws its parameters once and returns the path, None for no hand at all.

    def _swipe_left(self, rng: np.random.Generator) -> Path:
        fingers = _choose(rng, "open", "flat", "flat", "two", "wide")
        reach, arc, swing = rng.uniform(0.36, 0.62) * self._reach_x, rng.uniform(-0.06, 0.10), rng.uniform(0.2, 1.0)

        def path(phase: float, _: float) -> list[HandPose]:
            offset = reach * (0.5 - self._ease(phase))
            y = self._y + arc * (2 * offset / reach) ** 2
            return [self._hand(self._x + offset, y, fingers, tilt=self._tilt + swing * offset)]

        return path

    def _swipe_up(self, rng: np.random.Generator) -> Path:
        fingers = _choose(rng, "open", "flat", "flat", "two")
        reach, arc, swing = rng.uniform(0.36, 0.58) * self._reach_y, rng.uniform(-0.06, 0.06), rng.uniform(0.2, 0.8)
        side = 1 if self._left else -1  # the forearm comes from the side: the fingers point across the picture
        level = rng.uniform(0.9, 1.6)

        def path(phase: float, _: float) -> list[HandPose]:
            offset = reach * (0.5 - self._ease(phase))
            x, y = self._x + arc * (2 * offset / reach) ** 2, self._y + offset
            elbow = x + side * (0.35 + 0.5 * self._wide), y + 0.35 - 0.5 * offset
            return [self._hand(x, y, fingers, tilt=-side * (level - swing * -offset), elbow=elbow)]

        return path

    def _zoom_in(self, rng: np.random.Generator) -> Path:
        if rng.random() < 0.6:  # with thumb and finger, else with two hands
            size = self._size * rng.uniform(1.1, 1.35)
            lean = rng.uniform(-0.3, 0.5) * (-1 if self._left else 1)

            def pinch(phase: float, _: float) -> list[HandPose]:
                fingers = "closed pinch", "open pinch", self._ease(phase)
                return [self._hand(self._x, self._y, fingers, size=size, tilt=lean)]

            return pinch
        fingers, angle = _choose(rng, "open", "flat", "point", "fist", "claw"), rng.uniform(-0.5, 0.5)
        near, far, size = rng.uniform(0.07, 0.11), rng.uniform(0.26, 0.36) * self._reach_x, self._size * 0.75

        def path(phase: float, _: float) -> list[HandPose]:
            apart = near + (far - near) * self._ease(phase)
            hands = []
            for side in (-1, 1):
                x, y = self._x + side * apart * math.cos(angle), self._y + side * apart * math.sin(angle)
                elbow = x + side * 0.18, self._shoulder[1]
                hands.append(self._hand(x, y, fingers, size=size, left=side < 0, tilt=self._tilt * side, elbow=elbow))
            return hands

        return path

    def _rotate(self, rng: np.random.Generator) -> Path:
        fingers = _choose(rng, "point", "point", "two", "flat", "fist")
        radius, flatten = rng.uniform(0.09, 0.17), rng.uniform(0.75, 1.2)
        turns, first = rng.uniform(0.9, 1.5), rng.uniform(0, 2 * math.pi)
        self._shortest = 0.6 * turns

        def path(phase: float, _: float) -> list[HandPose]:
            angle = first + 2 * math.pi * turns * (0.75 * phase + 0.25 * _smooth(phase))
            x, y = self._x + radius * math.cos(angle), self._y + radius * flatten * math.sin(angle)
            return [self._hand(x, y, fingers, tilt=self._tilt + 0.8 * (x - self._x))]

        return path

    def _push(self, rng: np.random.Generator) -> Path:
        fingers = _choose(rng, "open", "flat", "wide")
        far, near = rng.uniform(0.20, 0.27), rng.uniform(0.52, 0.72)
        drift_x, drift_y = rng.uniform(-0.08, 0.08, 2)

        def path(phase: float, _: float) -> list[HandPose]:
            share = self._ease(phase)
            size = far * (near / far) ** share  # a steady approach looks like growth by a steady factor
            x, y = self._x + drift_x * (share - 0.5), self._y + drift_y * (share - 0.5)
            return [self._hand(x, y, fingers, size=size, back=False)]

        return path

    def _stop(self, rng: np.random.Generator) -> Path:
        fingers, size = _choose(rng, "open", "flat", "wide"), self._size * rng.uniform(0.9, 1.25)
        return lambda _phase, _time: [self._hand(self._x, self._y, fingers, size=size, back=False)]

    def _nothing(self, rng: np.random.Generator) -> Path | None:
        """Nobody; a relaxed hand that wanders, fidgets, or comes up and goes again; two hands that rest."""
        kind = _choose(rng, "nobody", "wander", "wander", "fidget", "hover", "both")
        if kind == "nobody":
            return None
        fingers = _choose(rng, "relaxed", "relaxed", "fist", "point")
        low = rng.uniform(0.0, 0.3) if kind in ("hover", "both") else rng.uniform(-0.1, 0.15)
        rates = rng.uniform(2.5, 4.5, 2) if kind == "fidget" else rng.uniform(0.15, 0.4, 2)
        sway = {"wander": 0.06, "fidget": 0.018, "hover": 0.02, "both": 0.025}[kind] * rng.uniform(0.6, 1.2, 2)
        phases, turn = rng.uniform(0, 2 * math.pi, 3), rng.uniform(0.05, 0.3)

        def path(_: float, time: float) -> list[HandPose]:
            dx, dy = sway * np.sin(2 * math.pi * rates * time + phases[:2])
            tilt = self._tilt * 1.6 + turn * math.sin(2 * math.pi * rates[0] * time + phases[2])
            x, y = self._x * 1.5, self._y + low
            if kind != "both":
                return [self._hand(x + dx, y + dy, fingers, tilt=tilt)]
            hands = []
            for side in (-1, 1):
                pose = self._hand(x + side * 0.17 + dx, y + dy, fingers, tilt=-0.6 * side, left=side < 0)
                hands.append(pose._replace(size=self._size * 0.8, elbow=(x + side * 0.45, self._shoulder[1])))
            return hands

        return path


def _smooth(share: float) -> float:
    """Return `share` (held at 0 and 1) moved so that it has no speed at its ends."""
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)


def _choose(rng: np.random.Generator, *names: str) -> str:
    return names[rng.integers(len(names))]


# Only what `labels.playback` names: the other label of a pair is the same motion played backwards.
_PATHS: dict[str, Callable[[Motion, np.random.Generator], Path | None]] = {
    "swipe left": Motion._swipe_left,
    "swipe up": Motion._swipe_up,
    "zoom in": Motion._zoom_in,
    "rotate clockwise": Motion._rotate,
    "push": Motion._push,
    "stop": Motion._stop,
    LABELS[NO_GESTURE]: Motion._nothing,
}
