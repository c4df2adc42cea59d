"""Cameras: a V4L2 device by its number."""

import glob
import os
from typing import Any

import cv2

from tsm_edge.errors import SourceError
from tsm_edge.sources.base import SourceOptions
from tsm_edge.sources.live import LiveStream
from tsm_edge.sources.opencv import OpenCapture


class Camera(LiveStream):
    """The camera ``/dev/video<index>``, with MJPEG where it offers that (raw 720p does not fit USB 2).

    Raises SourceError where there is no such camera or it gives no picture.

    Args:
        index: 0 or more.
        open_capture: see :data:`OpenCapture`.
        **options: see :class:`LiveStream`.
    """

    def __init__(self, index: int, open_capture: OpenCapture = cv2.VideoCapture, **options: Any) -> None:
        self._device = index
        self._open_capture = open_capture
        super(Camera, self).__init__("camera {}".format(index), self._open, **options)

    def _open(self) -> Any:
        capture = self._open_capture(self._device, cv2.CAP_V4L2)
        if not capture.isOpened():
            capture.release()
            raise _no_camera(self._device)
        # A driver that cannot do one of these returns False and sends frames all the same.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*"MJPG"))  # type: ignore[attr-defined]
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture


def open_source(spec: int, options: SourceOptions) -> Camera:
    """Open the camera of this number."""
    return Camera(spec, persistent=options.persistent)


def _no_camera(index: int) -> SourceError:
    device = "/dev/video{}".format(index)
    present = sorted(glob.glob("/dev/video[0-9]*"))
    if not os.path.exists(device):
        got = "no device {} (present: {})".format(device, ", ".join(present) or "none")
    elif not os.access(device, os.R_OK | os.W_OK):
        got = "no right to read {}".format(device)
    else:
        got = "{} does not open as a camera (in use, or not a capture device)".format(device)
    do = "List the cameras: v4l2-ctl --list-devices. Get the right to read them: sudo usermod -aG video $USER"
    expected = "a camera that is connected, readable and used by no other program"
    return SourceError("camera {}".format(index), "{}; tried V4L2".format(got), expected, do)
