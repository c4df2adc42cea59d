"""The curves that strokes follow: points in the picture plane, x to the right, y down, about one unit across."""

import math
from collections.abc import Callable

import numpy as np

POINTS = 240  # of a drawn curve, at equal distances
Draw = Callable[[np.random.Generator], list[tuple[float, float]]]


def curve(name: str, rng: np.random.Generator) -> np.ndarray:
    """Return a random curve of a shape in SHAPES: (POINTS, 2) float64, its box centred on the origin.

    Sizes, angles, proportions and the roundness of corners vary. The start of a closed shape is random.
    """
    points = _resampled(np.array(SHAPES[name](rng), np.float64))
    points = _rounded(points, rng.uniform(0.0, 0.025))
    turn = rng.normal(0, 0.11)
    stretch = math.exp(rng.normal(0, 0.14))
    skew = rng.normal(0, 0.08)
    cos, sin = math.cos(turn), math.sin(turn)
    matrix = np.array(((cos, -sin), (sin, cos))) @ np.array(((stretch, skew), (0.0, 1 / stretch)))
    points = points @ matrix.T + _wobble(rng, len(points)) * rng.uniform(0.0, 0.035)
    return points - (points.max(axis=0) + points.min(axis=0)) / 2


def timing(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return when a hand passes each point, from 0 to 1: (POINTS,) float64 that grows.

    A hand starts and stops gently, slows down in corners and does not keep an even speed.
    """
    steps = np.diff(points, axis=0)
    lengths = np.hypot(*steps.T) + 1e-6
    angles = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    bends = np.abs(np.gradient(angles))
    window = np.hanning(15)
    corners = np.convolve(bends, window / window.sum(), "same")
    slowness = 1 + rng.uniform(0.0, 6.0) * np.minimum(corners * 4, 1)
    slowness = slowness * np.exp(0.3 * rng.uniform(0, 1) * _wobble(rng, len(steps))[:, 0])
    place = (np.arange(len(steps)) + 0.5) / len(steps)
    ease = rng.uniform(0.02, 0.25)
    ramp = np.minimum(1, np.minimum(place, 1 - place) / ease) * 0.85 + 0.15
    times = np.concatenate(([0.0], np.cumsum(lengths * slowness / ramp)))
    return times / times[-1]


def _resampled(points: np.ndarray) -> np.ndarray:
    """Return POINTS points at equal distances along the lines between `points`."""
    lengths = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))))
    places = np.linspace(0, lengths[-1], POINTS)
    return np.column_stack([np.interp(places, lengths, points[:, axis]) for axis in (0, 1)])


def _rounded(points: np.ndarray, width: float) -> np.ndarray:
    """Return the points after smoothing along the curve. width: deviation as a share of the curve."""
    reach = int(3 * width * len(points))
    if reach < 1:
        return points
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (width * len(points))) ** 2)
    padded = np.pad(points, ((reach, reach), (0, 0)), "edge")
    return np.column_stack([np.convolve(padded[:, axis], kernel / kernel.sum(), "valid") for axis in (0, 1)])


def _wobble(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return slow random changes along a curve: (count, 2) float64, deviation about 1."""
    knots = rng.standard_normal((int(rng.integers(4, 9)), 2))
    places = np.linspace(0, len(knots) - 1, count)
    smooth = places - np.floor(places)
    smooth = np.floor(places) + smooth * smooth * (3 - 2 * smooth)
    return np.column_stack([np.interp(smooth, np.arange(len(knots)), knots[:, axis]) for axis in (0, 1)])


def _line(x: float, y: float) -> Draw:
    """Return a line in a direction, a little bent."""

    def draw(rng: np.random.Generator) -> list[tuple[float, float]]:
        bow = rng.normal(0, 0.07)
        shares = np.linspace(-1, 1, 9)
        return [(x * s / 2 - y * bow * (1 - s * s), y * s / 2 + x * bow * (1 - s * s)) for s in shares]

    return draw


def _polygon(corners: int) -> Draw:
    """Return a polygon that is drawn clockwise from any of its corners; two of three start at a corner."""

    def draw(rng: np.random.Generator) -> list[tuple[float, float]]:
        first = rng.integers(corners)
        radius = 0.5 if corners < 9 else 0.45
        lean = (math.pi / 4 if corners == 4 else -math.pi / 2) + (rng.choice((0.0, math.pi)) if corners == 3 else 0.0)
        angles = lean + 2 * math.pi * (first + np.arange(corners + 1)) / corners
        points = [(radius * math.cos(a), radius * math.sin(a)) for a in angles]
        wide = rng.uniform(0.8, 1.25)
        points = [(x * wide, y) for x, y in points]
        over = rng.uniform(-0.08, 0.12) if corners < 9 else rng.uniform(-0.05, 0.3)  # beyond the first corner
        if over > 0:
            extra = max(1, round(over * corners))
            for number in range(extra):
                (ax, ay), (bx, by) = points[number], points[number + 1]
                part = min(1.0, over * corners)
                points.append((ax + (bx - ax) * part, ay + (by - ay) * part))
        return points

    return draw


def _tick(rng: np.random.Generator) -> list[tuple[float, float]]:
    short, rise = rng.uniform(0.15, 0.3), rng.uniform(0.55, 0.9)
    return [(-0.5, -short * rng.uniform(0.8, 1.4) + 0.4), (-0.5 + short, 0.4), (0.45, 0.4 - rise)]


def _caret(rng: np.random.Generator) -> list[tuple[float, float]]:
    peak, low = rng.uniform(-0.08, 0.08), rng.uniform(-0.08, 0.08)
    return [(-0.4, 0.4), (peak, -0.4), (0.4, 0.4 + low)]


def _vee(rng: np.random.Generator) -> list[tuple[float, float]]:
    return [(x, -y) for x, y in _caret(rng)]


def _z(rng: np.random.Generator) -> list[tuple[float, float]]:
    high = rng.uniform(0.3, 0.45)
    slant = rng.uniform(-0.05, 0.05)
    return [(-0.42, -high), (0.42, -high + slant), (-0.42, high), (0.42, high + slant)]


def _spiral(rng: np.random.Generator) -> list[tuple[float, float]]:
    """A spiral from its middle outwards, clockwise."""
    turns, first = rng.uniform(1.7, 3.0), rng.uniform(0, 2 * math.pi)
    shares = np.linspace(0.03, 1, 90)
    return [
        (0.5 * s * math.cos(first + 2 * math.pi * turns * s), 0.5 * s * math.sin(first + 2 * math.pi * turns * s))
        for s in shares
    ]


def _star(rng: np.random.Generator) -> list[tuple[float, float]]:
    first = rng.choice((0, 0, 0, 1, 2, 3, 4)) * 2 + 3  # often from the lower left tip
    angles = [-math.pi / 2 + 2 * math.pi * (first + 2 * step) / 5 for step in range(6)]
    return [(0.5 * math.cos(a), 0.5 * math.sin(a)) for a in angles]


def _loop(rng: np.random.Generator) -> list[tuple[float, float]]:
    """A line to the right with a loop above it in its middle."""
    radius, low = rng.uniform(0.16, 0.26), 0.25
    angles = np.linspace(0, 2 * math.pi, 40)
    loop = [(radius * math.sin(a), low - radius * (1 - math.cos(a))) for a in angles]
    return [(-0.5, low + 0.03), *loop, (0.5, low + 0.03)]


def _cross(rng: np.random.Generator) -> list[tuple[float, float]]:
    low = rng.uniform(-0.06, 0.06)
    return [(-0.4, -0.4), (0.4, 0.4), (-0.4, 0.4 + low), (0.4, -0.4)]


def _there_and_back(x: float, y: float) -> Draw:
    """Return a line along a direction, several times there and back."""

    def draw(rng: np.random.Generator) -> list[tuple[float, float]]:
        side = float(rng.choice((-1, 1))) / 2
        return [
            (x * side * sign, y * side * sign) for _, sign in zip(range(rng.integers(4, 8)), (1, -1) * 4, strict=False)
        ]

    return draw


def _wander(rng: np.random.Generator) -> list[tuple[float, float]]:
    """A smooth walk without a shape."""
    walk = np.cumsum(rng.standard_normal((int(rng.integers(4, 9)), 2)), axis=0)
    walk -= walk.mean(axis=0)
    walk *= 0.5 / max(1e-3, float(np.abs(walk).max()))
    return [(float(x), float(y)) for x, y in walk]


def _mirrored(draw: Draw) -> Draw:
    return lambda rng: [(-x, y) for x, y in draw(rng)]


_D = math.sqrt(0.5)
SHAPES: dict[str, Draw] = {
    "left": _line(-1, 0),
    "up": _line(0, -1),
    "up left": _line(-_D, -_D),
    "up right": _line(_D, -_D),
    "circle clockwise": _polygon(36),
    "square clockwise": _polygon(4),
    "triangle clockwise": _polygon(3),
    "tick": _tick,
    "mirrored tick": _mirrored(_tick),
    "caret right": _caret,
    "vee right": _vee,
    "z": _z,
    "mirrored z": _mirrored(_z),
    "spiral out clockwise": _spiral,
    "spiral out counter-clockwise": _mirrored(_spiral),
    "star clockwise": _star,
    "loop right": _loop,
    "cross right": _cross,
    "shake": _there_and_back(1, 0),
    "nod": _there_and_back(0, 1),
    "wander": _wander,
}
