"""Clips on disk: folders of frames, and videos or parts of them.

A clip is any object with `name` (str), `label` (int), `count` (frames, at least 1) and `read(indices)`, which returns
(len(indices), H, W, 3) uint8 RGB for indices from 0 to count - 1 in any order, also repeated. It raises SourceError for
a frame that cannot be read. The rendered gestures of tsm_edge_export.synthetic are clips too.

A clip on disk has `fps` (frames/s, None where unknown) as well.

A clip may have `frame_labels(indices)`: (len(indices),) int64, the label of each frame, UNLABELLED where no answer is
wrong. Training then asks for these labels instead of one label for the whole clip.
"""

import io
import math
import os
import warnings
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

from tsm_edge.errors import InputError, SourceError
from tsm_edge.files import read_limited
from tsm_edge.sources.images import SUFFIXES, natural_key
from tsm_edge.sources.video import VideoFile

Clip = Any  # as described above
Clips = Sequence[Clip]
StrPath = str | os.PathLike[str]

MAX_PICTURE_BYTES = 64 << 20  # of a file
MAX_PIXELS = 1 << 26  # of a picture: 8192 x 8192
MAX_CLIP_BYTES = 1 << 29  # of the frames that are read at once: 86 of 1920 x 1080


class Pictures:
    """A clip of pictures, one file a frame. fps: their frames/s, None where unknown. folder: of the clip."""

    def __init__(self, name: str, folder: StrPath, paths: Sequence[str], label: int, fps: float | None = None) -> None:
        self.name, self.label, self.count, self.fps = name, label, len(paths), fps
        self._paths = paths
        self.place, self.part, self.file_count = os.fspath(folder), (0.0, math.inf), len(paths)  # for overlap.py

    def files(self) -> list[str]:
        """Return the paths of the clip's frames."""
        return list(self._paths)

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Return these frames, (len(indices), H, W, 3) uint8 RGB."""
        pictures: dict[int, np.ndarray] = {}
        for index in dict.fromkeys(map(int, indices)):
            pictures[index] = _read_picture(self._paths[index])
            _check_memory(self.name, pictures[index], len(indices))
        return _stack(self.name, [pictures[int(index)] for index in indices])


class FrameFolder(Pictures):
    """The first `count` pictures of a folder; `template` names them, such as "img_{:05d}.jpg", from number 1 on.

    Raises SourceError where the first or the last of them does not exist.
    """

    def __init__(
        self, name: str, folder: StrPath, count: int, label: int, template: str, fps: float | None = None
    ) -> None:
        paths = [os.path.join(os.fspath(folder), template.format(number)) for number in range(1, count + 1)]
        super().__init__(name, folder, paths, label, fps)
        for path in (paths[0], paths[-1]):
            if not os.path.isfile(path):
                do = "correct the count in the list, or extract the frames again"
                raise SourceError(path, "no such frame", f"frames 1 to {count} of clip {name}", do)


class PictureFolder(Pictures):
    """All pictures of a folder, in the natural order of their names. Raises SourceError where it has none."""

    def __init__(self, name: str, folder: StrPath, label: int, fps: float | None = None) -> None:
        try:
            names = sorted(pictures_in(folder), key=natural_key)
        except OSError as error:
            do = "check the path"
            raise SourceError(folder, error.strerror, "a folder of pictures", do) from None
        if not names:
            raise SourceError(folder, "no pictures", "files named *" + ", *".join(SUFFIXES), "remove the folder")
        super().__init__(name, folder, [os.path.join(os.fspath(folder), file) for file in names], label, fps)


def pictures_in(folder: StrPath) -> list[str]:
    """Return the names of the pictures in a folder, in no order. Raises OSError where it cannot be read."""
    return [file for file in os.listdir(folder) if file[0] != "." and file.lower().endswith(SUFFIXES)]


class VideoClip:
    """A video file, or its part from `start` to `end` seconds, at the file's own rate.

    A file is read from its beginning, because seeking lands on other frames than it says.
    Raises SourceError where the file is no video, or the part lies outside it.
    """

    def __init__(self, name: str, path: StrPath, label: int, start: float | None = None, end: float = math.inf) -> None:
        self.name, self.label = name, label
        self._path, self._start = os.fspath(path), start
        self.place, self.part, self.file_count = self._path, (start or 0.0, end), 1  # for overlap.py
        with VideoFile(self._path) as video:
            count, rate = video.frame_count, video.fps
        if count is None or (start is not None and rate is None):
            count, rate = _decoded_count(self._path)
        self.count, self.fps, self._fps = count, rate, rate or math.nan  # only a part needs the rate
        if start is not None:
            seconds = count / self._fps
            if start >= seconds or end > seconds + 1 / self._fps:
                got = f"a part from {start} s to {end} s of a video of {seconds:.2f} s"
                raise SourceError(self._path, got, "a part inside the video", "correct the times in the list")
            self.count = max(1, round((min(end, seconds) - start) * self._fps))

    def files(self) -> list[str]:
        """Return the path of the video."""
        return [self._path]

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Return these frames, (len(indices), H, W, 3) uint8 RGB."""
        wanted = sorted({int(index) for index in indices})
        found: dict[int, np.ndarray] = {}
        stamp = None
        with VideoFile(self._path) as video:
            for index in wanted:
                picture = found[wanted[len(found) - 1]] if found else None
                while stamp is None or not self._reached(stamp, index):
                    following = video.grab()
                    if following is None:
                        return self._read_short(indices, index, stamp)
                    stamp, picture = following, None
                if picture is None:
                    picture = cv2.cvtColor(np.asarray(video.retrieve()), cv2.COLOR_BGR2RGB)
                    _check_memory(self.name, picture, len(indices))
                found[index] = picture
        return _stack(self.name, [found[int(index)] for index in indices])

    def _reached(self, stamp: Any, index: int) -> bool:
        if self._start is None:
            return stamp.index >= index
        return stamp.time >= self._start + (index - 0.5) / self._fps

    def _read_short(self, indices: Sequence[int], missing: int, stamp: Any) -> np.ndarray:
        """Read a file that ends early. Its last frame stands in for a few missing ones, as containers miscount."""
        last = -1
        if stamp is not None:
            last = stamp.index if self._start is None else math.floor((stamp.time - self._start) * self._fps)
        if last < 0 or last + 1 < 0.98 * self.count - 3:
            raise SourceError(self._path, f"no frame {missing}", f"the {self.count} it states", "copy the file again")
        return self.read([min(int(index), last) for index in indices])


class Reversed:
    """A clip played backwards, under another label."""

    def __init__(self, clip: Clip, label: int) -> None:
        self._clip, self.label = clip, label
        self.name, self.count, self.fps = clip.name + " (backwards)", clip.count, getattr(clip, "fps", None)

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Return these frames, (len(indices), H, W, 3) uint8 RGB."""
        return self._clip.read([self.count - 1 - int(index) for index in indices])

    def turned(self, indices: np.ndarray) -> np.ndarray:
        """Return the indices here, in order, that show the frames `indices` (..., T) of the clip.

        So both clips show the same frames. Sampling this one by itself would choose others if T does not divide count.
        """
        return self.count - 1 - indices[..., ::-1]


class Still:
    """A clip of one frame of another clip, held. Which frame follows from the indices that are asked for."""

    def __init__(self, clip: Clip, label: int) -> None:
        self._clip, self.label = clip, label
        self.name, self.count, self.fps = clip.name + " (held)", clip.count, getattr(clip, "fps", None)

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Return the frame, (len(indices), H, W, 3) uint8 RGB."""
        held = int(indices[sum(map(int, indices)) % len(indices)])
        return np.repeat(self._clip.read([held]), len(indices), axis=0)


def _decoded_count(path: str) -> tuple[int, float]:
    """Return frames and frames/s of a video that does not state them, by decoding all of it."""
    first = last = None
    with VideoFile(path) as video:
        while (stamp := video.grab()) is not None:
            first, last = first or stamp, stamp
    if first is None or last is None or last.time <= first.time:
        raise SourceError(path, "no rate, and fewer than two frames", "a video", "record it again")
    return last.index + 1, last.index / (last.time - first.time)


def _read_picture(path: str) -> np.ndarray:
    do = "extract the frames again"
    try:
        data = read_limited(path, MAX_PICTURE_BYTES, "a frame that can be read", do)
    except InputError as error:
        raise SourceError(error.where, error.got, error.expected, error.do) from None
    _check_pixels(path, data)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:  # more pixels than OpenCV decodes
        picture = None
    if picture is None:
        raise SourceError(path, f"{len(data)} bytes that are no picture", "a whole JPEG or PNG file", do)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _check_pixels(path: str, data: bytes) -> None:
    """Raise SourceError for a picture of more than MAX_PIXELS, before it is decoded. Its header states the size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own about large pictures
        try:
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
        except Image.DecompressionBombError as error:
            raise SourceError(path, str(error), f"at most {MAX_PIXELS} pixels", "scale the frames down") from None
        except Exception:  # no picture, or a form that Pillow does not know: OpenCV decides
            return
    if width * height > MAX_PIXELS:
        raise SourceError(path, f"{width} x {height} pixels", f"at most {MAX_PIXELS} pixels", "scale the frames down")


def _check_memory(name: str, picture: np.ndarray, count: int) -> None:
    if count * picture.nbytes > MAX_CLIP_BYTES:
        got = f"{count} frames of {picture.shape[1]} x {picture.shape[0]} at once"
        raise SourceError(name, got, f"at most {MAX_CLIP_BYTES} bytes of frames", "scale the frames down")


def _stack(name: str, pictures: list[np.ndarray]) -> np.ndarray:
    sizes = sorted({picture.shape[:2] for picture in pictures})
    if len(sizes) > 1:
        raise SourceError(name, f"frames of sizes {sizes}", "frames of one size", "extract the frames again")
    return np.stack(pictures)
