"""Cameras: a V4L2 device by its number, and the CSI camera of a Jetson."""

import glob
import os
import re
from urllib.parse import parse_qsl, urlsplit

import cv2

from tsm_edge.errors import InputError, SourceError
from tsm_edge.sources.live import LiveStream

CSI_DEFAULTS = {"width": 1280, "height": 720, "fps": 30}  # a mode that the Pi camera modules v1 and v2 both have


class Camera(LiveStream):
    """The camera ``/dev/video<index>``: MJPEG where it has that (raw 720p does not fit USB 2), the smallest buffer.

    index: 0 or more. open_capture: what makes a cv2.VideoCapture. options: see :class:`LiveStream`.
    Raises SourceError where there is no such camera or it gives no picture.
    """

    def __init__(self, index, open_capture=cv2.VideoCapture, **options):
        self._index_of_device = index
        self._open_capture = open_capture
        super(Camera, self).__init__("camera {}".format(index), self._open, **options)

    def _open(self):
        capture = self._open_capture(self._index_of_device, cv2.CAP_V4L2)
        if not capture.isOpened():
            capture.release()
            raise _no_camera(self._index_of_device)
        # Each is a wish: a driver that cannot fulfil it says so by returning False, and frames come all the same.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture


class CsiCamera(LiveStream):
    """The CSI camera of a Jetson, through GStreamer's nvarguscamerasrc, which does exposure and white balance.

    spec: see :func:`csi_pipeline`. open_capture, build_information: for tests. options: see :class:`LiveStream`.
    Raises SourceError where OpenCV was built without GStreamer or the camera does not open.
    """

    def __init__(self, spec, open_capture=cv2.VideoCapture, build_information=cv2.getBuildInformation, **options):
        self._pipeline = csi_pipeline(spec)
        self._open_capture = open_capture
        if not has_gstreamer(build_information()):
            raise SourceError(
                spec,
                "OpenCV {} built without GStreamer".format(cv2.__version__),
                "an OpenCV with GStreamer, which alone reaches a CSI camera",
                "Use the OpenCV of JetPack: pip3 uninstall opencv-python, then sudo apt install libopencv-python.",
            )
        super(CsiCamera, self).__init__(spec, self._open, **options)

    def _open(self):
        capture = self._open_capture(self._pipeline, cv2.CAP_GSTREAMER)
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                self.name,
                "the camera does not open; tried GStreamer: {}".format(self._pipeline),
                "a CSI camera that is connected and used by no other program",
                "Check the ribbon cable, then: sudo systemctl restart nvargus-daemon",
            )
        return capture


def csi_pipeline(spec):
    """Return the GStreamer pipeline that delivers BGR frames for ``csi://SENSOR[?width=W&height=H&fps=F]``.

    W and H are pixels, F frames/s; without them 1280x720 at 30. Raises InputError for anything else in ``spec``.
    Elements: NVIDIA's "Accelerated GStreamer" guide for Jetson. The sink holds one frame, always the newest.
    """
    parts = urlsplit(spec)
    options = dict(CSI_DEFAULTS)
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key not in options or not re.match(r"[1-9][0-9]{0,4}$", value):
            _refuse_csi(spec, "{}={}".format(key, value))
        options[key] = int(value)
    if parts.scheme != "csi" or not re.match(r"[0-9]$", parts.netloc) or parts.path not in ("", "/") or parts.fragment:
        _refuse_csi(spec, spec)
    return (
        "nvarguscamerasrc sensor-id={sensor} "
        "! video/x-raw(memory:NVMM), width={width}, height={height}, framerate={fps}/1, format=NV12 "
        "! nvvidconv ! video/x-raw, format=BGRx ! videoconvert ! video/x-raw, format=BGR "
        "! appsink drop=true max-buffers=1 sync=false"
    ).format(sensor=parts.netloc, **options)


def has_gstreamer(build_information):
    """Whether OpenCV's build information (the text of cv2.getBuildInformation()) lists GStreamer as built in."""
    return re.search(r"GStreamer:\s+YES", build_information) is not None


def _refuse_csi(spec, got):
    raise InputError(spec, got, "csi://SENSOR[?width=W&height=H&fps=F] with whole numbers", "Try csi://0")


def _no_camera(index):
    device = "/dev/video{}".format(index)
    present = sorted(glob.glob("/dev/video[0-9]*"))
    if not os.path.exists(device):
        got = "no device {} (present: {})".format(device, ", ".join(present) or "none")
    elif not os.access(device, os.R_OK | os.W_OK):
        got = "no right to read {}".format(device)
    else:
        got = "{} does not open as a camera (in use, or not a capture device)".format(device)
    return SourceError(
        "camera {}".format(index),
        "{}; tried V4L2".format(got),
        "a camera that is connected, readable and used by no other program",
        "List the cameras with: v4l2-ctl --list-devices; rights come with: sudo usermod -aG video $USER",
    )
