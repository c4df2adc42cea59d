"""Read from an AVI file how many frames its video stream holds.

Format: RIFF and AVI 1.0 (Microsoft, "AVI RIFF File Reference"), with the index of OpenDML 1.02 (Matrox) for files above
1 GB. The header of the stream and the index each state the number of chunks.
"""

import re
import struct
from typing import IO, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from tsm_edge.sources.damage import DamageError, broken, cut_off

# A chunk of at most this length may hold no picture: 0 repeats the one before, and MPEG-4 writes "not coded" so.
NO_PICTURE_BYTES = 8
MOST_CHUNKS = 1 << 22  # that are looked at one by one: 14 hours of video with sound
UNKNOWN_LENGTHS = (0, 0xFFFFFFFF)  # of a RIFF file that was never finished, or that was written into a pipe
_OF_MOVI = re.compile(rb"([0-9]{2}(dc|db|wb|pc|tx|iv|__)|ix[0-9]{2}|JUNK|idx1|LIST(movi|rec |INFO))\Z")
_KEY_FRAME = 0x10
_INDEX = np.dtype([("kind", "S4"), ("flags", "<u4"), ("start", "<u4"), ("length", "<u4")])
_SUPER_INDEX = np.dtype([("start", "<u8"), ("length", "<u4"), ("duration", "<u4")])
_STANDARD_INDEX = np.dtype([("start", "<u4"), ("length", "<u4")])


class _VideoStream(NamedTuple):
    number: int
    chunks: int  # as its header states them, 0 where not
    super_index: Tuple[int, int]  # (start, end) of the content, (0, 0) where there is none


def count_frames(file: IO[bytes], size: int) -> Optional[int]:
    """Return how many frames a decoder shows at least of an AVI file of `size` bytes, None where that is not known.

    Frames before the first key frame, and chunks too short for a picture, are not counted. Raises DamageError.
    """
    _check_length(file, size)
    stream, movi, index = None, 0, (0, 0)
    (length,) = struct.unpack("<4xI", _read(file, 0, 8))
    for kind, start, end in _chunks(file, 12, size if length in UNKNOWN_LENGTHS else min(size, 8 + length)):
        if kind == b"LISThdrl":
            stream = _video_stream(file, start, end)
        elif kind == b"LISTmovi":
            movi = start
            if end - start in (-4, 0xFFFFFFFB) or end > size:  # of an unfinished file
                break
        elif kind == b"idx1":
            index = start, min(end, size)
    if stream is None:
        raise DamageError("broken: its header states no video")
    lengths, keys = _read_super_index(file, stream, size)
    if not len(lengths):
        lengths, keys = _read_index(file, stream, index)
    chunks = max(stream.chunks if 8 * stream.chunks <= size else 0, len(lengths))
    if not chunks:
        return _count_chunks(file, movi, size, stream)
    first = int(np.argmax(keys)) if keys.any() else 0
    return max(1, chunks - first - int((lengths[first:] <= NO_PICTURE_BYTES).sum()))


def _check_length(file: IO[bytes], size: int) -> None:
    """Raise DamageError where the file is shorter than its RIFF chunks say. Above 1 GB it has several."""
    start = 0
    while start + 8 <= size:
        kind, length = struct.unpack("<4sI", _read(file, start, 8))
        if kind != b"RIFF" or length in UNKNOWN_LENGTHS:  # anything may follow
            return
        start += 8 + length + length % 2
    if start > size + 1:
        raise cut_off(size, start)


def _count_chunks(file: IO[bytes], start: int, size: int, stream: _VideoStream) -> Optional[int]:
    """Return the number of pictures in a file without an index, by its chunks. Raises DamageError."""
    if not start:
        return None
    kinds, count, reached = _kinds(stream), 0, start
    for number, (kind, _, end) in enumerate(_chunks(file, start, size, (b"LISTrec ",)), 1):
        if not _OF_MOVI.match(kind):
            raise broken(reached, size)
        count += kind in kinds and end - reached > 8 + NO_PICTURE_BYTES
        reached = end + end % 2
        if number == MOST_CHUNKS:
            return None
    if reached > size + 1:
        raise cut_off(size, reached)
    return count or None


def _kinds(stream: _VideoStream) -> Tuple[bytes, bytes]:
    number = "{:02d}".format(stream.number).encode()
    return number + b"dc", number + b"db"


def _chunks(file: IO[bytes], start: int, end: int, opened: Tuple[bytes, ...] = ()) -> Iterator[Tuple[bytes, int, int]]:
    """Yield (kind, start of the content, end) of each chunk; the kind of a list is "LIST" and its type.

    Of a list whose kind is in `opened` its chunks follow.
    """
    for _ in range(MOST_CHUNKS):
        header = _read(file, start, 12)
        if start + 8 > end or len(header) < 8:
            return
        kind, length = struct.unpack_from("<4sI", header)
        content, stop = start + 8, start + 8 + length
        if kind in (b"LIST", b"RIFF"):
            kind, content = kind + header[8:], content + 4
        if kind in opened:
            stop = content
        yield kind, content, stop
        start = stop + stop % 2


def _video_stream(file: IO[bytes], start: int, end: int) -> Optional[_VideoStream]:
    number = 0
    for kind, content, stop in _chunks(file, start, end):
        if kind != b"LISTstrl":
            continue
        parts = {part: (at, to) for part, at, to in _chunks(file, content, stop)}
        if b"strh" in parts:
            header = _read(file, parts[b"strh"][0], 36)
            if header[:4] == b"vids" and len(header) == 36:
                return _VideoStream(number, struct.unpack_from("<I", header, 32)[0], parts.get(b"indx", (0, 0)))
        number += 1
    return None


def _read_index(file: IO[bytes], stream: _VideoStream, place: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
    """Return (length, whether it is a key frame) of each video chunk in an idx1 chunk."""
    entries = _rows(_read(file, place[0], place[1] - place[0]), _INDEX)
    entries = entries[np.isin(entries["kind"], list(_kinds(stream)))]
    return entries["length"], entries["flags"] & _KEY_FRAME != 0


def _read_super_index(file: IO[bytes], stream: _VideoStream, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """Return (length, whether it is a key frame) of each chunk in the indices that an indx chunk points to."""
    start, end = stream.super_index
    head = _read(file, start, 24)
    lengths = [np.zeros(0, np.uint32)]
    if end - start >= 24 == len(head) and head[3] == 0:  # an index of indices
        entries = _rows(_read(file, start + 24, end - start - 24), _SUPER_INDEX)
        for entry in entries[: struct.unpack_from("<I", head, 4)[0]]:
            at, length = int(entry["start"]), int(entry["length"])
            if at + length <= size:
                rows = _rows(_read(file, at + 32, max(0, length - 32)), _STANDARD_INDEX)
                lengths.append(rows["length"][: int.from_bytes(_read(file, at + 12, 4), "little")])
    joined = np.concatenate(lengths)
    return joined & 0x7FFFFFFF, joined >> 31 == 0  # the highest bit marks what is no key frame


def _rows(data: bytes, dtype: np.dtype) -> np.ndarray:
    return np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)


def _read(file: IO[bytes], start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)
