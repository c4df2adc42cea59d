"""The overlay: right on every frame size, on every label, and never on the source's own image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.toys import TOP, make_result

cv2 = pytest.importorskip("cv2")
from tsm_edge.sinks import overlay  # noqa: E402 - needs cv2

SIZES = [(120, 160), (256, 340), (720, 1280), (1080, 1920), (1920, 1080)]  # (H, W)


def drawn(height, width, grey=128, **kwargs):
    image = np.full((height, width, 3), grey, np.uint8)
    out = overlay.draw(image, make_result(image=image, **kwargs))
    assert (image == grey).all()
    assert out.shape == image.shape and out.dtype == np.uint8 and out.flags.c_contiguous
    return out


@pytest.mark.parametrize("height,width", SIZES)
def test_strip_above_panel_below_and_the_scene_between(height, width):
    out = drawn(height, width, grey=255)
    changed = (out != 255).any(axis=2)
    rows = np.flatnonzero(changed.all(axis=1))  # the strip crosses the frame
    assert rows[0] == 0 and rows[-1] < height // 5
    assert changed[-1].any() and not changed[height // 2, width // 2 :].any() and not changed[-1, -width // 5 :].any()
    assert out[: rows[-1] + 1].max() > 235  # letters that stand out of the dark backing


@pytest.mark.parametrize("height,width", SIZES)
def test_a_bar_is_as_long_as_its_probability(height, width):
    def accented(probability):
        out = drawn(height, width, top=[("x", probability)], label=None)
        return (np.abs(out.astype(int) - overlay.ACCENT).max(axis=2) < 8).sum(axis=1).max()

    whole = accented(1.0)
    assert whole > width // 6
    assert accented(0.5) == pytest.approx(whole / 2, abs=2)
    assert accented(0.0) <= 1 and accented(1.5) == whole


@pytest.mark.parametrize("height,width", SIZES)
def test_letters_stay_inside_the_frame(height, width):
    """Drawn on a wider canvas, nothing of the header's text would stand beyond the frame's right edge."""
    cap = max(6, min(height, width) // 32)
    room = width - 2 * cap
    for label in ("W" * 60, "Swiping Two Fingers Left", "x"):
        kept = overlay._cut(label, room, cap)
        assert overlay._width(kept, cap) <= room
        assert kept == label or (kept.endswith("..") and label.startswith(kept[:-2]))


def test_label_confidence_and_rate_each_show():
    plain = drawn(256, 340)
    assert (plain != drawn(256, 340, label="push")).any()
    assert (plain != drawn(256, 340, confidence=0.75)).any()
    assert (plain != drawn(256, 340, fps=7.25)).any()
    assert (plain != drawn(256, 340, fps=None)).any()
    assert (plain != drawn(256, 340, label=None)).any()


def test_without_probabilities_there_is_no_panel():
    assert (drawn(256, 340, top=[])[128:] == 128).all()


LABELS = st.text(max_size=80) | st.sampled_from(
    ["\u8dcc\u5012", "\xc9p\xe9e \xe0 l'\xe9t\xe9", "a\0b\n\ud800", "%s{}", ""]
)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), LABELS, st.floats(0, 1), st.none() | st.floats(0, 1e6))
def test_any_size_and_any_label(height, width, label, confidence, fps):
    drawn(height, width, label=label, confidence=confidence, top=[(label, confidence)] + TOP[1:], fps=fps)


def test_letters_that_the_stroke_fonts_lack(monkeypatch):
    monkeypatch.setattr(overlay, "UNICODE", False)
    assert overlay._drawable("\xc9p\xe9e \u8dcc") == "Epee ?"
    monkeypatch.setattr(overlay, "UNICODE", True)
    assert overlay._drawable("\xc9p\xe9e \u8dcc\n") == "\xc9p\xe9e \u8dcc?"


def test_draw_onto_draws_the_same_in_place():
    image = np.full((120, 160, 3), 50, np.uint8)
    expected = overlay.draw(image, make_result(image=image))
    overlay.draw_onto(image, make_result(image=image))
    assert (image == expected).all()
