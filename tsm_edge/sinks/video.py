"""The annotated video. Encoding runs in a thread of its own, so the engine does not wait for the encoder."""

import contextlib
import math
import os
import queue
import threading
from typing import Any, Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np

from tsm_edge.errors import InputError
from tsm_edge.files import check_output, unwritable
from tsm_edge.records import Event, Result
from tsm_edge.sinks.base import Sink, StreamInfo
from tsm_edge.sinks.overlay import draw_onto

# Encoders that both OpenCV's own FFmpeg (pip wheels) and JetPack's build carry without a licence question.
CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "XVID"}
BUFFERS = 4
DEFAULT_FPS = 30.0  # of the video of a source that does not state its rate
_END: Any = object()


class VideoSink(Sink):
    """Writes the frames of one stream with their overlay.

    The file is opened at the first frame, in that frame's size. `write` copies the image into one of a few reused
    buffers and returns; it waits only while the encoder has them all. `close` (also after Ctrl-C) finishes the file.

    Args:
        path: the file, .mp4, .avi or .mkv.
        fps: frames/s of the video.

    Raises:
        InputError: from the constructor for a wrong extension, a path that cannot be written or an impossible fps;
            from `write` or `close` where the encoder does not open, fails, or has written nothing that plays (that
            file is removed), or where a frame has another size than the first.
    """

    def __init__(self, path: str, fps: float) -> None:
        extension = os.path.splitext(path)[1].lower()
        if extension not in CODECS:
            raise InputError(
                path, "extension {!r}".format(extension), " or ".join(sorted(CODECS)), "name the video like out.mp4"
            )
        if not (fps and math.isfinite(fps) and fps > 0):
            raise InputError("{}: frame rate".format(path), fps, "frames/s above 0", "give the rate with --fps")
        check_output(path)
        self.path, self.fps = path, float(fps)
        self._codec = cv2.VideoWriter_fourcc(*CODECS[extension])  # type: ignore[attr-defined]
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

    def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._work.put(_END)
        thread.join()
        self._raise_error()
        _check_plays(self.path, self._written)

    def _open(self, image: np.ndarray) -> None:
        height, width = image.shape[:2]
        writer = cv2.VideoWriter(self.path, self._codec, self.fps, (width, height))
        if not writer.isOpened():
            _remove(self.path)
            raise InputError(
                self.path,
                "OpenCV {} cannot encode {}x{} here".format(cv2.__version__, width, height),
                "a build with FFmpeg or GStreamer",
                "try a name that ends in .avi; tsm-edge doctor shows what this OpenCV was built with",
            )
        self._shape = image.shape
        for _ in range(BUFFERS):
            self._free.put(np.empty_like(image, order="C"))
        # Not a daemon: a second Ctrl-C during close() must not cut the file off before its index is written.
        self._thread = threading.Thread(target=self._encode, args=(writer,), name="encoder")
        self._thread.start()

    def _encode(self, writer: Any) -> None:
        """Run the encoder's thread: draw, encode, hand the buffer back, until _END or an error."""
        try:
            for buffer, result in iter(self._work.get, _END):
                draw_onto(buffer, result)
                writer.write(buffer)
                self._written += 1
                self._free.put(buffer)
        except Exception as error:
            self._error = error
        finally:
            writer.release()
            self._free.put(_END)  # wakes a write() that waits for a buffer

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise unwritable(self.path, "the encoder failed: {}".format(error)) from error


class VideoPerStream(Sink):
    """Writes the video of each stream to a file of its own.

    Args:
        sinks: for each stream's name its :class:`VideoSink`.
    """

    def __init__(self, sinks: Dict[str, VideoSink]) -> None:
        self._sinks = sinks

    def write(self, result: Result) -> None:
        self._sinks[result.frame.stream].write(result)

    def event(self, event: Event) -> None:
        """Draw nothing, as :class:`VideoSink`."""

    def close(self) -> None:
        with contextlib.ExitStack() as stack:  # one that fails keeps no other from its end
            for sink in self._sinks.values():
                stack.callback(sink.close)


def open_sink(value: str, streams: Sequence[StreamInfo]) -> Sink:
    """Open the sink for `--save VIDEO`."""
    paths = output_paths(value, [stream.name for stream in streams])
    sinks = [VideoSink(path, stream.fps or DEFAULT_FPS) for path, stream in zip(paths, streams)]
    return sinks[0] if len(sinks) == 1 else VideoPerStream({info.name: sink for info, sink in zip(streams, sinks)})


def output_paths(value: str, names: Sequence[str]) -> List[str]:
    """Return the files that the sink writes: the one asked for, or out-NAME.mp4 where there are several streams."""
    stem, extension = os.path.splitext(value)
    return [value] if len(names) == 1 else ["{}-{}{}".format(stem, name, extension) for name in names]


def _check_plays(path: str, written: int) -> None:
    """Raise InputError unless `path` plays: reading back is the only proof, as OpenCV's writer reports no failed write.

    FFmpeg gives no count of frames for a file whose end was never written; other readers may give none for a whole one.
    A file that plays in part is left to the user, any other is removed.
    """
    for reader in (cv2.CAP_FFMPEG, cv2.CAP_ANY):
        capture = cv2.VideoCapture(path, reader)
        plays, count = capture.isOpened() and capture.grab(), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        capture.release()
        if plays and reader == cv2.CAP_FFMPEG and count < written - 1:
            raise unwritable(path, "the encoder stopped before the end (a full disk?); the file plays in part")
        if plays:
            return
    _remove(path)
    raise unwritable(path, "the encoder wrote nothing that plays (a full disk?)")


def _remove(path: str) -> None:
    if os.path.isfile(path):
        os.remove(path)
