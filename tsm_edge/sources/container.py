"""Is a video file whole? Read from the structure of its container, as FFmpeg through OpenCV says nothing of it.

OpenCV reports the end of a truncated file as the end of any file, and its frame count cannot decide the matter: it is
an estimate for Matroska, and for MP4 it counts frames that an edit list hides. What a container states exactly is how
long its own parts are. Nothing is loaded but the headers of the outermost parts.

Formats: ISO/IEC 14496-12 section 4.2 and 8.6.6 (MP4, MOV), RFC 8794 and 9559 (Matroska, WebM), RIFF (AVI).
"""

import os
import struct

_EBML_MAGIC = b"\x1a\x45\xdf\xa3"
_EBML_SEGMENT = 0x18538067
_ISO_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"pnot", b"styp")


def find_damage(path):
    """Return what is broken in the outer structure of the video file at ``path``, None where nothing is known to be.

    Knows MP4/MOV, Matroska/WebM and AVI; any other format, and a part of unknown length, counts as whole.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(12)
        if head[4:8] in _ISO_FIRST_BOXES:
            return _walk_iso(file, size)
        if head[:4] == _EBML_MAGIC:
            return _walk_matroska(file, size)
        if head[:4] == b"RIFF" and head[8:] == b"AVI ":
            return _walk_riff(file, size)
    return None


def iso_duration(path):
    """Return the seconds of video that the MP4/MOV file at ``path`` plays by its edit list; None if it states none."""
    with open(path, "rb") as file:
        if file.read(12)[4:8] not in _ISO_FIRST_BOXES:
            return None
        try:
            return _iso_duration(file, os.path.getsize(path))
        except struct.error:
            return None


def _cut_off(size, stated):
    return "cut off: {} bytes are here of at least {}".format(size, stated)


def _boxes(file, start, end):
    """Yield (type, start of the content, end) of each ISO box in [start, end) of the file; the last may end later."""
    while start + 8 <= end:
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        content = start + 8
        if length == 1:
            length, content = struct.unpack(">Q", file.read(8))[0], start + 16
        elif length == 0:  # reaches to the end of the file
            length = end - start
        if length < content - start:
            return
        yield kind, content, start + length
        start += length


def _walk_iso(file, size):
    try:
        boxes = list(_boxes(file, 0, size))
    except struct.error:
        return "cut off inside the header of a part"
    if boxes[-1][2] > size:
        return _cut_off(size, boxes[-1][2])
    if b"moov" not in [kind for kind, _, _ in boxes]:
        return "cut off: the index (moov box) is missing"
    return None


def _iso_duration(file, size):
    for kind, start, end in _boxes(file, 0, size):
        if kind != b"moov":
            continue
        movie_scale = None
        for part, part_start, part_end in _boxes(file, start, end):
            if part == b"mvhd":
                movie_scale, _ = _scale_and_duration(file, part_start)
            elif part == b"trak":
                seconds = _track_duration(file, part_start, part_end, movie_scale)
                if seconds:
                    return seconds
    return None


def _track_duration(file, start, end, movie_scale):
    """Seconds of one track, None where it is no video. The times of an edit list count in the movie's own scale."""
    parts = {}
    for kind, content, stop in _boxes(file, start, end):
        parts[kind] = content, stop
        if kind in (b"mdia", b"edts"):
            parts.update((inner, (at, to)) for inner, at, to in _boxes(file, content, stop))
    if b"hdlr" not in parts or b"mdhd" not in parts:
        return None
    file.seek(parts[b"hdlr"][0] + 8)
    if file.read(4) != b"vide":
        return None
    if b"elst" in parts and movie_scale:
        return _edited_ticks(file, parts[b"elst"][0]) / float(movie_scale)
    scale, ticks = _scale_and_duration(file, parts[b"mdhd"][0])
    return ticks / float(scale) if scale else None


def _scale_and_duration(file, start):
    """Return (ticks/s, ticks) of an mvhd or mdhd box."""
    file.seek(start)
    wide = file.read(4)[0:1] == b"\x01"
    return struct.unpack(">16xIQ" if wide else ">8xII", file.read(28 if wide else 16))


def _edited_ticks(file, start):
    """Sum of the edits that show media; an edit of media time -1 shows nothing and only delays the track."""
    file.seek(start)
    version, count = struct.unpack(">B3xI", file.read(8))
    entry = struct.Struct(">Qq4x" if version == 1 else ">Ii4x")
    edits = [entry.unpack(file.read(entry.size)) for _ in range(count)]
    return sum(ticks for ticks, media_time in edits if media_time >= 0)


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
