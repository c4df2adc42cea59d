"""How a hand draws a stroke: seen by its owner (first person), or by a camera that faces the person.

Units are those of motion.py: short sides of the picture from its centre, x to the right, y down; radians, clockwise in
the picture; seconds from the start of the motion. The distributions do not change when time runs backwards.
"""

import math

import numpy as np

from .motion import Fingers, HandPose
from .stroke_shapes import SHAPES, curve, timing

_TIP = (-0.17, 0.53)  # of the index finger, from the palm's centre, in hand coordinates
# Shapes of the hand and their weights. A third number blends the first shape with the second.
_POINTING: tuple[Fingers, ...] = (("point", "point", 0.0), ("point", "open pinch", 0.35), ("point", "two", 0.25))
_OTHERS: tuple[Fingers, ...] = tuple(
    (name, name, 0.0) for name in ("two", "open", "flat", "fist", "relaxed", "claw", "wide", "closed pinch")
)
_STILL_SPREAD = 0.012  # of a hand that does not move
_PERSON_SHARE = 0.25  # of the clips that show the hand of a person who faces the camera


class StrokeMotion:
    """The hands of one clip as a function of time; an instance takes the place of a :class:`motion.Motion`.

    name: a label of stroke_labels that is played forwards. aspect: the picture's width / height.
    """

    def __init__(self, name: str, rng: np.random.Generator, aspect: float = 1.0) -> None:
        wide, high = max(1.0, aspect), max(1.0, 1 / aspect)
        self.first_person = bool(rng.random() >= _PERSON_SHARE)
        self._draw_path(name, rng, wide, high)
        self._draw_hand(name, rng)
        self._draw_arm(rng, wide, high)
        stroke = rng.uniform(0.5, 1.6) * (1.0 + 0.3 * self._length)
        holds = rng.uniform(0.0, 0.25, 2) * stroke * (rng.random(2) < 0.7)
        self._rises = rng.uniform(0.2, 0.5, 2) * (rng.random(2) < 0.2)  # 0: the hand is there from the start
        self._rest = rng.uniform(-0.2, 0.2, 2), high / 2 + 0.9 * self._size
        self._tremor = rng.uniform(0.8, 5.0, 4), rng.uniform(0, 2 * math.pi, 4), rng.uniform(0.2, 1.2)
        self.start = float(self._rises[0] + holds[0])
        self.end = float(self.start + stroke)
        self.duration = float(self.end + holds[1] + self._rises[1])
        self.facing = self._pose((self.start + self.end) / 2).tilt
        self._nobody = name == "wander" and bool(rng.random() < 0.1)

    def _draw_path(self, name: str, rng: np.random.Generator, wide: float, high: float) -> None:
        """Draw the points of the stroke, when they are passed, and how the hand's size changes along it."""
        shape = name if name in SHAPES else "wander"
        points = curve(shape, rng)
        small = rng.random() < 0.12
        reach = rng.uniform(0.15, 0.35) if small else rng.uniform(0.35, 0.85)
        if name in ("push", "still"):
            reach = _STILL_SPREAD if name == "still" else rng.uniform(0.0, 0.1)
        points = points * reach
        self._length = float(np.hypot(*np.diff(points, axis=0).T).sum())
        # The middle of the stroke: the whole of it stays near the picture, and now and then leaves it.
        room = np.maximum(0.08, np.array((wide, high)) * rng.uniform(0.42, 0.56) - points.max(axis=0))
        middle = rng.uniform(-1, 1, 2) * room * (0.8, 0.7)
        self._points = points + middle + ((0.0, -0.1) if self.first_person else (0.0, 0.0))
        self._middle = self._points.mean(axis=0)
        self._times = timing(points, rng)
        self._growth = rng.normal(0, 0.12) if name != "push" else math.log(rng.uniform(1.5, 2.8))
        self._nearness = rng.normal(0, 0.25)  # how the hand grows on its way down the picture
        self._turns = rng.normal(0, 0.15) if name != "wander" else rng.normal(0, 0.8)

    def _draw_hand(self, name: str, rng: np.random.Generator) -> None:
        pointing = rng.random() < (0.88 if self.first_person else 0.5)
        group = _POINTING if pointing else _OTHERS
        first, second, share = group[rng.integers(len(group))]
        self._fingers = first, second, share * rng.random()
        self._fingers_after = self._fingers
        if name == "wander" and rng.random() < 0.5:  # the fingers open or close
            other = _OTHERS[rng.integers(len(_OTHERS))][0]
            self._fingers, self._fingers_after = (first, other, 0.0), (first, other, 1.0)
        self._at_tip = pointing and rng.random() < 0.9  # the finger tip draws the stroke, else the palm does
        self._size = rng.uniform(0.34, 0.75) if self.first_person else rng.uniform(0.18, 0.45)
        if name == "push":
            self._size *= math.exp(-self._growth / 2)
        self._left = bool(rng.random() < 0.15)
        self._back = bool(rng.random() < (0.85 if self.first_person else 0.4))
        # The owner sees the back of the right hand with its thumb on the left; its palm, the other way round.
        self._thumb_right = self._left == self._back
        self._both = name == "wander" and rng.random() < 0.2

    def _draw_arm(self, rng: np.random.Generator, wide: float, high: float) -> None:
        side = -1.0 if self._left else 1.0
        if not self.first_person:
            side = -side
        self._elbow = np.array((side * rng.uniform(-0.15, 0.75) * wide, high / 2 + rng.uniform(0.15, 0.9)))
        self._follow = rng.uniform(0.1, 0.7)  # share of the hand's way that the elbow goes too
        self._lean = rng.normal(0, 0.18), rng.uniform(0.35, 1.0)

    def poses(self, time: float) -> tuple[HandPose, ...]:
        """Return the hands of a moment; empty where there is none."""
        if self._nobody:
            return ()
        hand = self._pose(time)
        if not self._both:
            return (hand,)
        x, y = hand.elbow
        other = hand._replace(x=-hand.x, left=not hand.left, tilt=-hand.tilt, elbow=(-x, y))
        return hand, other

    def _pose(self, time: float) -> HandPose:
        phase = min(1.0, max(0.0, (time - self.start) / (self.end - self.start)))
        x, y = (float(np.interp(phase, self._times, self._points[:, axis])) for axis in (0, 1))
        size = self._size * math.exp(self._growth * _smooth(phase) + self._nearness * (y - self._middle[1]))
        rate, phases, strength = self._tremor
        dx, dy, turn, swell = np.sin(2 * math.pi * rate * time + phases) * strength * (0.004, 0.004, 0.02, 0.006)
        elbow = self._elbow + self._follow * (np.array((x, y)) - self._middle)
        lean, share = self._lean
        for way, gone in ((0, time), (1, self.duration - time)):  # up from below the picture, and down again
            if self._rises[way] > 0 and gone < self._rises[way]:
                up = _smooth(gone / self._rises[way])
                x += self._rest[0][way] * (1 - up)
                y += (self._rest[1] - y) * (1 - up)
        tilt = lean + self._turns * (phase - 0.5) + share * math.atan2(x - elbow[0], elbow[1] - y) + turn
        palm_x, palm_y = x, y
        if self._at_tip:
            side = -_TIP[0] if self._thumb_right else _TIP[0]
            right, up = side * size, _TIP[1] * size
            palm_x = x - (right * math.cos(tilt) + up * math.sin(tilt))
            palm_y = y - (right * math.sin(tilt) - up * math.cos(tilt))
        first, second, begin = self._fingers
        bent = begin + (self._fingers_after[2] - begin) * _smooth(phase)
        return HandPose(
            palm_x + dx, palm_y + dy, size * (1 + swell), tilt, (float(elbow[0]), float(elbow[1])),
            (first, second, bent), self._thumb_right, self._back,
        )  # fmt: skip


def _smooth(share: float) -> float:
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)
