"""The motion of a tracked box: a Kalman filter with constant velocity.

The filter and its noise are those of ByteTrack (Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every
Detection Box", ECCV 2022; its noise is that of DeepSORT), on centre x, centre y, width and height, as in BoT-SORT
(Aharon et al., 2022). Their matrices are diagonal, so each of the four values has a filter of its own, with a position
and a velocity.
"""

from typing import Tuple

import numpy as np

POSITION_NOISE, VELOCITY_NOISE = 1 / 20.0, 1 / 160.0  # standard deviations of a step, as shares of the box's size
LEAST_SIZE = 1e-3  # pixels of a predicted box


class Motion:
    """Where a box is expected. It begins at rest.

    box: (x1, y1, x2, y2) in pixels of the frame.
    """

    def __init__(self, box: np.ndarray) -> None:
        self._position, self._velocity = _values(box), np.zeros(4)
        size = self._size()
        self._pp = (2 * POSITION_NOISE * size) ** 2  # variance of the position
        self._pv = np.zeros(4)  # covariance of position and velocity
        self._vv = (10 * VELOCITY_NOISE * size) ** 2  # variance of the velocity

    def predict(self, seen: bool) -> None:
        """Go one step on. seen: whether the box was found in the step before; if not, its size does not change."""
        if not seen:
            self._velocity[2:] = 0
        size = self._size()
        self._position = self._position + self._velocity
        self._position[2:] = np.maximum(self._position[2:], LEAST_SIZE)
        self._pp = self._pp + 2 * self._pv + self._vv + (POSITION_NOISE * size) ** 2
        self._pv = self._pv + self._vv
        self._vv = self._vv + (VELOCITY_NOISE * size) ** 2

    def correct(self, box: np.ndarray) -> None:
        """Take the box that was found in this step."""
        surprise = _values(box) - self._position
        total = self._pp + (POSITION_NOISE * self._size()) ** 2
        position_gain, velocity_gain = self._pp / total, self._pv / total
        self._position = self._position + position_gain * surprise
        self._position[2:] = np.maximum(self._position[2:], LEAST_SIZE)
        self._velocity = self._velocity + velocity_gain * surprise
        self._vv = self._vv - velocity_gain * self._pv
        self._pv = self._pv - position_gain * self._pv
        self._pp = self._pp - position_gain * self._pp

    @property
    def box(self) -> Tuple[float, float, float, float]:
        """The expected x1, y1, x2, y2 in pixels of the frame."""
        x, y, width, height = self._position
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2

    def _size(self) -> np.ndarray:
        width, height = self._position[2:]
        return np.array([width, height, width, height])


def _values(box: np.ndarray) -> np.ndarray:
    x1, y1, x2, y2 = (float(value) for value in box)
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, max(x2 - x1, LEAST_SIZE), max(y2 - y1, LEAST_SIZE)])
