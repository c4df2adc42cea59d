"""The window. Its closing, q or Esc ends the run."""

import os
import subprocess
import sys

import cv2

from tsm_edge.errors import InputError
from tsm_edge.sinks.base import Sink
from tsm_edge.sinks.overlay import draw

ESCAPE = 27
PROBE = "import cv2; cv2.namedWindow('tsm-edge'); cv2.destroyAllWindows()"
PROBE_TIMEOUT = 30  # seconds; importing OpenCV from a Nano's SD card takes some


class DisplaySink(Sink):
    """Shows each frame with its overlay in a window called `title`. Use it from one thread, the main one on macOS.

    `write` returns False once the user pressed q or Esc or closed the window.
    Raises InputError where there is no display, or OpenCV was built without windows.
    """

    def __init__(self, title="tsm-edge"):
        _check_display()
        self._title = title
        self._shape = None  # of the image that the window was sized for
        self._seen = False  # whether this window system has ever called the window visible; some never do
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise _no_window(error) from error

    def write(self, result):
        try:
            if self._closed():  # before imshow, which would open the window again
                return False
            image = draw(result.frame.image, result)
            if image.shape != self._shape:
                self._shape = image.shape
                cv2.resizeWindow(self._title, image.shape[1], image.shape[0])
            cv2.imshow(self._title, image)
            key = cv2.waitKey(1)
            return False if self._closed() or (key != -1 and key & 0xFF in (ord("q"), ESCAPE)) else None
        except cv2.error as error:
            raise _no_window(error) from error

    def _closed(self):
        try:
            visible = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # Qt: "NULL window" once it is gone
            visible = False
        self._seen = self._seen or visible
        return self._seen and not visible

    def close(self):
        try:
            cv2.destroyWindow(self._title)
            cv2.waitKey(1)  # lets the window system do it
        except cv2.error:
            pass  # the user closed it already


def _check_display():
    """Open a window in another process first: without a display Qt aborts the whole process, past any except."""
    if sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    ):
        raise _no_window("no display (neither DISPLAY nor WAYLAND_DISPLAY is set)")
    try:
        probe = subprocess.Popen(
            [sys.executable, "-c", PROBE], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise _no_window(error) from error
    try:
        _, said = probe.communicate(timeout=PROBE_TIMEOUT)
    except subprocess.TimeoutExpired as error:
        probe.kill()
        probe.communicate()
        raise _no_window("no window within {} s".format(PROBE_TIMEOUT)) from error
    if probe.returncode:
        lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
        lines = [line for line in lines if "rror:" in line] or lines  # past the "Traceback" of a build without windows
        raise _no_window(lines[0] if lines else "exit status {}".format(probe.returncode))


def _no_window(reason):
    return InputError(
        "--display",
        str(reason).strip(),
        "a display, and an OpenCV built with windows",
        "use --no-display, or --save out.mp4 to look at the result later",
    )
