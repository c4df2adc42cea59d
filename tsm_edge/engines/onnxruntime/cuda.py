"""ONNX Runtime on an NVIDIA GPU. Caches stay there: two sets of buffers, each step reads one and writes the other.

A step copies the frame in and the logits out; nothing else crosses, and nothing is allocated on the GPU. How ONNX
Runtime binds device memory: its guide "I/O Binding"; one CUDA graph a buffer set: "CUDA Execution Provider", the run
option `gpu_graph_id`.
"""

import contextlib
import ctypes
import io
import time
import weakref

import numpy as np
import onnxruntime

from tsm_edge.engines.base import FRAME, LOGITS, State
from tsm_edge.engines.onnxruntime.cpu import OnnxRuntimeEngine, _running, usable_kernels
from tsm_edge.errors import InputError

PROVIDER = "CUDAExecutionProvider"
INSTALL = (
    "pip install onnxruntime-gpu in place of onnxruntime (on a Jetson: NVIDIA's wheel for its JetPack), "
    "or leave --device out"
)


def cuda_kernels(manifest):
    """Path of the custom-op library where it holds CUDA kernels for this model's shifts, else None.

    One built without CUDA (a wheel's) would take every shift through the host's memory; the function body does not.
    """
    path = usable_kernels(manifest, PROVIDER)
    if path is None:
        return None
    has_cuda = getattr(ctypes.CDLL(path), "tsm_edge_onnxruntime_has_cuda", None)
    return path if has_cuda is not None and has_cuda() else None


class OnnxRuntimeCudaEngine(OnnxRuntimeEngine):
    """The model at `path` on the first GPU. kernels: path of a custom-op library with CUDA kernels, or None.

    graphs: replay each step as a CUDA graph, captured at the first step of each buffer set. Off by default: no GPU has
    run it yet (`benchmarks/gpu_check.sh` does).
    place: where the buffers lie, "cuda" or, to run these very lines without a GPU (tests), "cpu".
    Raises InputError where this ONNX Runtime has no CUDA, or finds none; it never runs the network on the CPU instead.
    """

    backend = "onnxruntime-cuda"

    def __init__(self, path, manifest, threads=None, kernels=None, graphs=False, place="cuda"):
        if not hasattr(onnxruntime.OrtValue, "update_inplace"):
            raise _no_cuda("release {}, which cannot refill device memory".format(onnxruntime.__version__), "1.11")
        self.graphs, self.place = graphs and manifest.mode == "online", place  # clips lie at no fixed address
        if place == "cuda":
            self._prepare(manifest, kernels)
        self._free = {}  # streams: buffers whose state is gone; a captured graph lives as long as its session
        self._graph_count = 0
        super(OnnxRuntimeCudaEngine, self).__init__(path, manifest, threads, kernels)
        if place == "cuda" and self.session.get_providers()[0] != PROVIDER:
            raise _no_cuda(
                "{}, whose CUDA provider does not load here".format(onnxruntime.__version__),
                "CUDA and cuDNN of the versions that it is built for",
            )

    def _prepare(self, manifest, kernels):
        if PROVIDER not in onnxruntime.get_available_providers():
            raise _no_cuda("{}, without {}".format(onnxruntime.__version__, PROVIDER), "a build that has it")
        if hasattr(onnxruntime, "preload_dlls"):  # CUDA and cuDNN from their pip packages; it prints what it misses
            with contextlib.redirect_stdout(io.StringIO()):
                onnxruntime.preload_dlls()
        choices = {"device_id": "0"}
        if _version() >= (1, 18):
            choices["use_tf32"] = "0"  # float32 means float32: TF32 keeps 10 bits of it
        if self.graphs:
            choices["enable_cuda_graph"] = "1"
        self.providers = [(PROVIDER, choices)]
        if kernels or manifest.lowering != "custom":
            # A function body does arithmetic on shapes, which ONNX Runtime does on the CPU; else nothing may go there.
            self.settings = (("session.disable_cpu_ep_fallback", "1"),)

    def profiled(self, prefix):
        twin = super(OnnxRuntimeCudaEngine, self).profiled(prefix)
        twin._free = {}  # buffers are bound to their session
        return twin

    def transfer_times(self, copies):
        state, times = self.new_state(), []
        frames = np.zeros((1,) + self._frame_shape, np.float32)
        for _ in range(copies):
            begun = time.perf_counter()
            state.copy_in(frames)
            times.append(time.perf_counter() - begun)
        return times

    def close(self):
        self._free.clear()
        super(OnnxRuntimeCudaEngine, self).close()

    def _new_state(self, streams):
        return _DeviceState(self, streams)

    def _step(self, frames, state):
        return state.run(self.session, frames)

    def _next_graph(self):
        self._graph_count += 1
        return str(self._graph_count)


class _Buffers:
    """Device memory of `streams` streams: frame, logits, two sets of caches, and the runs from one set to the other."""

    def __init__(self, engine, streams):
        manifest = engine.manifest
        frame, classes = manifest.frame, manifest.arch.num_classes

        def on_device(shape, dtype):
            return onnxruntime.OrtValue.ortvalue_from_shape_and_type((streams,) + shape, dtype, engine.place, 0)

        self.frame = on_device((3, frame.height, frame.width), np.float32)
        self.logits = on_device((classes,), np.float32)
        self.caches = [[on_device(c.shape, np.dtype(c.dtype).type) for c in manifest.caches] for _ in range(2)]
        self.zeros = [np.zeros((streams,) + c.shape, c.dtype) for c in manifest.caches]
        self.runs = []
        for source, target in (self.caches, self.caches[::-1]):
            binding = engine.session.io_binding()
            binding.bind_ortvalue_input(FRAME, self.frame)
            binding.bind_ortvalue_output(LOGITS, self.logits)
            for spec, read, written in zip(manifest.caches, source, target):
                binding.bind_ortvalue_input(spec.input, read)
                binding.bind_ortvalue_output(spec.output, written)
            options = onnxruntime.RunOptions()
            if engine.graphs:
                options.add_run_config_entry("gpu_graph_id", engine._next_graph())
            self.runs.append((binding, options))


class _DeviceState(State):
    """Two sets of cache buffers on the device; a step swaps which is read and which is written.

    Buffers of a state that is gone serve the next one of as many streams.
    """

    def __init__(self, engine, streams):
        super(_DeviceState, self).__init__(engine.manifest, streams)
        free = engine._free.setdefault(streams, [])
        self._buffers = free.pop() if free else _Buffers(engine, streams)
        weakref.finalize(self, free.append, self._buffers).atexit = False
        self._now = 0
        self._clear(None)

    def copy_in(self, frames):
        self._buffers.frame.update_inplace(frames)

    def run(self, session, frames):
        self.copy_in(frames)
        binding, options = self._buffers.runs[self._now]
        _running(session.run_with_iobinding, binding, options)
        binding.synchronize_outputs()
        return np.array(self._buffers.logits.numpy())  # on the CPU that is a view of the buffer

    def _advance(self):
        self._now = 1 - self._now

    def _read(self):
        return [cache.numpy() for cache in self._buffers.caches[self._now]]

    def _write(self, caches):
        for buffer, cache in zip(self._buffers.caches[self._now], caches):
            buffer.update_inplace(np.ascontiguousarray(cache))

    def _clear(self, stream):
        if stream is None:
            self._write(self._buffers.zeros)
            return
        caches = self.snapshot()
        for cache in caches:
            cache[stream] = 0
        self._write(caches)


def _version():
    return tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])


def _no_cuda(got, expected):
    return InputError("device cuda", "ONNX Runtime " + got, expected, INSTALL)
