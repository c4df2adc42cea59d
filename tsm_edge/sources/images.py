"""A folder of numbered pictures as a source: the form in which TSM data sets store their frames."""

import os
import re
from typing import Any, List, Optional, Tuple, Union

import cv2
import numpy as np

from tsm_edge.errors import SourceError
from tsm_edge.sources.base import LOOPED, Source, SourceOptions, Stamp
from tsm_edge.sources.opencv import FALLBACK_FPS, check_size

SUFFIXES = (".jpg", ".jpeg", ".png")


class ImageFolder(Source):
    """The JPEG and PNG files of one folder in natural order (``2.jpg`` before ``10.jpg``), hidden files left out.

    Pictures are read upright (EXIF) and as 8-bit BGR.

    Args:
        path: the folder; its sub-folders are not read.
        fps: the rate the pictures were taken at. Where it is not known, the time stamps count 30 frames/s.
        loop: begin again at the end, for ever, with a gap before the first frame of each further pass.

    Raises:
        SourceError: there is no such folder or no picture in it; on reading, a picture that cannot be decoded or that
            has another size than the pictures before it.
    """

    def __init__(self, path: Any, fps: Optional[float] = None, loop: bool = False) -> None:
        self.name = os.fspath(path)
        self.fps = fps
        if not os.path.isdir(self.name):
            raise SourceError(self.name, "no such folder", "a folder of numbered pictures", "Check the path.")
        files = [name for name in os.listdir(self.name) if name[0] != "." and name.lower().endswith(SUFFIXES)]
        if not files:
            expected = "files named *{}".format(", *".join(SUFFIXES))
            do = "Name the folder that holds the frames themselves; its sub-folders are not read."
            raise SourceError(self.name, "a folder without pictures", expected, do)
        self._files = sorted(files, key=natural_key)
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
        return Stamp(self._index, self._index / (self.fps or FALLBACK_FPS), (LOOPED,) if gap else ())

    def retrieve(self, into: Optional[np.ndarray] = None) -> np.ndarray:
        """Return the picture. Always a new array: OpenCV decodes pictures into its own memory."""
        del into
        path = os.path.join(self.name, self._files[self._index % len(self._files)])
        try:
            data = np.fromfile(path, np.uint8)
        except OSError as error:
            raise SourceError(path, error, "a picture that can be read", "Check the file and its rights.") from error
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        if image is None:
            do = "Extract or copy this frame again; the {} frames before it were read.".format(self._index)
            raise SourceError(path, "{} bytes that are no picture".format(data.size), "a whole JPEG or PNG file", do)
        check_size(path, self._index, self._size, image)
        self._size = image.shape
        return image

    def close(self) -> None:
        self._closed = True


def open_source(spec: str, options: SourceOptions) -> ImageFolder:
    """Open the folder at this path."""
    return ImageFolder(spec, loop=options.loop)


def natural_key(name: str) -> Tuple[List[Union[int, str]], str]:
    """Return a sort key that puts ``frame_2.jpg`` before ``frame_10.jpg``; equal numbers are sorted by plain name."""
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"([0-9]+)", name)], name
