"""The CSI camera of a Jetson, through GStreamer's nvarguscamerasrc, which does exposure and white balance."""

import re
from typing import Any, Callable
from urllib.parse import parse_qsl, urlsplit

import cv2

from tsm_edge.errors import InputError, SourceError
from tsm_edge.sources.base import SourceOptions
from tsm_edge.sources.live import LiveStream
from tsm_edge.sources.opencv import OpenCapture

LIMITS = {"width": 8192, "height": 8192, "fps": 1000}
DEFAULTS = {"width": 1280, "height": 720, "fps": 30}  # a mode that the Pi camera modules v1 and v2 both have


class CsiCamera(LiveStream):
    """A CSI camera of a Jetson. Raises SourceError where it does not open or OpenCV was built without GStreamer.

    Args:
        spec: see :func:`csi_pipeline`.
        open_capture: see :data:`OpenCapture`.
        build_information: returns OpenCV's build information (tests).
        **options: see :class:`LiveStream`.
    """

    def __init__(
        self,
        spec: str,
        open_capture: OpenCapture = cv2.VideoCapture,
        build_information: Callable[[], str] = cv2.getBuildInformation,
        **options: Any,
    ) -> None:
        self._pipeline = csi_pipeline(spec)
        self._open_capture = open_capture
        if not has_gstreamer(build_information()):
            do = "Use JetPack's OpenCV: pip3 uninstall opencv-python; sudo apt install libopencv-python"
            raise SourceError(spec, "an OpenCV without GStreamer", "an OpenCV with GStreamer, which CSI needs", do)
        super(CsiCamera, self).__init__(spec, self._open, **options)

    def _open(self) -> Any:
        capture = self._open_capture(self._pipeline, cv2.CAP_GSTREAMER)
        if not capture.isOpened():
            capture.release()
            got = "the camera does not open; tried GStreamer: {}".format(self._pipeline)
            do = "Check the ribbon cable, then: sudo systemctl restart nvargus-daemon"
            raise SourceError(self.name, got, "a CSI camera that no other program uses", do)
        return capture


def open_source(spec: str, options: SourceOptions) -> CsiCamera:
    """Open the CSI camera at this address."""
    return CsiCamera(spec, persistent=options.persistent)


def csi_pipeline(spec: str) -> str:
    """Return the GStreamer pipeline that delivers BGR frames for ``csi://SENSOR[?width=W&height=H&fps=F]``.

    W and H are pixels (at most 8192), F frames/s (at most 1000); the defaults are 1280x720 at 30. Raises InputError for
    anything else in `spec`.
    Elements: NVIDIA's "Accelerated GStreamer" guide for Jetson. The sink holds one frame, always the newest.
    """
    parts = urlsplit(spec)
    options = dict(DEFAULTS)
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key not in options or not re.match(r"[1-9][0-9]{0,3}\Z", value) or int(value) > LIMITS[key]:
            raise _not_csi(spec, "{}={}".format(key, value))
        options[key] = int(value)
    if parts.scheme != "csi" or not re.match(r"[0-9]\Z", parts.netloc) or parts.path not in ("", "/") or parts.fragment:
        raise _not_csi(spec, spec)
    return (
        "nvarguscamerasrc sensor-id={sensor} "
        "! video/x-raw(memory:NVMM), width={width}, height={height}, framerate={fps}/1, format=NV12 "
        "! nvvidconv ! video/x-raw, format=BGRx ! videoconvert ! video/x-raw, format=BGR "
        "! appsink drop=true max-buffers=1 sync=false"
    ).format(sensor=parts.netloc, **options)


def has_gstreamer(build_information: str) -> bool:
    """Return whether OpenCV's build information (the text of cv2.getBuildInformation()) lists GStreamer as built in."""
    return re.search(r"GStreamer:\s+YES", build_information) is not None


def _not_csi(spec: str, got: str) -> InputError:
    return InputError(spec, got, "csi://SENSOR[?width=W&height=H&fps=F] with whole numbers", "Try csi://0")
