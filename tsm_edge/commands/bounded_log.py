"""The begin and the end of a log of any length, in bounded memory."""

import contextlib
import os
import threading
from typing import Iterator

STANDARD_ERROR = 2  # its file descriptor: what libraries and child processes write to
SECONDS_TO_END = 2.0  # for what still writes when a block ends


class BoundedLog:
    """Keeps at most the first `head` and the last `tail` bytes that are written to it, from any thread."""

    def __init__(self, head: int, tail: int) -> None:
        self._head, self._tail, self._lock = head, tail, threading.Lock()
        self._first, self._last, self._total = bytearray(), bytearray(), 0

    def write(self, text: str) -> None:
        """Add text."""
        self.add(text.encode("utf-8", "backslashreplace"))

    def add(self, data: bytes) -> None:
        """Add bytes."""
        with self._lock:
            self._total += len(data)
            room = self._head - len(self._first)
            self._first += data[:room]
            self._last += data[max(0, room) :]
            if len(self._last) > 2 * self._tail:  # seldom, so that the cost of many short writes stays linear
                del self._last[: len(self._last) - self._tail]

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def text(self) -> str:
        """Return what is kept, in whole lines, with a line where something is left out.

        Half a line could hold half an address, whose password nothing would recognise.
        """
        with self._lock:
            first, last = bytes(self._first), bytes(self._last[max(0, len(self._last) - self._tail) :])
            if self._total > len(first) + len(last):
                first, last = first[: first.rfind(b"\n") + 1], last[(last.find(b"\n") + 1) or len(last) :]
                left_out = self._total - len(first) - len(last)
                first += "[... {} bytes left out ...]\n".format(left_out).encode("ascii")
            return (first + last).decode("utf-8", "replace")


@contextlib.contextmanager
def captured_stderr(log: BoundedLog) -> Iterator[None]:
    """Add to `log` what is written to standard error in this block: by Python, by libraries and by child processes."""
    try:
        before = os.dup(STANDARD_ERROR)
    except OSError:  # closed: nothing can be written to it
        yield
        return
    reading, writing = os.pipe()
    os.dup2(writing, STANDARD_ERROR)
    os.close(writing)

    def drain() -> None:
        with os.fdopen(reading, "rb", 0) as pipe:
            for data in iter(lambda: pipe.read(1 << 16), b""):
                log.add(data)

    thread = threading.Thread(target=drain, daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.dup2(before, STANDARD_ERROR)
        os.close(before)
        thread.join(SECONDS_TO_END)  # the pipe ends when the last process that has it does
