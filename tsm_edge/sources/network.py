"""Network streams: RTSP, and MJPEG or HLS over HTTP, through the FFmpeg that OpenCV was built with."""

from typing import Any, Tuple

import cv2

from tsm_edge.errors import SourceError
from tsm_edge.sources.base import SourceOptions
from tsm_edge.sources.live import LiveStream
from tsm_edge.sources.opencv import OpenCapture, stated_count
from tsm_edge.text import masked_address

OPENCV_SILENCE = 30.0  # seconds for which an OpenCV that cannot be told waits for a frame


class NetworkStream(LiveStream):
    """A live stream at an ``rtsp://``, ``http://`` or ``https://`` address; it connects again when it stalls or drops.

    Args:
        url: the address; a password in it never shows in a message.
        open_seconds: how long opening may last (OpenCV before 4.5.2 has its own limit of 30 s).
        read_seconds: how long a running stream may send no frame before it counts as interrupted (likewise).
        open_capture: see :data:`OpenCapture`.
        **options: see :class:`LiveStream`.

    Raises:
        SourceError: the address gives no video, or a recorded file, which must not be thinned out like a live stream.
    """

    def __init__(
        self,
        url: str,
        open_seconds: float = 10,
        read_seconds: float = 5,
        open_capture: OpenCapture = cv2.VideoCapture,
        **options: Any,
    ) -> None:
        self._url = url
        self._limits = _limits(open_seconds, read_seconds)
        self._open_capture = open_capture
        silence = read_seconds if self._limits else OPENCV_SILENCE
        super(NetworkStream, self).__init__(masked_address(url), self._open, silence, **options)
        count = stated_count(self._capture)
        if count:
            self.close()
            got = "a recorded video of {} frames".format(count)
            raise SourceError(self.name, got, "a live stream", "Download it (curl -O URL) and run the file.")

    def _open(self) -> Any:
        capture = self._open_capture(self._url, cv2.CAP_FFMPEG, *self._limits)
        if not capture.isOpened():
            capture.release()
            got, do = "no video at this address; tried FFmpeg", "Check address, name and password: ffplay URL"
            raise SourceError(masked_address(self._url), got, "a stream that is reachable from here", do)
        return capture


def open_source(spec: str, options: SourceOptions) -> NetworkStream:
    """Open the stream at this address."""
    return NetworkStream(spec, persistent=options.persistent)


def _limits(open_seconds: float, read_seconds: float) -> Tuple[Any, ...]:
    """Return the arguments of cv2.VideoCapture that set its time limits: one list, or nothing."""
    if not hasattr(cv2, "CAP_PROP_OPEN_TIMEOUT_MSEC"):
        return ()
    limits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, open_seconds), (cv2.CAP_PROP_READ_TIMEOUT_MSEC, read_seconds)
    return ([number for name, seconds in limits for number in (name, int(1000 * seconds))],)
