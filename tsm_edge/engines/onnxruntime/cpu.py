"""ONNX Runtime on the CPU, 1.10 (JetPack 4, Python 3.6) and later. Caches stay in place: two buffer sets, swapped.

One stream is stepped by all threads together. Several are dealt out where that leaves no thread idle: each thread
takes a stream alone, which `benchmarks/bench_streams.py` found faster than all of them on one batch.
"""

import copy

import numpy as np
import onnxruntime

from tsm_edge.engines.base import FRAME, FRAMES, LOGITS, Engine, State
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.machine.system_files import processors
from tsm_edge.native import library as kernel_library


def usable_kernels(manifest, provider="CPUExecutionProvider"):
    """Path of the custom-op library where this ONNX Runtime can run this model's shifts by it, else None.

    provider: the execution provider that would run them.
    """
    if manifest.lowering != "custom":
        return None
    dtypes = {cache.dtype for cache in manifest.caches} or {manifest.precision}
    usable = kernel_library.onnxruntime_can(onnxruntime.__version__, dtypes, provider)
    return kernel_library.find("onnxruntime") if usable else None


class OnnxRuntimeEngine(Engine):
    """The model at `path`. threads: for one step, 0 or None for ONNX Runtime's choice, one a core.

    kernels: path of the custom-op library to register, or None to expand the op's function body. spin: see load_engine.
    """

    backend = "onnxruntime"
    providers = ["CPUExecutionProvider"]  # as InferenceSession takes them: names, or pairs of name and options
    settings = ()  # further pairs for the session's configuration

    def __init__(self, path, manifest, threads=None, kernels=None, spin=True):
        super(OnnxRuntimeEngine, self).__init__(manifest, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
        # Between two steps no thread spins, and work is dealt out in small blocks: decoding and whatever else the board
        # does get a core without stalling the step.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.add_session_config_entry("session.dynamic_block_base", "4")
        for name, value in self.settings:
            options.add_session_config_entry(name, value)
        self._options = options
        self._threads = threads or processors()
        self._alone = None  # (session of one thread, pool of threads that run it), once there are streams to deal out
        if manifest.lowering == "custom":
            self.shift_by = "kernel library" if kernels else "function body"
        try:
            if kernels:
                options.register_custom_ops_library(kernels)
            self.session = self._open()
        except Exception as error:  # ONNX Runtime raises a family of its own for every damaged or foreign graph
            raise InputError(
                path, str(error).strip().split("\n")[0], "a model that ONNX Runtime loads", "export it again"
            ) from error
        self._check_signature()

    def _open(self, **changed):
        """A session with `changed` options."""
        kept = {name: getattr(self._options, name) for name in changed}
        try:
            for name, value in changed.items():
                setattr(self._options, name, value)
            # No second try on another provider behind our back.
            return onnxruntime.InferenceSession(self.where, self._options, providers=self.providers, enable_fallback=0)
        finally:
            for name, value in kept.items():
                setattr(self._options, name, value)

    def close(self):
        if self._alone is not None:
            self._alone[1].shutdown()
        self.session = self._alone = None

    def runner(self, streams):
        """(session, pool): what steps a state of so many streams. pool: None where one run takes all of them."""
        of_any_size = not isinstance(self.session.get_inputs()[0].shape[0], int)
        if streams == 1 or self._threads == 1 or streams % self._threads or not of_any_size:
            return self.session, None
        if self._alone is None:
            from concurrent.futures import ThreadPoolExecutor  # here, since one stream starts faster without it

            self._alone = self._open(intra_op_num_threads=1), ThreadPoolExecutor(self._threads)
        return self._alone

    def layer_times(self, warm_up, steps):
        from tsm_edge.engines.onnxruntime.layers import layer_times

        return layer_times(self, warm_up, steps)

    def profiled(self, prefix):
        """This engine on a second session, which writes a profile to a file whose name begins with `prefix`."""
        twin = copy.copy(self)
        twin.session = self._open(enable_profiling=True, profile_file_prefix=prefix)
        return twin

    def _check_signature(self):
        """The graph's inputs and outputs must be what the manifest says: names, order, shapes and types."""
        inputs, outputs = self._signature()
        for kind, expected, nodes in (
            ("input", inputs, self.session.get_inputs()),
            ("output", outputs, self.session.get_outputs()),
        ):
            got = [(n.name, tuple(n.shape[1:]), _TYPES.get(n.type, n.type)) for n in nodes]
            for position in range(max(len(got), len(expected))):
                a = got[position] if position < len(got) else "nothing"
                b = expected[position] if position < len(expected) else "nothing"
                if a != b:
                    where = "{}: {} {}".format(self.where, kind, position)
                    raise InputError(where, a, "{} (its manifest)".format(b), "export the model again")

    def _new_state(self, streams):
        return _BoundState(self, streams)

    def _step(self, frames, state):
        logits = np.empty((state.streams, self.manifest.arch.num_classes), np.float32)
        state.run(frames, logits)
        return logits

    def _clip(self, frames):
        return _running(self.session.run, [LOGITS], {FRAMES: frames})[0]


class _BoundState(State):
    """Two sets of cache buffers and two bindings that read one and write the other; a step swaps which is which.

    Binding costs as much as a small layer, so the caches are bound once, when the state is made. Where the streams are
    dealt out, each has bindings of its own to its part of the same buffers.
    """

    def __init__(self, engine, streams):
        super(_BoundState, self).__init__(engine.manifest, streams)
        specs = engine.manifest.caches
        self._session, self._pool = engine.runner(streams)
        self._parts = [slice(0, streams)] if self._pool is None else [slice(i, i + 1) for i in range(streams)]
        self._buffers = [[np.zeros((streams,) + s.shape, s.dtype) for s in specs] for _ in range(2)]
        self._bindings = [
            [self._binding(source, target, part) for part in self._parts]
            for source, target in (self._buffers, self._buffers[::-1])
        ]
        self._now = 0

    def _binding(self, source, target, part):
        binding = self._session.io_binding()
        for spec, read, written in zip(self.manifest.caches, source, target):
            _bind(binding.bind_input, spec.input, read[part])
            _bind(binding.bind_output, spec.output, written[part])
        return binding

    def run(self, frames, logits):
        bindings = self._bindings[self._now]
        if self._pool is None:
            self._run_part(bindings[0], frames, logits)
            return
        running = [
            self._pool.submit(self._run_part, binding, frames[part], logits[part])
            for binding, part in zip(bindings, self._parts)
        ]
        errors = [one.exception() for one in running]  # waits for every one: they write to buffers of ours
        for error in errors:
            if error is not None:
                raise error

    def _run_part(self, binding, frames, logits):
        _bind(binding.bind_input, FRAME, frames)
        _bind(binding.bind_output, LOGITS, logits)
        _running(self._session.run_with_iobinding, binding)

    def _advance(self):
        self._now = 1 - self._now

    def _read(self):
        return self._buffers[self._now]

    def _write(self, caches):
        for buffer, cache in zip(self._buffers[self._now], caches):
            buffer[...] = cache

    def _clear(self, stream):
        for buffer in self._buffers[self._now]:
            buffer[slice(None) if stream is None else stream] = 0


_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}


def _running(run, *arguments):
    try:
        return run(*arguments)
    except Exception as error:  # its exceptions have no base class of their own
        raise TsmEdgeError("ONNX Runtime: {}".format(str(error).strip().split("\n")[0])) from error


def _bind(bind, name, array):
    """Bind a NumPy buffer in place; the caller keeps it alive and contiguous."""
    bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
