"""The camera of a rendered clip with boxes: its exposure, darkness, noise, shake and compression in each frame."""

import math

import cv2
import numpy as np

from ..synthetic.seeds import BOX_FRAME, generator
from .degrade import GRAIN_SHIFTS, grain, line_kernel

_DARK_SHARE, _NOISY_SHARE, _SHAKEN_SHARE = 0.4, 0.2, 0.2  # of the clips
_WHOLE_SHARE = 0.25  # of these clips: from the first frame to the last
_DARKEST, _BRIGHTEST = 0.03, 0.25  # light of dark frames
_WHOLE_DARKEST = 0.1  # of a clip that is dark from the first frame to the last
_JPEG_SHARE = 0.2


class Camera:
    """What a camera does to the frames of one clip of T frames.

    light: (T,) float64, the brightness as a share of the usual. noise: (T,) float64, deviation in levels of 0 to 255.
    shake: (T,) float64, pixels that the whole picture moves during the exposure, in the direction `shake_angle`.
    exposure: the share of the frame interval that the shutter is open.
    """

    def __init__(self, rng: np.random.Generator, height: int, width: int, frames: int) -> None:
        self._height, self._width = height, width
        unit = min(height, width)
        self.exposure = float(rng.uniform(0.8, 1.0) if rng.random() < 0.35 else rng.uniform(0.15, 0.6))
        self.light, self.noise, self.shake = np.ones(frames), np.empty(frames), np.zeros(frames)
        self.noise[:] = rng.uniform(1.0, 4.0)
        if rng.random() < _DARK_SHARE:
            share = _episode(rng, frames, ramp=int(rng.integers(0, 4)))
            darkest = _WHOLE_DARKEST if share.min() == 1 else _DARKEST
            depth = math.exp(rng.uniform(math.log(darkest), math.log(_BRIGHTEST)))
            self.light = depth**share
            self.noise = self.noise + share * rng.uniform(1.0, 7.0)
        elif rng.random() < _NOISY_SHARE / (1 - _DARK_SHARE):
            self.noise = self.noise + _episode(rng, frames, ramp=0) * rng.uniform(8.0, 26.0)
        self.shake_angle = float(rng.uniform(0, math.pi))
        if rng.random() < _SHAKEN_SHARE:
            self.shake = _episode(rng, frames, ramp=0) * unit * rng.uniform(0.03, 0.085)
        self._kernel = line_kernel(float(self.shake.max()), self.shake_angle)
        self._softness = float(rng.choice((0.0, 0.0, 0.5, 0.8)))
        self._quality = int(rng.integers(30, 90)) if rng.random() < _JPEG_SHARE else None
        self._gain = _gain(rng, height, width)

    def develop(self, frame: np.ndarray, index: int, split: str, seed: int) -> np.ndarray:
        """Return a frame as the camera sees it, (height, width, 3) uint8 RGB.

        Args:
            frame: (height, width, 4) uint8; its fourth channel means nothing.
            index: of the frame.
            split: for the noise.
            seed: for the noise.
        """
        picture = cv2.cvtColor(frame, cv2.COLOR_RGBA2RGB)
        if self.shake[index] > 1:
            picture = cv2.filter2D(picture, -1, self._kernel, borderType=cv2.BORDER_REPLICATE)
        elif self._softness:
            picture = cv2.GaussianBlur(picture, (3, 3), self._softness)
        value = cv2.multiply(picture, self._gain, scale=float(self.light[index]), dtype=cv2.CV_32F)
        y, x = generator(split, seed, BOX_FRAME, index).integers(GRAIN_SHIFTS, size=2)
        noise = grain(self._height, self._width)[y : y + self._height, x : x + self._width]
        seen = cv2.addWeighted(value, 1.0, noise, float(self.noise[index]), 0.0, dtype=cv2.CV_8U)
        if self._quality is None:
            return np.asarray(seen)
        _, coded = cv2.imencode(".jpg", seen, (cv2.IMWRITE_JPEG_QUALITY, self._quality))
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))


def _episode(rng: np.random.Generator, frames: int, ramp: int) -> np.ndarray:
    """Return (frames,) float64: 1 within one run of the frames, 0 outside, and `ramp` values between on either side."""
    if rng.random() < _WHOLE_SHARE:
        return np.ones(frames)
    length = int(rng.integers(1, max(2, round(0.7 * frames))))
    start = int(rng.integers(min(2, frames - 1), max(min(2, frames - 1) + 1, frames - length // 2)))
    place = np.arange(frames)
    outside = np.maximum(start - place, place - (start + length - 1)).clip(0)
    return np.asarray((1 - outside / (ramp + 1)).clip(0, 1))


def _gain(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return brightness, colour temperature and vignette: (height, width, 3) float32."""
    warmth, tint = rng.uniform(-0.14, 0.14), rng.uniform(-0.04, 0.04)
    balance = np.array((1 + warmth, 1 + tint, 1 - warmth), np.float32) * np.float32(rng.uniform(0.7, 1.15))
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    vignette = 1 - np.float32(rng.uniform(0.0, 0.3)) * (x * x + y * y) / 2
    return np.asarray(cv2.merge([vignette * part for part in balance]))
