"""Is a video file whole? Read from the structure of its container, as FFmpeg through OpenCV says nothing of it.

OpenCV reports the end of a truncated file as the end of any file, and its frame count cannot decide the matter: it is
an estimate for Matroska, and for MP4 it counts frames that an edit list hides. What a container states exactly is how
long its own parts are. Nothing is loaded but the headers of the outermost parts.

Formats: ISO/IEC 14496-12 section 4.2 (MP4, MOV), RFC 8794 and 9559 (Matroska, WebM), RIFF (AVI).
"""

import os
import struct

from tsm_edge.sources.iso import FIRST_BOXES, boxes

_EBML_MAGIC = b"\x1a\x45\xdf\xa3"
_EBML_SEGMENT = 0x18538067


def find_damage(path):
    """Return what is broken in the outer structure of the video file at ``path``, None where nothing is known to be.

    Knows MP4/MOV, Matroska/WebM and AVI; any other format, and a part of unknown length, counts as whole.
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


def _cut_off(size, stated):
    return "cut off: {} bytes are here of at least {}".format(size, stated)


def _walk_iso(file, size):
    try:
        parts = list(boxes(file, 0, size))
    except struct.error:
        return "cut off inside the header of a part"
    if parts[-1][2] > size:
        return _cut_off(size, parts[-1][2])
    if b"moov" not in [kind for kind, _, _ in parts]:
        return "cut off: the index (moov box) is missing"
    return None


def _walk_riff(file, size):
    start = 0
    while start + 8 <= size:  # an AVI above 1 GB has several RIFF chunks
        file.seek(start)
        kind, length = struct.unpack("<4sI", file.read(8))
        if (
            kind != b"RIFF" or length == 0
        ):  # anything may follow; 0: the recorder was stopped before it wrote the length
            return None
        start += 8 + length + length % 2
    return _cut_off(size, start) if start > size + 1 else None


def _walk_matroska(file, size):
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


def _ebml_header(file, start):
    """Return (id, start of the content, its length or None if unknown) of the element at ``start``, None if none is."""
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


def _vint_width(first):
    """Bytes of an EBML number, given its first byte: one more than its leading zero bits; 0 where that is no number."""
    return 9 - first[0].bit_length() if first and first[0] else 0
