"""kernels/cuda/temporal_shift.cu, compiled for the CPU with ASan and UBSan, against tsm_edge/shift.py."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kernels.cuda_driver import CHW2, CHW4, CHW32, HWC8, LAYOUTS, LINEAR, Driver, Fault, build, pack
from tsm_edge.shift import shift_clip, shift_step

ELEMENTS = {"int8": np.int8, "float16": np.float16, "float32": np.float32}
INVALID = 1  # cudaErrorInvalidValue
JUNK = 119  # in the padding lanes of inputs; must not appear in an output


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    running = Driver(build(tmp_path_factory.mktemp("cuda")))
    yield running
    running.close()


def values(shape, dtype, seed):
    """Return random bits as unsigned integers of the size of `dtype`: a shift moves NaNs like all other values."""
    bits = np.random.RandomState(seed).randint(0, 256, size=tuple(shape) + (np.dtype(dtype).itemsize,), dtype=np.uint8)
    return bits.view("u{}".format(np.dtype(dtype).itemsize)).reshape(shape)


def check_step(driver, shape, fold, dtype, layout, seed=0, offset=0, y_is_x=False, next_is_cache=False):
    x, cache = values(shape, dtype, seed), values((shape[0], fold) + shape[2:], dtype, seed + 1)
    y, following = shift_step(x, cache)
    status, got_y, got_next = driver.step(
        pack(x, layout, JUNK), pack(cache, layout, JUNK), shape, layout, fold, offset, y_is_x, next_is_cache
    )
    assert status == 0
    np.testing.assert_array_equal(got_y, pack(y, layout, JUNK if y_is_x else 0), "y")  # in place, padding stays
    np.testing.assert_array_equal(got_next, pack(following, layout, 0), "next")


def check_clip(driver, shape, segment, fold, bidirectional, dtype, layout, seed=0, offset=0):
    x = values(shape, dtype, seed)
    expected = shift_clip(x, segment, fold, bidirectional)
    status, got = driver.clip(pack(x, layout, JUNK), shape, layout, segment, fold, bidirectional, offset)
    assert status == 0
    np.testing.assert_array_equal(got, pack(expected, layout, 0))


# Sizes at the edges: no fold, a fold that ends inside a block, planes that are no multiple of 16 bytes.
CHANNELS = st.one_of(st.integers(1, 12), st.sampled_from([16, 20, 24, 31, 32, 33, 40, 63, 64, 65, 96]))
PLANE = st.one_of(st.tuples(st.integers(1, 5), st.integers(1, 5)), st.sampled_from([(7, 7), (8, 8), (4, 16), (14, 14)]))
MANY = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(data=st.data(), dtype=st.sampled_from(sorted(ELEMENTS)), layout=st.sampled_from(LAYOUTS), channels=CHANNELS)
def test_step_equals_the_reference(driver, data, dtype, layout, channels):
    shape = (data.draw(st.integers(1, 3)), channels) + data.draw(PLANE)
    fold = data.draw(st.one_of(st.integers(0, channels), st.just(channels // 8)))
    offset = data.draw(st.one_of(st.just(0), st.integers(0, 16)))
    flags = data.draw(st.booleans()), data.draw(st.booleans())
    check_step(driver, shape, fold, ELEMENTS[dtype], layout, data.draw(st.integers(0, 9)), offset, *flags)


@MANY
@given(data=st.data(), dtype=st.sampled_from(sorted(ELEMENTS)), layout=st.sampled_from(LAYOUTS), channels=CHANNELS)
def test_clip_equals_the_reference(driver, data, dtype, layout, channels):
    segment = data.draw(st.integers(1, 5))
    shape = (segment * data.draw(st.integers(1, 2)), channels) + data.draw(PLANE)
    bidirectional = data.draw(st.booleans())
    most = channels // 2 if bidirectional else channels
    fold = data.draw(st.one_of(st.integers(0, most), st.just(channels // 8)))
    offset = data.draw(st.one_of(st.just(0), st.integers(0, 16)))
    check_clip(driver, shape, segment, fold, bidirectional, ELEMENTS[dtype], layout, 3, offset)


# The pairs of type and layout that our TensorRT plugins support.
TENSORRT = [
    ("float32", LINEAR),
    ("float16", LINEAR),
    ("float16", CHW2),
    ("float16", HWC8),
    ("int8", LINEAR),
    ("int8", CHW4),
    ("int8", CHW32),
]


@pytest.mark.parametrize("dtype, layout", TENSORRT)
@pytest.mark.parametrize(
    "shape, fold", [((1, 24, 28, 28), 3), ((1, 160, 7, 7), 20), ((2, 30, 7, 7), 3), ((1, 64, 14, 14), 8)]
)
@pytest.mark.parametrize("in_place", [False, True])
def test_step_of_networks(driver, shape, fold, dtype, layout, in_place):
    check_step(driver, shape, fold, ELEMENTS[dtype], layout, y_is_x=in_place, next_is_cache=in_place)


@pytest.mark.parametrize("dtype, layout", TENSORRT)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_clip_of_networks(driver, dtype, layout, bidirectional):
    check_clip(driver, (8, 96, 14, 14), 8, 12, bidirectional, ELEMENTS[dtype], layout)


@pytest.mark.parametrize("dtype, layout", TENSORRT)
def test_chained_steps_equal_the_causal_clip(driver, dtype, layout):
    frames, fold, (c, h, w) = 10000 if layout == LINEAR else 1000, 3, (9, 3, 3)
    x = values((frames, c, h, w), ELEMENTS[dtype], 5)
    causal = shift_clip(x, frames, fold, False)
    cache = pack(np.zeros((1, fold, h, w), x.dtype), layout)
    for t in range(frames):
        _, y, cache = driver.step(pack(x[t : t + 1], layout, JUNK), cache, (1, c, h, w), layout, fold)
        assert y.tobytes() == pack(causal[t : t + 1], layout).tobytes(), t


def test_more_frames_than_a_grid_is_high(driver):
    check_step(driver, (65537, 2, 1, 1), 1, np.int8, LINEAR)
    check_clip(driver, (65538, 2, 1, 1), 3, 1, True, np.int8, LINEAR)


@pytest.mark.parametrize("shape, fold", [((0, 8, 2, 2), 1), ((2, 8, 0, 2), 1), ((2, 0, 2, 2), 0)])
def test_nothing_to_move(driver, shape, fold):
    for layout in LAYOUTS:
        check_step(driver, shape, fold, np.float32, layout)
        check_clip(driver, shape, 1, fold, False, np.float32, layout)


@pytest.mark.parametrize(
    "change",
    [{"fold": 9}, {"fold": -1}, {"layout": 5}, {"layout": -1}, {"shape": (-1, 8, 2, 2)}, {"shape": (1, 1 << 40, 1, 1)}],
)
def test_bad_sizes_are_refused(driver, change):
    arguments = dict({"shape": (1, 8, 2, 2), "layout": LINEAR, "fold": 1}, **change)
    shape, layout, fold = arguments["shape"], arguments["layout"], arguments["fold"]
    assert driver.refuses_step(4, layout, shape, fold) == INVALID
    assert driver.refuses_clip(4, layout, shape, 1, fold, False) == INVALID


@pytest.mark.parametrize("segment, fold, bidirectional", [(0, 1, 0), (-2, 1, 0), (3, 1, 0), (2, 5, 1), (2, 9, 0)])
def test_bad_clips_are_refused(driver, segment, fold, bidirectional):
    assert driver.refuses_clip(4, LINEAR, (4, 8, 2, 2), segment, fold, bidirectional) == INVALID


@pytest.mark.parametrize("element_size", [-1, 0, 3, 8])
def test_other_element_sizes_are_refused(driver, element_size):
    assert driver.refuses_step(element_size, LINEAR, (1, 8, 2, 2), 1) == INVALID
    assert driver.refuses_clip(element_size, LINEAR, (1, 8, 2, 2), 1, 1, False) == INVALID


def test_overlapping_buffers_are_refused(driver):
    x, cache, y, following = 1 << 20, 2 << 20, 3 << 20, 4 << 20
    for addresses in (
        (x, x + 16, y, following),
        (x, cache, x + 4, following),
        (x, cache, y, x),
        (x, cache, y, cache + 4),
        (x, cache, cache, following),
        (x, cache, y, y),
    ):
        assert driver.refuses_step(4, LINEAR, (1, 8, 2, 2), 2, addresses) == INVALID
    assert driver.refuses_clip(4, LINEAR, (2, 8, 2, 2), 2, 2, False, (x, x)) == INVALID
    assert driver.refuses_clip(4, LINEAR, (2, 8, 2, 2), 2, 2, False, (x, x + 100)) == INVALID


# Faults planted in a copy of the sources, and the message that each must cause. They prove that the tests can fail.
PLANTED = {
    "launch bound": ("line >= a.lines.count", "line > a.lines.count", "AddressSanitizer"),
    "line end": ("low_lanes<Element>(size - begin)", "low_lanes<Element>(size + 1 - begin)", "AddressSanitizer"),
    "alignment": ("if (whole && address % 16 == 0)", "if (whole)", "misaligned address"),
    "fold": ("lane < prefix.rest", "lane <= prefix.rest", "Arrays are not equal"),
}


@pytest.mark.parametrize("fault", sorted(PLANTED))
def test_planted_faults_are_caught(tmp_path, fault):
    old, new, notice = PLANTED[fault]
    broken = Driver(build(tmp_path, ("cuda/temporal_shift.cu", old, new)))
    try:
        with pytest.raises((Fault, AssertionError), match=notice):
            for layout in (LINEAR, CHW2):
                check_step(broken, (2, 15, 3, 3), 3, np.float16, layout)
                check_step(broken, (2, 15, 3, 3), 3, np.float16, layout, offset=1)
    finally:
        broken.close()
