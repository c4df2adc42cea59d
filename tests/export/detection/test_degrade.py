"""Degraded frames: what is asked for happens to the frames it is asked for, and the same numbers give the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsm_edge.errors import InputError
from tsm_edge_export.detection import degrade


def clip(frames=6, height=40, width=50, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_darkness_multiplies_the_light_and_adds_noise():
    grey = np.full((3, 60, 60, 3), 200, np.uint8)
    dark = degrade.darken(grey, 0.5, 6.0, rng())
    assert dark.dtype == np.uint8 and dark.mean() == pytest.approx(100, abs=0.5)
    assert dark.std() == pytest.approx(6, abs=0.3)
    assert np.array_equal(degrade.darken(grey, 1.0, 0.0, rng()), grey)
    first, second = (frame.ravel().astype(float) for frame in dark[:2])
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05, "one noise for all"


def test_darkness_may_differ_from_frame_to_frame():
    grey = np.full((3, 30, 30, 3), 100, np.uint8)
    dark = degrade.darken(grey, np.array((1.0, 0.5, 0.1)), np.array((0.0, 0.0, 3.0)), rng())
    assert dark[0].mean() == 100 and dark[1].mean() == 50 and dark[2].mean() == pytest.approx(10, abs=0.5)


def test_noise_below_black_stays_black():
    dark = degrade.darken(np.zeros((1, 80, 80, 3), np.uint8), 1.0, 10.0, rng())
    assert (dark == 0).mean() == pytest.approx(0.5, abs=0.05)


@given(st.floats(0.1, 40), st.floats(-7, 7))
@settings(max_examples=60, deadline=None)
def test_the_kernel_of_a_motion_is_a_line_of_its_length(length, angle):
    kernel = degrade.line_kernel(length, angle)
    side = len(kernel)
    assert kernel.shape == (side, side) and side % 2 == 1
    assert kernel.sum() == pytest.approx(1, abs=1e-5) and (kernel >= 0).all()
    y, x = np.mgrid[:side, :side] - side // 2
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    assert (kernel * along).sum() == pytest.approx(0, abs=0.3)
    assert (kernel * across**2).sum() < 0.6
    assert (kernel * along**2).sum() == pytest.approx(length**2 / 12, rel=0.25, abs=0.6)


def test_motion_blur_smears_a_dot_along_its_direction():
    frames = np.zeros((2, 41, 41, 3), np.uint8)
    frames[:, 20, 20] = 255
    blurred = degrade.motion_blur(frames, 10, 0.0)
    rows, columns = np.nonzero(blurred[0, ..., 0])
    assert set(rows) == {20} and 9 <= np.ptp(columns) + 1 <= 12 and columns.mean() == pytest.approx(20)
    assert int(blurred[0].sum()) == pytest.approx(3 * 255, rel=0.1)
    assert np.array_equal(degrade.motion_blur(frames, 1, 0.3), frames)


def test_boards_hide_a_part_and_leave_the_rest():
    for seed in range(10):
        frames = clip(8, 60, 60)
        hidden = degrade.occlude(frames, rng(seed))
        share = (hidden != frames).any(axis=3).mean(axis=(1, 2))
        assert share.max() > 0.01 and share.min() < 0.9


@pytest.mark.parametrize("kind", degrade.KINDS)
def test_a_kind_gives_the_same_again_and_changes_no_argument(kind):
    frames = clip()
    kept = frames.copy()
    first, again = (degrade.degraded(frames, kind, rng(5)) for _ in range(2))
    assert first.shape == frames.shape and first.dtype == np.uint8 and np.array_equal(first, again)
    assert np.array_equal(frames, kept) and not np.shares_memory(first, frames)
    assert np.array_equal(first, frames) == (kind == "clean")


@pytest.mark.parametrize("kind", ["dark", "blurred", "dark and blurred"])
def test_a_run_of_frames_is_degraded_or_all(kind):
    frames, whole, starts = clip(8, 20, 20), 0, set()
    for seed in range(40):
        changed = (degrade.degraded(frames, kind, rng(seed)) != frames).any(axis=(1, 2, 3))
        places = np.flatnonzero(changed)
        assert len(places) == np.ptp(places) + 1, "more than one run"
        whole += changed.all()
        starts.add(places[0])
    assert 6 < whole < 34 and len(starts) > 3


@pytest.mark.parametrize("kind", degrade.KINDS)
def test_one_frame_is_enough(kind):
    assert degrade.degraded(clip(1), kind, rng()).shape == (1, 40, 50, 3)


@pytest.mark.parametrize(
    "frames, kind, words",
    [
        (clip(), "foggy", "kind: 'foggy'|foggy"),
        (clip().astype(np.float32), "dark", "float32"),
        (clip()[0], "dark", r"\(40, 50, 3\)"),
        (clip()[:0], "dark", r"\(0, 40, 50, 3\)"),
        (clip()[..., :2], "clean", r"\(6, 40, 50, 2\)"),
    ],
)
def test_bad_input_is_named(frames, kind, words):
    with pytest.raises(InputError, match=words):
        degrade.degraded(frames, kind, rng())
