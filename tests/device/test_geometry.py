"""Where a frame lies in the input tensor: the sizes and offsets of both crop rules, and boxes there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsm_edge.geometry import Placement, crop_offset, placement, resized_size, unresized_size
from tsm_edge.manifest import CROPS, FrameSpec

CENTER = FrameSpec("NCHW", "RGB", 224, 224, 256, "center", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
LETTERBOX = CENTER._replace(height=192, width=256, crop="letterbox")
sides = st.integers(1, 4000)


@pytest.mark.parametrize(
    "size, resized",
    [
        ((720, 1280), (256, 455)),
        ((1280, 720), (455, 256)),
        ((300, 300), (256, 256)),
        ((256, 341), (256, 341)),
        ((1, 9), (256, 2304)),
    ],
)
def test_the_long_side_rounds_down(size, resized):
    assert resized_size(CENTER, *size) == resized


@pytest.mark.parametrize(
    "size, resized",
    [
        ((480, 640), (192, 256)),
        ((640, 480), (192, 144)),
        ((720, 1280), (144, 256)),
        ((719, 1279), (143, 256)),
        ((1, 1), (192, 192)),
        ((1, 60000), (1, 256)),
        ((60000, 1), (192, 1)),
    ],
)
def test_a_letterbox_holds_the_whole_frame(size, resized):
    assert resized_size(LETTERBOX, *size) == resized


def test_a_half_pixel_of_the_crop_goes_to_the_even_side():
    assert [crop_offset(size, 224) for size in (224, 225, 226, 227, 229)] == [0, 0, 1, 2, 2]
    assert [crop_offset(size, 224) for size in (223, 222, 221, 219)] == [0, -1, -2, -2]


def test_placements_by_hand():
    assert placement(CENTER, 512, 1024) == Placement(0.5, 0.5, -144.0, -16.0)
    assert placement(LETTERBOX, 384, 384) == Placement(0.5, 0.5, 32.0, 0.0)
    assert placement(LETTERBOX, 100, 512) == Placement(0.5, 0.5, 0.0, 71.0)
    box = placement(LETTERBOX, 384, 384).to_input([[10, 20, 30, 40]])
    np.testing.assert_array_equal(box, [[37, 10, 47, 20]])


@given(st.sampled_from(CROPS), sides, sides, st.integers(1, 512), st.integers(1, 512))
def test_boxes_come_back(crop, height, width, rows, columns):
    frame = CENTER._replace(height=rows, width=columns, short_side=max(rows, columns), crop=crop)
    where = placement(frame, height, width)
    boxes = np.array([[0, 0, width, height], [0.25 * width, 0.5 * height, width, height]], np.float32)
    inside = where.to_input(boxes)
    assert inside.dtype == np.float32
    np.testing.assert_allclose(where.to_source(inside), boxes, atol=0.01 * max(width, height) / 100, rtol=1e-4)
    assert where.to_source(np.zeros((0, 4))).shape == (0, 4)
    if crop == "letterbox":
        assert (inside >= -1e-3).all() and (inside[:, 2:] <= np.array([columns, rows]) + 1e-3).all()


@pytest.mark.parametrize("frame", [CENTER, LETTERBOX])
def test_the_size_that_is_not_resized(frame):
    size = unresized_size(frame)
    assert resized_size(frame, *size) == size
