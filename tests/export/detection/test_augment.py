"""Views of clips with boxes: a box stays on what it holds, and the plain view is the device's."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.detection.test_targets import truth_of
from tsm_edge.geometry import placement
from tsm_edge.manifest import FrameSpec
from tsm_edge_export.detection.augment import (
    View,
    device_frames,
    mean_colour,
    plain_view,
    random_view,
    view_frames,
    view_truth,
)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def spec(height, width, crop="letterbox", short_side=None):
    return FrameSpec("NCHW", "RGB", height, width, short_side or max(height, width), crop, MEAN, STD)


def marked(height, width, box):
    """(1, height, width, 3) uint8: black, and white inside of a box of whole numbers."""
    frames = np.zeros((1, height, width, 3), np.uint8)
    x1, y1, x2, y2 = box
    frames[0, y1:y2, x1:x2] = 255
    return frames


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["letterbox", "center"]))
def test_the_box_moves_with_the_picture(seed, crop):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(60, 140, 2)
    x1, y1 = int(rng.integers(10, width - 34)), int(rng.integers(10, height - 34))
    box = (x1, y1, x1 + int(rng.integers(12, 24)), y1 + int(rng.integers(12, 24)))
    frame = spec(64, 96, crop)._replace(mean=(0.0, 0.0, 0.0))
    view = random_view(frame, (height, width), 0.3, 0.1, True, rng)
    (picture,) = view_frames(marked(height, width, box), view, frame)
    truth = view_truth(truth_of([(*box, 0)]), view, frame)
    weight = picture[..., 0] / 255.0
    if not len(truth.boxes):
        assert weight.sum() < 20
        return
    (left, top, right, bottom) = truth.boxes[0]
    inside = np.zeros(picture.shape[:2])
    inside[max(int(top) - 2, 0) : int(bottom) + 3, max(int(left) - 2, 0) : int(right) + 3] = 1
    assert (weight * (1 - inside)).max() < 0.02  # white is inside of the box alone
    assert abs(weight.sum() - (right - left) * (bottom - top)) < 3 + 1.2 * (right - left + bottom - top)


@pytest.mark.parametrize("crop", ["letterbox", "center"])
@pytest.mark.parametrize("size", [(96, 96), (120, 90), (61, 133), (301, 197)])
def test_the_plain_view_is_the_devices(crop, size):
    frame, rng = spec(64, 64, crop, 72), np.random.default_rng(0)
    coarse = rng.integers(0, 256, (6, 6, 3), np.uint8)
    frames = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR)[None]
    device, ours = device_frames(frames, frame), view_frames(frames, plain_view(frame, *size), frame)
    assert device.shape == ours.shape == (1, 64, 64, 3)
    assert np.abs(device.astype(float) - ours).mean() < 9  # two ways to resize; a shift by a pixel would be 20
    assert plain_view(frame, *size)[:4] == placement(frame, *size)


def test_a_letterbox_has_the_mean_colour():
    frame = spec(40, 60)
    made = device_frames(np.zeros((1, 40, 40, 3), np.uint8), frame)
    assert (made[0, :, 10:50] == 0).all()
    assert np.abs(made[0, :, :10] - np.array(mean_colour(frame))).max() <= 0.5


def test_what_the_view_cuts_off():
    frame, view = spec(64, 64), View(1.0, 1.0, 0.0, 0.0)
    rows = [(-10, 10, 10, 30, 0), (-30, 10, 10, 30, 1), (70, 10, 90, 30, 2), (10, 10, 11.5, 30, 3), (0, 0, 64, 64, 0)]
    seen = view_truth(truth_of(rows), view, frame)
    assert seen.classes.tolist() == [0, 1, 3, 0]  # the one outside is left out
    assert seen.ignored.tolist() == [False, True, True, False]
    assert seen.boxes.tolist() == [[0, 10, 10, 30], [0, 10, 10, 30], [10, 10, 11.5, 30], [0, 0, 64, 64]]


def test_flipped_twice_is_the_same():
    frame, view = spec(64, 64), View(1.0, 1.0, 0.0, 0.0, True)
    truth = truth_of([(5, 10, 20, 30, 0)])
    once = view_truth(truth, view, frame)
    assert once.boxes.tolist() == [[44, 10, 59, 30]]
    assert np.array_equal(view_truth(once, view, frame).boxes, truth.boxes)


def test_a_still_view_changes_nothing():
    frames = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), np.uint8)
    assert np.array_equal(view_frames(frames, plain_view(spec(64, 64), 64, 64), spec(64, 64)), frames)
