"""The annotated video. Encoding runs in a separate thread, so the engine does not wait for the encoder."""

import contextlib
import math
import os
import queue
import threading
from typing import Any, Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np

from tsm_edge.errors import InputError
from tsm_edge.files import OutputFile, unwritable
from tsm_edge.records import Event, Result
from tsm_edge.sinks.base import OVERLAY, Sink, StreamInfo
from tsm_edge.sinks.encoders import EXTENSIONS, Encoder, open_encoder, prepare
from tsm_edge.sinks.overlay import draw_onto

BUFFERS = 4
MIN_FPS, MAX_FPS = 0.1, 240.0  # what all encoders take; damaged files state other rates
DEFAULT_FPS = 30.0  # of the video of a source that does not state its rate
_END: Any = object()


class VideoSink(Sink):
    """Writes the frames of one stream with their overlay.

    The file is locked at once; the encoder is opened at the first frame, in that frame's size (an odd one loses a row
    or a column). `write` copies the image into one of a few reused buffers and returns; it waits only while the encoder
    has them all. `close` (also after Ctrl-C) finishes the file.

    Args:
        path: the file, .mp4, .avi or .mkv.
        fps: frames/s of the video; one below MIN_FPS or above MAX_FPS becomes that.
        overlay: the parts of an overlay of boxes that are drawn.

    Raises:
        InputError: from the constructor for a wrong extension, a path that cannot be written, a file that another
            process writes, or an impossible fps; from `write` or `close` where the encoder does not open, fails, or has
            written nothing that plays (that file is removed), or where a frame has another size than the first.
    """

    def __init__(self, path: str, fps: float, overlay: Sequence[str] = OVERLAY) -> None:
        extension = os.path.splitext(path)[1].lower()
        if extension not in EXTENSIONS:
            raise InputError(
                path, "extension {!r}".format(extension), " or ".join(EXTENSIONS), "name the video like out.mp4"
            )
        if not (fps and math.isfinite(fps) and fps > 0):
            raise InputError("{}: frame rate".format(path), fps, "frames/s above 0", "give the rate with --fps")
        self.path, self.fps = path, min(max(float(fps), MIN_FPS), MAX_FPS)
        self._overlay = overlay
        self._output = OutputFile(path)
        prepare(extension)
        self._encoder: Optional[Encoder] = None
        self._shape: Tuple[int, ...] = ()  # of the first frame
        self._written = 0  # frames that the encoder took; counted by its thread, read after its end
        self._thread: Optional[threading.Thread] = None
        self._error: Optional[Exception] = None  # what the encoder's thread failed with, until it was raised here
        # The buffers bound both queues: neither can fill up.
        self._work: queue.Queue = queue.Queue(BUFFERS + 1)  # (buffer, result), and _END
        self._free: queue.Queue = queue.Queue(BUFFERS + 1)  # buffers, and _END when the thread stops

    def write(self, result: Result) -> None:
        image = result.frame.image
        if self._thread is None:
            self._open(image)
        if image.shape != self._shape:
            raise InputError(
                "{}: frame {}".format(self.path, result.frame.index),
                "{1}x{0}".format(*image.shape),
                "{1}x{0}, the size of the first frame".format(*self._shape),
                "save to a new file: a video has one size",
            )
        buffer = self._free.get()
        self._raise_error()
        if buffer is _END:
            raise InputError(self.path, "a write after close", "an open video", "make a new VideoSink")
        np.copyto(buffer, image)
        self._work.put((buffer, result._replace(frame=result.frame._replace(image=buffer))))

    def event(self, event: Event) -> None:
        """Draw nothing: the label of the current event stands on the frame."""

    def facts(self) -> List[Tuple[str, str]]:
        return [] if self._encoder is None else [("video", "{} ({})".format(self.path, self._encoder.name))]

    def close(self) -> None:
        thread, self._thread = self._thread, None
        try:
            if thread is not None:
                self._work.put(_END)
                thread.join()
                self._raise_error()
                self._check()
        finally:
            self._output.close()

    def _open(self, image: np.ndarray) -> None:
        height, width = image.shape[:2]
        if min(height, width) < 2:
            got, expected = "a frame of {}x{}".format(width, height), "frames of at least 2x2"
            raise InputError(self.path, got, expected, "leave --save away")
        try:
            self._encoder = open_encoder(self._output, self.fps, (width - width % 2, height - height % 2))
        except InputError:
            self._output.remove()
            raise
        self._shape = image.shape
        for _ in range(BUFFERS):
            self._free.put(np.empty_like(image, order="C"))
        # Not a daemon: a second Ctrl-C during close() must not cut the file off before its index is written.
        self._thread = threading.Thread(target=self._encode, args=(self._encoder,), name="encoder")
        self._thread.start()

    def _encode(self, encoder: Encoder) -> None:
        """Run the encoder's thread: draw, encode, hand the buffer back, until _END or an error."""
        height, width = (length - length % 2 for length in self._shape[:2])
        failed: Optional[Exception] = None
        try:
            for buffer, result in iter(self._work.get, _END):
                draw_onto(buffer, result, self._overlay)
                encoder.write(buffer[:height, :width])
                self._written += 1
                self._free.put(buffer)
        except Exception as error:
            failed = error
        try:
            encoder.close()
        except Exception as error:
            failed = failed or error
        self._error = failed  # only now, so that the file is finished when the error is raised
        self._free.put(_END)  # wakes a write() that waits for a buffer

    def _raise_error(self) -> None:
        """Raise, once, what the encoder's thread failed with. A file in which nothing plays is removed."""
        error, self._error = self._error, None
        if error is None:
            return
        got = str(error.got) if isinstance(error, InputError) else "the encoder failed: {}".format(error)
        if self._output.regular and _plays(self.path)[0]:
            got += "; the file plays in part"
        else:
            self._output.remove()
        raise unwritable(self.path, got) from error

    def _check(self) -> None:
        """Raise InputError unless the file plays: reading back is the only proof where an encoder reports nothing."""
        assert self._encoder is not None
        if not self._output.regular or self._encoder.trusted:
            return
        plays, count = _plays(self.path)
        if not plays:
            self._output.remove()
            raise unwritable(self.path, "the encoder wrote nothing that plays (a full disk?)")
        if count is not None and count < self._written - 1:
            raise unwritable(self.path, "the encoder stopped before the end (a full disk?); the file plays in part")


class VideoPerStream(Sink):
    """Writes the video of each stream to a separate file.

    Args:
        sinks: for each stream's name its :class:`VideoSink`.
    """

    def __init__(self, sinks: Dict[str, VideoSink]) -> None:
        self._sinks = sinks

    def write(self, result: Result) -> None:
        self._sinks[result.frame.stream].write(result)

    def event(self, event: Event) -> None:
        """Draw nothing, as :class:`VideoSink`."""

    def facts(self) -> List[Tuple[str, str]]:
        return [fact for sink in self._sinks.values() for fact in sink.facts()]

    def close(self) -> None:
        with contextlib.ExitStack() as stack:  # all are closed, also if one of them fails
            for sink in self._sinks.values():
                stack.callback(sink.close)


def open_sink(value: str, streams: Sequence[StreamInfo]) -> Sink:
    """Open the sink for `--save VIDEO`."""
    paths = output_paths(value, [stream.name for stream in streams])
    sinks: List[VideoSink] = []
    try:
        for path, stream in zip(paths, streams):
            sinks.append(VideoSink(path, stream.fps or DEFAULT_FPS, stream.overlay))
    except InputError:
        for sink in sinks:
            sink.close()
        raise
    return sinks[0] if len(sinks) == 1 else VideoPerStream({info.name: sink for info, sink in zip(streams, sinks)})


def output_paths(value: str, names: Sequence[str]) -> List[str]:
    """Return the files that the sink writes: the one asked for, or out-NAME.mp4 where there are several streams."""
    stem, extension = os.path.splitext(value)
    return [value] if len(names) == 1 else ["{}-{}{}".format(stem, name, extension) for name in names]


def _plays(path: str) -> Tuple[bool, Optional[float]]:
    """Return (whether a first frame can be decoded, frames that the file holds or None where that is unknown).

    FFmpeg gives no count for a file whose end was never written; other readers may give none for a whole one.
    """
    for reader in (cv2.CAP_FFMPEG, cv2.CAP_ANY):
        capture = cv2.VideoCapture(path, reader)
        plays, count = capture.isOpened() and capture.grab(), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        capture.release()
        if plays:
            return True, count if reader == cv2.CAP_FFMPEG else None
    return False, None
