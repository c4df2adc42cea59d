"""A folder of numbered pictures as a source: the way TSM data sets store their frames."""

import os
import re

import cv2
import numpy as np

from tsm_edge.errors import SourceError
from tsm_edge.sources.base import Source, Stamp
from tsm_edge.sources.video import check_size

SUFFIXES = (".jpg", ".jpeg", ".png")
FALLBACK_FPS = 30.0  # spaces the time stamps of a folder whose rate nobody stated


class ImageFolder(Source):
    """The JPEG and PNG files of one folder in natural order (``2.jpg`` before ``10.jpg``), hidden files left out.

    path: the folder; its sub-folders are not read. fps: the rate the pictures were taken at, None where unknown
    (`fps` is then None too, and the time stamps count 30 frames/s). loop: begin again at the end, for ever, with
    ``gap`` on the first frame of each further pass.

    Pictures are read upright (EXIF) and as 8-bit BGR. Raises SourceError for no such folder, a folder without
    pictures, a picture that cannot be decoded and one of another size than those before it.
    """

    def __init__(self, path, fps=None, loop=False):
        self.name = os.fspath(path)
        self.fps = fps
        if not os.path.isdir(self.name):
            raise SourceError(self.name, "no such folder", "a folder of numbered pictures", "Check the path.")
        files = [file for file in os.listdir(self.name) if _is_picture(file)]
        if not files:
            raise SourceError(
                self.name,
                "a folder without pictures",
                "files named *{}".format(", *".join(SUFFIXES)),
                "Name the folder that holds the frames themselves; its sub-folders are not read.",
            )
        self._files = sorted(files, key=natural_key)
        self.frame_count = None if loop else len(self._files)
        self._loop = loop
        self._index = -1
        self._size = None
        self._closed = False

    def grab(self):
        if self._closed or (self._index + 1 >= len(self._files) and not self._loop):
            return None
        self._index += 1
        gap = self._index > 0 and self._index % len(self._files) == 0
        self.resets += gap
        return Stamp(self._index, self._index / (self.fps or FALLBACK_FPS), gap)

    def retrieve(self, into=None):
        """See :meth:`Source.retrieve`. Always a new array: OpenCV decodes pictures into its own memory."""
        path = os.path.join(self.name, self._files[self._index % len(self._files)])
        try:
            data = np.fromfile(path, np.uint8)
        except OSError as error:
            raise SourceError(path, error, "a picture that can be read", "Check the file and its rights.") from error
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
        if image is None:
            raise SourceError(
                path,
                "{} bytes that are no picture".format(data.size),
                "a whole JPEG or PNG file",
                "Extract or copy this frame again; the {} frames before it were read.".format(self._index),
            )
        check_size(path, self._index, self._size, image)
        self._size = image.shape
        return image

    def close(self):
        self._closed = True


def natural_key(name):
    """Sort key that orders ``frame_2.jpg`` before ``frame_10.jpg``; equal numbers fall back to the plain name."""
    parts = [int(part) if part.isdigit() else part.lower() for part in re.split(r"([0-9]+)", name)]
    return parts, name


def _is_picture(file):
    return not file.startswith(".") and file.lower().endswith(SUFFIXES)
