"""Video files, decoded by the FFmpeg (or, failing that, GStreamer) that OpenCV was built with."""

import os
from typing import Any, Optional, Tuple

import cv2
import numpy as np

from tsm_edge.errors import SourceError
from tsm_edge.sources.base import LOOPED, SourceOptions, Stamp
from tsm_edge.sources.container import find_damage
from tsm_edge.sources.iso import read_video_track
from tsm_edge.sources.opencv import (
    FALLBACK_FPS,
    OpenCapture,
    OpenCvSource,
    check_size,
    stated_count,
    stated_fps,
    stated_size,
)
from tsm_edge.sources.rotation import TURNS


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
        _check_file(self.name)
        self._track = read_video_track(self.name)  # None: neither MP4 nor MOV
        self._begin()
        self.fps, self.frame_size = stated_fps(self._capture), stated_size(self._capture)
        self._stated_count = stated_count(self._capture)
        self.frame_count = None if loop else self._stated_count

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
        damage = find_damage(self.name)
        if damage is None and not self._grabbed:
            damage = "no frame of it can be decoded"
        if damage is None and self._ended_early():
            damage = "it cannot be decoded after {:.2f} s".format(self._time)
        if damage is not None:
            got = "{} (the {} frames before the damage were read)".format(damage, self._index + 1)
            raise SourceError(self.name, got, "a whole video file", "Copy or record the file again.")

    def _ended_early(self) -> bool:
        """Return whether both the frames and the time fall short of what an MP4 or MOV states (see :mod:`.iso`).

        Only the time falls short where OpenCV 4.6 loses the last time stamps, only the frames with an edit list.
        """
        if not (self._track and self._track.seconds and self._stated_count and self._pass_start):
            return False
        step = 1.0 / (self.fps or FALLBACK_FPS)
        read = self._time + step - self._pass_start[1]
        return self._grabbed < 0.98 * self._stated_count - 3 and read < 0.98 * self._track.seconds - 3 * step


def open_source(spec: str, options: SourceOptions) -> VideoFile:
    """Open the video file at this path."""
    return VideoFile(spec, options.loop, options.decode_threads)


def _check_file(path: str) -> None:
    if not os.path.isfile(path):
        got = "not a file" if os.path.exists(path) else "no such file"
        raise SourceError(path, got, "a video file", "Check the path.")
    if not os.access(path, os.R_OK):
        raise SourceError(path, "no right to read it", "a readable file", "Give yourself the right: chmod u+r FILE")
    if os.path.getsize(path) == 0:
        raise SourceError(path, "a file of zero bytes", "a video file", "Copy or record the file again.")


def _open_file(path: str, threads: Optional[int], open_capture: OpenCapture) -> Any:
    # OpenCV 4.6 and older cannot be told the number of threads.
    settings = [[cv2.CAP_PROP_N_THREADS, threads]] if threads and hasattr(cv2, "CAP_PROP_N_THREADS") else []
    for backend, further in ((cv2.CAP_FFMPEG, settings), (cv2.CAP_GSTREAMER, [])):
        capture = open_capture(path, backend, *further)
        if capture.isOpened():
            return capture
        capture.release()
    got = find_damage(path) or "a file in which OpenCV finds no video"
    do = "Copy the file again, or convert it: ffmpeg -i FILE -c:v libx264 NEW.mp4"
    raise SourceError(path, got, "a video file that FFmpeg can decode", do)
