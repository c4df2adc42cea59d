"""The CPU kernels of kernels/core on NumPy arrays: builds kernels/tests/core_library.cpp and calls it by ctypes."""

import ctypes
import functools
import os
import subprocess

import numpy as np

from tests.kernels.cuda_driver import KERNELS
from tests.lock import locked


@functools.lru_cache(maxsize=None)
def _library():
    """Return the library, built from the sources as they are now."""
    folder = os.path.join(os.path.dirname(KERNELS), "build", "core-test")
    path = os.path.join(folder, "libcore.so")
    flags = ["-std=c++14", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-fPIC", "-shared"]
    with locked(folder):
        source = os.path.join(KERNELS, "tests", "core_library.cpp")
        subprocess.run(["g++", *flags, source, "-o", path], check=True)
        library = ctypes.CDLL(path)
    library.core_shift_step.restype = library.core_shift_clip.restype = ctypes.c_char_p
    return library


def step(shape, fold, x, cache, y, following, layout=0):
    """Run TemporalShiftStep. Raises ValueError if the kernel refuses the sizes.

    Args:
        shape: (N, C, H, W) of x.
        fold: the number of channels of the cache.
        x: the frame, any C-contiguous array whose memory has `layout`; y likewise.
        cache: (N, fold, H, W) in the same layout; `following`, the next cache, likewise.
        y: the output; may be x.
        following: the output; may be cache.
        layout: the number of a tsm_edge::Layout.
    """
    _call(_library().core_shift_step, shape, [ctypes.c_int64(fold)], layout, [x, cache, y, following])


def clip(shape, n_segment, fold, bidirectional, x, y, layout=0):
    """Run TemporalShift on x (N * T, C, H, W) = `shape`; y may be x. The other arguments are those of `step`."""
    sizes = [ctypes.c_int64(n_segment), ctypes.c_int64(fold), ctypes.c_int32(bidirectional)]
    _call(_library().core_shift_clip, shape, sizes, layout, [x, y])


def _call(function, shape, sizes, layout, arrays):
    assert all(array.flags.c_contiguous and array.dtype == arrays[0].dtype for array in arrays)
    element = ctypes.c_int64(arrays[0].itemsize)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in arrays]
    fault = function((ctypes.c_int64 * 4)(*shape), *sizes, ctypes.c_int32(layout), element, *pointers)
    if fault:
        raise ValueError(fault.decode("ascii"))


def shift_step(x, cache):
    """Do as `tsm_edge.shift.shift_step`, with the kernel."""
    x, cache = np.ascontiguousarray(x), np.ascontiguousarray(cache)
    y, following = np.empty_like(x), np.empty_like(cache)
    step(x.shape, cache.shape[1], x, cache, y, following)
    return y, following


def shift_clip(x, n_segment, fold, bidirectional):
    """Do as `tsm_edge.shift.shift_clip`, with the kernel."""
    x = np.ascontiguousarray(x)
    y = np.empty_like(x)
    clip(x.shape, n_segment, fold, bidirectional, x, y)
    return y
