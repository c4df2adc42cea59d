"""The C functions of libtsm_edge_cuda.so (kernels/cuda/c_api.h) on CuPy arrays, and the timing of GPU work.

TSM_EDGE_CUDA_LIBRARY names the library. For a dry run on a CPU, TSM_EDGE_CUDA_SHIM is set too: then the library must be
built with kernels/tests/cuda_shim, and all arrays are NumPy arrays.
"""

import ctypes
import os
import statistics
import time

import numpy as np

SHIM = bool(os.environ.get("TSM_EDGE_CUDA_SHIM"))
library = ctypes.CDLL(os.environ["TSM_EDGE_CUDA_LIBRARY"])
library.tsm_edge_cuda_fault.restype = ctypes.c_char_p
if not SHIM:
    import cupy

LAYOUTS = {"linear": 0, "HWC8": 1, "CHW2": 2, "CHW4": 3, "CHW32": 4}


class Tensor(ctypes.Structure):
    """tsm_edge_tensor of c_api.h."""

    _fields_ = [(name, ctypes.c_int64) for name in "nchw"]
    _fields_ += [("layout", ctypes.c_int32), ("element_size", ctypes.c_int32)]


class Axis(ctypes.Structure):
    """tsm_edge_axis of c_api.h."""

    _fields_ = [(name, ctypes.c_int32) for name in ("begin", "length", "resized", "keep", "size")]


def upload(array):
    """Return a copy of a NumPy array on the device."""
    return array.copy() if SHIM else cupy.asarray(array)


def download(array):
    """Return a NumPy array of a device array."""
    return array if SHIM else cupy.asnumpy(array)


def empty(shape, dtype):
    """Return a device array filled with 0xA5, so that a check notices elements that were never written."""
    poison = np.full(int(np.prod(shape)) * np.dtype(dtype).itemsize, 0xA5, np.uint8)
    return upload(poison.view(dtype).reshape(shape))


def _pointer(array):
    return ctypes.c_void_p(array.ctypes.data if SHIM else array.data.ptr)


def _stream():
    return ctypes.c_void_p(0 if SHIM else cupy.cuda.get_current_stream().ptr)


def _must(status):
    if status:
        raise RuntimeError(library.tsm_edge_cuda_fault(status).decode())


def tensor(shape, layout, element_size):
    """Describe x (N, C, H, W) = `shape` in one of LAYOUTS for `step` and `clip`."""
    return Tensor(*shape, LAYOUTS[layout], element_size)


def step(described, fold, x, cache, y, following):
    """Run TemporalShiftStep. described: `tensor` of x. The arrays are on the device."""
    pointers = [_pointer(a) for a in (x, cache, y, following)]
    _must(library.tsm_edge_cuda_shift_step(ctypes.byref(described), ctypes.c_int64(fold), *pointers, _stream()))


def clip(described, segment, fold, bidirectional, x, y):
    """Run TemporalShift. described: `tensor` of x. The arrays are on the device."""
    sizes = ctypes.c_int64(segment), ctypes.c_int64(fold), ctypes.c_int32(bidirectional)
    _must(library.tsm_edge_cuda_shift_clip(ctypes.byref(described), *sizes, _pointer(x), _pointer(y), _stream()))


def preprocess(image, rows, columns, how, halvings, mean, std, out):
    """Preprocess one frame.

    Args:
        image: (H, W, 3) uint8 BGR on the device, C-contiguous.
        rows: the five numbers of an Axis.
        columns: the five numbers of an Axis.
        how: the number of a Filter of kernels/cuda/preprocess.cuh.
        halvings: how often both axes are halved first.
        mean: three floats, in RGB order.
        std: three floats, in RGB order.
        out: (3, h, w) float32 or float16 on the device, in RGB order.
    """
    height, width, _ = image.shape
    three = ctypes.c_float * 3
    numbers = [ctypes.c_int32(n) for n in (how, halvings, 1)]
    _must(
        library.tsm_edge_cuda_preprocess(
            _pointer(image), ctypes.c_int64(3 * width), ctypes.c_int32(height), ctypes.c_int32(width),
            ctypes.byref(Axis(*rows)), ctypes.byref(Axis(*columns)), *numbers, three(*mean), three(*std),
            _pointer(out), ctypes.c_int32(out.dtype.itemsize), _stream(),
        )
    )  # fmt: skip


def seconds(calls, repeats=50, inner=20):
    """Return the median seconds of one call. calls: functions on different buffers; they take turns."""
    for call in calls:
        call()
    times = []
    for _ in range(2 if SHIM else repeats):
        if SHIM:
            began = time.perf_counter()
            calls[0]()
            times.append(time.perf_counter() - began)
            continue
        first, last = cupy.cuda.Event(), cupy.cuda.Event()
        first.record()
        for i in range(inner):
            calls[i % len(calls)]()
        last.record()
        last.synchronize()
        times.append(cupy.cuda.get_elapsed_time(first, last) / 1e3 / inner)
    return statistics.median(times)


def graph(call):
    """Capture `call` in a CUDA graph and return a function that replays it."""
    if SHIM:
        return call
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        call()
        stream.begin_capture()
        call()
        captured = stream.end_capture()
    return lambda: captured.launch(cupy.cuda.get_current_stream())


def describe():
    """Return the name and versions of the device that the figures belong to."""
    if SHIM:
        return {"device": "CPU shim: a dry run, no measurement"}
    properties = cupy.cuda.runtime.getDeviceProperties(0)
    return {
        "device": properties["name"].decode(),
        "l2_bytes": properties["l2CacheSize"],
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "runtime": cupy.cuda.runtime.runtimeGetVersion(),
        "cupy": cupy.__version__,
    }
