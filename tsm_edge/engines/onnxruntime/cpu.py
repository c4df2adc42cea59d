"""ONNX Runtime on the CPU, 1.10 (JetPack 4, Python 3.6) and later.

Each stream is computed by a separate call, on its own part of the cache buffers. With as many streams as threads (or a
multiple), each thread steps its own streams, which takes less time than one batch (`benchmarks/bench_streams.py`). All
threads together step the remaining streams, one after the other.
"""

import copy
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import onnxruntime

from tsm_edge.engines import load_manifest
from tsm_edge.engines.base import FRAME, FRAMES, Engine, EngineOptions, LayerTimes, State
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.machine.system_files import processors
from tsm_edge.manifest import Manifest
from tsm_edge.native import library as kernel_library

# ONNX Runtime prints its errors in colour on standard error, and raises them too. Only the latter is shown.
NOTHING_LOGGED = 4
onnxruntime.set_default_logger_severity(NOTHING_LOGGED)


def open_engine(path: str, options: EngineOptions) -> Engine:
    """Open the model at `path`. See `tsm_edge.engines.load_engine`."""
    manifest = load_manifest(path)
    kernels = usable_kernels(manifest) if options.kernels else None
    return OnnxRuntimeEngine(path, manifest, options.threads, kernels, options.spin)


def usable_kernels(manifest: Manifest, provider: str = "CPUExecutionProvider") -> Optional[str]:
    """Return the path of the custom-op library, or None where it cannot run the model's shifts on this provider."""
    if manifest.lowering != "custom":
        return None
    dtypes = {cache.dtype for cache in manifest.caches} or {manifest.precision}
    usable = kernel_library.onnxruntime_can(onnxruntime.__version__, dtypes, provider)
    return kernel_library.find("onnxruntime") if usable else None


class OnnxRuntimeEngine(Engine):
    """A model on the CPU.

    threads: of one step; 0 or None for ONNX Runtime's choice, one a core. kernels: path of the custom-op library to
    register, or None to expand the op's function body. spin: see `tsm_edge.engines.load_engine`.
    """

    backend = "onnxruntime"
    providers: List[Any] = ["CPUExecutionProvider"]  # for InferenceSession: names, or pairs of name and options
    settings: Tuple[Tuple[str, str], ...] = ()  # further pairs for the session's configuration

    def __init__(
        self,
        path: str,
        manifest: Manifest,
        threads: Optional[int] = None,
        kernels: Optional[str] = None,
        spin: bool = True,
    ) -> None:
        super().__init__(manifest, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        options.log_severity_level = NOTHING_LOGGED
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
        # No thread spins between two steps, and work is handed to the threads in small blocks. So the video decoder and
        # other work of the board get a core without stalling the step.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.add_session_config_entry("session.dynamic_block_base", "4")
        for name, value in self.settings:
            options.add_session_config_entry(name, value)
        self._options = options
        self._threads = threads or processors()
        # The session of one thread and the threads that run it, once several streams are stepped at once.
        self._single: Optional[Tuple[Any, Any]] = None
        if manifest.lowering == "custom":
            self.shift_by = "kernel library" if kernels else "function body"
        try:
            if kernels:
                options.register_custom_ops_library(kernels)
            self.session = self._open()
        except Exception as error:  # ONNX Runtime's exceptions have no base class of their own
            got = str(error).strip().split("\n")[0]
            raise InputError(path, got, "a model that ONNX Runtime loads", "export it again") from error
        batch = self.session.get_inputs()[0].shape[0]
        if manifest.mode == "online" and isinstance(batch, int) and batch != 1:
            where, expected = "{}: batch axis".format(path), "an open one, since each stream is a run of its own"
            raise InputError(where, "of size {}".format(batch), expected, "export it again")
        nodes = self.session.get_inputs(), self.session.get_outputs()
        inputs, outputs = ([(n.name, tuple(n.shape[1:]), _dtype_of(n.type)) for n in side] for side in nodes)
        self._check_signature(inputs, outputs, "export the model again")

    def _open(self, **changed: Any) -> Any:
        """Return a new session with `changed` options."""
        kept = {name: getattr(self._options, name) for name in changed}
        try:
            for name, value in changed.items():
                setattr(self._options, name, value)
            # enable_fallback=0: ONNX Runtime must not try another provider silently.
            return onnxruntime.InferenceSession(self.where, self._options, providers=self.providers, enable_fallback=0)
        finally:
            for name, value in kept.items():
                setattr(self._options, name, value)

    def close(self) -> None:
        """End the threads and drop the sessions."""
        if self._single is not None:
            self._single[1].shutdown()
        self.session = self._single = None

    def layer_times(self, warm_up: int, steps: int) -> Optional[LayerTimes]:
        """Time each layer by ONNX Runtime's profiler, in a separate session."""
        from tsm_edge.engines.onnxruntime.layers import layer_times

        return layer_times(self, warm_up, steps)

    def profiled(self, prefix: str) -> "OnnxRuntimeEngine":
        """Return this engine on a second session, which writes a profile to a file whose name begins with `prefix`."""
        twin = copy.copy(self)
        twin.session = self._open(enable_profiling=True, profile_file_prefix=prefix)
        return twin

    def _new_state(self, streams: int) -> State:
        return _BoundState(self.manifest, streams)

    def _step(self, frames: np.ndarray, state: Any, rows: Sequence[int]) -> Dict[str, np.ndarray]:
        count = len(rows)
        outputs = {spec.name: np.empty((count,) + spec.shape, spec.dtype) for spec in self.manifest.outputs}
        if count == 1:
            state.run(self.session, rows[0], frames, outputs)
            return outputs
        runs = [
            (stream, frames[i : i + 1], {name: array[i : i + 1] for name, array in outputs.items()})
            for i, stream in enumerate(rows)
        ]
        spread = count - count % self._threads if self._threads > 1 else 0
        if spread:
            self._run_spread(state, runs[:spread])
        for run in runs[spread:]:
            state.run(self.session, *run)
        return outputs

    def _run_spread(self, state: "_BoundState", runs: Sequence[Tuple[Any, ...]]) -> None:
        """Run each stream on one thread, as many at once as there are threads."""
        if self._single is None:
            from concurrent.futures import ThreadPoolExecutor  # here, since one stream starts faster without it

            self._single = self._open(intra_op_num_threads=1), ThreadPoolExecutor(self._threads)
        session, pool = self._single
        running = [pool.submit(state.run, session, *run) for run in runs]
        errors = [one.exception() for one in running]  # waits for every one, since they write to our buffers
        for error in errors:
            if error is not None:
                raise error

    def _clip(self, frames: np.ndarray) -> Dict[str, np.ndarray]:
        names = [spec.name for spec in self.manifest.outputs]
        return dict(zip(names, run_checked(self.session.run, names, {FRAMES: frames})))


class _BoundState(State):
    """Streams whose caches lie in two sets of buffers.

    Binding costs as much as a small layer. So each stream's part is bound once for each session that runs it.
    """

    def __init__(self, manifest: Manifest, streams: int) -> None:
        super().__init__(manifest, streams)
        self._buffers = [[np.zeros((streams,) + s.shape, s.dtype) for s in manifest.caches] for _ in range(2)]
        self._bindings: Dict[Tuple[Any, int], List[Any]] = {}  # (session, stream) -> a binding for each set to read

    def run(self, session: Any, stream: int, frame: np.ndarray, outputs: Dict[str, np.ndarray]) -> None:
        """Step one stream into `outputs`, arrays of one row, and into its caches of the other set."""
        bindings = self._bindings.get((session, stream))
        if bindings is None:
            bindings = self._bindings[session, stream] = self._bound(session, stream)
        binding = bindings[self.sets[stream]]
        _bind(binding.bind_input, FRAME, frame)
        for name, array in outputs.items():
            _bind(binding.bind_output, name, array)
        run_checked(session.run_with_iobinding, binding)

    def _bound(self, session: Any, stream: int) -> List[Any]:
        bindings = []
        for source, target in (self._buffers, self._buffers[::-1]):
            binding = session.io_binding()
            for spec, read, written in zip(self.manifest.caches, source, target):
                _bind(binding.bind_input, spec.input, read[stream : stream + 1])
                _bind(binding.bind_output, spec.output, written[stream : stream + 1])
            bindings.append(binding)
        return bindings

    def _read(self, which: int) -> Sequence[np.ndarray]:
        return self._buffers[which]

    def _write(self, which: int, caches: Sequence[np.ndarray]) -> None:
        for buffer, cache in zip(self._buffers[which], caches):
            buffer[...] = cache

    def _clear(self, which: int, stream: Optional[int]) -> None:
        for buffer in self._buffers[which]:
            buffer[slice(None) if stream is None else stream] = 0


def run_checked(run: Callable[..., Any], *arguments: Any) -> Any:
    """Call ONNX Runtime, with its failures as TsmEdgeError."""
    try:
        return run(*arguments)
    except Exception as error:  # its exceptions have no base class of their own
        raise TsmEdgeError("ONNX Runtime: {}".format(str(error).strip().split("\n")[0])) from error


def _dtype_of(kind: str) -> str:
    """Return NumPy's name of a type: "tensor(float)" -> "float32"."""
    name = kind[len("tensor(") : -1]
    return {"float": "float32", "double": "float64"}.get(name, name)


def _bind(bind: Callable[..., None], name: str, array: np.ndarray) -> None:
    """Bind a NumPy buffer in place; the caller keeps it alive and contiguous."""
    bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
