"""TensorRT on an NVIDIA GPU. Caches never leave it: each step reads one set of buffers and writes the other.

Every copy, run and reset goes through one stream of the engine, which the default stream has no part in, and no call is
made on the default stream. So an engine may be used in one thread while another engine is captured in another thread.

A step copies the frames to pinned memory, launches one CUDA graph (copy in, network, copy out; one graph for each
buffer set) and waits. Where the driver has no graphs, or the engine cannot be captured, the same calls are made one by
one. After `new_state`, a stream allocates nothing but the outputs that a step returns.
"""

import contextlib
import functools
import time
import weakref
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from tsm_edge.engines.base import FRAME, FRAMES, Engine, EngineOptions, LayerTimes, State, put_rows, take_rows
from tsm_edge.engines.tensorrt import compat as trt_compat
from tsm_edge.engines.tensorrt.cuda_device import Block, Device, open_device
from tsm_edge.engines.tensorrt.cuda_graph import CudaError, Graphs
from tsm_edge.engines.tensorrt.record import check_record, read_record
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.native import library as kernel_library


def open_engine(path: str, options: EngineOptions) -> Engine:
    """Open the engine at `path`. It takes no options: how it runs was decided when it was built."""
    del options
    return TensorRTEngine(path)


class TensorRTEngine(Engine):
    """An engine that `tsm-edge build` built on this machine.

    Raises InputError for an engine that is damaged, stale or for another machine, before TensorRT sees it.

    Args:
        compat: the TensorRT to use; None for the installed one.
        graphs: whether steps run as CUDA graphs, where the driver has them and the engine can be captured.

    Attributes:
        why_no_graph: None while steps run as CUDA graphs, else the reason (after the first `new_state`).
    """

    backend = "tensorrt"

    def __init__(self, path: str, compat: Optional[trt_compat.TensorRT] = None, graphs: bool = True) -> None:
        self.record = read_record(path)
        super().__init__(self.record.manifest, path)
        self.compat = compat or trt_compat.load()
        self.device = open_device()
        plugin = kernel_library.find("tensorrt") if self.record.lowering == "plugin" else None
        check_record(self.record, path, self.compat.version, gpu_of(self.device), plugin)
        self.shift_by = {"plugin": "plugin", "standard": "standard operations"}[self.record.lowering]
        self.log = self.compat.log()
        with open(path, "rb") as file:
            plan = file.read()
        with self.device:
            if plugin is not None:
                self.compat.load_plugins(plugin)
            self.plan: Any = trt_compat.Plan(self.compat, plan, path, self.log, self.record.command)
            specs = [(name, tensor.shape[1:], tensor.dtype) for name, tensor in self.plan.tensors.items()]
            inputs, outputs = ([s for s in specs if self.plan.tensors[s[0]].is_input is side] for side in (True, False))
            self._check_signature(inputs, outputs, self.record.command)
            self.streams = self.plan.streams()
            self.stream: Any = self.device.new_stream()
            self.shared_context = self.plan.context() if self.plan.one_context else None
        self.graphs: Optional[Graphs] = None
        self.why_no_graph = self._choose_graphs() if graphs else "not asked for"
        self._states: "weakref.WeakSet[_DeviceState]" = weakref.WeakSet()
        self._clip_state: Optional[_DeviceState] = None

    def close(self) -> None:
        """Free everything on the GPU, the states' memory included. A second call does nothing."""
        if self.plan is None:
            return
        for state in list(self._states):
            state.close()
        with self.device:
            self.shared_context = self.plan = self.stream = self._clip_state = None

    def device_bytes(self) -> int:
        """Return the bytes of all states together: their buffers, and their contexts (or their shared context)."""
        live = [state for state in self._states if state.close.alive]
        contexts = len(live) if self.shared_context is None else 1
        return sum(state.block.size for state in live) + contexts * self.plan.context_bytes()

    def bindings(self) -> List[Dict[str, Any]]:
        """Return what TensorRT and the engine say of each input and output, for the fewest streams. Nothing runs.

        A row has "name", "side", "dtype", "shape", "format", "layout" (TensorRT's words for the format), "bytes" of the
        engine's buffer, and "stated_bytes" by TensorRT's strides, None where it states none.
        """
        with self.device:
            state = _DeviceState(self, self.streams[0])
            try:
                return state.describe_buffers()
            finally:
                state.close()

    def transfer_times(self, copies: int) -> List[float]:
        """Time `copies` copies of one frame to the GPU, in seconds."""
        with contextlib.closing(self._new_device_state(self.streams[0], graphs=None)) as state:
            frames = np.zeros_like(state.frame)
            return [state.copy_in(frames) for _ in range(copies)]

    def layer_times(self, warm_up: int, steps: int) -> LayerTimes:
        """Time the layers by TensorRT's profiler, on noise, for the fewest streams that the engine takes.

        Timed layers run one by one, without a graph, so their sum is more than a step takes. TensorRT names a layer
        after its node ("/features.3/Concat_1") and not after its op; here the op is the end of that name. Raises
        InputError for an engine with one context for several numbers of streams.
        """
        if self.plan.one_context:
            got = "an engine for {} to {} streams on TensorRT {}".format(*self.streams, self.compat.version)
            expected, do = "an engine for one number of streams", "build it with --streams N"
            raise InputError("{}: layer times".format(self.where), got, expected, do)
        profiler = trt_compat.layer_profiler(self.compat)
        with contextlib.closing(self._new_device_state(self.streams[0], graphs=None)) as state:
            rows = range(state.streams)
            frames = np.random.RandomState(0).randn(*state.frame.shape).astype(np.float32)
            for _ in range(warm_up):
                state.run(frames, rows)
            with self.device:
                state.contexts[0].report_layers_to(profiler)
            begun = time.perf_counter()
            for _ in range(steps):
                state.run(frames, rows)
            step = (time.perf_counter() - begun) / steps
        op_of = {name: name.split("/")[-1].rstrip("_0123456789") for name in profiler.times}
        measured = [(name, op_of[name], 1e-3 * total / steps) for name, total in profiler.times.items()]
        return LayerTimes("TensorRT", measured, steps, step)

    def _choose_graphs(self) -> Optional[str]:
        """Set `graphs`, or return why there are none."""
        if self.shared_context is not None:
            return "TensorRT {} has one context for an engine of several sizes".format(self.compat.version)
        try:
            self.graphs = Graphs()
        except CudaError as error:
            return str(error)
        return None

    def _command_for(self, streams: int) -> str:
        return "build it for them: {} --streams {}".format(self.record.command.split(" --streams")[0], streams)

    def _new_device_state(self, streams: int, graphs: Optional[Graphs]) -> "_DeviceState":
        with self.device:
            state = _DeviceState(self, streams)
            self._states.add(state)
            try:
                state.check_sizes(self.where, self.record.command)
                state.warm_up()
                if graphs is not None:
                    self.why_no_graph = state.capture(graphs)
            except BaseException:
                state.close()
                raise
        return state

    def _new_state(self, streams: int) -> State:
        return self._new_device_state(streams, self.graphs)

    def _step(self, frames: np.ndarray, state: Any, rows: Sequence[int]) -> Dict[str, np.ndarray]:
        return state.run(frames, rows)

    def _clip(self, frames: np.ndarray) -> Dict[str, np.ndarray]:
        n = frames.shape[0]
        self._need_streams(n)
        if self._clip_state is None or self._clip_state.streams != n:
            if self._clip_state is not None:
                self._clip_state.close()
            self._clip_state = self._new_device_state(n, self.graphs)
        return self._clip_state.run(frames, range(n))


def gpu_of(device: Device) -> Tuple[str, str]:
    """Return (name, compute capability) as an engine's record holds them."""
    return device.name, "{}.{}".format(*device.compute_capability)


class _DeviceState(State):
    """Streams, or clips, whose memory lies on the GPU: frames, outputs, and two sets of caches.

    `close` gives all memory back; so does forgetting a state. `describe_buffers`, `check_sizes`, `warm_up` and
    `capture` need the device's context to be current. The other methods make it current themselves.
    """

    def __init__(self, engine: TensorRTEngine, streams: int) -> None:
        super().__init__(engine.manifest, streams)
        self.device, self.stream, self.driver = engine.device, engine.stream, engine.device.driver
        caches, outputs, tensors = self.manifest.caches, self.manifest.outputs, engine.plan.tensors
        frame_name = FRAME if self.manifest.mode == "online" else FRAMES
        pinned = self.driver.pagelocked_empty  # asynchronous copies need pinned memory
        self.frame = pinned((streams,) + tensors[frame_name].shape[1:], np.float32)
        self.outputs = {o.name: pinned((streams,) + o.shape, o.dtype) for o in outputs}
        self.contexts = [engine.shared_context or engine.plan.context()]  # one, until it is given back
        self.graphs: List[Any] = [None, None]
        self._bytes = [int(np.prod(c.shape)) * np.dtype(c.dtype).itemsize for c in caches]  # of one stream
        hosts = [self.frame, *self.outputs.values()]
        sizes = [array.nbytes for array in hosts] + 2 * [streams * size for size in self._bytes]
        self.block = Block(self.driver, sizes)
        self.close = weakref.finalize(self, _release, self.device, self.stream, self.block, self.graphs, self.contexts)
        places, at = self.block.at[: len(hosts)], self.block.at[len(hosts) :]
        self._at_frame, self._at_outputs = places[0], places[1:]
        self._at_caches = [at[: len(caches)], at[len(caches) :]]
        self._sizes = dict(zip([frame_name, *self.outputs], (array.nbytes for array in hosts)))
        for cache, size in zip(caches, self._bytes):
            self._sizes[cache.input] = self._sizes[cache.output] = streams * size
        self._addresses = []
        for read, written in (self._at_caches, self._at_caches[::-1]):
            address = dict(zip([frame_name, *self.outputs], places))
            address.update(zip((c.input for c in caches), read))
            address.update(zip((c.output for c in caches), written))
            self._addresses.append([address[name] for name in tensors])

    def check_sizes(self, where: str, do: str) -> None:
        """Raise InputError where TensorRT would read or write past one of the buffers."""
        for row in self.describe_buffers():
            stated, size = row["stated_bytes"], row["bytes"]
            if stated is not None and stated > size:
                got, expected = "{} bytes, by TensorRT's strides".format(stated), "at most {} bytes".format(size)
                raise InputError("{}: buffer of {}".format(where, row["name"]), got, expected, do)

    def describe_buffers(self) -> List[Dict[str, Any]]:
        """Return the rows of `TensorRTEngine.bindings`."""
        context, rows = self.contexts[0], []
        context.set_sizes(self.streams)
        for name, tensor in context.plan.tensors.items():
            row = {"name": name, "side": "input" if tensor.is_input else "output", "dtype": tensor.dtype}
            row.update(shape=list(tensor.shape), format=tensor.format, layout=context.plan.format_text(name))
            rows.append(dict(row, bytes=self._sizes[name], stated_bytes=context.stated_bytes(name)))
        return rows

    def warm_up(self) -> None:
        """Run once from each set: TensorRT loads its kernels, and is ready to be captured. Ends with zero caches."""
        self.frame[...] = 0
        for step in (self._clear, self._enqueue, self._clear):
            for which in (0, 1):
                step(which)

    def capture(self, graphs: Graphs) -> Optional[str]:
        """Capture a run from each set as a CUDA graph. Return None, or why this engine cannot be captured."""
        try:
            for which in (0, 1):
                self.graphs[which] = graphs.capture(self.stream.handle, functools.partial(self._enqueue, which))
        except (TsmEdgeError, self.driver.Error) as error:
            _close(self.graphs)
            self.warm_up()  # raises where the failed capture broke more than itself
            return str(error)
        return None

    def run(self, frames: np.ndarray, rows: Sequence[int]) -> Dict[str, np.ndarray]:
        """Step all streams in one run. Return the outputs of `rows`, to which the frames belong."""
        which = self.aligned()
        with self.device:
            put_rows(self.frame, frames, rows)
            graph = self.graphs[which]
            if graph is not None:
                graph.launch(self.stream.handle)
            else:
                self._enqueue(which)
            self.stream.synchronize()
            return {name: take_rows(array, rows) for name, array in self.outputs.items()}

    def copy_in(self, frames: np.ndarray) -> float:
        """Copy frames to the GPU and do nothing with them. Return the seconds that it took."""
        begun = time.perf_counter()
        with self.device:
            np.copyto(self.frame, frames)
            self.driver.memcpy_htod_async(self._at_frame, self.frame, self.stream)
            self.stream.synchronize()
        return time.perf_counter() - begun

    def _enqueue(self, which: int) -> None:
        self.contexts[0].set_sizes(self.streams)
        self.driver.memcpy_htod_async(self._at_frame, self.frame, self.stream)
        self.contexts[0].enqueue(self._addresses[which], self.stream.handle)
        for array, address in zip(self.outputs.values(), self._at_outputs):
            self.driver.memcpy_dtoh_async(array, address, self.stream)

    def _read(self, which: int) -> List[np.ndarray]:
        out = [np.empty((self.streams,) + c.shape, c.dtype) for c in self.manifest.caches]
        with self.device:
            for array, address in zip(out, self._at_caches[which]):
                self.driver.memcpy_dtoh_async(array, address, self.stream)
            self.stream.synchronize()
        return out

    def _write(self, which: int, caches: Sequence[np.ndarray]) -> None:
        arrays = [np.ascontiguousarray(array) for array in caches]  # kept until they are copied
        with self.device:
            for array, address in zip(arrays, self._at_caches[which]):
                self.driver.memcpy_htod_async(address, array, self.stream)
            self.stream.synchronize()

    def _clear(self, which: int, stream: Optional[int] = None) -> None:
        first, count = (0, self.streams) if stream is None else (stream, 1)
        with self.device:
            for size, address in zip(self._bytes, self._at_caches[which]):  # float zero is all bits zero
                self.driver.memset_d8_async(address + first * size, 0, count * size, self.stream)
            self.stream.synchronize()

    def _copy(self, stream: int, source: int, target: int) -> None:
        """Queue the copies before the runs that follow on the CUDA stream."""
        with self.device:
            for size, read, written in zip(self._bytes, self._at_caches[source], self._at_caches[target]):
                self.driver.memcpy_dtod_async(written + stream * size, read + stream * size, size, self.stream)


def _release(device: Device, stream: Any, block: Block, graphs: List[Any], contexts: List[Any]) -> None:
    """Give the memory of a state back. Must not refer to the state itself, whose end calls it."""
    with device:
        try:
            stream.synchronize()  # what it still has to do may use the block
        finally:
            _close(graphs)
            contexts.clear()
            block.free()


def _close(graphs: List[Any]) -> None:
    for which, graph in enumerate(graphs):
        graphs[which] = None
        if graph is not None:
            graph.close()
