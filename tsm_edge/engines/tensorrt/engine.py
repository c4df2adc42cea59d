"""TensorRT on an NVIDIA GPU. Caches never leave it: each step reads one set of buffers and writes the other.

A step copies the frame to pinned memory, gives the GPU one CUDA graph (copy in, network, copy out; one graph for each
buffer set) and waits. Where the driver has no graphs, or the engine cannot be captured, the same calls are made one by
one. Nothing is allocated between `new_state` and the end of a stream but the logits that a step returns.

`compat` knows the releases of TensorRT, `cuda_device` pycuda, `cuda_graph` graphs.
"""

import contextlib
import time
import weakref

import numpy as np

from tsm_edge.engines.base import FRAME, FRAMES, LOGITS, Engine, LayerTimes, State
from tsm_edge.engines.tensorrt import compat as trt_compat
from tsm_edge.engines.tensorrt.cuda_device import open_device
from tsm_edge.engines.tensorrt.cuda_graph import CudaError, Graphs
from tsm_edge.engines.tensorrt.record import check_record, read_record
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.native import library as kernel_library


class TensorRTEngine(Engine):
    """The engine at `path`, built on this machine by `tsm-edge build`.

    compat: a :class:`tsm_edge.engines.tensorrt.compat.TensorRT`, by default the installed one. graphs: a
    :class:`tsm_edge.engines.tensorrt.cuda_graph.Graphs`, by default this machine's; False: none.
    why_no_graph: None while steps run as CUDA graphs, else the reason (after the first `new_state`).
    Raises InputError for an engine that is damaged, stale or for another machine, before TensorRT sees it.
    """

    backend = "tensorrt"

    def __init__(self, path, compat=None, graphs=None):
        self.record = read_record(path)
        super(TensorRTEngine, self).__init__(self.record.manifest, path)
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
            self.plan = self.compat.open(plan, path, self.log)
            self._check_signature()
            self.streams = self.plan.streams()
            self.stream = self.device.stream()
            self._shared = self.plan.context() if self.plan.one_context else None
        self.why_no_graph = self._choose_graphs(graphs)
        self._buffers = weakref.WeakSet()
        self._clips = {}

    def close(self):
        """Free all that is on the GPU, that of the states included. Twice is once."""
        if self.plan is None:
            return
        with self.device:
            for buffers in list(self._buffers):
                buffers.free()
            self._clips.clear()
            self._shared = self.plan = self.stream = None

    def device_bytes(self):
        """Of all states together: their buffers, and their contexts (or the one that they share)."""
        live = [buffers for buffers in self._buffers if not buffers.freed]
        contexts = len(live) if self._shared is None else 1
        return sum(buffers.block.size for buffers in live) + contexts * self.plan.context_bytes()

    def transfer_times(self, copies):
        with self._buffers_apart() as buffers:
            frames = np.zeros(buffers.shape, np.float32)
            return [buffers.copy_in(frames) for _ in range(copies)]

    def layer_times(self, warm_up, steps):
        """Layers timed by TensorRT, on noise and a state of their own, of as many streams as the engine takes at least.

        Timed layers run one by one, without a graph, so that their sum is more than a step takes. TensorRT names a
        layer after its node ("/features.3/Concat_1") and does not tell its op, which here is the end of that name.
        Raises InputError for an engine with one context for several numbers of streams.
        """
        if self.plan.one_context:
            raise InputError(
                "{}: layer times".format(self.where),
                "an engine for {} to {} streams on TensorRT {}".format(
                    self.streams[0], self.streams[2], self.compat.version
                ),
                "an engine for one number of streams",
                "build it with --streams N",
            )
        frame = self.manifest.frame
        frames = np.random.RandomState(0).randn(self.streams[0], 3, frame.height, frame.width).astype(np.float32)
        profiler = trt_compat.layer_profiler(self.compat)
        with self._buffers_apart() as buffers:
            for _ in range(warm_up):
                buffers.run(frames, 0)
            with self.device:
                buffers.context.report_layers_to(profiler)
            begun = time.perf_counter()
            for _ in range(steps):
                buffers.run(frames, 0)
            step = (time.perf_counter() - begun) / steps
        measured = [(name, _op(name), 1e-3 * total / steps) for name, total in profiler.times.items()]
        return LayerTimes("TensorRT", measured, steps, step)

    @contextlib.contextmanager
    def _buffers_apart(self):
        """Buffers of no state, without graphs, for as many streams as the engine takes at least; freed at the end."""
        buffers = self._new_buffers(self.streams[0], FRAME, graphs=False)
        try:
            yield buffers
        finally:
            with self.device:
                buffers.free()

    def _choose_graphs(self, graphs):
        """Set `_graphs`, or return why there are none."""
        self._graphs = None
        if graphs is False:
            return "not asked for"
        if self._shared is not None:
            return "TensorRT {} has one context for an engine of several sizes".format(self.compat.version)
        try:
            found = graphs or Graphs()
        except CudaError as error:
            return str(error)
        if not found.available:
            return "this CUDA driver has none"
        self._graphs = found
        return None

    def _check_signature(self):
        """The engine's inputs and outputs must be what the manifest says: names, sizes and types."""
        inputs, outputs = self._signature()
        expected = {name: (True, dtype, shape) for name, shape, dtype in inputs}
        expected.update((name, (False, dtype, shape)) for name, shape, dtype in outputs)
        got = {name: (t.is_input, t.dtype, t.shape[1:]) for name, t in self.plan.tensors.items()}
        for name in sorted(set(got) | set(expected)):
            if got.get(name) != expected.get(name):
                where = "{}: {}".format(self.where, name)
                raise InputError(
                    where, got.get(name), "{} (its manifest)".format(expected.get(name)), self.record.command
                )

    def _new_buffers(self, streams, frame_name, graphs=True):
        self._need_streams(streams)
        with self.device:
            buffers = _Buffers(self, streams, frame_name)
            self._buffers.add(buffers)
            try:
                buffers.warm_up()
                if graphs and self._graphs is not None:
                    self.why_no_graph = buffers.capture(self._graphs)
            except BaseException:
                buffers.free()
                raise
        return buffers

    def _need_streams(self, streams):
        least, _, most = self.streams
        if not least <= streams <= most:
            raise InputError(
                "{}: streams".format(self.where),
                streams,
                "{} to {}".format(least, most) if least < most else "{}".format(least),
                "build it for them: {} --streams {}".format(self.record.command.split(" --streams")[0], streams),
            )

    def _new_state(self, streams):
        return _DeviceState(self, streams)

    def _step(self, frames, state):
        return state.buffers.run(frames, state.now)

    def _clip(self, frames):
        n = frames.shape[0]
        if n not in self._clips:
            for buffers in self._clips.values():
                with self.device:
                    buffers.free()
            self._clips = {n: self._new_buffers(n, FRAMES)}
        return self._clips[n].run(frames, 0)


def _op(layer):
    return layer.split("/")[-1].rstrip("_0123456789")


def gpu_of(device):
    """(name, compute capability) as an engine's record holds them."""
    return device.name, "{}.{}".format(*device.compute_capability)


class _DeviceState(State):
    """Streams whose caches lie on the GPU; the host sees them only in `snapshot` and `restore`."""

    def __init__(self, engine, streams):
        super(_DeviceState, self).__init__(engine.manifest, streams)
        self._device = engine.device
        self.buffers = engine._new_buffers(streams, FRAME)
        self.now = 0
        # A state that is forgotten gives its memory back, with the context that freeing needs.
        weakref.finalize(self, _release, engine.device, self.buffers)

    def _advance(self):
        self.now = 1 - self.now

    def _read(self):
        with self._device:
            return self.buffers.read(self.now)

    def _write(self, caches):
        with self._device:
            self.buffers.write(self.now, caches)

    def _clear(self, stream):
        with self._device:
            self.buffers.clear(self.now, stream)


def _release(device, buffers):
    if not buffers.freed:
        with device:
            buffers.free()


class _Buffers:
    """Memory of `streams` streams: frame, logits, two sets of caches; and the runs from one set to the other.

    Every method but `run` and `copy_in` wants the device's context; those take it.
    """

    def __init__(self, engine, streams, frame_name):
        self.device, self.stream, driver = engine.device, engine.stream, engine.device.driver
        tensors, specs = engine.plan.tensors, engine.manifest.caches
        self.shape = (streams,) + tensors[frame_name].shape[1:]
        self.specs = [((streams,) + tuple(c.shape), np.dtype(c.dtype)) for c in specs]
        self.frame = self.device.pinned(self.shape, np.float32)
        self.logits = self.device.pinned((streams, engine.manifest.arch.num_classes), np.float32)
        self.bytes = [int(np.prod(shape)) * dtype.itemsize for shape, dtype in self.specs]
        self.context = engine._shared or engine.plan.context()
        self.block = self.device.block([self.frame.nbytes, self.logits.nbytes] + 2 * self.bytes)
        self.freed, self.graphs, self.streams, self.driver = False, [None, None], streams, driver
        at = self.block.at
        self.at_frame, self.at_logits = at[:2]
        self.caches = [at[2 : 2 + len(specs)], at[2 + len(specs) :]]
        self.addresses = []
        for read, written in (self.caches, self.caches[::-1]):
            places = {frame_name: self.at_frame, LOGITS: self.at_logits}
            places.update(zip((c.input for c in specs), read))
            places.update(zip((c.output for c in specs), written))
            self.addresses.append([places[name] for name in tensors])

    def warm_up(self):
        """Run once from each set: TensorRT loads its kernels, and is ready to be captured. Ends with zero caches."""
        self.frame[...] = 0
        self._clear_both()
        for now in (0, 1):
            self._enqueue(now)
        self._clear_both()

    def capture(self, graphs):
        """Record a run from each set as a CUDA graph. Returns None, or why this engine cannot be captured.

        It then runs without: as right, and slower by what the host takes to make the calls.
        """
        try:
            for now in (0, 1):
                self.graphs[now] = graphs.capture(self.stream.handle, lambda now=now: self._enqueue(now))
        except (TsmEdgeError, self.driver.Error) as error:
            self._close_graphs()
            self.warm_up()  # raises where the failed capture broke more than itself
            return str(error)
        return None

    def run(self, frames, now):
        """Logits of `frames` from set `now`, in a new array; set 1 - now then holds what follows."""
        with self.device:
            np.copyto(self.frame, frames)
            graph = self.graphs[now]
            if graph is not None:
                graph.launch(self.stream.handle)
            else:
                self._enqueue(now)
            self.stream.synchronize()
            return np.array(self.logits)

    def copy_in(self, frames):
        """Seconds to bring frames to the GPU and do nothing with them."""
        begun = time.perf_counter()
        with self.device:
            np.copyto(self.frame, frames)
            self.driver.memcpy_htod_async(self.at_frame, self.frame, self.stream)
            self.stream.synchronize()
        return time.perf_counter() - begun

    def _enqueue(self, now):
        self.context.set_sizes(self.streams)
        self.driver.memcpy_htod_async(self.at_frame, self.frame, self.stream)
        self.context.enqueue(self.addresses[now], self.stream.handle)
        self.driver.memcpy_dtoh_async(self.logits, self.at_logits, self.stream)

    def read(self, now):
        """The caches of set `now`, copied to the host."""
        out = [np.empty(shape, dtype) for shape, dtype in self.specs]
        for array, address in zip(out, self.caches[now]):
            self.driver.memcpy_dtoh(array, address)
        return out

    def write(self, now, caches):
        for array, address in zip(caches, self.caches[now]):
            self.driver.memcpy_htod(address, np.ascontiguousarray(array))

    def clear(self, now, stream):
        """Zero the caches of one stream, or of all. Float zero is all bits zero."""
        for size, address in zip(self.bytes, self.caches[now]):
            one = size // self.streams
            start, length = (0, size) if stream is None else (stream * one, one)
            if length:
                self.driver.memset_d8_async(address + start, 0, length, self.stream)
        self.stream.synchronize()

    def free(self):
        """Give everything back. Twice is once."""
        if self.freed:
            return
        self.freed = True
        try:
            self.stream.synchronize()  # what it still has to do may use the block
        finally:
            self._close_graphs()
            self.block.free()
        self.context = self.stream = self.frame = self.logits = None

    def _clear_both(self):
        for now in (0, 1):
            self.clear(now, None)

    def _close_graphs(self):
        graphs, self.graphs = self.graphs, [None, None]
        for graph in graphs:
            if graph is not None:
                graph.close()
