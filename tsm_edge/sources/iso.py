"""Read the duration and the rotation of the video track of an MP4 or MOV file.

OpenCV gives neither in a way that holds for every version. Its frame count includes frames that an edit list hides.
Frames of a turned video come unturned before 4.5, upright in 4.5, upside down in 4.6 (opencv/opencv issue 22088) and
unturned again by default in 4.11 (issue 26795).

Format: ISO/IEC 14496-12, sections 4.2 (boxes), 8.2.2 (mvhd), 8.3.2 (tkhd), 8.4 (mdia) and 8.6.6 (elst).
"""

import os
import struct
from typing import IO, Dict, Iterator, NamedTuple, Optional, Tuple

FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"pnot", b"styp")


class VideoTrack(NamedTuple):
    """A video track. seconds: its duration, None if not stated. rotation: degrees to turn its frames clockwise."""

    seconds: Optional[float]
    rotation: int


# The upper left of the transformation matrix (a, b, c, d) for each turn; a pixel at (x, y) moves to (ax + cy, bx + dy).
_TURNS = {(0, 1, -1, 0): 90, (-1, 0, 0, -1): 180, (0, -1, 1, 0): 270}


def read_video_track(path: str) -> Optional[VideoTrack]:
    """Return the first video track of a file, None where it is no MP4 or MOV or has no readable video track."""
    with open(path, "rb") as file:
        if file.read(12)[4:8] not in FIRST_BOXES:
            return None
        try:
            return _find_track(file, os.path.getsize(path))
        except struct.error:  # the file ends inside a box
            return None


def boxes(file: IO[bytes], start: int, end: int) -> Iterator[Tuple[bytes, int, int]]:
    """Yield (type, start of the content, end) of each box in [start, end) of the file; the last may end later."""
    while start + 8 <= end:
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        content = start + 8
        if length == 1:
            length, content = struct.unpack(">Q", file.read(8))[0], start + 16
        elif length == 0:  # reaches to the end of the file
            length = end - start
        yield kind, content, start + length
        if length < content - start:
            return
        start += length


def _find_track(file: IO[bytes], size: int) -> Optional[VideoTrack]:
    movie_scale = None
    for kind, start, end in boxes(file, 0, size):
        for part, content, stop in boxes(file, start, end) if kind == b"moov" else ():
            if part == b"mvhd":
                movie_scale, _ = _scale_and_duration(file, content)
            elif part == b"trak":
                track = _read_track(file, content, stop, movie_scale)
                if track is not None:
                    return track
    return None


def _read_track(file: IO[bytes], start: int, end: int, movie_scale: Optional[int]) -> Optional[VideoTrack]:
    """Return the VideoTrack of one trak box, None where it is no video."""
    scale: Optional[int]
    parts: Dict[bytes, int] = {}
    for kind, content, stop in boxes(file, start, end):
        parts[kind] = content
        if kind in (b"mdia", b"edts"):
            parts.update((inner, at) for inner, at, _ in boxes(file, content, stop))
    if not {b"hdlr", b"mdhd", b"tkhd"} <= set(parts):
        return None
    file.seek(parts[b"hdlr"] + 8)
    if file.read(4) != b"vide":
        return None
    scale, ticks = _scale_and_duration(file, parts[b"mdhd"])
    if b"elst" in parts:  # counts in the scale of the movie, not of the track
        scale, ticks = movie_scale, _edited_ticks(file, parts[b"elst"])
    return VideoTrack(ticks / float(scale) if scale and ticks else None, _rotation(file, parts[b"tkhd"]))


def _scale_and_duration(file: IO[bytes], start: int) -> Tuple[int, int]:
    """Return (ticks/s, ticks) of an mvhd or mdhd box."""
    wide = _version(file, start) == 1
    scale, ticks = struct.unpack(">16xIQ" if wide else ">8xII", file.read(28 if wide else 16))
    return scale, ticks


def _edited_ticks(file: IO[bytes], start: int) -> int:
    """Return the sum of the edits that show media; an edit of media time -1 shows nothing and only delays the track."""
    entry = struct.Struct(">Qq4x" if _version(file, start) == 1 else ">Ii4x")
    (count,) = struct.unpack(">I", file.read(4))
    edits = [entry.unpack(file.read(entry.size)) for _ in range(count)]
    return sum(ticks for ticks, media_time in edits if media_time >= 0)


def _rotation(file: IO[bytes], start: int) -> int:
    """Return the rotation in degrees clockwise, 0 for a matrix that does more than turn (mirror, shear)."""
    file.seek((48 if _version(file, start) == 1 else 36), os.SEEK_CUR)
    a, b, _, c, d = struct.unpack(">5i", file.read(20))
    return _TURNS.get(tuple(value // 65536 for value in (a, b, c, d)), 0)


def _version(file: IO[bytes], start: int) -> int:
    """Return the version of a full box; leaves the file behind its version and flags."""
    file.seek(start)
    return struct.unpack(">B3x", file.read(4))[0]
