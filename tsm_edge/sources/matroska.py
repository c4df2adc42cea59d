"""Follow the parts of a Matroska or WebM file: count the frames of its video track, and find where it is broken.

The container states no count, but each frame is one block, and each block states its length.

Formats: RFC 8794 (EBML) and RFC 9559 (Matroska), sections 5 and 10; RFC 6386 section 9.1 (VP8's hidden frames).
"""

import os
from typing import IO, Dict, NamedTuple, Optional, Set, Tuple

from tsm_edge.sources.damage import DamageError, broken, cut_off

MOST_PARTS = 1 << 22  # parts that are followed: 14 hours of video with sound
_EBML, _SEGMENT, _CLUSTER, _TRACKS = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1654AE6B
_OTHER_TOPS = {0x114D9B74, 0x1549A966, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367}  # SeekHead, Info, Cues, …
_TIME, _SIMPLE_BLOCK, _GROUP, _BLOCK, _REFERENCE = 0xE7, 0xA3, 0xA0, 0xA1, 0xFB
_ANYWHERE = {0xEC, 0xBF}  # Void, CRC-32
_OTHERS_OF_CLUSTER = {0x5854, 0xAF} | _ANYWHERE
_TRACK_ENTRY, _TRACK_NUMBER, _TRACK_TYPE, _CODEC = 0xAE, 0xD7, 0x83, 0x86
_NUMBERS = {_TIME, 0xA7, 0xAB}  # of a cluster: at most 8 bytes long


class Part(NamedTuple):
    """One element: its id, where its content starts, and the content's length in bytes, None where not known."""

    ident: int
    start: int
    length: Optional[int]


def count_frames(file: IO[bytes], size: int) -> Optional[int]:
    """Return how many frames the video track of a file of `size` bytes holds.

    Frames before the first key frame, and hidden ones, are not counted. None where the file is too large, or has a part
    of unknown length that is no segment and no cluster. Raises DamageError.
    """
    return _Walk(file.fileno(), size).frames()


class _Walk:
    """One walk through a file.

    file: its descriptor. It is read with `pread`: a memory map of a file that shrinks would kill the process.
    """

    def __init__(self, file: int, size: int) -> None:
        self._file, self._size = file, size
        self._parts = 0
        self._tracks: Set[int] = set()
        self._video: Optional[int] = None  # number of the track
        self._hides = False  # VP8 stores frames that are not shown
        self._cluster_time = 0
        self._first: Optional[int] = None  # time of the first key frame
        self._frames = 0

    def frames(self) -> Optional[int]:
        start, end = 0, self._size
        while start < end and self._parts < MOST_PARTS:
            part = self._part(start, end)
            top = part.ident
            if top == _CLUSTER:
                stop = self._cluster(part, end)
            elif top == _SEGMENT:
                if part.length is not None:
                    end = part.start + part.length
                    if end > self._size:
                        raise cut_off(self._size, end)
                stop = part.start
            elif part.length is None:
                return None
            elif top in _OTHER_TOPS or top in _ANYWHERE or top in (_EBML, _TRACKS):
                stop = part.start + part.length
                if top == _TRACKS:
                    self._read_tracks(part.start, min(stop, self._size))
            else:
                raise broken(start, self._size)
            start = stop
        if self._parts >= MOST_PARTS:
            return None
        if start > self._size:
            raise cut_off(self._size, start)
        if start != end:
            raise broken(end, self._size)
        if self._video is None:
            raise DamageError("broken: it states no video track")
        return self._frames

    def _part(self, start: int, end: int) -> Part:
        """Return the element at `start`. Raises DamageError where there is none."""
        self._parts += 1
        data = os.pread(self._file, 12, start)
        width = _number_width(data[:1])
        span = _number_width(data[width : width + 1])
        if not 1 <= width <= 4 or span == 0 or len(data) < width + span or start + width + span > end:
            raise broken(start, self._size)
        return Part(int.from_bytes(data[:width], "big"), start + width + span, _number(data[width : width + span]))

    def _inner(self, start: int, end: int) -> Tuple[Part, int]:
        """Return (the element at `start`, where it ends). Raises DamageError where it does not end by `end`."""
        part = self._part(start, end)
        if part.length is None or part.start + part.length > end:
            raise broken(start, self._size)
        return part, part.start + part.length

    def _cluster(self, cluster: Part, end: int) -> int:
        """Count the blocks of a cluster; return where it ends."""
        start = cluster.start
        stop = end if cluster.length is None else cluster.start + cluster.length
        while start < min(stop, self._size) and self._parts < MOST_PARTS:
            if cluster.length is None and self._part(start, stop).ident in _OTHER_TOPS | {_CLUSTER}:
                return start
            part, after = self._inner(start, stop)
            if part.ident == _SIMPLE_BLOCK:
                self._block(part, None)
            elif part.ident == _GROUP:
                self._group(part.start, after)
            elif part.ident in _NUMBERS and after - part.start <= 8:
                if part.ident == _TIME:
                    self._cluster_time = int.from_bytes(os.pread(self._file, after - part.start, part.start), "big")
            elif part.ident not in _OTHERS_OF_CLUSTER:
                raise broken(start, self._size)
            start = after
        return start if self._parts < MOST_PARTS else stop

    def _group(self, start: int, end: int) -> None:
        parts: Dict[int, Part] = {}
        while start < end:
            part, start = self._inner(start, end)
            parts[part.ident] = part
        if _BLOCK not in parts:
            raise broken(end, self._size)
        self._block(parts[_BLOCK], _REFERENCE not in parts)

    def _block(self, part: Part, key: Optional[bool]) -> None:
        """Count a block. key: whether it is a key frame, None where its flags say so."""
        data = os.pread(self._file, 12, part.start)
        width = _number_width(data[:1])
        track = _number(data[:width]) if width else None
        if not width or len(data) < width + 3 or (self._tracks and track not in self._tracks):
            raise broken(part.start, self._size)
        if track != self._video:
            return
        flags = data[width + 2]
        time = self._cluster_time + int.from_bytes(data[width : width + 2], "big", signed=True)
        if self._first is None and (flags & 0x80 if key is None else key):
            self._first = time
        hidden = self._hides and len(data) > width + 3 and not data[width + 3] & 0x10
        if self._first is not None and time >= self._first and not hidden and not flags & 0x08:
            self._frames += 1

    def _read_tracks(self, start: int, end: int) -> None:
        while start < end:
            entry, start = self._inner(start, end)
            if entry.ident == _TRACK_ENTRY:
                self._read_track(entry.start, start)

    def _read_track(self, start: int, end: int) -> None:
        values: Dict[int, bytes] = {}
        while start < end:
            part, start = self._inner(start, end)
            values[part.ident] = os.pread(self._file, min(start - part.start, 64), part.start)
        number, kind = (int.from_bytes(values.get(key, b""), "big") for key in (_TRACK_NUMBER, _TRACK_TYPE))
        self._tracks.add(number)
        if kind == 1 and self._video is None:
            self._video, self._hides = number, values.get(_CODEC) == b"V_VP8"


def _number_width(first: bytes) -> int:
    """Return the length of an EBML number, from its first byte: one more than its leading zero bits; 0: no number."""
    return 9 - first[0].bit_length() if first and first[0] else 0


def _number(data: bytes) -> Optional[int]:
    """Return the value of an EBML number, None for the one that says "unknown"."""
    mask = (1 << (7 * len(data))) - 1
    value = int.from_bytes(data, "big") & mask
    return None if value == mask else value
