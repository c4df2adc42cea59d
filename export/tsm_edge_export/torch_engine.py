"""A network as an engine in torch: the reference on a GPU, with CUDA graphs, channels last and, if asked, float16.

One CUDA graph a buffer set: a graph replays fixed addresses, so one reads the first set of caches and writes the
second, the other the reverse, and a step launches them in turn. Caches never leave the device. On the CPU the same
lines run without graphs.
"""

import ctypes

import numpy as np
import onnx
import torch

from tsm_edge.engines import load_manifest
from tsm_edge.engines.base import Engine, State
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.native import library as kernel_library
from tsm_edge.native.kernels import LAYOUTS, Tensor
from tsm_edge_export.models.shift import NoShift
from tsm_edge_export.onnx_export import network_of

LANES = 8  # of the layout that channels-last tensors have for our kernels, when their channels divide by it
WARM_UP = 3  # steps before a capture: cuDNN chooses its algorithms in the first, as torch's guide to CUDA graphs asks


def load_torch_engine(path, device="cpu", half=False, kernels=True, graphs=True):
    """The exported model at `path` (*.onnx) as a :class:`TorchEngine`. kernels: use our CUDA library where it is built.

    Raises InputError for a file that is not a model of ours and for a device that torch does not have.
    """
    manifest = load_manifest(path)
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise InputError("device", device, "a GPU that torch can use; there is none", "take --device cpu")
    library = kernel_library.find("cuda") if kernels and torch.device(device).type == "cuda" else None
    network = network_of(onnx.load(path), manifest, path)
    return TorchEngine(network, manifest, path, device, half, CudaShift(library) if library else None, graphs)


class TorchEngine(Engine):
    """A network as an engine.

    network: tsm_edge_export.models.Network; taken over: in eval mode, on `device` and in channels-last order from here
    on, in float16 where `half`. manifest: says what to run it as; one with direction "none" and no caches steps the 2D
    network. device: "cpu", "cuda" or "cuda:1". shift: a CudaShift to move the folds with, None for torch's own copies.
    graphs: replay CUDA graphs on a GPU. Frames come and logits go in float32; caches are the manifest's type outside,
    the network's inside.
    """

    backend = "torch"

    def __init__(self, network, manifest, where, device="cpu", half=False, shift=None, graphs=True):
        super().__init__(manifest, where)
        self.device, self.dtype = torch.device(device), torch.float16 if half else torch.float32
        self.network = network.eval().requires_grad_(False).to(self.device, self.dtype)
        self.network.to(memory_format=torch.channels_last)
        self.shift, self.graphs = shift, graphs and self.device.type == "cuda"
        self.shift_by = "torch copies" if shift is None else "kernel library"
        self.stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        self.pool = torch.cuda.graph_pool_handle() if self.graphs else None

    def close(self):
        self.network = self.pool = None

    def as_input(self, frames):
        """Float32 frames on the device, as the network takes them."""
        return frames.to(self.dtype).contiguous(memory_format=torch.channels_last)

    def settings(self):
        """What cuDNN may do: the fastest algorithms it finds, but float32 means float32 (TF32 keeps 10 bits of it)."""
        return torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=False)

    def _new_state(self, streams):
        return _TorchState(self, streams)

    def _step(self, frames, state):
        return state.run(frames)

    @torch.inference_mode()
    def _clip(self, frames):
        clips = torch.tensor(frames, device=self.device)
        flat = self.as_input(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
        with self.settings():
            logits = self.network.clip(flat, self.manifest.shift.direction, "standard")
        return logits.float().mean(1).cpu().numpy()


class _TorchState(State):
    """Two sets of caches on the device, and for each the graph that reads it and writes the other.

    staging: (N, 3, H, W) float32 on the host, pinned on a GPU. Frames that the caller wrote there and passes to `step`
    as they are, are not copied on the host (`Preprocessor(out=state.staging[n])`).
    """

    def __init__(self, engine, streams):
        super().__init__(engine.manifest, streams)
        self._engine, self._now = engine, 0
        on_gpu = engine.stream is not None
        host = {"dtype": torch.float32, "pin_memory": on_gpu}
        shape = (streams, *engine._frame_shape)
        self._staging, self.frame = torch.zeros(shape, **host), torch.zeros(shape, device=engine.device)
        self.staging = self._staging.numpy()
        classes = (streams, engine.manifest.arch.num_classes)
        self._answer, self.logits = torch.zeros(classes, **host), torch.zeros(classes, device=engine.device)
        self.caches = [[_cache(spec, streams, engine) for spec in self.manifest.caches] for _ in range(2)]
        if on_gpu:
            torch.cuda.synchronize(engine.device)  # the zeros above were queued on another stream
        self.replays = [self._captured(now) for now in range(2)] if engine.graphs else None
        self._clear(None)  # the warm-up wrote both sets

    def run(self, frames):
        """Logits (N, classes) of frames on the host, a new array; writes the caches that are not the current ones."""
        if frames is not self.staging:
            np.copyto(self.staging, frames)
        if self._engine.stream is None:
            self.frame.copy_(self._staging)
            self.compute(self._now)
            self._answer.copy_(self.logits)
        else:
            with torch.cuda.stream(self._engine.stream):
                self.frame.copy_(self._staging, non_blocking=True)
                self.launch(self._now)
                self._answer.copy_(self.logits, non_blocking=True)
                self._engine.stream.synchronize()
        return self._answer.numpy().copy()

    def launch(self, now):
        """Queue the step that reads cache set `now` on the current stream."""
        if self.replays is None:
            self.compute(now)
        else:
            self.replays[now].replay()

    @torch.inference_mode()
    def compute(self, now):
        engine = self._engine
        with engine.settings():
            shift = _Shift(self.caches[now], self.caches[1 - now], engine.shift) if self.caches[now] else NoShift()
            self.logits.copy_(engine.network(engine.as_input(self.frame), shift))

    def _captured(self, now):
        stream, graph = self._engine.stream, torch.cuda.CUDAGraph()
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self.compute(now)
        stream.synchronize()
        with torch.cuda.graph(graph, pool=self._engine.pool, stream=stream):
            self.compute(now)
        return graph

    def _advance(self):
        self._now = 1 - self._now

    def _read(self):
        pairs = zip(self.caches[self._now], self.manifest.caches, strict=True)
        return [
            np.ascontiguousarray(cache[:, : spec.shape[0]].cpu().numpy()).astype(spec.dtype) for cache, spec in pairs
        ]

    def _write(self, caches):
        for cache, new in zip(self.caches[self._now], caches, strict=True):
            cache[:, : new.shape[1]] = torch.tensor(new, device=cache.device).to(cache.dtype)
        self._settle()

    def _clear(self, stream):
        for cache in self.caches[self._now]:
            cache[slice(None) if stream is None else stream] = 0
        self._settle()

    def _settle(self):
        """What was written on torch's own stream must be there before the engine's reads it."""
        if self._engine.stream is not None:
            torch.cuda.current_stream(self._engine.device).synchronize()


def _cache(spec, streams, engine):
    """A cache in channels-last order, its channels rounded up to whole lanes: the layout HWC8 of our kernels."""
    fold, height, width = spec.shape
    lanes = -(-fold // LANES) * LANES
    zeros = torch.zeros((streams, lanes, height, width), dtype=engine.dtype, device=engine.device)
    return zeros.contiguous(memory_format=torch.channels_last)


class _Shift:
    """One step of all shifts of a network, from one set of caches into the other."""

    def __init__(self, read, written, kernel):
        self._pairs, self._kernel = iter(zip(read, written, strict=True)), kernel

    def __call__(self, x, fold):
        cache, following = next(self._pairs)
        if self._kernel is not None and x.shape[1] % LANES == 0:
            return self._kernel(x.contiguous(memory_format=torch.channels_last), fold, cache, following)
        following[:, :fold] = x[:, :fold]
        return torch.cat([cache[:, :fold], x[:, fold:]], 1)


class CudaShift:
    """The step by libtsm_edge_cuda.so (kernels/cuda/c_api.h), one launch on torch's current stream.

    path: the library. Raises InputError where it cannot be loaded.
    """

    def __init__(self, path):
        try:
            self._library = ctypes.CDLL(str(path))
            self._step = self._library.tsm_edge_cuda_shift_step
        except (OSError, AttributeError) as error:
            raise InputError(path, error, "libtsm_edge_cuda.so", "run `make kernels` again") from error
        self._library.tsm_edge_cuda_fault.restype = ctypes.c_char_p

    def __call__(self, x, fold, cache, following):
        """y for x (N, C, H, W), and the next cache into `following`; both caches (N, F in whole lanes of 8, H, W).

        All in channels-last order, C a multiple of 8. Raises TsmEdgeError where the launch fails.
        """
        y = torch.empty_like(x)
        tensor = Tensor(*x.shape, LAYOUTS.index("hwc8"), x.element_size())
        pointers = [ctypes.c_void_p(t.data_ptr()) for t in (x, cache, y, following)]
        stream = ctypes.c_void_p(torch.cuda.current_stream(x.device).cuda_stream if x.is_cuda else None)
        fault = self._step(ctypes.byref(tensor), ctypes.c_int64(fold), *pointers, stream)
        if fault:
            raise TsmEdgeError("CUDA shift: " + self._library.tsm_edge_cuda_fault(fault).decode())
        return y
