"""The window with the live picture. Its keys are those of the terminal; closing it ends the recording."""

import cv2
import numpy as np

from tsm_edge.errors import InputError
from tsm_edge.sinks.display import ESCAPE, DisplaySink, enlarged
from tsm_edge.sinks.overlay import Canvas


class Window(DisplaySink):
    """A window. Use it from one thread, the main one on macOS.

    Raises:
        InputError: there is no display, or OpenCV was built without windows.
    """

    def __init__(self) -> None:
        super(Window, self).__init__()
        self._title = self._titles[""]
        self._typed = ""

    def show(self, image: np.ndarray, text: str) -> None:
        """Show a picture, (H, W, 3) uint8 BGR, with `text` along its top."""
        try:
            if self._closed(self._title):  # before imshow, which would open the window again
                self._typed = "q"
                return
            picture = enlarged(image)
            Canvas(picture).title(text)
            if picture.shape != self._shapes.get(self._title):
                self._shapes[self._title] = picture.shape
                cv2.resizeWindow(self._title, picture.shape[1], picture.shape[0])
            cv2.imshow(self._title, picture)
        except cv2.error as error:
            raise InputError("the window", error, "a window that stays", "use --no-display") from error

    def read(self) -> str:
        """Return the characters that were typed into the window since the last call; "q" where it was closed."""
        typed, self._typed = self._typed, ""
        key = cv2.waitKey(1)
        if key != -1:
            typed += "q" if key & 0xFF == ESCAPE else chr(key & 0xFF)
        return typed
