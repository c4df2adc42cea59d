"""The window with the live picture. Its keys are those of the terminal; closing it ends the recording."""

import numpy as np

from tsm_edge.sinks.display import ESCAPE, Windows, enlarged
from tsm_edge.sinks.overlay import Canvas

TITLE = "tsm-edge"


class Window:
    """A window. Use it from one thread, the main one on macOS.

    Raises:
        InputError: there is no display, or OpenCV was built without windows.
    """

    def __init__(self) -> None:
        self._windows = Windows([TITLE], "use --no-display")
        self._typed = ""

    def show(self, image: np.ndarray, text: str) -> None:
        """Show a picture, (H, W, 3) uint8 BGR, with `text` along its top."""
        if self._windows.closed(TITLE):  # before it is shown, which would open the window again
            self._typed = "q"
            return
        picture = enlarged(image)
        Canvas(picture).title(text)
        self._windows.show(TITLE, picture)

    def read(self) -> str:
        """Return the characters that were typed into the window since the last call; "q" where it was closed."""
        typed, self._typed = self._typed, ""
        key = self._windows.key()
        if key is not None:
            typed += "q" if key == ESCAPE else chr(key)
        return typed

    def close(self) -> None:
        """Close the window. May be called more than once."""
        self._windows.close()
