"""The overlay: right on every frame size, on every label, and never on the source's own image."""

import time

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


LONG = "rotate counter-clockwise"


@settings(max_examples=40, deadline=None)
@given(st.integers(240, 1100), st.integers(240, 1950))
def test_the_overlay_leaves_most_of_the_picture(height, width):
    top = [(LONG, 0.9)] + TOP[1:]
    out = drawn(height, width, grey=255, label=LONG, confidence=0.9, top=top)
    assert (out != 255).any(axis=2).mean() < 0.19


def test_the_overlay_of_a_small_picture_is_small_and_can_be_read():
    out = drawn(256, 256, grey=255, label=LONG, confidence=0.9, top=[(LONG, 0.9)] + TOP[1:])
    changed = (out != 255).any(axis=2)
    assert changed.mean() < 0.16  # a third, where the letters were larger and the bars five
    assert 1 / 20 < changed[128:].mean() * 0.5 < 1 / 10  # the panel
    strip = out[: np.flatnonzero(changed.all(axis=1))[-1] + 1]
    letters = np.flatnonzero((strip.min(axis=2) > 150).any(axis=1))
    assert letters[-1] - letters[0] + 1 >= 6  # pixels from the top of a capital to its foot
    assert overlay._cut(LONG, 256 - 2 * 6, 7) == LONG


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


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.integers(-5, 400), st.integers(6, 30))
def test_as_much_of_a_text_is_kept_as_fits(text, room, capital):
    kept = overlay._cut(text, room, capital)
    if kept != text:
        assert kept == "" or overlay._width(kept, capital) <= room
        longer = text[: max(len(kept) - 2, 0) + 1] + ".."
        assert (
            len(text) > max(room, 0) or overlay._width(longer, capital) > room or overlay._width(text, capital) > room
        )


@pytest.mark.parametrize("letter", ["a", "\ufdfa", "\u0301", "W "])
def test_a_label_of_any_length_is_drawn_in_a_moment(letter):
    label = letter * 100000
    begun = time.process_time()
    for _ in range(10):
        drawn(256, 340, label=label, top=[(label, 0.5)] * 5)
    assert time.process_time() - begun < 5  # one drawing of 5,000 letters took 18 s where each letter was cut off alone


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
