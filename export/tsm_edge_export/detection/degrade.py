"""Ways to make the frames of a clip worse: darkness with noise, motion blur, boards that hide a part.

They serve training and measurements on real faces, where the clean frames have known boxes. All frames are
(T, height, width, 3) uint8 RGB. The arguments are never changed.
"""

import functools
import math
from collections.abc import Callable

import cv2
import numpy as np

from tsm_edge.errors import InputError

GRAIN_SHIFTS = 97  # pixels that the grain of :func:`grain` may be moved by, down and across


@functools.lru_cache(maxsize=2)
def grain(height: int, width: int) -> np.ndarray:
    """Return sensor noise, (height + GRAIN_SHIFTS, width + GRAIN_SHIFTS, 3) float32, of deviation about 1.

    A renderer cuts a window out of it for each frame, which takes less time than new noise.
    """
    rng = np.random.Generator(np.random.PCG64(20191124))
    size = height + GRAIN_SHIFTS, width + GRAIN_SHIFTS
    fine = rng.standard_normal((*size, 3), dtype=np.float32)
    grey = rng.standard_normal((*size, 1), dtype=np.float32)
    return np.ascontiguousarray(0.8 * fine + 0.6 * grey)


def line_kernel(length: float, angle: float) -> np.ndarray:
    """Return the kernel of a straight motion, (side, side) float32 with the sum 1.

    Args:
        length: of the path, in pixels.
        angle: of the path in radians, clockwise from the direction to the right.
    """
    side = 2 * math.ceil(length / 2) + 1
    kernel = np.zeros((side, side), np.float32)
    middle = side // 2
    for place in np.linspace(-length / 2, length / 2, max(2, math.ceil(4 * length))):
        x, y = middle + place * math.cos(angle), middle + place * math.sin(angle)
        left, top = math.floor(x), math.floor(y)
        for column, share_x in ((left, left + 1 - x), (left + 1, x - left)):
            for row, share_y in ((top, top + 1 - y), (top + 1, y - top)):
                if share_x * share_y > 1e-9:
                    kernel[min(max(row, 0), side - 1), min(max(column, 0), side - 1)] += share_x * share_y
    return kernel / kernel.sum()


def darken(
    frames: np.ndarray, factor: float | np.ndarray, sigma: float | np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return the frames as a camera sees them in little light.

    Args:
        frames: (T, height, width, 3) uint8.
        factor: what the light is multiplied by, or (T,) of them.
        sigma: standard deviation of the noise that is added to each value, in levels of 0 to 255, or (T,) of them.
        rng: draws the noise.
    """
    factors, sigmas = np.broadcast_to(factor, len(frames)), np.broadcast_to(sigma, len(frames))
    result = np.empty_like(frames)
    for index, frame in enumerate(frames):
        noise = rng.standard_normal(frame.shape, dtype=np.float32)
        share, deviation = float(factors[index]), float(sigmas[index])
        cv2.addWeighted(frame.astype(np.float32), share, noise, deviation, 0.0, result[index], cv2.CV_8U)
    return result


def motion_blur(frames: np.ndarray, length: float, angle: float) -> np.ndarray:
    """Return the frames as a camera sees them that moves during the exposure.

    Args:
        frames: (T, height, width, 3) uint8.
        length: of the motion, in pixels; at most 1 changes nothing.
        angle: of the motion in radians, clockwise from the direction to the right.
    """
    if length <= 1:
        return frames.copy()
    kernel = line_kernel(length, angle)
    result = np.empty_like(frames)
    for index, frame in enumerate(frames):
        cv2.filter2D(frame, -1, kernel, result[index], borderType=cv2.BORDER_REPLICATE)
    return result


def occlude(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the frames with one to three boards of one colour that move straight across them.

    Args:
        frames: (T, height, width, 3) uint8.
        rng: draws the boards.
    """
    result = frames.copy()
    count, height, width = frames.shape[:3]
    for _ in range(rng.integers(1, 4)):
        tone = tuple(float(v) for v in rng.uniform(0, 255, 3))
        half = np.array((width, height)) * rng.uniform(0.05, 0.2, 2)
        if rng.random() < 0.4:
            half[rng.integers(2)] = 2 * max(height, width)  # a bar from edge to edge
        moment, angle = rng.uniform(0, count), rng.uniform(0, 2 * math.pi)
        speed = min(height, width) * rng.uniform(0.01, 0.12)  # pixels a frame
        middle = np.array((width, height)) * rng.uniform(0.2, 0.8, 2)
        for index, frame in enumerate(result):
            at = middle + (index - moment) * speed * np.array((math.cos(angle), math.sin(angle)))
            first, last = np.rint(at - half).astype(int).tolist(), np.rint(at + half).astype(int).tolist()
            cv2.rectangle(frame, first, last, tone, -1)
    return result


def _dark(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    factor, sigma = math.exp(rng.uniform(math.log(0.04), math.log(0.3))), rng.uniform(2.0, 8.0)
    return darken(frames, factor, sigma, rng)


def _blurred(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    length = max(2.0, min(frames.shape[1:3]) * rng.uniform(0.02, 0.08))
    return motion_blur(frames, length, rng.uniform(0, math.pi))


def _mixed(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _dark(_blurred(frames, rng), rng)


_KINDS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "dark": _dark, "blurred": _blurred, "occluded": occlude, "dark and blurred": _mixed,
}  # fmt: skip
KINDS = ("clean", *_KINDS)
_WHOLE_SHARE = 0.4  # of the clips that are degraded from the first frame to the last


def degraded(frames: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Return a clip of which a part, or all, is degraded as drawn by `rng`.

    In six of ten clips the degraded frames are one run, so that clean frames come before it or after it. "occluded"
    boards move through all frames.

    Args:
        frames: (T, height, width, 3) uint8.
        kind: one of KINDS.
        rng: draws the strength, and which frames are degraded.

    Raises:
        InputError: for an unknown kind, and for frames of another type or shape.
    """
    if kind not in KINDS:
        raise InputError("kind", repr(kind), "one of " + ", ".join(KINDS), "correct the argument")
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        got = f"{frames.dtype} of the shape {frames.shape}"
        raise InputError(
            "frames", got, "uint8 of the shape (T, height, width, 3)", "convert the frames to RGB pictures"
        )
    if kind == "clean":
        return frames.copy()
    count = len(frames)
    start, end = 0, count
    if kind != "occluded" and rng.random() >= _WHOLE_SHARE:
        length = int(rng.integers(1, max(2, count)))
        start = int(rng.integers(0, count - length + 1))
        end = start + length
    result = frames.copy()
    result[start:end] = _KINDS[kind](frames[start:end], rng)
    return result
