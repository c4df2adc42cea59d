"""What C libraries write to standard error (FFmpeg, OpenCV, ONNX Runtime), made safe to show.

FFmpeg logs whole addresses, with their passwords, and stream titles. It writes to file descriptor 2, past sys.stderr.
"""

import contextlib
import os
import re
import sys
import threading
from typing import Any, Iterator

from tsm_edge.files import prepare_pipe
from tsm_edge.text import masked_lines, shown

PIPE_BYTES = 1 << 20  # the most that Linux grants without a privilege
MAX_LINE_BYTES = 1 << 16
_OPENCV_PREFIX = re.compile(r"((?:\[ *[A-Z]+:[0-9]+@[0-9.]+\] )?)(.*)", re.DOTALL)  # not a user, an "@" and a host
JOIN_SECONDS = 2.0  # a child process that outlives this one keeps the pipe open


@contextlib.contextmanager
def safe_library_log() -> Iterator[None]:
    """Pass what is written to file descriptor 2 through `tsm_edge.text.shown`, line by line, until the context ends.

    sys.stderr keeps writing to the terminal directly. Where sys.stderr is not file descriptor 2, nothing is changed.

    A library that writes while it holds Python's lock would wait for ever for a full pipe, which needs that lock to be
    emptied. So the pipe does not block: of more than `PIPE_BYTES` written at once, the rest is lost.
    """
    try:
        usual = sys.stderr.fileno() == 2
        terminal = os.dup(2) if usual else -1
    except (OSError, ValueError):  # closed, or not a file
        usual = False
    if not usual:
        yield
        return
    reader, writer = os.pipe()
    prepare_pipe(writer, PIPE_BYTES)
    before = sys.stderr
    before.flush()
    os.dup2(writer, 2)
    os.close(writer)
    thread = threading.Thread(target=_copy, args=(reader, terminal), name="tsm-edge-library-log", daemon=True)
    thread.start()
    settings: Any = {"encoding": before.encoding, "errors": before.errors, "buffering": 1, "closefd": False}
    sys.stderr = open(terminal, "w", **settings)  # noqa: SIM115
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        sys.stderr = before
        os.dup2(terminal, 2)  # closes the pipe's last end
        thread.join(JOIN_SECONDS)


def _copy(reader: int, terminal: int) -> None:
    rest = b""
    for data in iter(lambda: os.read(reader, MAX_LINE_BYTES), b""):
        lines = (rest + data).split(b"\n")
        rest = lines.pop()
        if len(rest) > MAX_LINE_BYTES:
            lines, rest = lines + [rest], b""
        for line in lines:
            _write(terminal, line)
    if rest:
        _write(terminal, rest)
    os.close(reader)


def _write(terminal: int, line: bytes) -> None:
    begin, text = _OPENCV_PREFIX.match(line.decode("utf-8", "replace").rstrip("\r")).groups()  # type: ignore[union-attr]
    text = begin + shown(masked_lines(text)) + "\n"
    with contextlib.suppress(OSError):  # the terminal is gone; the library continues
        os.write(terminal, text.encode("utf-8"))
