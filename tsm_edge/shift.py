"""The temporal shift in NumPy: the reference that every other implementation is tested against.

Source of the rule: Lin, Gan, Han, "TSM: Temporal Shift Module for Efficient Video Understanding" (ICCV 2019),
sections 3 and 4, and `ops/temporal_shift.py` of mit-han-lab/temporal-shift-module. The fold that is shifted first
takes the *future* in the bidirectional form and the *past* in the online (causal) form: same weights, other meaning.
"""

from typing import Tuple

import numpy as np


def fold_of(channels: int, fold_div: int) -> int:
    """Return the number of channels in one fold: C // fold_div (8 in the published code)."""
    if fold_div < 1:
        raise ValueError("fold_div: got {}, expected at least 1".format(fold_div))
    return channels // fold_div


def shift_step(x: np.ndarray, cache: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Shift one streaming frame: `TemporalShiftStep` of domain `tsm_edge`, version 1.

    Raises ValueError where the shapes or dtypes disagree.

    Args:
        x: (N, C, H, W), any dtype, N streams; not changed.
        cache: (N, F, H, W), same dtype: the first F channels of the previous frame, zeros at the start of a stream.

    Returns:
        y (N, C, H, W) with y[:, :F] = cache and y[:, F:] = x[:, F:], and the next cache x[:, :F]; both are copies.
    """
    _check_rank(x, "x")
    _check_rank(cache, "cache")
    n, f = cache.shape[:2]
    if (n,) + cache.shape[2:] != (x.shape[0],) + x.shape[2:] or f > x.shape[1]:
        raise ValueError("cache: got shape {}, expected (N, F, H, W) of x {} with F <= C".format(cache.shape, x.shape))
    if cache.dtype != x.dtype:
        raise ValueError("cache: got dtype {}, expected that of x, {}".format(cache.dtype, x.dtype))
    y = x.copy()
    y[:, :f] = cache
    return y, x[:, :f].copy()


def shift_clip(x: np.ndarray, n_segment: int, fold: int, bidirectional: bool) -> np.ndarray:
    """Shift a whole clip at once: `TemporalShift` of domain `tsm_edge`, version 1.

    Raises ValueError where the sizes are impossible.

    Args:
        x: (N*T, C, H, W), any dtype, the T = n_segment frames of each clip in order; not changed.
        n_segment: frames of a clip.
        fold: channels of one fold.
        bidirectional: True: channels [0, fold) take frame t+1 and [fold, 2*fold) take frame t-1 (needs 2*fold <= C).
            False (causal): channels [0, fold) take frame t-1. Past the ends of the clip stand zeros.

    Returns:
        y (N*T, C, H, W), a copy.
    """
    _check_rank(x, "x")
    if n_segment < 1 or x.shape[0] % n_segment:
        raise ValueError("x: got {} frames, expected a multiple of n_segment = {}".format(x.shape[0], n_segment))
    shifted = 2 * fold if bidirectional else fold
    if fold < 0 or shifted > x.shape[1]:
        raise ValueError("fold: got {}, expected 0 <= {} <= {} channels".format(fold, shifted, x.shape[1]))
    clips = x.reshape((x.shape[0] // n_segment, n_segment) + x.shape[1:])
    y = clips.copy()
    past = slice(fold, 2 * fold) if bidirectional else slice(0, fold)
    y[:, 1:, past] = clips[:, :-1, past]
    y[:, :1, past] = 0
    if bidirectional:
        y[:, :-1, :fold] = clips[:, 1:, :fold]
        y[:, -1:, :fold] = 0
    return y.reshape(x.shape)


def _check_rank(array: np.ndarray, name: str) -> None:
    if array.ndim != 4:
        raise ValueError("{}: got shape {}, expected four axes (N, C, H, W)".format(name, array.shape))
