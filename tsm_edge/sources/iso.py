"""Read the number of frames and the rotation of the video track of an MP4 or MOV file.

OpenCV gives neither in a way that holds for every version. Its frame count includes frames that an edit list hides.
Frames of a turned video come unturned before 4.5, upright in 4.5, upside down in 4.6 (opencv/opencv issue 22088) and
unturned again by default in 4.11 (issue 26795).

Format: ISO/IEC 14496-12, sections 4.2 (boxes), 8.2.2 (mvhd), 8.3.2 (tkhd), 8.4 (mdia), 8.6 (stts, ctts, stss, elst),
8.7.3 (stsz) and 8.8 (fragments: moof, tfhd, trun).
"""

import os
import struct
from typing import IO, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"pnot", b"styp")
MOST_BOXES = 1 << 20  # of one level: a fragment has two, and a second of video one fragment or less
MOST_FRAMES = 1 << 26  # of a file whose frames are looked at one by one: 600 hours at 30 frames/s


class VideoTrack(NamedTuple):
    """A video track.

    frames: that a decoder can show; those that an edit list hides and those before the first key frame are not counted.
    None where the file does not say. rotation: degrees to turn its frames clockwise.
    """

    frames: Optional[int]
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
    for _ in range(MOST_BOXES):
        if start + 8 > end:
            return
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
    for kind, start, end in boxes(file, 0, size):
        if kind != b"moov":
            continue
        movie = _parts(file, start, end, ())
        for part, content, stop in boxes(file, start, end):
            if part != b"trak":
                continue
            parts = _parts(file, content, stop, (b"mdia", b"edts", b"minf", b"stbl"))
            if {b"hdlr", b"mdhd", b"tkhd"} <= set(parts) and _read(file, parts[b"hdlr"][0] + 8, 4) == b"vide":
                try:
                    frames = _count_frames(file, size, parts, movie)
                except struct.error:  # a table is cut off; the rotation may be read all the same
                    frames = None
                return VideoTrack(frames, _rotation(file, parts[b"tkhd"][0]))
    return None


Parts = Dict[bytes, Tuple[int, int]]  # {type: (start, end) of the content}


def _parts(file: IO[bytes], start: int, end: int, open_up: Tuple[bytes, ...]) -> Parts:
    """Return the parts of a box by type, and those of the parts called `open_up` with them; the first of a type."""
    found: Parts = {}
    for kind, content, stop in boxes(file, start, end):
        found.setdefault(kind, (content, stop))
        if kind in open_up:
            others = tuple(other for other in open_up if other != kind)
            for inner, place in _parts(file, content, min(stop, end), others).items():
                found.setdefault(inner, place)
    return found


def _count_frames(file: IO[bytes], size: int, parts: Parts, movie: Parts) -> Optional[int]:
    """Return how many frames of a track a decoder can show, None where its index is absent or too large to be true."""
    durations = _table(file, parts, b"stts", 2)
    stated = struct.unpack(">II", _read(file, parts[b"stsz"][0] + 4, 8)) if b"stsz" in parts else (0, 0)
    # Both tables state the count. Where damage made one of them smaller, a decoder finds fewer frames.
    count = max(int(durations[:, 0].sum()), stated[1])
    fragments = _count_fragments(file, size, parts) if b"mvex" in movie else 0
    if fragments is None or (count == 0 and fragments == 0):
        return None
    if count * max(1, stated[0]) > size:
        return None
    edits = _edits(file, parts, movie)
    if count == 0 or (edits is None and b"ctts" not in parts and b"stss" not in parts):
        return count + fragments
    if count > MOST_FRAMES:
        return None
    return _count_shown(file, parts, edits, durations, count) + fragments


def _count_shown(
    file: IO[bytes], parts: Parts, edits: Optional[List[Tuple[int, int]]], durations: np.ndarray, count: int
) -> int:
    """Return how many of `count` frames lie after the first key frame and in the edits."""
    times = np.zeros(count, np.int64)
    deltas = _repeated(durations, count)
    times[1:] = np.cumsum(deltas[: count - 1])
    times += _repeated(_table(file, parts, b"ctts", 2), count)
    keys = _table(file, parts, b"stss", 1)
    first = int(keys[0, 0]) - 1 if len(keys) and 1 <= keys[0, 0] <= count else 0
    shown = times[first:][times[first:] >= times[first]]
    if edits is None:
        return len(shown)
    return max(1, sum(int(((shown >= start) & (shown < end)).sum()) for start, end in edits))


def _repeated(runs: np.ndarray, count: int) -> np.ndarray:
    """Return `count` int64 values from rows (how often, value below 2**31 or negative), 0 after the last row."""
    ends = np.minimum(np.cumsum(runs[:, 0].astype(np.int64)), count)
    values = np.repeat(runs[:, 1].astype(np.int32), np.diff(np.concatenate([[0], ends]))).astype(np.int64)
    return np.concatenate([values, np.zeros(count - len(values), np.int64)])


def _table(file: IO[bytes], parts: Parts, kind: bytes, columns: int) -> np.ndarray:
    """Return the rows of a table box: (rows, columns), no rows where there is no such box or it is cut off."""
    start, end = parts.get(kind, (0, 0))
    rows = struct.unpack(">I", _read(file, start + 4, 4))[0] if start else 0
    width = 4 * columns
    data = _read(file, start + 8, max(0, min(rows * width, end - start - 8)))
    return np.frombuffer(data[: len(data) // width * width], ">u4").reshape(-1, columns)


def _edits(file: IO[bytes], parts: Parts, movie: Parts) -> Optional[List[Tuple[int, int]]]:
    """Return (start, end) in ticks of the track of each edit that shows frames, None where no edit list counts.

    The track's header states the sum of its edits. Where the two differ, one is damaged, and no edit excuses a loss.
    """
    if b"elst" not in parts or b"mvhd" not in movie:
        return None
    start, stop = parts[b"elst"]
    version = _version(file, start)
    entry = struct.Struct(">Qq4x" if version == 1 else ">Ii4x")
    (rows,) = struct.unpack(">I", file.read(4))
    data = file.read(max(0, min(rows * entry.size, stop - start - 8)))
    edits = [entry.unpack_from(data, at) for at in range(0, len(data) - entry.size + 1, entry.size)]
    header = parts[b"tkhd"][0]
    wide = _version(file, header) == 1
    (duration,) = struct.unpack(">24xQ" if wide else ">16xI", file.read(32 if wide else 20))
    movie_scale, track_scale = _scale(file, movie[b"mvhd"][0]), _scale(file, parts[b"mdhd"][0])
    if not movie_scale or not track_scale or abs(sum(ticks for ticks, _ in edits) - duration) > len(edits):
        return None
    # An edit states its length in the movie's scale, its start in the track's. FFmpeg rounds so, too.
    return [(at, at + (ticks * track_scale + movie_scale // 2) // movie_scale) for ticks, at in edits if at >= 0]


def _count_fragments(file: IO[bytes], size: int, parts: Parts) -> Optional[int]:
    """Return the number of frames in the fragments of a track, None where one is damaged."""
    header = parts[b"tkhd"][0]
    ident = _read(file, header + (20 if _version(file, header) == 1 else 12), 4)
    count, reached = 0, 0
    for kind, start, end in boxes(file, 0, size):
        reached = end
        if not kind.isalnum():  # no type of a box: what follows cannot be found
            return None
        for part, content, stop in boxes(file, start, min(end, size)) if kind == b"moof" else ():
            if part != b"traf":
                continue
            runs = list(boxes(file, content, stop))
            if any(box == b"tfhd" and _read(file, at + 4, 4) == ident for box, at, _ in runs):
                for frames in (_run_length(file, at, to) for box, at, to in runs if box == b"trun"):
                    if frames is None:
                        return None
                    count += frames
    return count if reached >= size else None


def _run_length(file: IO[bytes], start: int, end: int) -> Optional[int]:
    """Return the number of frames of a trun box, None where it contradicts the length of the box."""
    flags, count = struct.unpack(">II", _read(file, start, 8))
    once, each = (4 * bin(flags & mask).count("1") for mask in (0x5, 0xF00))
    return count if end - start == 8 + once + each * count and count <= MOST_FRAMES else None


def _read(file: IO[bytes], start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)


def _scale(file: IO[bytes], start: int) -> int:
    """Return the ticks/s of an mvhd or mdhd box."""
    wide = _version(file, start) == 1
    return struct.unpack(">16xI" if wide else ">8xI", file.read(20 if wide else 12))[0]


def _rotation(file: IO[bytes], start: int) -> int:
    """Return the rotation in degrees clockwise, 0 for a matrix that does more than turn (mirror, shear)."""
    file.seek((48 if _version(file, start) == 1 else 36), os.SEEK_CUR)
    a, b, _, c, d = struct.unpack(">5i", file.read(20))
    return _TURNS.get(tuple(value // 65536 for value in (a, b, c, d)), 0)


def _version(file: IO[bytes], start: int) -> int:
    """Return the version of a full box; leaves the file behind its version and flags."""
    file.seek(start)
    return struct.unpack(">B3x", file.read(4))[0]
