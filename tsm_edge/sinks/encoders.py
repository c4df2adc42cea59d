"""How the annotated video is encoded: H.264 by the program `ffmpeg` where it is installed, else what OpenCV can.

An MP4 is written in fragments, an MKV in clusters: what was written plays, however the process ends. OpenCV can set
none of FFmpeg's options for that, but FFmpeg writes files named *.ismv (Smooth Streaming, an MP4) in fragments anyway.
"""

import abc
import contextlib
import functools
import os
import selectors
import shutil
import subprocess
import tempfile
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple

import cv2
import numpy as np

from tsm_edge.errors import InputError
from tsm_edge.files import OutputFile, prepare_pipe, unwritable
from tsm_edge.interrupt import blocked_signals

EXTENSIONS = (".avi", ".mkv", ".mp4")
# One thread, and x264's fastest preset: the encoder must leave the cores to the engine.
FFMPEG_H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "23", "-threads", "1", "-pix_fmt", "yuv420p")
FFMPEG_CONTAINERS = {
    ".mp4": ("-f", "mp4", "-movflags", "frag_keyframe+empty_moov+default_base_moof"),
    ".mkv": ("-f", "matroska", "-cluster_time_limit", "1000"),
}
LONGEST_GROUP = 250  # frames from one key frame to the next, at most
PIPE_BYTES = 1 << 20  # of the pipe to ffmpeg where the system allows it: fewer turns between the two processes
MESSAGE_BYTES = 4096  # of the end of what ffmpeg says
PROBE_SECONDS = 20.0
# In several waits: a stopped process (Ctrl-Z) that goes on finds one of them over, not all.
WAITS, WAIT_SECONDS = 10, 6.0


class Encoder(abc.ABC):
    """Encodes the frames of one video. Made by `open_encoder`. Every method may raise InputError.

    Attributes:
        name: the codec and who encodes it, for the summary.
        trusted: whether `close` raises where a frame was not written; if not, the file has to be read back.
    """

    name = ""
    trusted = False

    @abc.abstractmethod
    def write(self, image: np.ndarray) -> None:
        """Encode one frame, (H, W, 3) uint8 BGR in the size of the video."""

    @abc.abstractmethod
    def close(self) -> None:
        """Write what is still to be written, and the end of the file."""


class FfmpegEncoder(Encoder):
    """Encodes H.264 by the program `ffmpeg`, which gets raw frames through a pipe.

    It inherits the file and thus its lock. Signals that end a run do not reach it; it ends with its input. So a run
    that is killed leaves a video with every frame that was handed over.

    Args:
        output: where the video goes.
        fps: frames/s.
        size: (width, height) in pixels, even.
    """

    name = "H.264 by ffmpeg"
    trusted = True

    def __init__(self, output: OutputFile, fps: float, size: Tuple[int, int]) -> None:
        self._path = output.path
        self._messages: Any = tempfile.TemporaryFile()  # noqa: SIM115 (a pipe could fill up)
        with blocked_signals():
            self._process = subprocess.Popen(
                ffmpeg_command(os.path.splitext(output.path)[1].lower(), fps, size, output.regular),
                stdin=subprocess.PIPE,
                stdout=output.begin(),
                stderr=self._messages,
                bufsize=0,
                restore_signals=False,  # SIGXFSZ stays ignored: a file that grows too large is an error it can report
            )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        prepare_pipe(self._pipe, PIPE_BYTES)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_WRITE)

    def write(self, image: np.ndarray) -> None:
        left = np.ascontiguousarray(image).data.cast("B")
        while left:
            self._wait("takes no frames", lambda seconds: bool(self._selector.select(seconds)))
            try:
                left = left[os.write(self._pipe, left) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise self._failure() from error

    def close(self) -> None:
        if self._messages.closed:
            return
        self._selector.close()
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._wait("does not end", self._ended)
            if self._process.returncode:
                raise self._failure()
        finally:
            self._messages.close()

    def _wait(self, stalled: str, done: Callable[[float], bool]) -> None:
        if not any(done(WAIT_SECONDS) for _ in range(WAITS)):
            self._process.kill()
            self._process.wait()
            raise unwritable(self._path, "ffmpeg {} for {:.0f} s".format(stalled, WAITS * WAIT_SECONDS))

    def _ended(self, seconds: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def _failure(self) -> InputError:
        """Return the error for a program that ended by itself: the last thing it said."""
        self._wait("does not end", self._ended)
        self._messages.seek(max(0, self._messages.seek(0, os.SEEK_END) - MESSAGE_BYTES))
        lines = self._messages.read().decode("utf-8", "replace").split("\n")
        said = [line.strip() for line in lines if line.strip()] or ["exit status {}".format(self._process.returncode)]
        return unwritable(self._path, "ffmpeg failed (a full disk?): {}".format(said[-1]))


class OpenCvEncoder(Encoder):
    """Encodes by cv2.VideoWriter. Its `write` reports no error: the file has to be read back.

    Args:
        writer: an opened cv2.VideoWriter.
        name: see :class:`Encoder`.
    """

    def __init__(self, writer: Any, name: str) -> None:
        self._writer, self.name = writer, name

    def write(self, image: np.ndarray) -> None:
        self._writer.write(image)

    def close(self) -> None:
        self._writer.release()


def prepare(extension: str) -> None:
    """Find out what encodes this extension, which takes about 0.1 s, before the first frame waits for it."""
    if extension in FFMPEG_CONTAINERS:
        ffmpeg_works()


Opener = Callable[[OutputFile, float, Tuple[int, int]], Optional[Encoder]]


def open_encoder(output: OutputFile, fps: float, size: Tuple[int, int]) -> Encoder:
    """Return the first encoder for the file's extension that opens here. Empties the file.

    Args:
        output: where the video goes; its extension is one of EXTENSIONS.
        fps: frames/s.
        size: (width, height) in pixels, even.

    Raises:
        InputError: nothing on this machine encodes such a video.
    """
    output.begin()
    for opener in _openers(os.path.splitext(output.path)[1].lower()):
        encoder = opener(output, fps, size)
        if encoder is not None:
            return encoder
    raise InputError(
        output.path,
        "OpenCV {} cannot encode {}x{} here".format(cv2.__version__, *size),
        "the program ffmpeg, or an OpenCV with FFmpeg or GStreamer",
        "install ffmpeg, or try a name that ends in .avi",
    )


def _openers(extension: str) -> Sequence[Opener]:
    mpeg4 = "MPEG-4 Part 2 by OpenCV, which browsers do not play: install ffmpeg"
    if extension == ".avi":
        return [functools.partial(_open_cv, "MJPG", ".avi", "Motion JPEG by OpenCV")]
    if extension == ".mkv":
        return [
            _open_ffmpeg,
            functools.partial(_open_cv, "H264", ".mkv", "H.264 by OpenCV"),
            functools.partial(_open_cv, "XVID", ".mkv", mpeg4),
        ]
    return [
        _open_ffmpeg,
        functools.partial(_open_cv, "avc1", ".ismv", "H.264 by OpenCV"),
        functools.partial(_open_cv, "mp4v", ".ismv", mpeg4),
        functools.partial(_open_cv, "mp4v", ".mp4", mpeg4 + " (and nothing plays if the run is killed)"),
    ]


def _open_ffmpeg(output: OutputFile, fps: float, size: Tuple[int, int]) -> Optional[Encoder]:
    if not ffmpeg_works():
        return None
    try:
        return FfmpegEncoder(output, fps, size)
    except OSError as error:
        raise unwritable(output.path, "ffmpeg does not start: {}".format(error)) from error


def _open_cv(
    fourcc: str, extension: str, name: str, output: OutputFile, fps: float, size: Tuple[int, int]
) -> Optional[Encoder]:
    codec = cv2.VideoWriter_fourcc(*fourcc)  # type: ignore[attr-defined]
    link = _path_with(extension, output)
    with _quiet(), link as path:
        writer = cv2.VideoWriter(path, codec, fps, size)
    if not writer.isOpened():
        return None
    if not output.in_place():  # where OpenCV could only be given the path
        writer.release()
        raise unwritable(output.path, "another program replaced it meanwhile")
    return OpenCvEncoder(writer, name)


@contextlib.contextmanager
def _path_with(extension: str, output: OutputFile) -> Iterator[str]:
    """Give a path with this extension that opens the very file of `output`, whatever its own path names by now."""
    descriptor = "/proc/self/fd/{}".format(output.descriptor)
    target = descriptor if os.path.exists(descriptor) else os.path.abspath(output.path)
    with contextlib.ExitStack() as stack:
        path = output.path
        with contextlib.suppress(OSError, NotImplementedError):  # no room for a folder; no links on Windows
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tsm-edge-"))
            os.symlink(target, os.path.join(folder, "video" + extension))
            path = os.path.join(folder, "video" + extension)
        yield path


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV from complaining, where it can be told so, about an encoder that it lacks: the next one is tried."""
    module: Any = cv2 if hasattr(cv2, "setLogLevel") else getattr(getattr(cv2, "utils", None), "logging", None)
    if module is None:  # before release 4.5
        yield
        return
    level = module.getLogLevel()
    module.setLogLevel(0)
    try:
        yield
    finally:
        module.setLogLevel(level)


# ---------------------------------------------------------------- ffmpeg


def ffmpeg_command(extension: str, fps: float, size: Tuple[int, int], regular: bool = True) -> List[str]:
    """Return the command that encodes raw BGR frames from standard input.

    An MP4 goes to standard output. An MKV needs a file in which it can go back, to write its length.
    """
    video = ("-f", "rawvideo", "-pix_fmt", "bgr24", "-video_size", "{}x{}".format(*size), "-framerate", repr(fps))
    group = str(int(min(max(round(fps), 1), LONGEST_GROUP)))
    seekable = extension == ".mkv" and regular and os.path.exists("/dev/fd")
    target = ("-y", "file:/dev/fd/1") if seekable else ("pipe:1",)
    return [
        *("ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-xerror"),
        *video,
        *("-i", "pipe:0", "-an"),
        *FFMPEG_H264,
        *("-g", group),
        *FFMPEG_CONTAINERS[extension],
        *("-flush_packets", "1"),
        *target,
    ]


@functools.lru_cache(maxsize=None)
def ffmpeg_works() -> bool:
    """Return whether the program `ffmpeg` encodes a frame of H.264 here. Tried once, with the command of a run."""
    if os.name != "posix" or shutil.which("ffmpeg") is None:
        return False
    try:
        done = subprocess.run(
            ffmpeg_command(".mp4", 10.0, (16, 16)),
            input=bytes(16 * 16 * 3),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PROBE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"avc1" in done.stdout
