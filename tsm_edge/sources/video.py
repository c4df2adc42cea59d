"""Video files, decoded by the FFmpeg (or, failing that, GStreamer) that OpenCV was built with."""

import math
import os
import threading

import cv2

from tsm_edge.errors import SourceError
from tsm_edge.sources.base import Source, Stamp
from tsm_edge.sources.container import find_damage
from tsm_edge.sources.iso import read_video_track

# What cv2.rotate is told for each turn in degrees clockwise.
_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}

FALLBACK_FPS = 30.0  # spaces the time stamps of a file that states neither time stamps nor a rate


class VideoFile(Source):
    """The frames of one video file, upright, with the time stamps of the container counted from its first frame.

    path: the file. loop: begin again at the end, for ever; the first frame of each further pass has ``gap`` set, and
    its index and time go on where the pass before ended. threads: of the decoder, None leaves them to FFmpeg (one a
    core). open_capture: what makes a cv2.VideoCapture (for tests).

    Raises SourceError where the file is missing, empty or no video, and, after the last whole frame, where the file is
    cut off or broken or its frames change size.
    """

    def __init__(self, path, loop=False, threads=None, open_capture=cv2.VideoCapture):
        self.name = os.fspath(path)
        self._threads = threads
        self._loop = loop
        self._open_capture = open_capture
        self._lock = threading.Lock()  # held inside OpenCV, which must not be released under a running read
        self._closed = False
        self._index = -1
        self._time = None  # of the frame grabbed last
        self._size = None
        self._unturned = None  # memory for a frame that is still to be turned
        _check_file(self.name)
        self._track = read_video_track(self.name)  # None: neither MP4 nor MOV
        self._begin()
        self.fps, self.frame_size = stated_fps(self._capture), stated_size(self._capture)
        self._stated_count = stated_count(self._capture)
        self.frame_count = None if loop else self._stated_count

    def _begin(self):
        self._capture = _open_file(self.name, self._threads, self._open_capture)
        if hasattr(cv2, "CAP_PROP_ORIENTATION_AUTO"):
            self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1 if self._track is None else 0)
        self._grabbed = 0  # frames of this pass
        self._pass_start = None  # (time stamp in the file, time of the source) of its first frame

    def grab(self):
        with self._lock:
            if self._closed:
                return None
            stamp = self._grab()
        if self._closed:
            self.close()
        return stamp

    def _grab(self):
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
        return Stamp(self._index, self._time, gap)

    def _next_time(self):
        """Return the time in s of the frame just grabbed, always later than the one before.

        OpenCV 4.6 states 0 for the last frames of a file with B frames (5.0 does not), and a raw stream has no time
        stamps at all: those frames follow at the stated rate.
        """
        stated = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
        step = 1.0 / (stated_fps(self._capture) or FALLBACK_FPS)
        if self._pass_start is None:
            self._pass_start = (stated, 0.0 if self._time is None else self._time + step)
            return self._pass_start[1]
        seconds = self._pass_start[1] + stated - self._pass_start[0]
        return seconds if seconds > self._time else self._time + step

    def retrieve(self, into=None):
        with self._lock:
            if self._closed:
                return None
            ok, image = self._retrieve(into)
        if self._closed:
            self.close()
        if not ok:
            raise SourceError(
                self.name, "frame {} cannot be decoded".format(self._index), "a whole video", "Copy the file again."
            )
        check_size(self.name, self._index, self._size, image)
        self._size = image.shape
        return image

    def _retrieve(self, into):
        turn = _TURNS.get(self._track.rotation) if self._track else None
        if turn is None:
            return self._capture.retrieve(into)
        ok, self._unturned = self._capture.retrieve(self._unturned)
        return ok, cv2.rotate(self._unturned, turn, into) if ok else None

    def _check_whole(self):
        """At the end of a pass: raise SourceError where frames that the file should hold did not come."""
        damage = find_damage(self.name)
        if damage is None and not self._grabbed:
            damage = "no frame of it can be decoded"
        if damage is None and self._ended_early():
            damage = "it cannot be decoded after {:.2f} s".format(self._time)
        if damage is not None:
            raise SourceError(
                self.name,
                "{} (the {} frames before the damage were read)".format(damage, self._index + 1),
                "a whole video file",
                "Copy or record the file again.",
            )

    def _ended_early(self):
        """Whether both the frames and the time fall short of what an MP4 or MOV states (see :mod:`.iso`).

        Time alone would accuse files whose last time stamps OpenCV 4.6 loses, frames alone those with an edit list.
        """
        if self._track is None or self._track.seconds is None or self._stated_count is None:
            return False
        step = 1.0 / (self.fps or FALLBACK_FPS)
        read = self._time + step - self._pass_start[1]
        return self._grabbed < 0.98 * self._stated_count - 3 and read < 0.98 * self._track.seconds - 3 * step

    def close(self):
        self._closed = True
        # A read that is under way holds the lock and comes here itself when it is done.
        if self._lock.acquire(blocking=False):
            try:
                self._capture.release()
            finally:
                self._lock.release()


def check_size(name, index, size, image):
    """Raise SourceError where ``image`` has not the shape ``size`` (None: any) of the frames before it."""
    if size is not None and image.shape != size:
        raise SourceError(
            name,
            "frame {} is {}x{}".format(index, image.shape[1], image.shape[0]),
            "{}x{}, the size of the frames before it".format(size[1], size[0]),
            "Split the source where its size changes and run the parts one by one.",
        )


def stated_fps(capture):
    """Return the frame rate a cv2.VideoCapture states, None where it states none that can be true."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    return fps if math.isfinite(fps) and 0 < fps <= 1000 else None


def stated_size(capture):
    """Return (width, height) in pixels as a cv2.VideoCapture states them, None where it states none."""
    size = tuple(int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    return size if min(size) > 0 else None


def stated_count(capture):
    """Return the frame count a cv2.VideoCapture states (an estimate for some containers), None where it states none."""
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if math.isfinite(count) and 0 < count < 2**31 else None


def _check_file(path):
    if not os.path.exists(path):
        raise SourceError(path, "no such file", "a video file", "Check the path.")
    if not os.path.isfile(path):
        raise SourceError(path, "not a file", "a video file", "Check the path.")
    if not os.access(path, os.R_OK):
        raise SourceError(path, "no right to read it", "a readable file", "Give yourself the right: chmod u+r FILE")
    if os.path.getsize(path) == 0:
        raise SourceError(path, "a file of zero bytes", "a video file", "Copy or record the file again.")


def _open_file(path, threads, open_capture):
    # OpenCV 4.6 and older cannot be told the number of threads.
    settings = [cv2.CAP_PROP_N_THREADS, threads] if threads and hasattr(cv2, "CAP_PROP_N_THREADS") else []
    for backend, wishes in ((cv2.CAP_FFMPEG, settings), (cv2.CAP_GSTREAMER, [])):
        capture = open_capture(path, backend, wishes) if wishes else open_capture(path, backend)
        if capture.isOpened():
            return capture
        capture.release()
    raise SourceError(
        path,
        find_damage(path) or "a file in which OpenCV finds no video",
        "a video file that FFmpeg can decode",
        "Play the file elsewhere to check it, then copy it again or convert it: ffmpeg -i FILE -c:v libx264 NEW.mp4",
    )
