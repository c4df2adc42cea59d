"""The window of a recording, against the fake of OpenCV's GUI that the window of a run is tested against."""

import numpy as np
import pytest

pytest.importorskip("cv2")
from tests.device.sinks.test_display import Gui, no_probe  # noqa: E402,F401 - needs cv2
from tsm_edge.recording.prompt import GO, QUIT, Screen  # noqa: E402
from tsm_edge.recording.window import Window  # noqa: E402


def test_pictures_are_shown_with_text_and_keys_are_read(monkeypatch, no_probe):  # noqa: F811
    gui, image = Gui(monkeypatch), np.full((600, 800, 3), 200, np.uint8)
    screen = Screen(window=Window())
    assert screen.has_keys and screen.has_window and screen.key() is None
    screen.show(image, "wave, clip 1 of 10: recording")
    assert gui.size == (800, 600) and (gui.shown[0] != image).any() and (image == 200).all()
    gui.key = 13
    assert screen.key() == GO
    gui.key = 27
    assert screen.key() == QUIT
    screen.close()
    assert not gui.open


def test_a_closed_window_ends_the_recording_and_does_not_come_back(monkeypatch, no_probe):  # noqa: F811
    gui, image = Gui(monkeypatch), np.full((60, 80, 3), 200, np.uint8)
    screen = Screen(window=Window())
    screen.show(image, "a")
    gui.open = False
    screen.show(image, "a")
    assert screen.key() == QUIT and len(gui.shown) == 1
    screen.close()
