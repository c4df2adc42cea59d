import os
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tolerances import NORMALISE, PREPROCESS
from tsm_edge.errors import InputError
from tsm_edge.geometry import placement, resized_size
from tsm_edge.manifest import FrameSpec
from tsm_edge.preprocess import Preprocessor

cv2 = pytest.importorskip("cv2")
Image = pytest.importorskip("PIL.Image")

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def spec(height=224, width=224, short_side=256, colour="RGB", crop="center"):
    return FrameSpec("NCHW", colour, height, width, short_side, crop, MEAN, STD)


def smooth(height, width, seed=0):
    """A random image without detail finer than a quarter of a side, as (height, width, 3) uint8."""
    coarse = np.random.RandomState(seed).randint(0, 256, (4, 4, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def published(image, frame):
    """The published transform, step by step on the frame as RGB (ops/transforms.py), in float64; RGB out."""
    height, width = image.shape[:2]
    short = frame.short_side
    size = (short, int(short * height / width)) if width < height else (int(short * width / height), short)
    scaled = Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).resize(size, Image.BILINEAR)
    left, top = int(round((size[0] - frame.width) / 2.0)), int(round((size[1] - frame.height) / 2.0))
    pixels = np.array(scaled, np.float64)[top : top + frame.height, left : left + frame.width] / 255
    return ((pixels - MEAN) / STD).transpose(2, 0, 1)


def difference(image, frame):
    """Mean absolute difference of the two paths, in pixels from 0 to 1."""
    fast, exact = Preprocessor(frame)(image), Preprocessor(frame, "exact")(image)
    return float((np.abs(fast - exact)[0] * np.array(frame.std)[:, None, None]).mean())


@pytest.mark.parametrize("size", [(240, 320), (321, 241), (256, 340), (719, 1277), (97, 61), (256, 256), (5, 300)])
def test_exact_is_the_published_transform(size):
    image = smooth(*size)
    np.testing.assert_allclose(Preprocessor(spec(), "exact")(image)[0], published(image, spec()), rtol=0, atol=1e-5)


@pytest.mark.parametrize("path", ["fast", "exact"])
@pytest.mark.parametrize("colour", ["RGB", "BGR"])
def test_colour_order_and_normalisation(path, colour):
    image = np.zeros((300, 400, 3), np.uint8)
    image[:] = (10, 20, 250)  # BGR: red
    tensor = Preprocessor(spec(colour=colour), path)(image)[0]
    values = (250, 20, 10) if colour == "RGB" else (10, 20, 250)
    for channel, value, mean, std in zip(tensor, values, MEAN, STD):
        np.testing.assert_allclose(channel, (value / 255.0 - mean) / std, rtol=1e-5)


@pytest.mark.parametrize("size", [(256, 340), (340, 256), (256, 256), (257, 256)])
def test_fast_equals_exact_to_rounding_where_nothing_is_resized(size):
    image = np.random.RandomState(1).randint(0, 256, size + (3,)).astype(np.uint8)
    fast, exact = Preprocessor(spec())(image), Preprocessor(spec(), "exact")(image)
    np.testing.assert_allclose(fast, exact, rtol=0, atol=NORMALISE)


@pytest.mark.parametrize(
    "size",
    [(1, 1), (1, 7), (9, 2), (120, 160), (255, 255), (240, 426), (480, 640), (500, 500), (563, 1001), (719, 1277)]
    + [(720, 1280), (1280, 720), (1080, 1920), (1081, 1921), (2160, 3840)],
)
def test_fast_is_near_exact_at_every_kind_of_size(size):
    assert difference(smooth(*size), spec()) <= PREPROCESS


def frames(least):
    """Crops from `least` pixels up, on a short side that is the crop's longer side or somewhat more."""
    sides = st.tuples(st.integers(least, 60), st.integers(least, 60), st.integers(0, 20))
    return sides.map(lambda side: spec(side[0], side[1], max(side[:2]) + side[2]))


@settings(deadline=None, max_examples=100)
@given(frames(32), st.integers(32, 400), st.integers(32, 400), st.integers(0, 9))
def test_fast_is_near_exact_for_any_crop_and_size(frame, height, width, seed):
    assert difference(smooth(height, width, seed), frame) <= PREPROCESS


@settings(deadline=None, max_examples=100)
@given(frames(1), st.integers(1, 90), st.integers(1, 90))
def test_any_crop_and_size_give_a_whole_tensor(frame, height, width):
    image = np.full((height, width, 3), 128, np.uint8)
    tensor = Preprocessor(frame)(image)
    assert tensor.shape == (1, 3, frame.height, frame.width) and tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    np.testing.assert_allclose(tensor, Preprocessor(frame, "exact")(image), rtol=0, atol=NORMALISE)


@pytest.mark.parametrize("path", ["fast", "exact"])
@pytest.mark.parametrize("size", [(480, 640), (640, 480), (97, 331), (60, 60), (1, 1), (2, 3), (1, 5000), (5000, 1)])
def test_a_letterbox_shows_the_whole_frame_in_a_border_of_the_mean(path, size):
    frame = spec(61, 83, crop="letterbox")
    image = np.full(size + (3,), 255, np.uint8)
    out = np.full((3, 61, 83), 9, np.float32)
    tensor = Preprocessor(frame, path)(image, out)[0]
    height, width = resized_size(frame, *size)
    assert height == 61 or width == 83
    where = placement(frame, *size)
    expected = np.zeros((61, 83), bool)
    expected[int(where.top) : int(where.top) + height, int(where.left) : int(where.left) + width] = True
    np.testing.assert_array_equal(tensor[0] != 0, expected)
    for channel, mean, std in zip(tensor, MEAN, STD):
        np.testing.assert_allclose(channel[expected], (1 - mean) / std, rtol=1e-5)


@settings(deadline=None, max_examples=60)
@given(frames(1), st.integers(1, 90), st.integers(1, 90), st.integers(0, 9))
def test_fast_is_near_exact_in_a_letterbox(frame, height, width, seed):
    image, frame = smooth(height, width, seed), frame._replace(crop="letterbox", short_side=1)
    if min(resized_size(frame, height, width)) >= 32 <= min(height, width):
        assert difference(image, frame) <= PREPROCESS
    flat = np.full_like(image, 128)
    fast, exact = Preprocessor(frame)(flat), Preprocessor(frame, "exact")(flat)
    np.testing.assert_allclose(fast, exact, rtol=0, atol=NORMALISE)


def frames_of(path, every, limit):
    capture, index = cv2.VideoCapture(path), 0
    while index < every * limit:
        ok, image = capture.read()
        if not ok:
            break
        if index % every == 0:
            yield image
        index += 1
    capture.release()


@pytest.mark.parametrize("size", [None, (640, 480), (1280, 720), (1920, 1080), (720, 1280)])
@pytest.mark.parametrize("clip", ["mmaction2_demo.mp4", "mmaction2_demo_skeleton.mp4", "decord_flipping_a_pancake.mkv"])
def test_fast_is_near_exact_on_real_frames(data, clip, size):
    count = 0
    for image in frames_of(os.path.join(data, "clips", clip), every=20, limit=3):
        if size is not None:
            rule = cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_CUBIC
            image = cv2.resize(image, size, interpolation=rule)
        assert difference(image, spec()) <= PREPROCESS / 2  # measured: 0.6/255 at most
        count += 1
    assert count == 3


@pytest.mark.parametrize("path", ["fast", "exact"])
def test_fine_stripes_do_not_alias(path):
    """Stripes one pixel wide vanish to grey when a frame becomes a third of its size, as in training."""
    image = np.zeros((768, 1024, 3), np.uint8)
    image[:, ::2] = 255
    pixels = Preprocessor(spec(), path)(image)[0] * np.array(STD)[:, None, None] + np.array(MEAN)[:, None, None]
    assert np.abs(pixels - 0.5).max() < 0.05


@pytest.mark.parametrize("path", ["fast", "exact"])
def test_each_call_gives_a_new_array_and_out_is_filled(path):
    preprocess, image, other = Preprocessor(spec(), path), smooth(300, 400), smooth(300, 400, seed=1)
    both = np.concatenate([preprocess(image), preprocess(other)])
    for row, one in zip(both, (image, other)):
        np.testing.assert_array_equal(row, Preprocessor(spec(), path)(one)[0])
    assert not np.array_equal(both[0], both[1])
    batch = np.full((2, 3, 224, 224), 7, np.float32)
    returned = preprocess(image, out=batch[1])
    assert returned.shape == (1, 3, 224, 224) and np.shares_memory(returned, batch)
    assert (batch[0] == 7).all()
    expected = Preprocessor(spec(), path)(image)
    np.testing.assert_array_equal(batch[1:], expected)
    np.testing.assert_array_equal(preprocess(image, out=batch[:1]), expected)


@pytest.mark.parametrize("path", ["fast", "exact"])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_no_call_changes_the_result_of_another(path, data):
    sizes = data.draw(st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), min_size=2, max_size=5))
    preprocess = Preprocessor(spec(24, 20, 26), path)
    batch, kept = np.zeros((len(sizes), 3, 24, 20), np.float32), []
    for number, (height, width) in enumerate(sizes):
        image = smooth(height, width, seed=number)
        result = preprocess(image, *data.draw(st.sampled_from([(), (batch[number],)])))
        kept.append((result, result.copy()))
    assert all(np.array_equal(result, copy) for result, copy in kept)


@pytest.mark.parametrize("path", ["fast", "exact"])
def test_sizes_may_change_and_views_are_taken(path):
    preprocess = Preprocessor(spec(56, 48, 64), path)
    wide = smooth(200, 700)
    for image in (smooth(90, 120), wide[:, 100:500], wide[::2, ::-1], smooth(90, 120, seed=3), smooth(800, 500)):
        before = image.copy()
        one_use = Preprocessor(spec(56, 48, 64), path)(np.ascontiguousarray(image))
        np.testing.assert_array_equal(preprocess(image), one_use)
        np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    "image",
    [None, [[0]], np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 1), np.uint8)]
    + [np.zeros((0, 9, 3), np.uint8), np.zeros((9, 0, 3), np.uint8), np.zeros((9, 9, 3), np.float32)]
    + [np.zeros((1, 9, 9, 3), np.uint8)],
)
def test_other_images_are_refused(image):
    with pytest.raises(ValueError, match="image: got"):
        Preprocessor(spec())(image)


def read_only():
    array = np.zeros((3, 224, 224), np.float32)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "out",
    [np.zeros((3, 224, 223), np.float32), np.zeros((2, 3, 224, 224), np.float32), np.zeros((224, 224, 3), np.float32)]
    + [np.zeros((3, 224, 224), np.float64), np.zeros((3, 224, 448), np.float32)[:, :, ::2], read_only()],
)
def test_other_outs_are_refused(out):
    with pytest.raises(ValueError, match="out: got"):
        Preprocessor(spec())(smooth(30, 40), out=out)


def test_another_path_is_refused():
    with pytest.raises(ValueError, match="path: got 'quick'"):
        Preprocessor(spec(), "quick")


@pytest.mark.parametrize("path, module, library", [("fast", "cv2", "OpenCV"), ("exact", "PIL", "Pillow")])
def test_a_missing_library_is_named(monkeypatch, path, module, library):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=library):
        Preprocessor(spec(), path)
