"""The native CPU kernels by ctypes: the functions of tsm_edge/shift.py with the same arguments, results and errors.

Found through `tsm_edge.native.library`; `kernels/core/c_api.h` is the ABI. Beyond the reference there is the step in
place, and the vectorised layouts that TensorRT asks for.
"""

import ctypes

import numpy as np

from tsm_edge.errors import InputError
from tsm_edge.machine.install_hints import KERNELS
from tsm_edge.native import library as kernel_library

ABI = 1  # TSM_EDGE_ABI of kernels/core/c_api.h
LAYOUTS = ("linear", "hwc8", "chw2", "chw4", "chw32")  # in the order of that header


class Kernels:
    """The library at `path`, by default the one that `kernel_library.find("kernels")` finds.

    Raises InputError where there is none, or one of another ABI.
    """

    def __init__(self, path=None):
        path = path or kernel_library.find("kernels")
        if path is None:
            raise InputError("libtsm_edge_kernels.so", "nothing", "a library", KERNELS)
        try:
            self._library = ctypes.CDLL(path)
            abi = self._library.tsm_edge_abi()
        except (OSError, AttributeError) as error:
            raise InputError(path, error, "a library of ABI {}".format(ABI), "run `make kernels` again") from error
        if abi != ABI:
            raise InputError(path, "ABI {}".format(abi), "ABI {}".format(ABI), "run `make kernels` again")
        self.path = path
        self._library.tsm_edge_fault.restype = ctypes.c_char_p
        self._library.tsm_edge_bytes.restype = ctypes.c_int64

    def shift_step(self, x, cache):
        """As `tsm_edge.shift.shift_step`, for elements of 1, 2 or 4 bytes."""
        _check_step(x, cache)
        x, cache = np.ascontiguousarray(x), np.ascontiguousarray(cache)
        y, following = np.empty_like(x), np.empty_like(cache)
        self.step(x.shape, cache.shape[1], x, cache, y, following)
        return y, following

    def shift_step_(self, x, cache):
        """The step in place, for a caller that owns both: x becomes y and cache the next cache; only the fold moves.

        x: (N, C, H, W), cache: (N, F, H, W), same dtype of 1, 2 or 4 bytes, both C-contiguous and writable.
        Raises ValueError otherwise.
        """
        _check_step(x, cache)
        for name, array in (("x", x), ("cache", cache)):
            if not array.flags.c_contiguous or not array.flags.writeable:
                raise ValueError("{}: expected a C-contiguous, writable array".format(name))
        self.step(x.shape, cache.shape[1], x, cache, x, cache)

    def shift_clip(self, x, n_segment, fold, bidirectional):
        """As `tsm_edge.shift.shift_clip`, for elements of 1, 2 or 4 bytes."""
        _check_rank("x", x)
        x = np.ascontiguousarray(x)
        y = np.empty_like(x)
        self.clip(x.shape, n_segment, fold, bidirectional, x, y)
        return y

    def step(self, shape, fold, x, cache, y, following, layout="linear"):
        """The C function on raw buffers: arrays of any shape whose bytes lie as `layout` orders (N, C, H, W) = `shape`.

        x, y: as shape; cache, following: as (N, fold, H, W), padding included. y may be x and following may be cache.
        Raises ValueError where the library refuses.
        """
        tensor = _tensor(shape, layout, x)
        part = _tensor((shape[0], fold) + tuple(shape[2:]), layout, x)
        for name, array, expected in (
            ("x", x, tensor),
            ("y", y, tensor),
            ("cache", cache, part),
            ("next", following, part),
        ):
            self._check_buffer(name, array, x.dtype, expected)
        self._call(self._library.tsm_edge_shift_step, tensor, ctypes.c_int64(fold), x, cache, y, following)

    def clip(self, shape, n_segment, fold, bidirectional, x, y, layout="linear"):
        """As :meth:`step`, for a clip: (N*T, C, H, W) = `shape`. y may be x."""
        tensor = _tensor(shape, layout, x)
        for name, array in (("x", x), ("y", y)):
            self._check_buffer(name, array, x.dtype, tensor)
        sizes = (ctypes.c_int64(n_segment), ctypes.c_int64(fold), ctypes.c_int32(bool(bidirectional)))
        self._call(self._library.tsm_edge_shift_clip, tensor, *(sizes + (x, y)))

    def _check_buffer(self, name, array, dtype, tensor):
        size = self._library.tsm_edge_bytes(ctypes.byref(tensor))
        if size < 0:
            raise ValueError("{}: {} of dtype {} is not for these kernels".format(name, array.shape, array.dtype))
        if array.nbytes != size or array.dtype != dtype or not array.flags.c_contiguous:
            raise ValueError(
                "{}: got {} bytes of {}{}, expected {} of {}, C-contiguous".format(
                    name, array.nbytes, array.dtype, "" if array.flags.c_contiguous else " (strided)", size, dtype
                )
            )

    def _call(self, function, tensor, *arguments):
        arguments = [ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else a for a in arguments]
        fault = function(ctypes.byref(tensor), *arguments)
        if fault:
            raise ValueError(self._library.tsm_edge_fault(fault).decode("ascii"))


def _check_rank(name, array):
    if array.ndim != 4:
        raise ValueError("{}: got shape {}, expected four axes (N, C, H, W)".format(name, array.shape))


def _check_step(x, cache):
    """What the library cannot see, which gets sizes and not shapes."""
    _check_rank("x", x)
    _check_rank("cache", cache)
    if (cache.shape[0],) + cache.shape[2:] != (x.shape[0],) + x.shape[2:]:
        raise ValueError("cache: got shape {}, expected (N, F, H, W) of x {}".format(cache.shape, x.shape))
    if cache.dtype != x.dtype:
        raise ValueError("cache: got dtype {}, expected that of x, {}".format(cache.dtype, x.dtype))


class Tensor(ctypes.Structure):
    """The description of a tensor that every function of the C ABI takes. layout: place in LAYOUTS."""

    _fields_ = [(name, ctypes.c_int64) for name in ("n", "c", "h", "w")] + [
        ("layout", ctypes.c_int32),
        ("element_size", ctypes.c_int32),
    ]


def _tensor(shape, layout, array):
    n, c, h, w = shape
    return Tensor(n, c, h, w, LAYOUTS.index(layout), array.dtype.itemsize)
