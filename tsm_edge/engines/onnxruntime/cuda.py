"""ONNX Runtime on an NVIDIA GPU. Caches stay there: two sets of buffers, each step reads one and writes the other.

A step copies the frames in and the outputs out, and allocates nothing on the GPU. Device memory is bound as ONNX
Runtime's guide "I/O Binding" says. There is one CUDA graph for each buffer set ("CUDA Execution Provider", run option
`gpu_graph_id`).
"""

import contextlib
import ctypes
import io
import itertools
import time
import weakref
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import onnxruntime

from tsm_edge.engines import load_manifest
from tsm_edge.engines.base import FRAME, Engine, EngineOptions, State, put_rows, take_rows
from tsm_edge.engines.onnxruntime.cpu import OnnxRuntimeEngine, run_checked, usable_kernels
from tsm_edge.errors import InputError
from tsm_edge.manifest import Manifest

PROVIDER = "CUDAExecutionProvider"
INSTALL = "pip install onnxruntime-gpu in place of onnxruntime (a Jetson: NVIDIA's wheel), or leave --device out"


def open_engine(path: str, options: EngineOptions) -> Engine:
    """Open the model at `path`. See `tsm_edge.engines.load_engine`."""
    manifest = load_manifest(path)
    return OnnxRuntimeCudaEngine(path, manifest, options.threads, cuda_kernels(manifest) if options.kernels else None)


def cuda_kernels(manifest: Manifest) -> Optional[str]:
    """Return the path of the custom-op library where it holds CUDA kernels for this model's shifts, else None.

    A library built without CUDA (that of a wheel) would take every shift through the host. The function body does not.
    """
    path = usable_kernels(manifest, PROVIDER)
    if path is None:
        return None
    has_cuda = getattr(ctypes.CDLL(path), "tsm_edge_onnxruntime_has_cuda", None)
    return path if has_cuda is not None and has_cuda() else None


class OnnxRuntimeCudaEngine(OnnxRuntimeEngine):
    """A model on the first GPU. The network never runs on the CPU instead.

    kernels: path of a custom-op library with CUDA kernels, or None. graphs: whether to replay each step as a CUDA
    graph, captured at the first step of each buffer set; off by default, because no GPU has run it yet
    (`benchmarks/gpu_check.sh` does). place: where the buffers lie, "cuda", or "cpu" to test this code without a GPU.
    Raises InputError where this ONNX Runtime has no CUDA, or finds none.
    """

    backend = "onnxruntime-cuda"

    def __init__(
        self,
        path: str,
        manifest: Manifest,
        threads: Optional[int] = None,
        kernels: Optional[str] = None,
        graphs: bool = False,
        place: str = "cuda",
    ) -> None:
        if not hasattr(onnxruntime.OrtValue, "update_inplace"):
            raise _no_cuda("release {}, which cannot refill device memory".format(onnxruntime.__version__), "1.11")
        self.graphs, self.place = graphs and manifest.mode == "online", place  # clips lie at no fixed address
        if place == "cuda":
            self._prepare(manifest, kernels)
        # Number of streams -> buffers whose state is gone. A captured graph lives as long as its session.
        self._free: Dict[int, List[_Buffers]] = {}
        self._graph_numbers = itertools.count(1)
        super().__init__(path, manifest, threads, kernels)
        if self.session.get_inputs()[0].shape[0] == 1:
            self.streams = (1, 1)
        if place == "cuda" and self.session.get_providers()[0] != PROVIDER:
            got = "{}, whose CUDA provider does not load here".format(onnxruntime.__version__)
            raise _no_cuda(got, "CUDA and cuDNN of the versions that it is built for")

    def _prepare(self, manifest: Manifest, kernels: Optional[str]) -> None:
        if PROVIDER not in onnxruntime.get_available_providers():
            raise _no_cuda("{}, without {}".format(onnxruntime.__version__, PROVIDER), "a build that has it")
        if hasattr(onnxruntime, "preload_dlls"):  # CUDA and cuDNN from their pip packages; it prints what it misses
            with contextlib.redirect_stdout(io.StringIO()):
                onnxruntime.preload_dlls()
        choices = {"device_id": "0"}
        if tuple(int(part) for part in onnxruntime.__version__.split(".")[:2]) >= (1, 18):
            choices["use_tf32"] = "0"  # float32 means float32: TF32 keeps 10 bits of it
        if self.graphs:
            choices["enable_cuda_graph"] = "1"
        self.providers = [(PROVIDER, choices)]
        if kernels or manifest.lowering != "custom":
            # A function body does arithmetic on shapes, which ONNX Runtime does on the CPU; else nothing may go there.
            self.settings = (("session.disable_cpu_ep_fallback", "1"),)

    def profiled(self, prefix: str) -> "OnnxRuntimeEngine":
        """Return this engine with a second session and separate buffers, because buffers are bound to a session."""
        twin: Any = super().profiled(prefix)
        twin._free = {}
        return twin

    def transfer_times(self, copies: int) -> List[float]:
        """Time `copies` copies of one frame to the GPU, in seconds."""
        state: Any = self.new_state()
        frames, times = np.zeros((1,) + self._frame_shape, np.float32), []
        for _ in range(copies):
            begun = time.perf_counter()
            state.copy_in(frames, range(1))
            times.append(time.perf_counter() - begun)
        return times

    def close(self) -> None:
        """Free the buffers and the session."""
        self._free.clear()
        super().close()

    def _new_state(self, streams: int) -> State:
        return _DeviceState(self, streams)

    def _step(self, frames: np.ndarray, state: Any, rows: Sequence[int]) -> Dict[str, np.ndarray]:
        return state.run(self.session, frames, rows)


class _Buffers:
    """Device memory of `streams` streams: frames, outputs, two sets of caches, and the runs from one set to the other.

    staging: frames on the host where not every stream has one.
    """

    def __init__(self, engine: OnnxRuntimeCudaEngine, streams: int) -> None:
        caches = engine.manifest.caches

        def on_device(shape: Tuple[int, ...], dtype: str) -> Any:
            kind, shape = np.dtype(dtype).type, (streams,) + tuple(shape)
            return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, kind, engine.place, 0)

        self.frame = on_device(engine._frame_shape, "float32")
        self.staging = np.zeros((streams,) + engine._frame_shape, np.float32)
        self.outputs = {spec.name: on_device(spec.shape, spec.dtype) for spec in engine.manifest.outputs}
        self.caches = [[on_device(c.shape, c.dtype) for c in caches] for _ in range(2)]
        self.zeros = [np.zeros((streams,) + c.shape, c.dtype) for c in caches]
        self.runs = []
        for source, target in (self.caches, self.caches[::-1]):
            binding = engine.session.io_binding()
            binding.bind_ortvalue_input(FRAME, self.frame)
            for name, value in self.outputs.items():
                binding.bind_ortvalue_output(name, value)
            for spec, read, written in zip(caches, source, target):
                binding.bind_ortvalue_input(spec.input, read)
                binding.bind_ortvalue_output(spec.output, written)
            options = onnxruntime.RunOptions()
            if engine.graphs:
                options.add_run_config_entry("gpu_graph_id", str(next(engine._graph_numbers)))
            self.runs.append((binding, options))


class _DeviceState(State):
    """Streams whose caches lie on the device. Buffers of a state that is gone serve the next one of as many streams."""

    def __init__(self, engine: OnnxRuntimeCudaEngine, streams: int) -> None:
        super().__init__(engine.manifest, streams)
        free = engine._free.setdefault(streams, [])
        self._buffers = free.pop() if free else _Buffers(engine, streams)
        weakref.finalize(self, free.append, self._buffers).atexit = False
        self._clear(0, None)

    def copy_in(self, frames: np.ndarray, rows: Sequence[int]) -> None:
        """Copy the frames of some streams to the device; zeros for the other streams."""
        if not isinstance(rows, range):
            put_rows(self._buffers.staging, frames, rows)
            frames = self._buffers.staging
        self._buffers.frame.update_inplace(frames)

    def run(self, session: Any, frames: np.ndarray, rows: Sequence[int]) -> Dict[str, np.ndarray]:
        """Step all streams in one run. Return the outputs of `rows`."""
        which = self.aligned()
        self.copy_in(frames, rows)
        binding, options = self._buffers.runs[which]
        run_checked(session.run_with_iobinding, binding, options)
        binding.synchronize_outputs()
        return {name: take_rows(value.numpy(), rows) for name, value in self._buffers.outputs.items()}

    def _read(self, which: int) -> List[np.ndarray]:
        return [cache.numpy() for cache in self._buffers.caches[which]]

    def _write(self, which: int, caches: Sequence[np.ndarray]) -> None:
        for buffer, cache in zip(self._buffers.caches[which], caches):
            buffer.update_inplace(np.ascontiguousarray(cache))

    def _clear(self, which: int, stream: Optional[int]) -> None:
        if stream is None:
            self._write(which, self._buffers.zeros)
        else:
            self._set_row(which, stream, [zeros[stream] for zeros in self._buffers.zeros])

    def _copy(self, stream: int, source: int, target: int) -> None:
        self._set_row(target, stream, [cache[stream] for cache in self._read(source)])

    def _set_row(self, which: int, stream: int, row: Sequence[np.ndarray]) -> None:
        """Replace the caches of one stream, through the host: ONNX Runtime has no copy of a part of a buffer."""
        caches = [np.array(cache) for cache in self._read(which)]
        for cache, new in zip(caches, row):
            cache[stream] = new
        self._write(which, caches)


def _no_cuda(got: str, expected: str) -> InputError:
    return InputError("device cuda", "ONNX Runtime " + got, expected, INSTALL)
