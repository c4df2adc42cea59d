"""What a person who records sees and types: lines in the terminal, keys, and a window where there is one."""

import os
import select
import sys
import time
from typing import IO, Any, Callable, List, Optional

import numpy as np

from tsm_edge.sinks.console import columns
from tsm_edge.text import one_line, shown

try:
    import termios
    import tty
except ImportError:  # Windows: keys come from the window alone
    termios = tty = None  # type: ignore[assignment]

GO, KEEP, REDO, QUIT = "go", "k", "r", "q"  # what a key means; Space and Enter are GO
REDRAW = 0.1  # seconds between two redraws of the line on a terminal
_MEANINGS = {" ": GO, "\r": GO, "\n": GO, "k": KEEP, "r": REDO, "q": QUIT, "\x04": QUIT}  # \x04: Ctrl-D


class Keys:
    """Single keys of a terminal, without Enter and without echo. `close` gives the terminal back as it was.

    Args:
        descriptor: of the terminal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._ended = descriptor, False
        self._before = termios.tcgetattr(descriptor)
        tty.setcbreak(descriptor, termios.TCSADRAIN)  # Ctrl-C still sends its signal

    def read(self) -> str:
        """Return the characters that were typed since the last call, without waiting; "q" once the terminal is gone."""
        if self._ended or not select.select([self._descriptor], [], [], 0)[0]:
            return ""
        try:
            data = os.read(self._descriptor, 1024)
        except OSError:
            data = b""
        if not data:
            self._ended = True
            return "q"
        return "" if data.startswith(b"\x1b") else data.decode("utf-8", "replace")  # an arrow or function key

    def close(self) -> None:
        """Give the terminal back. May be called more than once."""
        try:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)
        except (OSError, termios.error):  # it is gone
            pass


def open_keys(stream: Optional[IO[str]] = None) -> Optional[Keys]:
    """Return the keys of the terminal behind `stream` (standard input); None where it is none, or not ours to read."""
    stream = sys.stdin if stream is None else stream
    try:
        descriptor = stream.fileno() if stream is not None else -1
        if termios is None or descriptor < 0 or not os.isatty(descriptor):
            return None
        if os.tcgetpgrp(descriptor) != os.getpgrp():  # started in the background: to read would stop the process
            return None
        return Keys(descriptor)
    except (OSError, ValueError, termios.error):
        return None


class Screen:
    """Shows how the recording goes and returns what is typed.

    On a terminal one line is rewritten; elsewhere each phase is a plain line. An output that can no longer be written
    is left alone.

    Args:
        output: a text stream, by default standard error.
        keys: of the terminal, None for none.
        window: a :class:`tsm_edge.recording.window.Window`, None for none.
        clock: seconds (tests).
    """

    def __init__(
        self, output: Any = None, keys: Any = None, window: Any = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._output = sys.stderr if output is None else output
        self._terminal = self._output.isatty()
        self._keys, self._window, self._clock = keys, window, clock
        self._waiting: List[str] = []
        self._phase, self._width, self._next = "", 0, 0.0

    @property
    def has_keys(self) -> bool:
        """Whether keys can be typed at all."""
        return self._keys is not None or self._window is not None

    @property
    def has_window(self) -> bool:
        """Whether pictures are shown."""
        return self._window is not None

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._next = 0.0  # the line is drawn again at once
        self._write(("\r" + " " * self._width + "\r" if self._width else "") + self._safe(text) + "\n")
        self._width = 0

    def status(self, phase: str, detail: str = "") -> None:
        """Show the current state: on a terminal a line that is rewritten, elsewhere a line for each new `phase`."""
        now, new = self._clock(), phase != self._phase
        self._phase = phase
        if not self._terminal:
            if new:
                self._write(self._safe(phase) + "\n")
        elif new or now >= self._next:
            self._next = now + REDRAW
            line = self._safe(phase + (", " + detail if detail else ""))[: columns(self._output) - 1]
            self._write("\r" + line.ljust(self._width))
            self._width = len(line)

    def bell(self) -> None:
        """Ring the bell of the terminal, because the person in front of the camera may not see the screen."""
        if self._terminal:
            self._write("\a")

    def show(self, image: np.ndarray, text: str) -> None:
        """Show a picture, (H, W, 3) uint8 BGR, with a line of text, where there is a window."""
        if self._window is not None:
            self._window.show(image, text)

    def key(self) -> Optional[str]:
        """Return the meaning of the next key that was typed: GO, KEEP, REDO, QUIT; None for none."""
        for source in (self._keys, self._window):
            if source is not None:
                self._waiting += [_MEANINGS[key] for key in source.read().lower() if key in _MEANINGS]
        return self._waiting.pop(0) if self._waiting else None

    def forget_keys(self) -> None:
        """Forget what was typed too early, but for QUIT."""
        first = self.key()
        keys = ([] if first is None else [first]) + self._waiting
        self._waiting = [QUIT] if QUIT in keys else []

    def close(self) -> None:
        """End the line, close the window, and give the terminal back. May be called more than once."""
        if self._width:
            self._write("\n")
            self._width = 0
        for part in (self._window, self._keys):
            if part is not None:
                part.close()
        self._window = self._keys = None

    def _safe(self, text: str) -> str:
        return shown(one_line(text), self._output)

    def _write(self, text: str) -> None:
        if self._output is None:
            return
        try:
            self._output.write(text)
            self._output.flush()
        except (OSError, ValueError):  # a closed pipe or terminal
            self._output, self._terminal = None, False
