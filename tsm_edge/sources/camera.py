"""Cameras by their number: V4L2 on Linux, AVFoundation on macOS, Media Foundation on Windows."""

import glob
import os
import sys
from typing import Any, NamedTuple

import cv2

from tsm_edge.errors import SourceError
from tsm_edge.sources.base import SourceOptions
from tsm_edge.sources.live import LiveStream
from tsm_edge.sources.opencv import OpenCapture


class Backend(NamedTuple):
    """What OpenCV opens a camera with. api: a constant of cv2. do: what a user can do where no camera opens."""

    name: str
    api: int
    do: str


_LIST = "List the cameras: v4l2-ctl --list-devices. Get the right to read them: sudo usermod -aG video $USER"
V4L2 = Backend("V4L2", cv2.CAP_V4L2, _LIST)
BACKENDS = {  # sys.platform -> other than V4L2; not tried on such machines
    "darwin": Backend(
        "AVFoundation",
        cv2.CAP_AVFOUNDATION,
        "Allow the terminal to use the camera: System Settings, Privacy & Security, Camera",
    ),
    "win32": Backend(
        "Media Foundation", cv2.CAP_MSMF, "Allow desktop apps to use the camera: Settings, Privacy, Camera"
    ),
}


class Camera(LiveStream):
    """A camera of this machine: ``/dev/video<index>`` on Linux.

    On Linux it is asked for MJPEG: raw 720p does not fit USB 2.

    Raises SourceError where there is no such camera or it gives no picture.

    Args:
        index: 0 or more.
        open_capture: see :data:`OpenCapture`.
        platform: as `sys.platform` (tests).
        **options: see :class:`LiveStream`.
    """

    def __init__(
        self,
        index: int,
        open_capture: OpenCapture = cv2.VideoCapture,
        platform: str = sys.platform,
        **options: Any,
    ) -> None:
        self._device = index
        self._open_capture = open_capture
        self._backend = BACKENDS.get(platform, V4L2)
        super(Camera, self).__init__("camera {}".format(index), self._open, **options)

    def _open(self) -> Any:
        capture = self._open_capture(self._device, self._backend.api)
        if not capture.isOpened():
            capture.release()
            raise _no_camera(self._device, self._backend)
        if self._backend is not V4L2:
            return capture
        # A driver that cannot do one of these returns False and sends frames all the same.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*"MJPG"))  # type: ignore[attr-defined]
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture


def open_source(spec: int, options: SourceOptions) -> Camera:
    """Open the camera of this number."""
    return Camera(spec, persistent=options.persistent)


def _no_camera(index: int, backend: Backend) -> SourceError:
    expected = "a camera that is connected, readable and used by no other program"
    if backend is not V4L2:
        got = "it does not open; tried {}".format(backend.name)
        return SourceError("camera {}".format(index), got, expected, backend.do)
    device = "/dev/video{}".format(index)
    present = sorted(glob.glob("/dev/video[0-9]*"))
    if not os.path.exists(device):
        got = "no device {} (present: {})".format(device, ", ".join(present) or "none")
    elif not os.access(device, os.R_OK | os.W_OK):
        got = "no right to read {}".format(device)
    else:
        got = "{} does not open as a camera (in use, or not a capture device)".format(device)
    return SourceError("camera {}".format(index), "{}; tried {}".format(got, backend.name), expected, backend.do)
