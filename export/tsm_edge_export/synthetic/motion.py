"""How hands move: one gesture, from the hand's rest below the picture to its return there.

Positions are in short sides of the picture from its centre, x to the right, y down; angles are radians, clockwise in
the picture; times are seconds from the start of the motion. Every motion can be played backwards: what leads into a
gesture and what follows it are drawn from one distribution.
"""

import math
from typing import NamedTuple

import numpy as np

from tsm_edge_export.synthetic.labels import LABELS, NO_GESTURE

SHORTEST, LONGEST = 0.5, 2.0  # seconds a gesture takes


class HandPose(NamedTuple):
    """One hand at one moment."""

    x: float  # of the palm's centre
    y: float
    size: float  # wrist to finger tip
    tilt: float
    elbow: tuple  # x, y
    first: str  # the shape, between two of hand.SHAPES
    second: str
    share: float  # 0: the first
    left: bool  # mirrored: the thumb on the other side
    back: bool


class Motion:
    """A gesture, or something else that hands do, as a function of time.

    duration: seconds, from rest to rest. start, end: of the stroke, which is what the event's times mean; both are
    inside the duration. facing: the tilt at its middle, for which the light on the hand is right. label: what it
    shows. `poses(time)` gives the hands of a moment, a tuple of :class:`HandPose`; empty where none is raised.
    """

    def __init__(self, label, rng, aspect=1.0):
        """label: one of LABELS. rng: consumed. aspect: width / height of the picture."""
        self.label = label
        wide, high = max(1.0, aspect), max(1.0, 1 / aspect)
        self._bottom = high / 2
        self._wide = wide
        self._roam = min(wide, 1.3), min(high, 1.3)
        self._rng = rng
        self._size = rng.uniform(0.30, 0.46)
        self._centre = np.array((rng.uniform(-0.16, 0.16) * wide, rng.uniform(-0.10, 0.10) * high))
        self._tilt = rng.uniform(-0.35, 0.35)
        self._left = bool(rng.random() < 0.5)
        self._back = bool(rng.random() < 0.4)
        self._power = rng.uniform(0.8, 1.25)
        self._tremor = rng.uniform(0.8, 4.5, 4), rng.uniform(0, 2 * math.pi, 4), rng.uniform(0.2, 1.0)
        stroke = rng.uniform(SHORTEST, LONGEST)
        self._path = _PATHS[label](self, rng)
        stroke = max(stroke, getattr(self._path, "shortest", 0))
        holds = rng.uniform(0.0, 0.25, 2)
        self._rises = rng.uniform(0.25, 0.5, 2)
        # The way up and the way down: where the hand rests, and how far its path bulges to the side.
        self._rests = rng.uniform(-0.35, 0.35, 2), rng.uniform(-0.15, 0.15, 2), rng.uniform(-0.5, 0.5, 2)
        side = 1 if self._left == self._back else -1  # where the shoulder of somebody who faces the camera is
        self._anchor = rng.uniform(0.05, 0.35) * side, self._bottom + rng.uniform(0.15, 0.4)
        self.start = self._rises[0] + holds[0]
        self.end = self.start + stroke
        self.duration = self.end + holds[1] + self._rises[1]
        middle = (self.start + self.end) / 2
        self.facing = self._path(0.5, middle)[0].tilt if self._path else 0.0

    def poses(self, time):
        if not 0 < time < self.duration or self._path is None:
            return ()
        phase = min(1.0, max(0.0, (time - self.start) / (self.end - self.start)))
        hands = self._path(phase, time)
        for way, gone in ((0, time / self._rises[0]), (1, (self.duration - time) / self._rises[1])):
            if gone < 1:
                hands = [self._raised(hand, way, smooth(gone)) for hand in hands]
        return tuple(self._shaken(hand, time) for hand in hands)

    def _raised(self, hand, way, share):
        """A hand on its way between rest (share 0) and the stroke (1)."""
        rest_x, bulge, turn = (values[way] for values in self._rests)
        low = self._bottom + 0.75 * hand.size
        x = hand.x + rest_x * (1 - share) + bulge * 4 * share * (1 - share)
        y = low + (hand.y - low) * share
        formed = min(1.0, max(0.0, 2 * share - 0.8))  # the fingers take their shape on the second half of the way
        shape = (hand.first, hand.second, hand.share)
        if formed < 1:
            shape = ("relaxed", hand.first if hand.share < 0.5 else hand.second, formed)
        tilt = hand.tilt * share + turn * (1 - share)
        return hand._replace(
            x=x, y=y, tilt=tilt, elbow=self._elbow(x, y), first=shape[0], second=shape[1], share=shape[2]
        )

    def _shaken(self, hand, time):
        rate, phase, strength = self._tremor
        wave = np.sin(2 * math.pi * rate * time + phase) * strength
        return hand._replace(
            x=hand.x + 0.004 * wave[0], y=hand.y + 0.004 * wave[1], tilt=hand.tilt + 0.02 * wave[2],
            size=hand.size * (1 + 0.006 * wave[3]),
        )  # fmt: skip

    def _elbow(self, x, y):
        anchor_x, anchor_y = self._anchor
        return anchor_x + self._centre[0] + 0.55 * (x - self._centre[0]), anchor_y + 0.35 * (y - self._centre[1])

    def hand(self, x, y, shape, **changes):
        """A :class:`HandPose` with this motion's size, tilt and side at a place."""
        first, second, share = shape if isinstance(shape, tuple) else (shape, shape, 0.0)
        pose = HandPose(x, y, self._size, self._tilt, self._elbow(x, y), first, second, share, self._left, self._back)
        return pose._replace(**changes)

    def ease(self, phase):
        """Progress of a stroke: 0 to 1, slow at both ends, its fastest moment not always in the middle."""
        return smooth(phase**self._power)


def smooth(share):
    """0 to 1 with no speed at the ends; values outside are held."""
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)


def _choose(rng, *names):
    return names[rng.integers(len(names))]


def _swipe_left(motion, rng):
    shape = _choose(rng, "open", "flat", "flat", "two", "wide")
    reach, arc, swing = rng.uniform(0.36, 0.62) * motion._roam[0], rng.uniform(-0.06, 0.10), rng.uniform(0.2, 1.0)
    centre_x, centre_y = motion._centre

    def path(phase, _time):
        offset = reach * (0.5 - motion.ease(phase))
        tilt = motion._tilt + swing * offset
        return [motion.hand(centre_x + offset, centre_y + arc * (2 * offset / reach) ** 2, shape, tilt=tilt)]

    return path


def _swipe_up(motion, rng):
    shape = _choose(rng, "open", "flat", "flat", "two")
    reach, arc, swing = rng.uniform(0.36, 0.58) * motion._roam[1], rng.uniform(-0.06, 0.06), rng.uniform(0.2, 0.8)
    side = 1 if motion._left else -1  # the forearm comes from the side: the fingers point across the picture
    level = rng.uniform(0.9, 1.6)
    centre_x, centre_y = motion._centre

    def path(phase, _time):
        offset = reach * (0.5 - motion.ease(phase))
        x, y = centre_x + arc * (2 * offset / reach) ** 2, centre_y + offset
        elbow = x + side * (0.35 + 0.5 * motion._wide), y + 0.35 - 0.5 * offset
        return [motion.hand(x, y, shape, tilt=-side * (level - swing * -offset), elbow=elbow)]

    return path


def _zoom_in(motion, rng):
    centre_x, centre_y = motion._centre
    if rng.random() < 0.6:
        size = motion._size * rng.uniform(1.1, 1.35)
        lean = rng.uniform(-0.3, 0.5) * (-1 if motion._left else 1)

        def pinch(phase, _time):
            shape = ("closed pinch", "open pinch", motion.ease(phase))
            return [motion.hand(centre_x, centre_y, shape, size=size, tilt=lean)]

        return pinch
    shape, angle = _choose(rng, "open", "flat", "point", "fist", "claw"), rng.uniform(-0.5, 0.5)
    near, far, size = rng.uniform(0.07, 0.11), rng.uniform(0.26, 0.36) * motion._roam[0], motion._size * 0.75

    def hands(phase, _time):
        apart = near + (far - near) * motion.ease(phase)
        both = []
        for side in (-1, 1):
            x, y = centre_x + side * apart * math.cos(angle), centre_y + side * apart * math.sin(angle)
            elbow = x + side * 0.18, motion._anchor[1]
            both.append(motion.hand(x, y, shape, size=size, left=side < 0, tilt=motion._tilt * side, elbow=elbow))
        return both

    return hands


def _rotate(motion, rng):
    shape = _choose(rng, "point", "point", "two", "flat", "fist")
    radius, flatten = rng.uniform(0.09, 0.17), rng.uniform(0.75, 1.2)
    turns, first = rng.uniform(0.9, 1.5), rng.uniform(0, 2 * math.pi)
    centre_x, centre_y = motion._centre

    def path(phase, _time):
        angle = first + 2 * math.pi * turns * (0.75 * phase + 0.25 * smooth(phase))
        x, y = centre_x + radius * math.cos(angle), centre_y + radius * flatten * math.sin(angle)
        return [motion.hand(x, y, shape, tilt=motion._tilt + 0.8 * (x - centre_x))]

    path.shortest = 0.6 * turns
    return path


def _push(motion, rng):
    shape = _choose(rng, "open", "flat", "wide")
    far, near = rng.uniform(0.20, 0.27), rng.uniform(0.52, 0.72)
    drift_x, drift_y = rng.uniform(-0.08, 0.08, 2)
    centre_x, centre_y = motion._centre

    def path(phase, _time):
        share = motion.ease(phase)
        size = far * (near / far) ** share  # a steady approach looks like growth by a steady factor
        x, y = centre_x + drift_x * (share - 0.5), centre_y + drift_y * (share - 0.5)
        return [motion.hand(x, y, shape, size=size, back=False)]

    return path


def _stop(motion, rng):
    shape = _choose(rng, "open", "flat", "wide")
    size = motion._size * rng.uniform(0.9, 1.25)

    def path(_phase, _time):
        return [motion.hand(*motion._centre, shape, size=size, back=False)]

    return path


def _nothing(motion, rng):
    """No hand at all; a relaxed hand that wanders, fidgets, or comes up and goes again; two that rest."""
    kind = _choose(rng, "nobody", "wander", "wander", "fidget", "hover", "both")
    if kind == "nobody":
        return None
    shape = _choose(rng, "relaxed", "relaxed", "fist", "point")
    low = rng.uniform(0.0, 0.3) if kind in ("hover", "both") else rng.uniform(-0.1, 0.15)
    rates = rng.uniform(2.5, 4.5, 2) if kind == "fidget" else rng.uniform(0.15, 0.4, 2)
    sway = {"wander": 0.06, "fidget": 0.018, "hover": 0.02, "both": 0.025}[kind] * rng.uniform(0.6, 1.2, 2)
    phases, turn = rng.uniform(0, 2 * math.pi, 3), rng.uniform(0.05, 0.3)
    centre_x, centre_y = motion._centre[0] * 1.5, motion._centre[1] + low

    def path(_phase, time):
        dx, dy = sway * np.sin(2 * math.pi * rates * time + phases[:2])
        tilt = motion._tilt * 1.6 + turn * math.sin(2 * math.pi * rates[0] * time + phases[2])
        if kind != "both":
            return [motion.hand(centre_x + dx, centre_y + dy, shape, tilt=tilt)]
        return [
            motion.hand(centre_x + side * 0.17 + dx, centre_y + dy, shape, tilt=-0.6 * side, left=side < 0,
                        size=motion._size * 0.8, elbow=(centre_x + side * 0.45, motion._anchor[1]))
            for side in (-1, 1)
        ]  # fmt: skip

    return path


# Only what `labels.take` names: the other label of a pair is the same motion played backwards.
_PATHS = {
    "swipe left": _swipe_left,
    "swipe up": _swipe_up,
    "zoom in": _zoom_in,
    "rotate clockwise": _rotate,
    "push": _push,
    "stop": _stop,
    LABELS[NO_GESTURE]: _nothing,
}
