"""Network streams: RTSP, and MJPEG or HLS over HTTP, through the FFmpeg that OpenCV was built with."""

import re

import cv2

from tsm_edge.errors import SourceError
from tsm_edge.sources.live import LiveStream
from tsm_edge.sources.video import stated_count

OPEN_SECONDS = 10.0
READ_SECONDS = 5.0  # a stream that is silent for longer counts as interrupted


class NetworkStream(LiveStream):
    """A live stream at an ``rtsp://``, ``http://`` or ``https://`` address; it connects again when it stalls or drops.

    url: a password in it never shows in a message. open_seconds, read_seconds: how long opening, and silence in a
    running stream, may last (OpenCV before 4.5.2 has its own 30 s for both). open_capture: what makes a
    cv2.VideoCapture. options: see :class:`LiveStream`.

    Raises SourceError where the address gives no video, or gives a recorded file: that one can wait for its reader
    and must not be thinned out like a live stream.
    """

    def __init__(
        self, url, open_seconds=OPEN_SECONDS, read_seconds=READ_SECONDS, open_capture=cv2.VideoCapture, **options
    ):
        self._url = url
        self._limits = _limits(open_seconds, read_seconds)
        self._open_capture = open_capture
        super(NetworkStream, self).__init__(without_password(url), self._open, **options)
        count = stated_count(self._capture)
        if count:
            self.close()
            raise SourceError(
                self.name,
                "a recorded video of {} frames".format(count),
                "a live stream",
                "Download it (curl -O URL) and run the file.",
            )

    def _open(self):
        capture = self._open_capture(self._url, cv2.CAP_FFMPEG, *self._limits)
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                without_password(self._url),
                "no video at this address; tried FFmpeg",
                "a stream that is reachable from here",
                "Check address, name and password: ffplay URL",
            )
        return capture


def without_password(url):
    """Return ``url`` with the password of ``scheme://user:password@host`` replaced by ``***``."""
    return re.sub(r"^([^:/]+://[^:/@]*):(?![0-9]+/).*@", r"\1:***@", url)  # not the port of host:80/a@b


def _limits(open_seconds, read_seconds):
    """Return the further arguments of cv2.VideoCapture that set its time limits: one list, or nothing."""
    if not hasattr(cv2, "CAP_PROP_OPEN_TIMEOUT_MSEC"):
        return ()
    milliseconds = [int(1000 * open_seconds), int(1000 * read_seconds)]
    return ([cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds[0], cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds[1]],)
