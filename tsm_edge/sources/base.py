"""What a source of frames is. One file a kind stands in this folder; nothing here imports OpenCV."""

import time
from typing import Any, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from tsm_edge.records import Frame, Gap, ReadTimes


class SourceOptions(NamedTuple):
    """How to open a source; see `tsm_edge.sources.open_source`. A kind of source ignores what does not concern it."""

    loop: bool = False  # begin a file or folder again at its end, for ever
    decode_threads: Optional[int] = None  # of a video file, None for FFmpeg's choice
    persistent: bool = False  # try a live source that was interrupted again for ever, not only for a minute
    fps: Optional[float] = None  # frames/s at which the pictures of a folder were taken, None where it is not known


FALLBACK_FPS = 30.0  # of a recording that states neither time stamps nor a rate
LOOPED = Gap("began again", 0.0)  # of a recording that is read in a loop


class Stamp(NamedTuple):
    """What is known of a frame before its pixels are made.

    Attributes:
        index: counts the frames of the source from 0, skipped and dropped ones included.
        time: seconds of the source: file time stamps, or the clock since a camera's first frame.
        gaps: each :class:`tsm_edge.records.Gap` since the frame before.
    """

    index: int  # type: ignore[assignment]
    time: float
    gaps: Tuple[Gap, ...] = ()


class Source:
    """An iterator of :class:`Frame`. Open in the constructor, read by iterating, close once.

    A source of a new kind writes `grab`, `retrieve` and `close`; everything else follows from them. Reading raises
    :class:`tsm_edge.errors.SourceError` where a recording is damaged, and :class:`tsm_edge.errors.StreamError` where a
    live source failed while it ran; frames given before are whole. A closed source reads as one at its end.

    Attributes:
        name: what to call it in messages; never holds a password.
        live: a camera or network stream, which cannot wait for a slow reader.
        fps: frames per second as the source states them, None where it does not.
        frame_size: (width, height) of its pictures as stated, in pixels, None where it does not say.
        frame_count: frames to come as stated (some containers only estimate it), None where unknown (live, looped).
        resets: how often the stream was interrupted or began anew; each time shows as a :class:`Gap` of a frame.
        interrupted: whether a live source is being opened again at this moment.
        corrupt: frames of a live source that came and could not be decoded. (In a file that is an error.)
    """

    name = ""
    live = False
    fps: Optional[float] = None
    frame_size: Optional[Tuple[int, int]] = None
    frame_count: Optional[int] = None
    resets = 0
    interrupted = False
    corrupt = 0
    _last_image: Optional[np.ndarray] = None

    def grab(self) -> Optional[Stamp]:
        """Move to the next frame without making its pixels. Returns its :class:`Stamp`, or None at the end."""
        raise NotImplementedError

    def retrieve(self, into: Optional[np.ndarray] = None) -> Optional[np.ndarray]:
        """Return the pixels of the frame that `grab` moved to: (H, W, 3) uint8 BGR, upright.

        Args:
            into: an array that an earlier call returned and that is free again. The source may write the pixels there
                and return it, which spares a large allocation a frame; it never writes to any other array it gave.

        Returns:
            The pixels; None where this frame is lost but the next ones may not be (a broken picture of a live stream).
        """
        raise NotImplementedError

    def read(self, into: Optional[np.ndarray] = None) -> Frame:
        """Return the next :class:`tsm_edge.records.Frame`.

        Args:
            into: as in `retrieve`.

        Raises:
            StopIteration: the source is at its end.
            SourceError: a recording is damaged here.
            StreamError: a live source failed.
        """
        begun = time.perf_counter()
        gaps: Tuple[Gap, ...] = ()
        while True:
            stamp = self.grab()
            if stamp is None:
                raise StopIteration
            ready, wall_time = time.perf_counter(), time.time()
            gaps += stamp.gaps
            image = self.retrieve(into)
            if image is not None:
                if not self.live:  # a recording waits for its reader: all of the read is decoding
                    ready = begun
                times = ReadTimes(ready, begun, ready, time.perf_counter())
                return Frame(stamp.index, stamp.time, image, gaps, "", wall_time, times)

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        """Return the next frame. Reuses the memory of the frame before."""
        frame = self.read(self._last_image)
        self._last_image = frame.image
        return frame

    def close(self) -> None:
        """Free the device or file. May be called more than once, and from another thread than the reader's."""

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()


class Wrapped(Source):
    """A source that changes something about another one, and is otherwise like it. Closes it with itself."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name, self.live, self.fps = source.name, source.live, source.fps
        self.frame_size, self.frame_count = source.frame_size, source.frame_count

    @property
    def resets(self) -> int:  # type: ignore[override]
        """See :class:`Source`."""
        return self._source.resets

    @property
    def interrupted(self) -> bool:  # type: ignore[override]
        """See :class:`Source`."""
        return self._source.interrupted

    @property
    def corrupt(self) -> int:  # type: ignore[override]
        """See :class:`Source`."""
        return self._source.corrupt

    def grab(self) -> Optional[Stamp]:
        return self._source.grab()

    def retrieve(self, into: Optional[np.ndarray] = None) -> Optional[np.ndarray]:
        return self._source.retrieve(into)

    def close(self) -> None:
        self._source.close()
