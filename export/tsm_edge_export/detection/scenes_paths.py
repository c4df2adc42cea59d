"""How objects move in the rendered benchmark: smooth paths at a speed that one of three bins of motion asks for."""

import math
from typing import NamedTuple

import numpy as np

from ..synthetic.layers import placed
from .objects import Part, Thing

# Least and greatest speed of the centre a frame, in sizes of the object. The tags are measured, see scenes_tags.py.
SPEEDS = {"slow": (0.0, 0.007), "medium": (0.012, 0.026), "fast": (0.045, 0.26)}
_GROWTH = {"slow": 0.015, "medium": 0.06, "fast": 0.18}  # greatest change of the size
_TURN = {"slow": 0.03, "medium": 0.1, "fast": 0.35}  # greatest change of the tilt, in radians
_CROSSING_SHARE = 0.2  # of the paths that are not slow: they cross the picture, and begin or end outside
_FASTEST_TURN = 0.8  # radians a frame of a path that goes to and fro


class Path(NamedTuple):
    """Where something is: (frames + 2,) float64 each, from one frame before the clip to one frame after it.

    x, y: of its centre, in pixels, as OpenCV counts them. growth: its size over its usual size. tilt: in radians.
    """

    x: np.ndarray
    y: np.ndarray
    growth: np.ndarray
    tilt: np.ndarray

    def at(self, time: float) -> tuple[float, float, float, float]:
        """Return x, y, growth and tilt at a time in frames. The middle of frame i's exposure is i."""
        place = min(max(time + 1, 0.0), len(self.x) - 1.000001)
        index = int(place)
        share = place - index
        x, y, growth, tilt = (float(v[index] + (v[index + 1] - v[index]) * share) for v in self)
        return x, y, growth, tilt

    def shifted(self, shift: np.ndarray) -> "Path":
        """Return the path moved by (frames + 2, 2) pixels."""
        return self._replace(x=self.x + shift[:, 0], y=self.y + shift[:, 1])


class Actor(NamedTuple):
    """Something in a scene: its picture and where it is.

    Attributes:
        thing: its picture.
        scale: pixels of the frame for a pixel of the picture, at its usual size.
        path: where it is.
        label: its index in the labels, -1 for what has no box.
        kind: in words.
    """

    thing: Thing
    scale: float
    path: Path
    label: int
    kind: str

    def matrix(self, time: float) -> np.ndarray:
        """Return the (2, 3) float64 matrix from the picture's pixels to the frame's."""
        x, y, growth, tilt = self.path.at(time)
        return placed((x, y), self.scale * growth, tilt, self.thing.centre)


def part_matrix(matrix: np.ndarray, part: Part) -> np.ndarray:
    """Return the matrix of a part of an object, from the part's pixels to the frame's."""
    linear = matrix[:, :2] @ part.matrix
    linear[:, 2] += matrix[:, 2]
    return linear


def moment_times(frames: int) -> np.ndarray:
    """Return the times of a path's values, (frames + 2,) float64."""
    return np.arange(-1, frames + 1, dtype=np.float64)


def path(rng: np.random.Generator, speed: str, size: float, tilt: float, height: int, width: int, frames: int) -> Path:
    """Draw the path of an object.

    Args:
        rng: draws the path.
        speed: one of SPEEDS.
        size: of the object, in pixels.
        tilt: its usual tilt, in radians.
        height: of the frame, in pixels.
        width: of the frame, in pixels.
        frames: of the clip.
    """
    time = moment_times(frames)
    least, most = SPEEDS[speed]
    pace = size * (math.exp(rng.uniform(math.log(least), math.log(most))) if least else rng.uniform(least, most))
    if speed != "slow" and rng.random() < _CROSSING_SHARE:
        x, y = _crossing(rng, pace, size, height, width, time)
    else:
        x, y = _wandering(rng, pace, size, height, width, time)
    rates, phases = rng.uniform(0.06, 0.3, 2), rng.uniform(0, 2 * math.pi, 2)
    growth = np.exp(rng.uniform(0, _GROWTH[speed]) * np.sin(rates[0] * time + phases[0]))
    turn = tilt + rng.uniform(0, _TURN[speed]) * np.sin(rates[1] * time + phases[1])
    return Path(x, y, growth, turn)


def _wandering(rng, pace, size, height, width, time):
    """Go to and fro on a flat ellipse, inside the picture or a little over its edge."""
    edge = size * rng.uniform(0.25, 0.7)
    half_x, half_y = max(2.0, width / 2 - edge), max(2.0, height / 2 - edge)
    angle, flat = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.6)
    reach = rng.uniform(0.35, 0.95) * min(half_x, half_y)
    rate = min(_FASTEST_TURN, 1.25 * pace / reach)
    phase = rate * time + rng.uniform(0, 2 * math.pi)
    along, across = reach * np.sin(phase), flat * reach * np.cos(phase)
    x = along * math.cos(angle) - across * math.sin(angle)
    y = along * math.sin(angle) + across * math.cos(angle)
    # The path of the clip alone has to be inside: a slow object stays near one end of its ellipse.
    for values, half, middle in ((x, half_x, width / 2), (y, half_y, height / 2)):
        values -= (values.max() + values.min()) / 2
        room = max(0.0, half - np.ptp(values) / 2)
        values += middle + rng.uniform(-1, 1) * room
    return x, y


def _crossing(rng, pace, size, height, width, time):
    """Go straight on, with a slight bend, and be inside the picture at one moment of the clip."""
    angle, moment = rng.uniform(0, 2 * math.pi), rng.uniform(time[0], time[-1])
    away = pace * (time - moment)
    bend = rng.uniform(-0.15, 0.15) * size * np.sin(away / size)
    x = width * rng.uniform(0.25, 0.75) + away * math.cos(angle) - bend * math.sin(angle)
    y = height * rng.uniform(0.25, 0.75) + away * math.sin(angle) + bend * math.cos(angle)
    return x, y
