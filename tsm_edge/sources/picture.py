"""Read one JPEG or PNG file. Its header is looked at first: a file of 200 kB may state a picture of 5 GB.

Formats: ITU-T T.81 annex B (JPEG: SOF states the size, EOI ends the picture), W3C PNG section 5 (IHDR, IEND).
"""

import struct
from typing import Optional, Tuple

import cv2
import numpy as np

from tsm_edge.errors import InputError, SourceError
from tsm_edge.files import read_limited
from tsm_edge.sources.opencv import check_pixels

MAX_BYTES = 1 << 28  # of one file
_PNG = b"\x89PNG\r\n\x1a\n"
_EXPECTED = "a whole JPEG or PNG file"
# Start of frame, of each kind of coding; 0xC4, 0xC8 and 0xCC in between mean other things.
_SIZES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END = 0xDA, b"\xff\xd9"
MOST_MARKERS = 1 << 16


def read_picture(path: str, do: str) -> np.ndarray:
    """Return the picture in a file: (H, W, 3) uint8 BGR, upright by its EXIF.

    Args:
        path: of the file.
        do: what the user should do about a damaged file, for messages.

    Raises:
        SourceError: no regular file, a damaged one, one of another kind, or a picture too large to decode.
    """
    try:
        data = read_limited(path, MAX_BYTES, _EXPECTED, do)
    except InputError as error:
        raise SourceError(error.where, error.got, error.expected, error.do) from error
    size, whole = _png_header(data) if data.startswith(_PNG) else _jpeg_header(data)
    if size is None:
        raise SourceError(path, "{} bytes that are no picture".format(len(data)), _EXPECTED, do)
    check_pixels(path, *size)
    if not whole:
        raise SourceError(path, "a picture that is cut off after {} bytes".format(len(data)), _EXPECTED, do)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise SourceError(path, "a picture that OpenCV refuses ({})".format(error.err), _EXPECTED, do) from error
    if image is None:
        raise SourceError(path, "{} bytes that are no picture".format(len(data)), _EXPECTED, do)
    return image


def _png_header(data: bytes) -> Tuple[Optional[Tuple[int, int]], bool]:
    """Return ((width, height) or None, whether the end is there) of a PNG file."""
    if len(data) < 24 or data[12:16] != b"IHDR":
        return None, False
    width, height = struct.unpack_from(">II", data, 16)
    return (width, height), b"IEND" in data[24:]


def _jpeg_header(data: bytes) -> Tuple[Optional[Tuple[int, int]], bool]:
    """Return ((width, height) or None, whether the end is there) of a JPEG file."""
    size, at = None, 2
    if data[:2] != b"\xff\xd8":
        return None, False
    for _ in range(MOST_MARKERS):
        at = data.find(b"\xff", at)
        if at < 0 or at + 4 > len(data):
            break
        marker = data[at + 1]
        if marker == _SCAN:
            return size, data.find(_END, at) >= 0
        if marker in _SIZES and at + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = width, height
        # Fill bytes (FF FF) and what libjpeg passes over between two markers have no length.
        at += 1 if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD9 else 2 + data[at + 2] * 256 + data[at + 3]
    return size, False
