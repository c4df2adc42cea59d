"""Turns the frames of a camera that is mounted sideways or upside down."""

from typing import Optional

import cv2
import numpy as np

from tsm_edge.sources.base import Source, Wrapped

TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class Rotated(Wrapped):
    """A source whose frames are turned clockwise.

    Args:
        source: closed with this one.
        degrees: 90, 180 or 270.
    """

    def __init__(self, source: Source, degrees: int) -> None:
        super(Rotated, self).__init__(source)
        self._turn = TURNS[degrees]
        self._unturned: Optional[np.ndarray] = None
        if degrees != 180 and source.frame_size is not None:
            self.frame_size = source.frame_size[::-1]

    def retrieve(self, into: Optional[np.ndarray] = None) -> Optional[np.ndarray]:
        image = self._source.retrieve(self._unturned)
        if image is None:
            return None
        self._unturned = image
        return cv2.rotate(image, self._turn, into)
