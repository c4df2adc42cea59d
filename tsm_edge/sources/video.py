"""Video files, decoded by the FFmpeg (or, failing that, GStreamer) that OpenCV was built with."""

import contextlib
import logging
import os
import re
import tempfile
from typing import Any, Iterator, Optional, Tuple

import cv2
import numpy as np

from tsm_edge.errors import SourceError
from tsm_edge.sources.base import FALLBACK_FPS, LOOPED, SourceOptions, Stamp
from tsm_edge.sources.container import Contents, inspect
from tsm_edge.sources.iso import read_video_track
from tsm_edge.sources.opencv import (
    OpenCapture,
    OpenCvSource,
    check_pixels,
    check_size,
    stated_count,
    stated_fps,
    stated_size,
)
from tsm_edge.sources.rotation import TURNS

_LOG = logging.getLogger(__name__)


class VideoFile(OpenCvSource):
    """The frames of one video file, upright, with the time stamps of the container counted from its first frame.

    Args:
        path: the file.
        loop: begin again at the end, for ever. The first frame of each further pass has a gap; its index and time
            go on where the pass before ended.
        threads: of the decoder; None leaves them to FFmpeg (one a core).
        open_capture: see :data:`OpenCapture`.

    Raises:
        SourceError: the file is missing, empty or no video; on reading, after the last whole frame, the file is cut
            off or broken or its frames change size.
    """

    def __init__(
        self, path: Any, loop: bool = False, threads: Optional[int] = None, open_capture: OpenCapture = cv2.VideoCapture
    ) -> None:
        super(VideoFile, self).__init__()
        self.name = os.fspath(path)
        self._threads = threads
        self._loop = loop
        self._open_capture = open_capture
        self._index = -1
        self._time = 0.0  # of the frame grabbed last
        self._unturned: Optional[np.ndarray] = None  # memory for a frame that is still to be turned
        self._contents: Optional[Contents] = None  # not read before the end of the first pass
        _check_file(self.name)
        self._track = read_video_track(self.name)  # None: neither MP4 nor MOV
        self._begin()
        self.fps, self.frame_size = stated_fps(self._capture), stated_size(self._capture)
        if self.frame_size is not None:
            try:
                check_pixels(self.name, *self.frame_size)
            except SourceError:
                self.close()
                raise
        if not loop:
            estimate = stated_count(self._capture) or 0
            possible = estimate if estimate <= os.path.getsize(self.name) else None
            self.frame_count = (self._track and self._track.frames) or possible or None

    def _begin(self) -> None:
        self._capture = _open_file(self.name, self._threads, self._open_capture)
        if hasattr(cv2, "CAP_PROP_ORIENTATION_AUTO"):
            self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1 if self._track is None else 0)
        self._grabbed = 0  # frames of this pass
        self._pass_start: Optional[Tuple[float, float]] = None  # (time stamp, time of the source) of its first frame

    def grab(self) -> Optional[Stamp]:
        with self._lock:
            if self._closed.is_set():
                return None
            stamp = self._grab()
        if self._closed.is_set():
            self.close()
        return stamp

    def _grab(self) -> Optional[Stamp]:
        gap = False
        if not self._capture.grab():
            self._check_whole()
            if not self._loop or not self._grabbed:
                return None
            self._capture.release()
            self._begin()
            if not self._capture.grab():
                raise SourceError(self.name, "no frame on a further pass", "the frames of the first pass")
            gap = True
            self.resets += 1
        self._grabbed += 1
        self._index += 1
        self._time = self._next_time()
        return Stamp(self._index, self._time, (LOOPED,) if gap else ())

    def _next_time(self) -> float:
        """Return the time in s of the frame just grabbed, always later than the frame before.

        OpenCV 4.6 states 0 for the last frames of a file with B frames (5.0 does not), and a raw stream has no time
        stamps at all. Such frames follow at the stated rate.
        """
        stated = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
        step = 1.0 / (stated_fps(self._capture) or FALLBACK_FPS)
        if self._pass_start is None:
            self._pass_start = (stated, self._time + step if self._index else 0.0)
            return self._pass_start[1]
        seconds = self._pass_start[1] + stated - self._pass_start[0]
        return seconds if seconds > self._time else self._time + step

    def retrieve(self, into: Optional[np.ndarray] = None) -> Optional[np.ndarray]:
        with self._lock:
            if self._closed.is_set():
                return None
            ok, image = self._retrieve(into)
        if self._closed.is_set():
            self.close()
        if not ok:
            got = "frame {} cannot be decoded".format(self._index)
            raise SourceError(self.name, got, "a whole video file", "Copy the file again.")
        check_size(self.name, self._index, self._size, image)
        self._size = image.shape
        return image

    def _retrieve(self, into: Optional[np.ndarray]) -> Tuple[bool, Any]:
        turn = TURNS.get(self._track.rotation) if self._track else None
        if turn is None:
            return self._capture.retrieve(into)
        ok, image = self._capture.retrieve(self._unturned)
        self._unturned = image
        return ok, cv2.rotate(image, turn, into) if ok else None

    def _check_whole(self) -> None:
        """Raise SourceError at the end of a pass where frames that the file should hold did not come."""
        if self._contents is None:  # the passes of a loop read the same file
            self._contents = inspect(self.name)
        damage, stated = self._contents
        if damage is None and not self._grabbed:
            damage = "no frame of it can be decoded"
        if damage is None and stated is not None and self._grabbed < stated:
            damage = "{} of its {} frames cannot be decoded".format(stated - self._grabbed, stated)
        if damage is not None:
            got = "{} (the {} frames before the damage were read)".format(damage, self._index + 1)
            raise SourceError(self.name, got, "a whole video file", "Copy or record the file again.")
        if stated is None and self._index + 1 == self._grabbed:
            text = (
                "%s: %d frames were read; files of this kind do not state how many there are, so a loss goes unnoticed"
            )
            _LOG.warning(text, self.name, self._grabbed)


def open_source(spec: str, options: SourceOptions) -> VideoFile:
    """Open the video file at this path."""
    return VideoFile(spec, options.loop, options.decode_threads)


def _check_file(path: str) -> None:
    if not os.path.isfile(path):
        got = "not a file" if os.path.exists(path) else "no such file"
        do = "Name a camera by its number: --camera 0." if path.startswith("/dev/video") else "Check the path."
        raise SourceError(path, got, "a video file", do)
    if not os.access(path, os.R_OK):
        raise SourceError(path, "no right to read it", "a readable file", "Give yourself the right: chmod u+r FILE")
    if os.path.getsize(path) == 0:
        raise SourceError(path, "a file of zero bytes", "a video file", "Copy or record the file again.")


def _open_file(path: str, threads: Optional[int], open_capture: OpenCapture) -> Any:
    # OpenCV 4.6 and older cannot be told the number of threads.
    settings = [[cv2.CAP_PROP_N_THREADS, threads]] if threads and hasattr(cv2, "CAP_PROP_N_THREADS") else []
    with _name_for_opencv(path) as name:
        for backend, further in ((cv2.CAP_FFMPEG, settings), (cv2.CAP_GSTREAMER, [])):
            capture = open_capture(name, backend, *further)
            if capture.isOpened():
                return capture
            capture.release()
    got = inspect(path).damage or "a file in which OpenCV finds no video"
    do = "Copy the file again, or convert it: ffmpeg -i FILE -c:v libx264 NEW.mp4"
    raise SourceError(path, got, "a video file that FFmpeg can decode", do)


@contextlib.contextmanager
def _name_for_opencv(path: str) -> Iterator[str]:
    """Give the name under which OpenCV opens a file, while it opens it.

    The name is absolute: FFmpeg takes "12:30.mp4" for an address of the kind "12". OpenCV crashes on a name that is not
    UTF-8, so such a file is opened through a link.
    """
    path = os.path.abspath(path)
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory(prefix="tsm-edge-") as folder:
            ending = os.path.splitext(path)[1]
            link = os.path.join(folder, "video" + (ending if re.match(r"\.[A-Za-z0-9]{1,8}\Z", ending) else ""))
            os.symlink(path, link)
            yield link
    else:
        yield path
