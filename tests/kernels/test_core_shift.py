"""The CPU kernels through their C ABI against tsm_edge/shift.py: bit-exact, every type, layout and kind of aliasing."""

import os
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.cuda_driver import pack
from tests.kernels.native import ROOT, libraries, python36
from tsm_edge.errors import InputError
from tsm_edge.native.kernels import LAYOUTS, Kernels
from tsm_edge.shift import shift_clip, shift_step

DTYPES = [np.int8, np.uint8, np.float16, np.int16, np.float32, np.int32]
JUNK = 119  # in padding lanes of inputs: must not come through
MANY = settings(max_examples=400, deadline=None)
CHANNELS = st.one_of(st.integers(0, 12), st.sampled_from([16, 20, 24, 31, 32, 33, 40, 63, 64, 65, 96]))
PLANE = st.tuples(st.integers(0, 9), st.integers(0, 9))
LAYOUT = st.sampled_from(LAYOUTS)
DTYPE = st.sampled_from(DTYPES)


@pytest.fixture(scope="module")
def kernels():
    return Kernels(libraries()["kernels"])


def values(shape, dtype, seed=0):
    """Random bits, so NaNs and infinities are among them."""
    bits = np.random.RandomState(seed).randint(0, 256, size=tuple(shape) + (np.dtype(dtype).itemsize,), dtype=np.uint8)
    return bits.view(dtype).reshape(shape)


def assert_same(got, expected):
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    assert got.tobytes() == expected.tobytes()


@MANY
@given(st.data(), DTYPE, LAYOUT, CHANNELS, PLANE, st.integers(0, 3), st.booleans(), st.booleans())
def test_step_equals_the_reference(kernels, data, dtype, layout, channels, plane, n, y_is_x, next_is_cache):
    fold = data.draw(st.integers(0, channels))
    x, cache = values((n, channels) + plane, dtype, 1), values((n, fold) + plane, dtype, 2)
    expected_y, expected_next = shift_step(x, cache)
    number = LAYOUTS.index(layout)
    px, pcache = pack(x, number, JUNK), pack(cache, number, JUNK)
    py = px if y_is_x else np.full_like(px, 5)
    pnext = pcache if next_is_cache else np.full_like(pcache, 5)
    kernels.step(x.shape, fold, px, pcache, py, pnext, layout)
    assert_same(py, pack(expected_y, number, JUNK if y_is_x else 0))
    assert_same(pnext, pack(expected_next, number, 0))


@MANY
@given(st.data(), DTYPE, LAYOUT, CHANNELS, PLANE, st.integers(0, 3), st.integers(1, 5), st.booleans(), st.booleans())
def test_clip_equals_the_reference(kernels, data, dtype, layout, channels, plane, clips, segment, both_ways, y_is_x):
    fold = data.draw(st.integers(0, channels // 2 if both_ways else channels))
    x = values((clips * segment, channels) + plane, dtype)
    expected = shift_clip(x, segment, fold, both_ways)
    number = LAYOUTS.index(layout)
    px = pack(x, number, JUNK)
    py = px if y_is_x else np.full_like(px, 5)
    kernels.clip(x.shape, segment, fold, both_ways, px, py, layout)
    assert_same(py, pack(expected, number, JUNK if y_is_x else 0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_binding_is_a_drop_in_for_the_reference(kernels, dtype):
    x, cache = values((4, 20, 7, 7), dtype)[:, ::2], values((4, 3, 7, 7), dtype, 1)  # strided input
    before = x.copy(), cache.copy()
    for got, expected in zip(kernels.shift_step(x, cache), shift_step(x, cache)):
        assert_same(got, expected)
    for both_ways in (False, True):
        assert_same(kernels.shift_clip(x, 2, 3, both_ways), shift_clip(x, 2, 3, both_ways))
    assert_same(x, before[0])
    assert_same(cache, before[1])


def test_ten_thousand_chained_steps_are_the_causal_clip(kernels):
    frames = values((10000, 9, 3, 5), np.float32)
    clip = kernels.shift_clip(frames, 10000, 2, False)
    assert_same(clip, shift_clip(frames, 10000, 2, False))
    cache, own = np.zeros((1, 2, 3, 5), np.float32), np.zeros((1, 2, 3, 5), np.float32)
    for t in range(10000):
        y, cache = kernels.shift_step(frames[t : t + 1], cache)
        x = frames[t : t + 1].copy()
        kernels.shift_step_(x, own)
        assert y.tobytes() == x.tobytes() == clip[t : t + 1].tobytes(), t
    assert cache.tobytes() == own.tobytes() == frames[-1:, :2].tobytes()


X = np.zeros((4, 8, 3, 5), np.float32)


@pytest.mark.parametrize(
    "call",
    [
        lambda k: k.shift_step(X[0], X),
        lambda k: k.shift_step(X, X[:, 0]),
        lambda k: k.shift_step(X, np.zeros((4, 9, 3, 5), np.float32)),
        lambda k: k.shift_step(X, np.zeros((4, 2, 5, 3), np.float32)),
        lambda k: k.shift_step(X, np.zeros((3, 2, 3, 5), np.float32)),
        lambda k: k.shift_step(X, np.zeros((4, 2, 3, 5), np.int32)),
        lambda k: k.shift_clip(X, 3, 1, True),
        lambda k: k.shift_clip(X, 0, 1, True),
        lambda k: k.shift_clip(X, -2, 1, True),
        lambda k: k.shift_clip(X, 2, 5, True),
        lambda k: k.shift_clip(X, 2, 9, False),
        lambda k: k.shift_clip(X, 2, -1, False),
    ],
)
def test_what_the_reference_refuses_is_refused(kernels, call):
    reference = type("Reference", (), {"shift_step": staticmethod(shift_step), "shift_clip": staticmethod(shift_clip)})
    with pytest.raises(ValueError):
        call(reference)
    with pytest.raises(ValueError):
        call(kernels)


def test_arrays_that_cannot_be_moved_in_place_are_refused(kernels):
    cache = np.zeros((4, 2, 3, 5), np.float32)
    frozen = X.copy()
    frozen.flags.writeable = False
    for x in (np.zeros((4, 16, 3, 5), np.float32)[:, ::2], frozen):
        with pytest.raises(ValueError, match="x: expected a C-contiguous, writable array"):
            kernels.shift_step_(x, cache)


def test_buffers_that_do_not_fit_are_refused(kernels):
    flat = np.zeros(X.size, np.float32)
    cache = np.zeros(X.size // 4, np.float32)
    with pytest.raises(ValueError, match="next: got"):
        kernels.step(X.shape, 2, flat, cache, flat.copy(), cache[:-1].copy())
    with pytest.raises(ValueError, match="not for these kernels"):
        kernels.shift_clip(X.astype(np.float64), 2, 1, True)
    with pytest.raises(ValueError, match="not for these kernels"):
        kernels.clip((2**31, 2**31, 2**31, 1), 1, 0, False, flat, flat)


def test_overlaps_are_refused(kernels):
    memory = np.zeros(2 * X.size, np.float32)
    x, shifted = memory[: X.size], memory[4 : 4 + X.size]
    cache, inside = np.zeros(X.size // 4, np.float32), memory[: X.size // 4]
    for arrays in ((x, cache, shifted, cache), (x, inside, x, cache), (x, cache, x, inside)):
        with pytest.raises(ValueError, match="overlap"):
            kernels.step(X.shape, 2, *arrays)
    with pytest.raises(ValueError, match="overlap"):
        kernels.clip(X.shape, 2, 1, True, x, shifted)


def test_a_library_that_is_none_of_ours_is_refused(tmp_path):
    path = tmp_path / "libtsm_edge_kernels.so"
    path.write_bytes(b"not a library")
    with pytest.raises(InputError, match="make kernels"):
        Kernels(str(path))
    with pytest.raises(InputError, match="make kernels"):
        Kernels(libraries()["onnxruntime"])  # a library without that ABI


def test_the_binding_on_the_python_of_a_nano():
    command = [python36(), os.path.join(ROOT, "tests", "kernels", "core_smoke.py"), libraries()["kernels"]]
    output = subprocess.check_output(command, env=dict(os.environ, PYTHONPATH=ROOT), text=True)
    assert output.startswith("Python 3.6.") and output.endswith(": 36 calls same\n")
