"""A folder of numbered pictures as a source: the form in which TSM data sets store their frames."""

import os
import re
from typing import Any, List, Match, Optional, Tuple

import numpy as np

from tsm_edge.errors import SourceError
from tsm_edge.sources.base import FALLBACK_FPS, LOOPED, Source, SourceOptions, Stamp
from tsm_edge.sources.opencv import check_size
from tsm_edge.sources.picture import read_picture

SUFFIXES = (".jpg", ".jpeg", ".png")
_NUMBER = re.compile("[0-9]+")


class ImageFolder(Source):
    """The JPEG and PNG files of one folder in natural order (``2.jpg`` before ``10.jpg``), hidden files left out.

    Pictures are read upright (EXIF) and as 8-bit BGR.

    Args:
        path: the folder; its sub-folders are not read.
        fps: the rate in frames/s at which the pictures were taken. Where it is not known, they count as 30 frames/s.
        loop: begin again at the end, for ever, with a gap before the first frame of each further pass.

    Raises:
        SourceError: there is no such folder or no picture in it; on reading, a picture that cannot be decoded or that
            has another size than the pictures before it.
    """

    def __init__(self, path: Any, fps: Optional[float] = None, loop: bool = False) -> None:
        self.name = os.fspath(path)
        self.fps: float = fps or FALLBACK_FPS
        if not os.path.isdir(self.name):
            raise SourceError(self.name, "no such folder", "a folder of numbered pictures", "Check the path.")
        files = pictures(self.name)
        if not files:
            expected = "files named *{}".format(", *".join(SUFFIXES))
            do = "Name the folder that holds the frames themselves; its sub-folders are not read."
            raise SourceError(self.name, "a folder without pictures", expected, do)
        self._files = files
        self.frame_count = None if loop else len(self._files)
        self._loop = loop
        self._index = -1
        self._size: Optional[Tuple[int, ...]] = None
        self._closed = False

    def grab(self) -> Optional[Stamp]:
        if self._closed or (self._index + 1 >= len(self._files) and not self._loop):
            return None
        self._index += 1
        gap = self._index > 0 and self._index % len(self._files) == 0
        self.resets += gap
        return Stamp(self._index, self._index / self.fps, (LOOPED,) if gap else ())

    def retrieve(self, into: Optional[np.ndarray] = None) -> np.ndarray:
        """Return the picture. Always a new array: OpenCV decodes pictures into its own memory."""
        del into
        path = os.path.join(self.name, self._files[self._index % len(self._files)])
        do = "Extract or copy this frame again; the {} frames before it were read.".format(self._index)
        image = read_picture(path, do)
        check_size(path, self._index, self._size, image)
        self._size = image.shape
        return image

    def close(self) -> None:
        self._closed = True


def pictures(folder: str) -> List[str]:
    """Return the names of the pictures that are read from a folder, in their order."""
    names = [name for name in os.listdir(folder) if name[0] != "." and name.lower().endswith(SUFFIXES)]
    return sorted(names, key=natural_key)


def open_source(spec: str, options: SourceOptions) -> ImageFolder:
    """Open the folder at this path."""
    return ImageFolder(spec, options.fps, options.loop)


def natural_key(name: str) -> str:
    """Return a sort key that puts ``frame_2.jpg`` before ``frame_10.jpg``; equal numbers are sorted by plain name.

    Each number becomes NUL, its length and its digits. No file name has a NUL, so a number sorts before any text.
    """
    return _NUMBER.sub(_with_length, name.lower()) + "\0\0" + name


def _with_length(number: Match) -> str:
    digits = number.group().lstrip("0") or "0"
    return "\0" + chr(len(digits)) + digits
