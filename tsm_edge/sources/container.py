"""Find out whether a video file is whole, from the structure of its container. OpenCV does not say.

OpenCV reports the end of a truncated file, and the first picture that cannot be decoded, as the end of any file. Its
frame count does not help: it is an estimate for Matroska, and for MP4 it counts frames that an edit list hides. But a
container states exactly how long its own parts are, and how many frames it holds. Only headers are read.

Formats: ISO/IEC 14496-12 section 4.2 (MP4, MOV), RFC 8794 and 9559 (Matroska, WebM), RIFF (AVI).
"""

import os
import struct
from typing import IO, NamedTuple, Optional

from tsm_edge.sources import avi, matroska
from tsm_edge.sources.damage import DamageError, cut_off
from tsm_edge.sources.iso import FIRST_BOXES, boxes, read_video_track

_EBML_MAGIC = b"\x1a\x45\xdf\xa3"


class Contents(NamedTuple):
    """What a container says of itself.

    damage: what is broken in its structure, None where no damage was found. frames: how many frames a decoder shows at
    least where the file is whole; None where the container does not say.
    """

    damage: Optional[str] = None
    frames: Optional[int] = None


def inspect(path: str) -> Contents:
    """Return what the container of a video file says of itself.

    Reads MP4/MOV, Matroska/WebM and AVI. Any other format, and a part of unknown length, counts as whole. Takes 1.4
    seconds for an hour of Matroska with sound, whose frames are counted one by one.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(12)
        try:
            if head[4:8] in FIRST_BOXES:
                return Contents(None, _count_iso(path, file, size))
            if head[:4] == _EBML_MAGIC:
                return Contents(None, matroska.count_frames(file, size))
            if head[:4] == b"RIFF" and head[8:] == b"AVI ":
                return Contents(None, avi.count_frames(file, size))
        except DamageError as damage:
            return Contents(str(damage), None)
    return Contents()


def _count_iso(path: str, file: IO[bytes], size: int) -> int:
    try:
        parts = list(boxes(file, 0, size))
    except struct.error:
        raise DamageError("cut off inside the header of a part") from None
    if parts[-1][2] > size:
        raise cut_off(size, parts[-1][2])
    if b"moov" not in [kind for kind, _, _ in parts]:
        raise DamageError("cut off: the index (moov box) is missing")
    track = read_video_track(path)
    if track is None or track.frames is None:
        raise DamageError("broken: its index (moov box) states no frames of a video")
    return track.frames
