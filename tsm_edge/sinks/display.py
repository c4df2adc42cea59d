"""Windows, one a stream. Closing one of them, q or Esc ends the run."""

import contextlib
import os
import subprocess
import sys
from typing import Any, Dict, Iterable, Iterator, Optional, Sequence, Tuple

import cv2
import numpy as np

from tsm_edge.errors import InputError
from tsm_edge.records import Event, Result
from tsm_edge.sinks.base import OVERLAY, Sink, StreamInfo
from tsm_edge.sinks.overlay import draw_onto

ESCAPE = 27
LEAST_WINDOW = (640, 480)  # pixels (width, height): a smaller picture is enlarged until it fills one of them
# Without Qt's toolbar and status bar, which take their room from the picture.
WINDOW_FLAGS = cv2.WINDOW_NORMAL | cv2.WINDOW_GUI_NORMAL
PROBE = "import cv2; cv2.namedWindow('tsm-edge'); cv2.destroyAllWindows()"
PROBE_TIMEOUT = 30  # seconds; importing OpenCV from a Nano's SD card takes some


class Windows:
    """Windows by their titles. Use them from one thread, the main one on macOS.

    Args:
        titles: of the windows, which open at once.
        do: what to do where they cannot be shown, for messages.

    Raises:
        InputError: from every method but `close`, where there is no display, or OpenCV was built without windows.
    """

    def __init__(self, titles: Iterable[str], do: str) -> None:
        self._titles, self._do = tuple(titles), do
        self._shapes: Dict[str, Tuple[int, ...]] = {}  # of the image that each window was sized for
        self._seen = False  # whether this window system has ever called a window visible; some never do
        check_display(do)
        with self._reported():
            for title in self._titles:
                cv2.namedWindow(title, WINDOW_FLAGS)

    def show(self, title: str, image: np.ndarray) -> None:
        """Show an image, (H, W, 3) uint8 BGR, in a window of its size. It opens a window that was closed."""
        with self._reported():
            if image.shape != self._shapes.get(title):
                self._shapes[title] = image.shape
                cv2.resizeWindow(title, image.shape[1], image.shape[0])
            cv2.imshow(title, image)

    def key(self) -> Optional[int]:
        """Return the code of a key that was pressed in one of the windows, None for none."""
        with self._reported():
            key = cv2.waitKey(1)
        return None if key == -1 else key & 0xFF  # GTK sets high bits

    def closed(self, title: str) -> bool:
        """Return whether the user closed a window."""
        try:
            visible = cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # Qt: "NULL window" once it is gone
            visible = False
        self._seen = self._seen or visible
        return self._seen and not visible

    def close(self) -> None:
        """Close all windows. May be called more than once."""
        for title in self._titles:
            with contextlib.suppress(cv2.error):  # the user closed it already
                cv2.destroyWindow(title)
                cv2.waitKey(1)  # lets the window system do it

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except cv2.error as error:
            raise _no_window(error, self._do) from error


class DisplaySink(Sink):
    """Shows the frames of each stream with their overlay. Use it from one thread, the main one on macOS.

    A small picture is enlarged to fill LEAST_WINDOW, here alone, before the overlay is drawn on it.

    `write` returns False once the user pressed q or Esc or closed a window.

    Args:
        streams: the name of each stream; a single one's window is called "tsm-edge".
        overlay: the parts of an overlay of boxes that are drawn.

    Raises:
        InputError: there is no display, or OpenCV was built without windows.
    """

    def __init__(self, streams: Sequence[str] = ("",), overlay: Sequence[str] = OVERLAY) -> None:
        self._overlay = overlay
        several = len(streams) > 1
        self._titles = {name: "tsm-edge: " + name if several else "tsm-edge" for name in streams}
        do = "use --no-display, or --save out.mp4 to look at the result later"
        self._windows = Windows(self._titles.values(), do)

    def write(self, result: Result) -> Optional[bool]:
        title = self._titles[result.frame.stream]
        if self._windows.closed(title):  # before it is shown, which would open the window again
            return False
        image = enlarged(result.frame.image)
        draw_onto(image, result, self._overlay)
        self._windows.show(title, image)
        ended = self._windows.key() in (ord("q"), ESCAPE)
        return False if ended or self._windows.closed(title) else None

    def event(self, event: Event) -> None:
        """Show nothing: the label of the current event stands on the frame."""

    def close(self) -> None:
        self._windows.close()


def enlarged(image: np.ndarray) -> np.ndarray:
    """Return a copy of a picture, (H, W, 3) uint8 BGR, enlarged to fill LEAST_WINDOW where it is smaller."""
    height, width = image.shape[:2]
    scale = min(LEAST_WINDOW[0] / width, LEAST_WINDOW[1] / height)
    if scale <= 1:
        return np.array(image, order="C")
    size = max(1, int(round(width * scale))), max(1, int(round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def open_sink(value: bool, streams: Sequence[StreamInfo]) -> DisplaySink:
    """Open the sink for `--display`."""
    del value
    return DisplaySink([stream.name for stream in streams], streams[0].overlay)


def check_display(do: str) -> None:
    """Raise InputError where no window can be opened. do: what to do then.

    Another process tries it: without a display Qt aborts the whole process, past any except.
    """
    if sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    ):
        raise _no_window("no display (neither DISPLAY nor WAYLAND_DISPLAY is set)", do)
    try:
        probe = subprocess.Popen(
            [sys.executable, "-c", PROBE], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise _no_window(error, do) from error
    try:
        _, said = probe.communicate(timeout=PROBE_TIMEOUT)
    except subprocess.TimeoutExpired as error:
        probe.kill()
        probe.communicate()
        raise _no_window("no window within {} s".format(PROBE_TIMEOUT), do) from error
    if probe.returncode:
        lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
        lines = [line for line in lines if "rror:" in line] or lines  # past the "Traceback" of a build without windows
        raise _no_window(lines[0] if lines else "exit status {}".format(probe.returncode), do)


def _no_window(reason: Any, do: str) -> InputError:
    return InputError("--display", str(reason).strip(), "a display, and an OpenCV built with windows", do)
