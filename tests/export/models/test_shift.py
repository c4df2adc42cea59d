"""The torch op, both lowerings, against the NumPy reference."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tsm_edge import shift as reference
from tsm_edge_export.models import shift

LOWERINGS = ("custom", "standard")
DTYPES = ("float32", "float16")
sizes = st.integers(1, 7)


def random(seed, shape, dtype):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), sizes, sizes, sizes, sizes, sizes, st.booleans(), st.sampled_from(DTYPES), st.data())
def test_clip_is_the_reference(seed, n, t, c, h, w, bidirectional, dtype, data):
    fold = data.draw(st.integers(0, c // 2 if bidirectional else c))
    x = random(seed, (n * t, c, h, w), dtype)
    expected = reference.shift_clip(x, t, fold, bidirectional)
    for lowering in LOWERINGS:
        y = shift.shift_clip(torch.from_numpy(x), t, fold, bidirectional, lowering).numpy()
        assert y.dtype == x.dtype
        np.testing.assert_array_equal(y, expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), sizes, sizes, sizes, sizes, st.sampled_from(DTYPES), st.data())
def test_step_is_the_reference(seed, n, c, h, w, dtype, data):
    fold = data.draw(st.integers(0, c))
    x, cache = random(seed, (n, c, h, w), dtype), random(seed + 1, (n, fold, h, w), dtype)
    expected = reference.shift_step(x, cache)
    for lowering in LOWERINGS:
        actual = shift.shift_step(torch.from_numpy(x), torch.from_numpy(cache), lowering)
        for got, want in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(got.numpy(), want)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_inputs_stay_as_they_were(lowering):
    x, cache = torch.randn(4, 8, 2, 3), torch.randn(4, 2, 2, 3)
    kept = x.clone(), cache.clone()
    y, _ = shift.shift_step(x, cache, lowering)
    y.zero_()
    shift.shift_clip(x, 2, 3, True, lowering).zero_()
    assert torch.equal(x, kept[0]) and torch.equal(cache, kept[1])


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients(lowering, bidirectional):
    x = torch.randn(6, 5, 2, 1, dtype=torch.float64, requires_grad=True)
    cache = torch.randn(6, 2, 2, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: shift.shift_clip(a, 3, 2, bidirectional, lowering), (x,))
    assert torch.autograd.gradcheck(lambda a, b: shift.shift_step(a, b, lowering), (x, cache))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: shift.shift_step(torch.zeros(2, 4, 3, 3), torch.zeros(2, 5, 3, 3)), "cache"),
        (lambda: shift.shift_step(torch.zeros(2, 4, 3, 3), torch.zeros(2, 1, 3, 2)), "cache"),
        (lambda: shift.shift_step(torch.zeros(2, 4, 3, 3), torch.zeros(1, 1, 3, 3)), "cache"),
        (lambda: shift.shift_step(torch.zeros(2, 4, 3, 3), torch.zeros(2, 1, 3, 3).half()), "dtype"),
        (lambda: shift.shift_step(torch.zeros(4, 3, 3), torch.zeros(1, 3, 3)), "four axes"),
        (lambda: shift.shift_step(torch.zeros(2, 4, 3, 3), torch.zeros(2, 1, 3, 3), "plugin"), "lowering"),
        (lambda: shift.shift_clip(torch.zeros(7, 4, 3, 3), 2, 1, True), "n_segment"),
        (lambda: shift.shift_clip(torch.zeros(6, 4, 3, 3), 0, 1, True), "n_segment"),
        (lambda: shift.shift_clip(torch.zeros(6, 4, 3, 3), 2, 3, True), "fold"),
        (lambda: shift.shift_clip(torch.zeros(6, 4, 3, 3), 2, -1, False), "fold"),
        (lambda: shift.shift_clip(torch.zeros(6, 4, 3), 2, 1, False), "four axes"),
        (lambda: shift.shift_clip(torch.zeros(6, 4, 3, 3), 2, 1, False, "trt"), "lowering"),
    ],
)
def test_impossible_arguments(call, named):
    with pytest.raises(ValueError, match=named):
        call()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_channels_last_stays_so_forward_and_back(bidirectional):
    x = torch.randn(8, 16, 6, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = shift.shift_clip(x, 4, 2, bidirectional)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(y, shift.shift_clip(x, 4, 2, bidirectional, "standard"))
    weights = torch.randn(8, 16, 6, 5).contiguous(memory_format=torch.channels_last)
    (gradient,) = torch.autograd.grad((y * weights).sum(), x)
    assert gradient.is_contiguous(memory_format=torch.channels_last)
