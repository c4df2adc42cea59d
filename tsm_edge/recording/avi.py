"""Write Motion JPEG in an AVI file, picture by picture, with the frame rate set at the end.

cv2.VideoWriter wants the rate before the first frame, when the true rate of a camera is not known yet, and reports no
failed write, such as one on a full disk. Every OpenCV reads this form. Each frame is a whole picture, which is in the
file exactly once. Format: RIFF and AVI 1.0 (Microsoft, "AVI RIFF File Reference").
"""

import os
import struct
from fractions import Fraction
from typing import List, Tuple

LARGEST_BYTES = 1 << 30  # of a file: above 1 GB an AVI needs the indices of OpenDML
_HAS_INDEX, _KEY_FRAME = 0x10, 0x10
_LARGEST_SCALE = 1000000  # of the rate as a fraction: an error of at most 0.5e-6 frames/s


class AviFile:
    """An AVI file that is being written. Every method may raise OSError.

    Args:
        path: of the file, which must not exist.
        size: (width, height) of all pictures in pixels.

    Attributes:
        path: as given.
        size: as given.
    """

    def __init__(self, path: str, size: Tuple[int, int]) -> None:
        self.path, self.size = path, size
        self._places: List[Tuple[int, int]] = []  # (start in the file, bytes) of each picture
        self._file = open(path, "x+b")  # noqa: SIM115 (open until close)
        self._end = self._file.write(_head(size, 1.0, 0, 0, 0, 0))

    @property
    def frames(self) -> int:
        """Pictures written so far."""
        return len(self._places)

    def add(self, jpeg: bytes) -> None:
        """Write one picture. Raises OverflowError where the file would grow beyond LARGEST_BYTES."""
        if self._end + len(jpeg) + 16 * len(self._places) > LARGEST_BYTES:
            raise OverflowError(self.path)
        self._file.seek(self._end)
        self._file.write(b"00dc" + struct.pack("<I", len(jpeg)) + jpeg + b"\0" * (len(jpeg) % 2))
        self._places.append((self._end + 8, len(jpeg)))
        self._end += 8 + len(jpeg) + len(jpeg) % 2

    def picture(self, index: int) -> bytes:
        """Return the JPEG data of a picture that was written."""
        start, length = self._places[index]
        self._file.seek(start)
        return self._file.read(length)

    def finish(self, fps: float) -> None:
        """Write the index and the rate (frames/s), and wait until the disk has the file."""
        movi = len(_head(self.size, 1.0, 0, 0, 0, 0)) - 4  # offsets count from the word "movi"
        entries = [struct.pack("<4sIII", b"00dc", _KEY_FRAME, start - 8 - movi, n) for start, n in self._places]
        index = b"".join(entries)
        self._file.seek(self._end)
        self._file.write(b"idx1" + struct.pack("<I", len(index)) + index)
        largest = max([length for _, length in self._places] or [0])
        self._file.seek(0)
        self._file.write(_head(self.size, fps, self.frames, largest, self._end - movi, self._end + 8 + len(index)))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()

    def close(self) -> None:
        """Close the file. May be called more than once."""
        self._file.close()


def _head(size: Tuple[int, int], fps: float, frames: int, largest: int, movi_bytes: int, file_bytes: int) -> bytes:
    """Return all that stands before the first picture. Its length does not depend on the arguments.

    Args:
        size: (width, height).
        fps: frames/s.
        frames: number of pictures.
        largest: bytes of the largest picture.
        movi_bytes: of the list of pictures, with the word "movi".
        file_bytes: of the file.
    """
    width, height = size
    rate = Fraction(fps).limit_denominator(_LARGEST_SCALE)
    main = struct.pack(
        *("<14I", round(1e6 / fps), min(round(largest * fps), 0xFFFFFFFF), 0, _HAS_INDEX, frames, 0, 1, largest),
        *(width, height, 0, 0, 0, 0),
    )
    stream = struct.pack(
        *("<4s4sI2H8I4h", b"vids", b"MJPG", 0, 0, 0, 0, rate.denominator, rate.numerator, 0, frames, largest),
        *(0xFFFFFFFF, 0, 0, 0, width & 0x7FFF, height & 0x7FFF),
    )
    form = struct.pack("<I2i2H4sI2i2I", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0)
    lists = _list(b"strl", _chunk(b"strh", stream) + _chunk(b"strf", form))
    head = _list(b"hdrl", _chunk(b"avih", main) + lists)
    riff = b"RIFF" + struct.pack("<I", max(file_bytes - 8, 0)) + b"AVI "
    return riff + head + b"LIST" + struct.pack("<I", movi_bytes) + b"movi"


def _chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content


def _list(kind: bytes, content: bytes) -> bytes:
    return _chunk(b"LIST", kind + content)
