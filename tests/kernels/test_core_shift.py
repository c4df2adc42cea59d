"""The CPU kernels of kernels/core against tsm_edge/shift.py: bit-exact, every type, layout and kind of aliasing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels import core_library
from tests.kernels.cuda_driver import LAYOUTS, pack
from tsm_edge.shift import shift_clip, shift_step

DTYPES = [np.int8, np.uint8, np.float16, np.int16, np.float32, np.int32]
JUNK = 119  # in the padding lanes of inputs; must not appear in an output
MANY = settings(max_examples=400, deadline=None)
CHANNELS = st.one_of(st.integers(0, 12), st.sampled_from([16, 20, 24, 31, 32, 33, 40, 63, 64, 65, 96]))
PLANE = st.tuples(st.integers(0, 9), st.integers(0, 9))
LAYOUT = st.sampled_from(LAYOUTS)
DTYPE = st.sampled_from(DTYPES)


def random_bits(shape, dtype, seed=0):
    """Return an array of random bits. NaNs and infinities are among them."""
    bits = np.random.RandomState(seed).randint(0, 256, size=tuple(shape) + (np.dtype(dtype).itemsize,), dtype=np.uint8)
    return bits.view(dtype).reshape(shape)


def assert_same(got, expected):
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    assert got.tobytes() == expected.tobytes()


@MANY
@given(st.data(), DTYPE, LAYOUT, CHANNELS, PLANE, st.integers(0, 3), st.booleans(), st.booleans())
def test_step_equals_the_reference(data, dtype, layout, channels, plane, n, y_is_x, next_is_cache):
    fold = data.draw(st.integers(0, channels))
    x, cache = random_bits((n, channels) + plane, dtype, 1), random_bits((n, fold) + plane, dtype, 2)
    expected_y, expected_next = shift_step(x, cache)
    px, pcache = pack(x, layout, JUNK), pack(cache, layout, JUNK)
    py = px if y_is_x else np.full_like(px, 5)
    pnext = pcache if next_is_cache else np.full_like(pcache, 5)
    core_library.step(x.shape, fold, px, pcache, py, pnext, layout)
    assert_same(py, pack(expected_y, layout, JUNK if y_is_x else 0))
    assert_same(pnext, pack(expected_next, layout, 0))


@MANY
@given(st.data(), DTYPE, LAYOUT, CHANNELS, PLANE, st.integers(0, 3), st.integers(1, 5), st.booleans(), st.booleans())
def test_clip_equals_the_reference(data, dtype, layout, channels, plane, clips, segment, both_ways, y_is_x):
    fold = data.draw(st.integers(0, channels // 2 if both_ways else channels))
    x = random_bits((clips * segment, channels) + plane, dtype)
    expected = shift_clip(x, segment, fold, both_ways)
    px = pack(x, layout, JUNK)
    py = px if y_is_x else np.full_like(px, 5)
    core_library.clip(x.shape, segment, fold, both_ways, px, py, layout)
    assert_same(py, pack(expected, layout, JUNK if y_is_x else 0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_inputs_are_left_as_they_are(dtype):
    x, cache = random_bits((4, 10, 7, 7), dtype), random_bits((4, 3, 7, 7), dtype, 1)
    before = x.copy(), cache.copy()
    for got, expected in zip(core_library.shift_step(x, cache), shift_step(x, cache)):
        assert_same(got, expected)
    for both_ways in (False, True):
        assert_same(core_library.shift_clip(x, 2, 3, both_ways), shift_clip(x, 2, 3, both_ways))
    assert_same(x, before[0])
    assert_same(cache, before[1])


def test_ten_thousand_chained_steps_are_the_causal_clip():
    frames = random_bits((10000, 9, 3, 5), np.float32)
    clip = core_library.shift_clip(frames, 10000, 2, False)
    assert_same(clip, shift_clip(frames, 10000, 2, False))
    cache, in_place = np.zeros((1, 2, 3, 5), np.float32), np.zeros((1, 2, 3, 5), np.float32)
    for t in range(10000):
        y, cache = core_library.shift_step(frames[t : t + 1], cache)
        x = frames[t : t + 1].copy()
        core_library.step(x.shape, 2, x, in_place, x, in_place)
        assert y.tobytes() == x.tobytes() == clip[t : t + 1].tobytes(), t
    assert cache.tobytes() == in_place.tobytes() == frames[-1:, :2].tobytes()


X = np.zeros((4, 8, 3, 5), np.float32)


@pytest.mark.parametrize("shape, fold", [((4, 8, 3, 5), 9), ((4, 8, 3, 5), -1)])
def test_step_sizes_that_the_reference_refuses_are_refused(shape, fold):
    with pytest.raises(ValueError, match="cache: expected 0 <= F <= C"):
        core_library.step(shape, fold, X, X, X.copy(), X.copy())


@pytest.mark.parametrize(
    "segment, fold, both_ways, fault",
    [
        (3, 1, True, "multiple of n_segment"),
        (0, 1, True, "n_segment: expected at least 1"),
        (-2, 1, True, "n_segment: expected at least 1"),
        (2, 5, True, "more channels would be shifted"),
        (2, 9, False, "more channels would be shifted"),
        (2, 2**62, True, "more channels would be shifted"),  # 2 * fold must not overflow
        (2, -1, False, "fold: expected at least 0"),
    ],
)
def test_clip_sizes_that_the_reference_refuses_are_refused(segment, fold, both_ways, fault):
    with pytest.raises(ValueError):
        shift_clip(X, segment, fold, both_ways)
    with pytest.raises(ValueError, match=fault):
        core_library.shift_clip(X, segment, fold, both_ways)


@pytest.mark.parametrize("axis", range(4))
def test_negative_sizes_are_refused(axis):
    shape = [size if index != axis else -1 for index, size in enumerate(X.shape)]
    with pytest.raises(ValueError, match="x: a negative size"):
        core_library.step(shape, 0, X, X, X.copy(), X.copy())
    with pytest.raises(ValueError, match="x: a negative size"):
        core_library.clip(shape, 1, 0, False, X, X.copy())
