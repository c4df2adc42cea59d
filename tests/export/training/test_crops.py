"""Crops and flips: the published geometry, what the device sees, and which labels may be flipped."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tsm_edge.errors import InputError
from tsm_edge.manifest import FrameSpec
from tsm_edge.preprocess import Preprocessor
from tsm_edge_export.training.config import Augment
from tsm_edge_export.training.crops import crop_pairs, crop_places, eval_crops, flip_table, train_crop, view_crop
from tsm_edge_export.training.dataset import normalised

FRAME = FrameSpec("NCHW", "RGB", 224, 224, 256, "center", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SMALL = FRAME._replace(height=48, width=40, short_side=50)
SCALES = (1.0, 0.875, 0.75, 0.66)


def pictures(count, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


def test_crop_sizes_of_a_256x340_frame():
    assert crop_pairs(256, 340, FRAME, SCALES) == [
        *((256, 256), (256, 224)),
        *((224, 256), (224, 224), (224, 192)),
        *((192, 224), (192, 192), (192, 168)),
        *((168, 192), (168, 168)),
    ]


def test_a_crop_nearly_of_the_input_size_is_of_that_size():
    assert crop_pairs(226, 300, FRAME, (1.0,)) == [(224, 224)]
    assert crop_pairs(222, 300, FRAME, (1.0,)) == [(222, 222)]  # but never beyond the frame


def test_crop_places_of_a_256x340_frame():
    expected = [(0, 0), (0, 116), (32, 0), (32, 116), (16, 58), (16, 0), (16, 116), (32, 58), (0, 58)]
    expected += [(8, 29), (8, 87), (24, 29), (24, 87)]
    assert sorted(crop_places(256, 340, 224, 224)) == sorted(expected)


@given(st.integers(32, 400), st.integers(32, 400), st.integers(0, 2**32 - 1))
def test_every_crop_lies_inside_the_frame(height, width, seed):
    for crop_height, crop_width in crop_pairs(height, width, SMALL, SCALES):
        for top, left in crop_places(height, width, crop_height, crop_width):
            assert 0 <= top <= height - crop_height
            assert 0 <= left <= width - crop_width


def test_a_training_crop_is_one_choice_for_all_frames():
    still = np.repeat(pictures(1, 60, 90), 5, axis=0)
    seen = set()
    for seed in range(30):
        made = train_crop(still, SMALL, SCALES, np.random.default_rng(seed))
        assert made.shape == (5, 48, 40, 3)
        assert made.dtype == np.uint8
        assert (made == made[0]).all()
        seen.add(made.tobytes())
    assert len(seen) > 10


VIEW = Augment(crop="view", rotate=10.0)
UNCHANGED = Augment(crop="view", zoom=0.0, stretch=0.0, move=0.0, rotate=0.0)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_a_view_that_does_not_move_is_what_the_device_sees(height, width, seed):
    rgb = pictures(2, 50 + 2 * height, 50 + 2 * width)  # even margins: the centre lies on whole pixels
    frame = SMALL._replace(short_side=min(rgb.shape[1:3]))
    made = view_crop(rgb, frame, UNCHANGED, np.random.default_rng(seed))
    np.testing.assert_array_equal(made, eval_crops(rgb, frame)[0])


def test_a_view_of_large_frames_is_near_what_the_device_sees():
    ramp = np.linspace(0, 255, 640)[None, None, :, None] * np.ones((2, 480, 1, 3))
    rgb = np.concatenate([ramp, ramp[:, :, ::-1]]).astype(np.uint8)
    made = view_crop(rgb, SMALL, UNCHANGED, np.random.default_rng(0))
    assert np.abs(made.astype(int) - eval_crops(rgb, SMALL)[0]).max() <= 4  # half a pixel of the ramp is 2 levels


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 2**32 - 1))
def test_a_view_is_one_choice_for_all_frames(height, width, seed):
    still = np.repeat(pictures(1, height, width, seed), 3, axis=0)
    first, second = (view_crop(still, SMALL, VIEW, np.random.default_rng(seed)) for _ in range(2))
    assert (first.shape, first.dtype) == ((3, 48, 40, 3), np.uint8)
    assert (first == first[0]).all()
    np.testing.assert_array_equal(first, second)
    assert still.min() <= first.min() <= first.max() <= still.max()


def test_views_stay_near_what_the_device_sees():
    mark = np.zeros((1, 100, 140, 3), np.uint8)
    mark[:, 45:55, 65:75] = 255  # in the middle
    centres = []
    for seed in range(200):
        made = view_crop(mark, SMALL, VIEW, np.random.default_rng(seed))[0, :, :, 0]
        rows, columns = np.nonzero(made > 100)
        centres.append((rows.mean() - 23.5, columns.mean() - 19.5))
    furthest = np.abs(centres).max(0)
    assert (furthest > (4, 3)).all()  # of at most 0.1 * 1.2 * 1.1 of 48 and of 40 pixels
    assert (furthest < (8.5, 7.5)).all()


@pytest.mark.parametrize("size", [(50, 50), (120, 160), (160, 120), (31, 47)])
@pytest.mark.parametrize("colour", ["RGB", "BGR"])
def test_the_centre_crop_is_what_the_device_sees_to_the_bit(size, colour):
    frame = SMALL._replace(colour=colour)
    rgb = pictures(3, *size)
    made = eval_crops(rgb, frame)[0]
    ours = normalised(torch.from_numpy(np.ascontiguousarray(made if colour == "RGB" else made[..., ::-1])), frame)
    device = Preprocessor(frame, "exact")
    for picture, seen in zip(rgb, ours, strict=True):
        np.testing.assert_array_equal(seen.numpy(), device(picture[:, :, ::-1])[0])


@pytest.mark.parametrize("size", [(50, 50), (120, 161), (160, 120), (31, 47), (48, 40), (3, 900)])
@pytest.mark.parametrize("colour", ["RGB", "BGR"])
def test_a_letterbox_is_what_the_device_sees_but_for_half_a_level_of_the_border(size, colour):
    frame = SMALL._replace(colour=colour, crop="letterbox")
    rgb = pictures(3, *size)
    made = eval_crops(rgb, frame)[0]
    ours = normalised(torch.from_numpy(np.ascontiguousarray(made if colour == "RGB" else made[..., ::-1])), frame)
    device = Preprocessor(frame, "exact")
    half_level = 0.5 / 255 / np.array(frame.std)[:, None, None] + 1e-5
    for picture, seen in zip(rgb, ours.numpy(), strict=True):
        expected = device(picture[:, :, ::-1])[0]
        border = (expected == 0).all(0)
        np.testing.assert_array_equal(seen[:, ~border], expected[:, ~border])
        assert (np.abs(seen - expected) <= half_level).all()
    with pytest.raises(ValueError, match="1 for a letterbox"):
        eval_crops(rgb, frame, 3)


def test_a_view_of_a_letterbox_that_does_not_move_has_its_scale():
    frame, still = SMALL._replace(crop="letterbox"), Augment(crop="view", zoom=0, stretch=0, rotate=0, move=0)
    rgb = np.zeros((1, 48, 60, 3), np.uint8)
    rgb[:, 18:30, 15:45] = 255  # in the middle, 8 rows and 20 columns of the input
    made = view_crop(rgb, frame, still, np.random.default_rng(0))[0, ..., 0]
    assert [np.flatnonzero(made[24] > 127).size, np.flatnonzero(made[:, 20] > 127).size] == [20, 8]


def test_three_crops_are_left_right_and_middle():
    frame = FRAME._replace(height=48, width=48, short_side=48)
    wide = pictures(2, 48, 100)
    left, right, middle = eval_crops(wide, frame, 3)
    np.testing.assert_array_equal(left, wide[:, :, :48])
    np.testing.assert_array_equal(right, wide[:, :, 52:])
    np.testing.assert_array_equal(middle, wide[:, :, 26:74])
    with pytest.raises(ValueError, match="1 or 3"):
        eval_crops(wide, frame, 5)


SWIPES = ("swipe left", "swipe right", "wave")
MAP = {"swipe left": "swipe right", "swipe right": "swipe left"}


@pytest.mark.parametrize(
    "labels, flip, flip_map, named, expected",
    [
        (("sit", "stand"), None, {}, True, [0, 1]),
        (("class_000", "class_001"), None, {}, False, None),  # nobody knows what they mean
        (("class_000", "class_001"), True, {}, False, [0, 1]),
        (("sit", "stand"), False, {}, True, None),
        (SWIPES, None, {}, True, None),
        (SWIPES, None, MAP, True, [1, 0, 2]),
        (SWIPES, True, MAP, True, [1, 0, 2]),
        (SWIPES, False, MAP, True, None),
        (("bright", "aleft"), None, {}, True, [0, 1]),
        (("turn_clockwise", "x"), None, {}, True, None),
        (("Swiping Left", "x"), None, {}, True, None),
        (("counter-clockwise", "x"), None, {}, True, None),
    ],
)
def test_flips_only_where_labels_allow(labels, flip, flip_map, named, expected):
    assert flip_table(labels, flip, flip_map, named, "toy.toml") == expected


@pytest.mark.parametrize(
    "labels, flip, flip_map, word",
    [
        (SWIPES, True, {}, "swipe left"),
        (SWIPES, None, {"swipe left": "swipe left"}, "swipe right"),
        (SWIPES, None, {"swipe left": "swipe right"}, "does not come back"),
        (SWIPES, None, {**MAP, "jump": "wave"}, "jump"),
        (SWIPES, None, {**MAP, "wave": 3}, "3"),
    ],
)
def test_wrong_flips_are_refused(labels, flip, flip_map, word):
    with pytest.raises(InputError, match=word):
        flip_table(labels, flip, flip_map, True, "toy.toml")
