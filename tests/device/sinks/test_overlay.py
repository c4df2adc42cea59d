"""The overlay: right on every frame size, on every label, and never on the source's own image."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.toys import TOP, make_result

cv2 = pytest.importorskip("cv2")
from tsm_edge.records import Box, Detections  # noqa: E402
from tsm_edge.sinks import overlay  # noqa: E402 - needs cv2
from tsm_edge.sinks.base import OVERLAY  # noqa: E402

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


# ---------------------------------------------------------------- boxes

CUP = Box("cup", 1, 0.75, (40.0, 50.0, 120.0, 90.0), 7)


def boxes_drawn(boxes, parts=OVERLAY, height=120, width=160, enlarged=1, fps=None):
    frame = np.full((height, width, 3), 128, np.uint8)
    image = np.full((height * enlarged, width * enlarged, 3), 128, np.uint8)
    result = make_result(image=frame, fps=fps)._replace(prediction=Detections(tuple(boxes)))
    overlay.draw_onto(image, result, parts)
    return (image != 128).any(axis=2)


@pytest.mark.parametrize("enlarged", [1, 3])
def test_a_box_is_drawn_where_it_is(enlarged):
    changed = boxes_drawn([CUP], ("box",), enlarged=enlarged)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    found = np.array([columns[0], rows[0], columns[-1], rows[-1]]) / float(enlarged)
    np.testing.assert_allclose(found, CUP.box, atol=2)
    assert not changed[60 * enlarged : 80 * enlarged, 60 * enlarged : 100 * enlarged].any()


def test_each_part_is_drawn_where_it_is_asked_for():
    counts = {parts: boxes_drawn([CUP], parts).sum() for parts in (("labels",), ("conf",), ("track",), ("box",))}
    assert all(counts.values()) and boxes_drawn([CUP], ()).sum() == 0
    text = boxes_drawn([CUP], ("labels", "conf", "track")).sum()
    assert text > max(counts[(part,)] for part in ("labels", "conf", "track"))
    assert boxes_drawn([CUP._replace(track=None)], ("track",)).sum() == 0
    assert boxes_drawn([CUP]).sum() > text


def test_the_rate_stands_in_the_corner():
    changed = boxes_drawn([], fps=25.0)
    assert changed[:30, 100:].any() and not changed[30:].any() and not changed[:, :80].any()
    assert not boxes_drawn([], fps=25.0, width=60).any()  # no room


edges = st.floats(-50, 300)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), edges, edges, edges, edges, LABELS, st.floats(0, 1))
def test_any_box_on_any_frame(height, width, x1, y1, x2, y2, label, confidence):
    boxes_drawn([Box(label, 5, confidence, (x1, y1, x2, y2), 12)], height=height, width=width, fps=9.0)
