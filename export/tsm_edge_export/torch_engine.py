"""A network as an engine in torch: the reference on a GPU, with CUDA graphs, channels last and, if asked, float16.

There is one CUDA graph for each buffer set, since a graph replays fixed addresses: one reads the first set of caches
and writes the second, the other the reverse. Caches never leave the device. The CPU runs the same lines without graphs.
"""

import contextlib
import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch

from tsm_edge.engines import load_manifest
from tsm_edge.engines.base import Engine, State, put_rows, take_rows
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.manifest import CacheSpec, Manifest
from tsm_edge.native import library as kernel_library
from tsm_edge_export.models import Network
from tsm_edge_export.models.shift import NoShift
from tsm_edge_export.onnx_export import network_of

LANES = 8  # channels side by side in layout HWC8, as our kernels take channels-last tensors
HWC8 = 1  # TSM_EDGE_HWC8 of kernels/cuda/c_api.h
WARM_UP_STEPS = 3  # before a capture: cuDNN chooses its algorithms in the first (torch's guide to CUDA graphs)


def load_torch_engine(
    path: Any, device: str = "cpu", half: bool = False, kernels: bool = True, graphs: bool = True
) -> "TorchEngine":
    """Open an exported model, *.onnx, as a :class:`TorchEngine`. kernels: use our CUDA library where it is built.

    Raises InputError for a file that is not a model of ours and for a device that torch does not have.
    """
    manifest = load_manifest(path)
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise InputError("device", device, "a GPU that torch can use; there is none", "take --device cpu")
    library = kernel_library.find("cuda") if kernels and torch.device(device).type == "cuda" else None
    network = network_of(onnx.load(path), manifest, path)
    return TorchEngine(network, manifest, path, device, half, CudaShift(library) if library else None, graphs)


class TorchEngine(Engine):
    """A network as an engine. Frames, outputs and snapshots have the dtypes of the manifest, not of the network.

    network: taken over: from here on in eval mode, on `device`, channels last, and in float16 where `half`.
    manifest: how to run the network; one with direction "none" and no caches steps the 2D network.
    device: "cpu", "cuda" or "cuda:1". shift: moves the folds, None for torch's copies. graphs: replay them on a GPU.
    """

    backend = "torch"
    trained_direction: str | None = None  # of the weights, where the network may run in another one

    def __init__(
        self,
        network: Network,
        manifest: Manifest,
        where: Any,
        device: str = "cpu",
        half: bool = False,
        shift: "CudaShift | None" = None,
        graphs: bool = True,
    ) -> None:
        super().__init__(manifest, where)
        self.device, self.dtype = torch.device(device), torch.float16 if half else torch.float32
        network.eval().requires_grad_(False).to(self.device, self.dtype)
        self.network: Any = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.shift, self.graphs = shift, graphs and self.device.type == "cuda"
        self.shift_by = "torch copies" if shift is None else "kernel library"
        self.stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        self.pool = torch.cuda.graph_pool_handle() if self.graphs else None

    def close(self) -> None:
        """Drop the network."""
        self.network = self.pool = None

    def as_input(self, frames: torch.Tensor) -> torch.Tensor:
        """Return float32 frames on the device as the network takes them."""
        return frames.to(self.dtype).contiguous(memory_format=torch.channels_last)

    def settings(self) -> contextlib.AbstractContextManager:
        """Let cuDNN take its fastest algorithms, but keep float32 (TF32 keeps 10 bits of it)."""
        return torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=False)

    def _new_state(self, streams: int) -> State:
        return _TorchState(self, streams)

    def _step(self, frames: np.ndarray, state: Any, rows: Sequence[int]) -> dict[str, np.ndarray]:
        return state.run(frames, rows)

    @torch.inference_mode()
    def _clip(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        clips = torch.tensor(frames, device=self.device)
        flat = self.as_input(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
        with self.settings():
            outputs = self.network.clip(flat, self.manifest.shift.direction, "standard")
        specs = zip(self.manifest.outputs, outputs, strict=True)
        return {spec.name: output.float().mean(1).cpu().numpy().astype(spec.dtype) for spec, output in specs}


class _TorchState(State):
    """Streams whose caches lie in two sets on the device, and for each set the graph that reads it.

    staging: (N, 3, H, W) float32 on the host, pinned on a GPU. Frames that the caller writes there and passes to `step`
    as they are, are not copied on the host (`Preprocessor(out=state.staging[n])`).
    """

    def __init__(self, engine: TorchEngine, streams: int) -> None:
        super().__init__(engine.manifest, streams)
        self._engine = engine
        on_gpu = engine.stream is not None

        def pair(shape: tuple[int, ...], dtype: str) -> tuple[torch.Tensor, torch.Tensor]:
            host = torch.zeros((streams, *shape), dtype=getattr(torch, dtype), pin_memory=on_gpu)
            return host, host.to(engine.device, copy=True)

        self._staging, self.frame = pair(engine._frame_shape, "float32")
        self.staging = self._staging.numpy()
        self.outputs = {spec.name: pair(spec.shape, spec.dtype) for spec in self.manifest.outputs}
        self.caches = [[_cache(spec, streams, engine) for spec in self.manifest.caches] for _ in range(2)]
        if on_gpu:
            torch.cuda.synchronize(engine.device)  # the zeros above were queued on another stream
        self.replays = [self._captured(which) for which in range(2)] if engine.graphs else None
        self._clear(0, None)  # the warm-up wrote both sets

    def run(self, frames: np.ndarray, rows: Sequence[int]) -> dict[str, np.ndarray]:
        """Step all streams in one run. Return the outputs of `rows`, to which the frames belong."""
        which, stream = self.aligned(), self._engine.stream
        if frames is not self.staging or not isinstance(rows, range):
            put_rows(self.staging, frames, rows)
        with torch.cuda.stream(stream) if stream is not None else contextlib.nullcontext():
            self.frame.copy_(self._staging, non_blocking=True)
            self.launch(which)
            for host, output in self.outputs.values():
                host.copy_(output, non_blocking=True)
        if stream is not None:
            stream.synchronize()
        return {name: take_rows(host.numpy(), rows) for name, (host, _) in self.outputs.items()}

    def launch(self, which: int) -> None:
        """Queue the step that reads cache set `which` on the current stream."""
        if self.replays is None:
            self.compute(which)
        else:
            self.replays[which].replay()

    @torch.inference_mode()
    def compute(self, which: int) -> None:
        """Run the network from cache set `which` into the other set."""
        engine = self._engine
        with engine.settings():
            read, written = self.caches[which], self.caches[1 - which]
            shift = _Shift(read, written, engine.shift) if read else NoShift()
            outputs = engine.network(engine.as_input(self.frame), shift)
            for (_, kept), output in zip(self.outputs.values(), outputs, strict=True):
                kept.copy_(output)

    def _captured(self, which: int) -> Any:
        stream, graph = self._engine.stream, torch.cuda.CUDAGraph()
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                self.compute(which)
        torch.cuda.synchronize(self._engine.device)
        with torch.cuda.graph(graph, pool=self._engine.pool, stream=stream):
            self.compute(which)
        return graph

    def _read(self, which: int) -> list[np.ndarray]:
        pairs = zip(self.caches[which], self.manifest.caches, strict=True)
        return [cache[:, : spec.shape[0]].cpu().numpy().astype(spec.dtype, "C") for cache, spec in pairs]

    def _write(self, which: int, caches: Sequence[np.ndarray]) -> None:
        for cache, new in zip(self.caches[which], caches, strict=True):
            cache[:, : new.shape[1]] = torch.tensor(new, device=cache.device).to(cache.dtype)
        self._settle()

    def _clear(self, which: int, stream: int | None) -> None:
        for cache in self.caches[which]:
            cache[slice(None) if stream is None else stream] = 0
        self._settle()

    def _copy(self, stream: int, source: int, target: int) -> None:
        for read, written in zip(self.caches[source], self.caches[target], strict=True):
            written[stream].copy_(read[stream])
        self._settle()

    def _settle(self) -> None:
        """Wait for what was written on torch's own stream, before the engine's stream reads it."""
        if self._engine.stream is not None:
            torch.cuda.current_stream(self._engine.device).synchronize()


def _cache(spec: CacheSpec, streams: int, engine: TorchEngine) -> torch.Tensor:
    """Return a cache in channels-last order, its channels rounded up to whole lanes: the layout HWC8 of our kernels."""
    fold, height, width = spec.shape
    lanes = -(-fold // LANES) * LANES
    zeros = torch.zeros((streams, lanes, height, width), dtype=engine.dtype, device=engine.device)
    return zeros.contiguous(memory_format=torch.channels_last)


class _Shift:
    """One step of all shifts of a network, from one set of caches into the other."""

    def __init__(self, read: list[torch.Tensor], written: list[torch.Tensor], kernel: "CudaShift | None") -> None:
        self._pairs, self._kernel = iter(zip(read, written, strict=True)), kernel

    def __call__(self, x: torch.Tensor, fold: int) -> torch.Tensor:
        cache, following = next(self._pairs)
        if self._kernel is not None and x.shape[1] % LANES == 0:
            return self._kernel(x.contiguous(memory_format=torch.channels_last), fold, cache, following)
        following[:, :fold] = x[:, :fold]
        return torch.cat([cache[:, :fold], x[:, fold:]], 1)


class _TensorSpec(ctypes.Structure):
    """tsm_edge_tensor of kernels/cuda/c_api.h."""

    _fields_ = [(name, ctypes.c_int64) for name in "nchw"]
    _fields_ += [("layout", ctypes.c_int32), ("element_size", ctypes.c_int32)]


class CudaShift:
    """The step by libtsm_edge_cuda.so (kernels/cuda/c_api.h), one launch on torch's current stream.

    path: the library. Raises InputError where it cannot be loaded.
    """

    def __init__(self, path: Any) -> None:
        try:
            self._library = ctypes.CDLL(str(path))
            self._step = self._library.tsm_edge_cuda_shift_step
        except (OSError, AttributeError) as error:
            raise InputError(path, error, "libtsm_edge_cuda.so", "run `make kernels` again") from error
        self._library.tsm_edge_cuda_fault.restype = ctypes.c_char_p

    def __call__(self, x: torch.Tensor, fold: int, cache: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        """Return y for x (N, C, H, W), and write the next cache into `following`.

        All tensors are in channels-last order. C is a multiple of 8, and the caches are (N, fold rounded up to a
        multiple of 8, H, W). Raises TsmEdgeError where the launch fails.
        """
        y = torch.empty_like(x)
        tensor = _TensorSpec(*x.shape, HWC8, x.element_size())
        pointers = [ctypes.c_void_p(t.data_ptr()) for t in (x, cache, y, following)]
        stream = ctypes.c_void_p(torch.cuda.current_stream(x.device).cuda_stream if x.is_cuda else None)
        fault = self._step(ctypes.byref(tensor), ctypes.c_int64(fold), *pointers, stream)
        if fault:
            raise TsmEdgeError("CUDA shift: " + self._library.tsm_edge_cuda_fault(fault).decode())
        return y
