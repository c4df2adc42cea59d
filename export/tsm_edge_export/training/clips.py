"""Clips on disk: folders of frames, and videos or parts of them.

A clip is any object with `name` (str), `label` (int), `count` (frames, at least 1) and `read(indices)`, which returns
(len(indices), H, W, 3) uint8 RGB for indices 0 <= i < count in any order, some perhaps twice. What cannot be read
raises SourceError. The rendered gestures of `.synthetic` are such clips as well.

A clip may have `frame_labels(indices)`, (len(indices),) int64: the label of each frame, ANY where no answer is wrong.
Training then asks for these instead of one label for the whole.
"""

import math
import os

import cv2
import numpy as np

from tsm_edge.errors import SourceError
from tsm_edge.sources.video import VideoFile

ANY = -1


class FrameFolder:
    """A folder of numbered pictures. template: their names, "img_{:05d}.jpg"; the first has number 1.

    Raises SourceError where the first or the last of `count` frames does not exist. More frames may lie there.
    """

    def __init__(self, name, folder, count, label, template):
        self.name, self.label, self.count = name, label, count
        self._folder, self._template = os.fspath(folder), template
        for index in (0, count - 1):
            if not os.path.isfile(self._path(index)):
                raise SourceError(
                    self._path(index),
                    "no such frame",
                    f"frames 1 to {count} of clip {name}, as the list says",
                    "correct the count in the list, or extract the frames again",
                )

    def _path(self, index):
        return os.path.join(self._folder, self._template.format(index + 1))

    def read(self, indices):
        pictures = {int(index): None for index in indices}
        for index in pictures:
            pictures[index] = _read_picture(self._path(index))
        return _stack(self.name, [pictures[int(index)] for index in indices])


class VideoClip:
    """A video file, or the part of it from `start` up to `end` seconds (None: the whole), at the file's own rate.

    Raises SourceError for a file that is no video, and for a part that lies outside it. A file is read from its
    beginning, because seeking lands on other frames than it says.
    """

    def __init__(self, name, path, label, start=None, end=None):
        self.name, self.label = name, label
        self._path, self._start = os.fspath(path), start
        with VideoFile(self._path) as video:
            frames, self._fps = video.frame_count, video.fps
        if frames is None or (start is not None and self._fps is None):
            frames, self._fps = _counted(self._path)
        self.count = frames
        if start is not None:
            seconds = frames / self._fps
            if start >= seconds or end > seconds + 1 / self._fps:
                raise SourceError(
                    self._path,
                    f"a part from {start} s to {end} s of a video of {seconds:.2f} s",
                    "a part inside the video",
                    "correct the times in the list",
                )
            self.count = max(1, round((min(end, seconds) - start) * self._fps))

    def read(self, indices):
        wanted = sorted({int(index) for index in indices})
        found, stamp = {}, None
        with VideoFile(self._path) as video:
            for index in wanted:
                picture = found[wanted[len(found) - 1]] if found else None
                while stamp is None or not self._reached(stamp, index):
                    following = video.grab()
                    if following is None:
                        return self._read_short(indices, index, stamp)
                    stamp, picture = following, None
                found[index] = cv2.cvtColor(video.retrieve(), cv2.COLOR_BGR2RGB) if picture is None else picture
        return _stack(self.name, [found[int(index)] for index in indices])

    def _reached(self, stamp, index):
        if self._start is None:
            return stamp.index >= index
        return stamp.time >= self._start + (index - 0.5) / self._fps

    def _read_short(self, indices, missing, stamp):
        """The last frame stands in for those after it where the file is as little short as containers miscount."""
        last = -1
        if stamp is not None:
            last = stamp.index if self._start is None else math.floor((stamp.time - self._start) * self._fps)
        if last < 0 or last + 1 < 0.98 * self.count - 3:
            raise SourceError(
                self._path, f"no frame {missing}", f"the {self.count} frames it states", "copy the file again"
            )
        return self.read([min(int(index), last) for index in indices])


class Reversed:
    """`clip` played backwards, under another label."""

    def __init__(self, clip, label):
        self._clip, self.label = clip, label
        self.name, self.count = clip.name + " (backwards)", clip.count

    def read(self, indices):
        return self._clip.read([self.count - 1 - int(index) for index in indices])

    def turned(self, indices):
        """Which indices here, in order, are the frames `indices` (..., T) of the clip forwards.

        What is chosen for the one is what is chosen for the other, so that nothing but order tells them apart: the
        published middles of parts would be other frames where the count is no multiple of the parts.
        """
        return self.count - 1 - indices[..., ::-1]


def _counted(path):
    """(frames, frames/s) of a video that states neither: all of it is decoded once."""
    first, last = None, None
    with VideoFile(path) as video:
        while (stamp := video.grab()) is not None:
            first, last = first or stamp, stamp
    if last is None or last.time <= first.time:
        raise SourceError(path, "no rate, and fewer than two frames", "a video", "record it again")
    return last.index + 1, last.index / (last.time - first.time)


def _read_picture(path):
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(path, error.strerror, "a frame that can be read", "extract the frames again") from None
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if picture is None:
        raise SourceError(
            path, f"{data.size} bytes that are no picture", "a whole JPEG or PNG file", "extract the frames again"
        )
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _stack(name, pictures):
    sizes = sorted({picture.shape[:2] for picture in pictures})
    if len(sizes) > 1:
        raise SourceError(name, f"frames of sizes {sizes}", "frames of one size", "extract the frames again")
    return np.stack(pictures)
