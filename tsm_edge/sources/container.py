"""Find out whether a video file is whole, from the structure of its container. OpenCV does not say.

OpenCV reports the end of a truncated file as the end of any file. Its frame count does not help: it is an estimate for
Matroska, and for MP4 it counts frames that an edit list hides. But a container states exactly how long its own parts
are. Only the headers of the outermost parts are read.

Formats: ISO/IEC 14496-12 section 4.2 (MP4, MOV), RFC 8794 and 9559 (Matroska, WebM), RIFF (AVI).
"""

import os
import struct
from typing import IO, Optional, Tuple

from tsm_edge.sources.iso import FIRST_BOXES, boxes

_EBML_MAGIC = b"\x1a\x45\xdf\xa3"
_EBML_SEGMENT = 0x18538067


def find_damage(path: str) -> Optional[str]:
    """Return what is broken in the outer structure of a video file, None where no damage was found.

    Reads MP4/MOV, Matroska/WebM and AVI. Any other format, and a part of unknown length, counts as whole.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(12)
        if head[4:8] in FIRST_BOXES:
            return _walk_iso(file, size)
        if head[:4] == _EBML_MAGIC:
            return _walk_matroska(file, size)
        if head[:4] == b"RIFF" and head[8:] == b"AVI ":
            return _walk_riff(file, size)
    return None


def _cut_off(size: int, stated: int) -> str:
    return "cut off: {} bytes are here of at least {}".format(size, stated)


def _walk_iso(file: IO[bytes], size: int) -> Optional[str]:
    try:
        parts = list(boxes(file, 0, size))
    except struct.error:
        return "cut off inside the header of a part"
    if parts[-1][2] > size:
        return _cut_off(size, parts[-1][2])
    if b"moov" not in [kind for kind, _, _ in parts]:
        return "cut off: the index (moov box) is missing"
    return None


def _walk_riff(file: IO[bytes], size: int) -> Optional[str]:
    start = 0
    while start + 8 <= size:  # an AVI above 1 GB has several RIFF chunks
        file.seek(start)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF" or length == 0:  # anything may follow; 0: the recording ended before its length was written
            return None
        start += 8 + length + length % 2
    return _cut_off(size, start) if start > size + 1 else None


def _walk_matroska(file: IO[bytes], size: int) -> Optional[str]:
    """Follow the parts of the segment (clusters, cues, …): each must begin where the one before ended."""
    start, end = 0, size
    while start < end:
        header = _ebml_header(file, start)
        if header is None:
            return "broken or cut off at byte {} of {}".format(start, size)
        ident, content, length = header
        if length is None:  # a live recording states no lengths
            return None
        if ident == _EBML_SEGMENT:
            if content + length > size:
                return _cut_off(size, content + length)
            start, end = content, content + length
        else:
            start = content + length
    return None if start == end else "broken before byte {} of {}".format(end, size)


def _ebml_header(file: IO[bytes], start: int) -> Optional[Tuple[int, int, Optional[int]]]:
    """Return (id, start of the content, its length or None if unknown) of the element at `start`; None: no element."""
    file.seek(start)
    data = file.read(12)
    width = _vint_width(data[:1])
    if not 1 <= width <= 4 or len(data) <= width:
        return None
    ident = int.from_bytes(data[:width], "big")
    span = _vint_width(data[width : width + 1])
    if span == 0 or len(data) < width + span:
        return None
    mask = (1 << (7 * span)) - 1
    length = int.from_bytes(data[width : width + span], "big") & mask
    return ident, start + width + span, None if length == mask else length


def _vint_width(first: bytes) -> int:
    """Return the length of an EBML number, from its first byte: one more than its leading zero bits; 0: no number."""
    return 9 - first[0].bit_length() if first and first[0] else 0
