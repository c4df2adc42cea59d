"""The window, against a fake of OpenCV's GUI; and for real where an X server can be started."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.sinks.test_sinks import ROOT
from tests.device.toys import make_infos, make_result
from tsm_edge.errors import InputError

cv2 = pytest.importorskip("cv2")
from tsm_edge.sinks import display  # noqa: E402 - needs cv2
from tsm_edge.sinks.display import DisplaySink  # noqa: E402


class Gui:
    """OpenCV's window functions as Qt behaves: a window that is gone raises, and imshow opens it again."""

    def __init__(self, monkeypatch, reports_visible=True):
        self.open, self.key, self.shown, self.size = False, -1, [], None
        self.titles = []
        self.reports_visible = reports_visible
        for name in ("namedWindow", "resizeWindow", "imshow", "waitKey", "getWindowProperty", "destroyWindow"):
            monkeypatch.setattr(cv2, name, getattr(self, name))

    def namedWindow(self, title, flags):
        assert flags & cv2.WINDOW_GUI_NORMAL  # Qt's toolbar takes its room from the picture
        self.open = True
        self.titles.append(title)

    def resizeWindow(self, title, width, height):
        self.size = (width, height)

    def imshow(self, title, image):
        self.open = True
        self.shown.append(image.copy())

    def waitKey(self, delay):
        assert delay == 1
        return self.key

    def getWindowProperty(self, title, name):
        assert name == cv2.WND_PROP_VISIBLE
        if not self.open:
            raise cv2.error("NULL window")
        return 1.0 if self.reports_visible else -1.0

    def destroyWindow(self, title):
        if not self.open:
            raise cv2.error("NULL window")
        self.open = False


@pytest.fixture
def no_probe(monkeypatch):
    monkeypatch.setattr(display, "check_display", lambda do: None)


@pytest.mark.parametrize("reports_visible", [True, False])  # OpenCV 4.1 with GTK (JetPack 4) never says visible
def test_frames_are_shown_with_their_overlay(monkeypatch, no_probe, reports_visible):
    gui = Gui(monkeypatch, reports_visible)
    image = np.full((600, 800, 3), 200, np.uint8)
    with DisplaySink(["door"]) as sink:
        for index in range(3):
            assert sink.write(make_result(index, image=image)) is None
    assert len(gui.shown) == 3 and gui.size == (800, 600) and not gui.open
    assert (image == 200).all() and (gui.shown[0] != image).any()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900))
def test_a_small_picture_fills_the_least_window_and_a_large_one_stays(height, width):
    image = np.full((height, width, 3), 90, np.uint8)
    shown = display.enlarged(image)
    least_width, least_height = display.LEAST_WINDOW
    if width >= least_width or height >= least_height:
        assert shown.shape == image.shape and not np.shares_memory(shown, image)
    else:
        assert shown.shape[1] == least_width or shown.shape[0] == least_height
        assert shown.shape[1] <= least_width and shown.shape[0] <= least_height
        assert shown.shape[0] * width == pytest.approx(shown.shape[1] * height, abs=max(width, height))
    assert (image == 90).all() and (shown == 90).all() and shown.flags.c_contiguous


def test_the_window_of_a_small_picture_is_large_and_its_overlay_small(monkeypatch, no_probe):
    gui, image = Gui(monkeypatch), np.full((256, 256, 3), 200, np.uint8)
    with DisplaySink(["door"]) as sink:
        sink.write(make_result(image=image))
    assert gui.size == (480, 480) == gui.shown[0].shape[:2] and (image == 200).all()
    assert 0.02 < (gui.shown[0] != 200).any(axis=2).mean() < 0.18


@pytest.mark.parametrize("key", [ord("q"), 27, 0x100000 | ord("q")])  # GTK sets high bits
def test_q_and_escape_end_the_run(monkeypatch, no_probe, key):
    gui = Gui(monkeypatch)
    sink = DisplaySink(["door"])
    gui.key = ord("x")
    assert sink.write(make_result()) is None
    gui.key = key
    assert sink.write(make_result()) is False


def test_a_closed_window_ends_the_run_and_does_not_come_back(monkeypatch, no_probe):
    gui = Gui(monkeypatch)
    sink = DisplaySink(["door"])
    sink.write(make_result())
    gui.open = False
    assert sink.write(make_result()) is False
    assert len(gui.shown) == 1 and not gui.open
    sink.close()
    sink.close()


def test_each_of_several_streams_has_its_window(monkeypatch, no_probe):
    gui = Gui(monkeypatch)
    sink = display.open_sink(True, make_infos("door", "yard"))
    assert gui.titles == ["tsm-edge: door", "tsm-edge: yard"]
    assert sink.write(make_result(stream="yard")) is None
    with pytest.raises(KeyError):
        sink.write(make_result(stream="roof"))


def test_a_build_without_windows_says_what_to_use(monkeypatch, no_probe):
    def headless(*args):
        raise cv2.error("The function is not implemented. Rebuild the library with Windows, GTK+ 2.x or Cocoa support")

    monkeypatch.setattr(cv2, "namedWindow", headless)
    with pytest.raises(InputError, match="not implemented.*\n.*\n.*--no-display.*--save"):
        DisplaySink(["door"])


def test_no_display_is_an_error_before_qt_aborts_the_process(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(InputError, match="no display.*\n.*\n.*--no-display.*--save"):
        DisplaySink(["door"])


@pytest.mark.parametrize(
    "probe,reason",
    [
        ("import os, sys; sys.stderr.write('qt: no :7\\n'); sys.stderr.flush(); os.abort()", "qt: no :7"),
        ("raise RuntimeError('headless build')", "RuntimeError: headless build"),
        ("raise SystemExit(3)", "exit status 3"),
        ("import time; time.sleep(60)", "no window within 1 s"),
    ],
)
def test_a_display_that_cannot_be_opened(monkeypatch, probe, reason):
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr(display, "PROBE", probe)
    monkeypatch.setattr(display, "PROBE_TIMEOUT", 1 if "sleep" in probe else 60)
    with pytest.raises(InputError) as error:
        DisplaySink(["door"])
    assert reason in str(error.value) and "--no-display" in str(error.value)


REAL = """
import cv2
from tests.device.toys import make_result
from tsm_edge.sinks.display import DisplaySink
with DisplaySink(["door"]) as sink:
    shown = [sink.write(make_result(index)) for index in range(5)]
    cv2.destroyWindow("tsm-edge")
    print(shown, sink.write(make_result(5)))
"""


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb")
def test_a_real_window_on_a_virtual_screen(tmp_path):
    if "GUI" not in cv2.getBuildInformation() or "GUI:                           NONE" in cv2.getBuildInformation():
        pytest.skip("OpenCV without windows")
    reader, writer = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", "640x480x24", "-nolisten", "tcp"],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    try:
        with os.fdopen(reader) as numbers:
            number = numbers.readline().strip()
        assert number.isdigit()
        environment = dict(os.environ, DISPLAY=":" + number, PYTHONPATH=ROOT)
        environment.pop("QT_QPA_PLATFORM", None)
        said = subprocess.check_output([sys.executable, "-c", REAL], env=environment, stderr=subprocess.DEVNULL)
        assert said.decode().strip() == "[None, None, None, None, None] False"
    finally:
        server.terminate()
        server.wait()
