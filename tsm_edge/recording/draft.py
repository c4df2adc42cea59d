"""A clip while it is recorded: frames encoded as JPEG into a draft, and the rate that was measured."""

import contextlib
import os
import uuid
from typing import Any, Optional, Tuple

import numpy as np

from tsm_edge.errors import InputError
from tsm_edge.recording.avi import LARGEST_BYTES, AviFile
from tsm_edge.sources.base import FALLBACK_FPS
from tsm_edge.sources.request import FASTEST_FPS, SLOWEST_FPS

JPEG_QUALITY = 95  # of 100: a frame of 640x480 takes 60 to 150 kB
DRAFT = ".draft-clip-"  # begins the name of each draft


class Draft:
    """A clip that is being recorded into a separate file in the data folder. The file is gone after `discard`.

    Args:
        folder: the data folder.

    Attributes:
        path: of the file.
        start: time of the first frame in seconds of the source, None before it.
        wall_time: Unix time in seconds of the first frame.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.path = os.path.join(folder, DRAFT + uuid.uuid4().hex + ".avi")
        self.start: Optional[float] = None
        self.wall_time = 0.0
        self._latest = 0.0
        self._file: Optional[AviFile] = None

    @property
    def frames(self) -> int:
        """Frames so far."""
        return 0 if self._file is None else self._file.frames

    @property
    def size(self) -> Tuple[int, int]:
        """(width, height) in pixels; (0, 0) before the first frame."""
        return (0, 0) if self._file is None else self._file.size

    @property
    def fps(self) -> float:
        """Measured frames/s: the intervals between the frames over the time from the first to the last."""
        seconds = self._latest - (self.start or 0.0)
        fps = (self.frames - 1) / seconds if self.frames > 1 and seconds > 0 else FALLBACK_FPS
        return min(max(fps, SLOWEST_FPS), FASTEST_FPS)

    @property
    def seconds(self) -> float:
        """How long the clip plays."""
        return self.frames / self.fps

    def add(self, frame: Any) -> None:
        """Encode a :class:`tsm_edge.records.Frame` and write it.

        Raises InputError where it cannot be written (a full disk) or the clip takes more than 1 GB.
        """
        data = _jpeg(frame.image)
        try:
            if self._file is None:
                self._file = AviFile(self.path, (frame.image.shape[1], frame.image.shape[0]))
                self.start, self.wall_time = frame.time, frame.wall_time
            self._file.add(data)
        except OSError as error:
            raise no_room(self._folder, error) from error
        except OverflowError:
            got, expected = "more than {} bytes for one clip".format(LARGEST_BYTES), "a clip of at most 1 GB"
            raise InputError(self._folder, got, expected, "record shorter clips, or smaller pictures") from None
        self._latest = frame.time

    def picture(self, index: int) -> np.ndarray:
        """Return a frame of the clip as it was written, (H, W, 3) uint8 BGR."""
        import cv2

        assert self._file is not None
        image: Any = cv2.imdecode(np.frombuffer(self._file.picture(index), np.uint8), cv2.IMREAD_COLOR)
        return image

    def finish(self) -> None:
        """Write the index and the measured rate. Raises InputError where that cannot be written."""
        assert self._file is not None
        try:
            self._file.finish(self.fps)
        except OSError as error:
            raise no_room(self._folder, error) from error

    def discard(self) -> None:
        """Remove the draft, where it was not moved into place. May be called more than once."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # what could not be written is not wanted any more
                self._file.close()
        with contextlib.suppress(OSError):
            os.remove(self.path)


def no_room(folder: str, error: OSError) -> InputError:
    """Return the error for a clip that cannot be written into the data folder."""
    do = "free space there, or give another folder: -o FOLDER"
    return InputError(folder, error.strerror or str(error), "a folder with room for a clip", do)


def _jpeg(image: np.ndarray) -> bytes:
    import cv2

    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise InputError("a frame", "OpenCV cannot encode it as JPEG", "a picture", "install another OpenCV")
    return data.tobytes()
