"""TensorRT 8.2 to 11 behind one interface: the only file that knows how they differ.

| | 8.2 (JetPack 4.6) | 8.5 to 10 | 11 and tensorrt-rtx |
|---|---|---|---|
| batch axis | explicit by a flag of create_network | by the flag below 10 | always explicit |
| workspace | config.max_workspace_size | config.set_memory_pool_limit | the same |
| float16, int8 | flags of the builder, a dtype for each input and output | the same | the ONNX file's types alone |
| inputs and outputs | bindings by number, execute_async_v2 | tensors by name, execute_async_v3 | the same |
| contexts of an engine with open sizes | one a profile, so one | several, from 10 on | several |

A call of TensorRT that fails returns False or None and writes to its log. Here it raises, with what the log said.

Sources: the Python bindings of each release (github.com/NVIDIA/TensorRT, python/src/infer, tags 8.2.1 to 11.1), the API
references of 8.2 and 10, and for 8's one context a profile IExecutionContext::setOptimizationProfileAsync.
"""

import collections
import ctypes
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from tsm_edge.engines.tensorrt.log import LEVELS, log_of
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.machine import install_hints

__all__ = ["LEVELS", "BuildOptions", "Context", "Plan", "Tensor", "TensorRT", "layer_profiler", "load"]
LINEAR = "LINEAR"  # the TensorFormat of the buffers that we allocate: row by row, nothing padded
PLUGIN_CREATORS = 2  # in our library
SHOWN_ERRORS = 3  # of TensorRT's errors, in one of our messages

_DTYPES = {"FLOAT": "float32", "HALF": "float16", "INT8": "int8", "INT32": "int32", "INT64": "int64", "BOOL": "bool"}
_PARSE_ADVICE = "see its log (--log-level verbose); `--lowering standard` needs no plugin"
_BUILD_ADVICE = "if memory ran out, close other programs, add swap or lower --workspace; else --log-level verbose"


class BuildOptions(NamedTuple):
    """What to build.

    half: the inputs and outputs that are float16 (caches). streams: least, usual and most of an open batch axis.
    workspace: bytes. compute_capability: for a builder that has to be told its GPU.
    """

    precision: str
    half: Tuple[str, ...]
    streams: Tuple[int, int, int]
    workspace: int
    compute_capability: Optional[Tuple[int, int]]


class Tensor(NamedTuple):
    """An input or output of an engine. shape: -1 for an open size. format: the name of its TensorFormat."""

    is_input: bool
    dtype: str
    shape: Tuple[int, ...]
    format: str


def load() -> "TensorRT":
    """Return the installed TensorRT. Raises InputError where there is none."""
    try:
        import tensorrt
    except ImportError as error:
        raise install_hints.missing("tensorrt", error) from error
    return TensorRT(tensorrt)


class TensorRT:
    """One release of TensorRT: `module` is tensorrt, or one of its family.

    Attributes:
        by_flags: whether flags of the builder set the precision; else the ONNX file's types do.
        by_name: whether an engine's inputs and outputs go by name; else by number.
    """

    def __init__(self, module: Any, open_library: Callable[[str], Any] = ctypes.CDLL) -> None:
        self.module = module
        self.version: str = module.__version__
        self.number = tuple(int(part) for part in self.version.split(".")[:2])
        self.by_flags = hasattr(module.BuilderFlag, "FP16")
        self.by_name = hasattr(module.ICudaEngine, "num_io_tensors")
        self._open_library = open_library
        self._plugins: Dict[str, Any] = {}

    def log(self, level: Optional[str] = None) -> Any:
        """Return the log for the calls below, which all engines and builds of the process share; see `log.log_of`."""
        return log_of(self.module, level)

    def load_plugins(self, path: str) -> None:
        """Open our plugin library, which registers itself. Raises InputError where it does not fit this TensorRT."""
        if path not in self._plugins:
            try:
                library = self._open_library(path)
                count = library.tsm_edge_trt_register()
            except (OSError, AttributeError) as error:
                raise InputError(path, error, "our TensorRT plugins", install_hints.KERNELS) from error
            if count != PLUGIN_CREATORS:
                got = "plugins that find no TensorRT of their release here"
                expected = "plugins built with TensorRT " + self.version
                raise InputError(path, got, expected, install_hints.KERNELS)
            self._plugins[path] = library  # once unloaded, engines would call into nothing

    def build(
        self, data: bytes, where: str, options: BuildOptions, log: Any, timing_cache: bytes = b""
    ) -> Tuple[bytes, bytes]:
        """Build an engine of an ONNX file's bytes. Return its plan and the timing cache for the next build.

        Raises InputError where the parser refuses the model, the GPU lacks the precision, the timing cache is of
        another machine, or the builder fails.
        """
        trt, mark = self.module, log.mark()
        builder = trt.Builder(log)
        flag = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None) if self.number < (10, 0) else None
        network = builder.create_network(0 if flag is None else 1 << int(flag))
        parser = trt.OnnxParser(network, log)
        if not parser.parse(data):
            errors = [_text_of(parser.get_error(i)) for i in range(parser.num_errors)]
            raise InputError(where, _first(errors or log.since(mark)), "a model that TensorRT parses", _PARSE_ADVICE)
        config = builder.create_builder_config()
        if hasattr(config, "set_memory_pool_limit"):
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace)
        else:
            config.max_workspace_size = options.workspace
        _allow_only_linear(trt, network)
        self._set_precision(builder, network, config, options)
        self._set_sizes(builder, network, config, options)
        if hasattr(config, "num_compute_capabilities") and options.compute_capability is not None:
            config.num_compute_capabilities = 1
            name = "SM{}{}".format(*options.compute_capability)
            config.set_compute_capability(getattr(trt.ComputeCapability, name), 0)
        cache = config.create_timing_cache(timing_cache)
        if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
            expected, do = "one of this TensorRT and this GPU", "delete it, or name another file"
            raise InputError("timing cache", _first(log.since(mark)), expected, do)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise InputError(where, _first(log.since(mark)), "an engine from TensorRT's builder", _BUILD_ADVICE)
        return bytes(plan), bytes(config.get_timing_cache().serialize())

    def _set_precision(self, builder: Any, network: Any, config: Any, options: BuildOptions) -> None:
        trt, flags = self.module, self.module.BuilderFlag
        if options.precision == "fp32":
            config.clear_flag(flags.TF32)  # which keeps 10 of float32's 23 bits
        if options.precision == "fp32" or not self.by_flags:
            return
        if options.precision == "int8":
            if not builder.platform_has_fast_int8:
                do = "the Jetson Nano and TX2 have none: build with --fp16"
                raise InputError("precision int8", "a GPU without fast int8", "a GPU that has it", do)
            config.set_flag(flags.INT8)
        if not builder.platform_has_fast_fp16:
            do = "build without it, in fp32"
            raise InputError("precision fp16", "a GPU without fast fp16", "a GPU that has it", do)
        config.set_flag(flags.FP16)
        for tensor in _ends_of(network):
            if tensor.name in options.half:
                tensor.dtype = trt.float16

    def _set_sizes(self, builder: Any, network: Any, config: Any, options: BuildOptions) -> None:
        """Add a profile for the inputs that leave sizes open."""
        inputs = [network.get_input(i) for i in range(network.num_inputs)]
        if all(size >= 0 for tensor in inputs for size in tensor.shape):
            return
        profile = builder.create_optimization_profile()
        for tensor in inputs:
            rest = tuple(tensor.shape)[1:]
            profile.set_shape(tensor.name, *[(streams,) + rest for streams in options.streams])
        if config.add_optimization_profile(profile) < 0:
            least, _, most = options.streams
            raise TsmEdgeError("TensorRT: no engine for {} to {} streams".format(least, most))


class Context:
    """What runs an engine for one set of sizes at a time. Not for two threads at once."""

    def __init__(self, context: Any, plan: "Plan") -> None:
        self.context, self.plan = context, plan
        self._streams: Optional[int] = None

    def set_sizes(self, streams: int) -> None:
        """Fix the open batch axis of every input for the runs that follow."""
        if self._streams == streams:
            return
        context, plan, mark = self.context, self.plan, self.plan.log.mark()
        for name, tensor in plan.tensors.items():
            if tensor.is_input and -1 in tensor.shape:
                shape = (streams,) + tensor.shape[1:]
                if plan.by_name:
                    done = context.set_input_shape(name, shape)
                else:
                    done = context.set_binding_shape(plan.engine.get_binding_index(name), shape)
                self._check(done, mark, "set {} to {}", name, shape)
        known = not context.infer_shapes() if plan.by_name else context.all_binding_shapes_specified
        self._check(known, mark, "know the sizes of all outputs")
        self._streams = streams

    def stated_bytes(self, name: str) -> Optional[int]:
        """Return the bytes of a tensor's buffer by TensorRT's strides, after `set_sizes`; None where it states none."""
        tensor, strides, streams = self.plan.tensors[name], self._strides(name), self._streams
        if streams is None or len(strides) != len(tensor.shape) or any(stride < 0 for stride in strides):
            return None
        last = sum((size - 1 if size > 0 else streams - 1) * stride for size, stride in zip(tensor.shape, strides))
        return (1 + last) * np.dtype(tensor.dtype).itemsize

    def _strides(self, name: str) -> Tuple[int, ...]:
        """Return the strides of a tensor, in elements; none where TensorRT knows none."""
        try:
            if self.plan.by_name:
                return tuple(self.context.get_tensor_strides(name))
            return tuple(self.context.get_strides(self.plan.engine.get_binding_index(name)))
        except ValueError:  # Dims of length -1
            return ()

    def enqueue(self, addresses: Sequence[int], stream: int) -> None:
        """Put a run on a CUDA stream (its handle). addresses: of all tensors, in the order of `Plan.tensors`."""
        context, mark = self.context, self.plan.log.mark()
        if not self.plan.by_name:
            self._check(context.execute_async_v2(bindings=addresses, stream_handle=stream), mark, "run")
            return
        for name, address in zip(self.plan.tensors, addresses):
            self._check(context.set_tensor_address(name, address), mark, "bind {}", name)
        self._check(context.execute_async_v3(stream), mark, "run")

    def report_layers_to(self, profiler: Any) -> None:
        """Time each layer from here on, into a profiler of `layer_profiler`."""
        self.context.profiler = profiler

    def _check(self, done: bool, mark: int, what: str, *values: Any) -> None:
        if not done:
            errors = self.plan.log.since(mark)
            raise TsmEdgeError("TensorRT: could not {}: {}".format(what.format(*values), _first(errors)))


class Plan:
    """A deserialised engine. Raises InputError where TensorRT refuses it, or where its tensors are not linear.

    Args:
        do: for messages, what makes an engine that fits.

    Attributes:
        tensors: the inputs and outputs by name, in the engine's order.
        one_context: whether this release gives only one context to an engine whose sizes are open.
    """

    def __init__(self, compat: TensorRT, plan: bytes, where: str, log: Any, do: str = "build it again") -> None:
        self.log, self.trt, self.by_name = log, compat.module, compat.by_name
        mark = log.mark()
        self._runtime = compat.module.Runtime(log)
        self.engine = self._runtime.deserialize_cuda_engine(plan)
        if self.engine is None:
            raise InputError(where, _first(log.since(mark)), "an engine of this TensorRT and GPU", do)
        self.tensors = collections.OrderedDict(self._tensors())
        for name, tensor in self.tensors.items():
            if tensor.format != LINEAR:
                got = "{} ({})".format(tensor.format, self.format_text(name))
                side = "input" if tensor.is_input else "output"
                raise InputError("{}: format of {} {}".format(where, side, name), got, LINEAR, do)
        is_open = any(size < 0 for tensor in self.tensors.values() for size in tensor.shape)
        self.one_context = is_open and compat.number < (10, 0)

    def context(self) -> Context:
        """Return a new context of it."""
        mark = self.log.mark()
        context = self.engine.create_execution_context()
        if context is None:
            errors = _first(self.log.since(mark))
            raise TsmEdgeError("TensorRT: no memory for an execution context: {}".format(errors))
        return Context(context, self)

    def format_text(self, name: str) -> str:
        """Return TensorRT's own words for the layout of a tensor: "Row major linear FP32 format"."""
        if self.by_name:
            return str(self.engine.get_tensor_format_desc(name))
        return str(self.engine.get_binding_format_desc(self.engine.get_binding_index(name)))

    def context_bytes(self) -> int:
        """Return the bytes that each context takes on the GPU for all that lies between layers."""
        newer = getattr(self.engine, "device_memory_size_v2", None)  # since 10.1
        return int(self.engine.device_memory_size if newer is None else newer)

    def streams(self) -> Tuple[int, int]:
        """Return the least and the most streams that the first input's batch axis allows."""
        name, tensor = next(iter(self.tensors.items()))
        if tensor.shape[0] >= 0:
            return tensor.shape[0], tensor.shape[0]
        if self.by_name:
            least, _, most = self.engine.get_tensor_profile_shape(name, 0)
        else:
            least, _, most = self.engine.get_profile_shape(profile_index=0, binding=name)
        return int(least[0]), int(most[0])

    def _tensors(self) -> Iterator[Tuple[str, Tensor]]:
        engine = self.engine
        if not self.by_name:
            for i in range(engine.num_bindings):
                dtype, shape = _DTYPES[engine.get_binding_dtype(i).name], tuple(engine.get_binding_shape(i))
                is_input, layout = engine.binding_is_input(i), engine.get_binding_format(i).name
                yield engine.get_binding_name(i), Tensor(is_input, dtype, shape, layout)
            return
        for i in range(engine.num_io_tensors):
            name = engine.get_tensor_name(i)
            dtype, shape = _DTYPES[engine.get_tensor_dtype(name).name], tuple(engine.get_tensor_shape(name))
            is_input = engine.get_tensor_mode(name) == self.trt.TensorIOMode.INPUT
            yield name, Tensor(is_input, dtype, shape, engine.get_tensor_format(name).name)


def _allow_only_linear(trt: Any, network: Any) -> None:
    """Let inputs and outputs be linear alone.

    By default all formats are allowed (ITensor::setAllowedFormats in NvInfer.h). A vectorised format pads the channels,
    so that a cache of 3 channels would not fit its buffer.
    """
    for tensor in _ends_of(network):
        tensor.allowed_formats = 1 << int(trt.TensorFormat.LINEAR)


def layer_profiler(compat: TensorRT) -> Any:
    """Return an IProfiler that adds up times: `.times`, an ordered dict of layer -> ms of all runs together."""

    class Layers(compat.module.IProfiler):  # type: ignore[name-defined]
        def __init__(self) -> None:
            compat.module.IProfiler.__init__(self)
            self.times = collections.OrderedDict()  # type: Dict[str, float]

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.times[layer_name] = self.times.get(layer_name, 0.0) + ms

    return Layers()


def _ends_of(network: Any) -> List[Any]:
    """Return the inputs and outputs of a network."""
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    return inputs + [network.get_output(i) for i in range(network.num_outputs)]


def _first(errors: Iterable[str]) -> str:
    """Return the first few different errors: a network fails in the same way at each of its shifts."""
    lines = list(collections.OrderedDict.fromkeys(" ".join(error.split()) for error in errors))
    return "; ".join(lines[:SHOWN_ERRORS]) or "no reason given"


def _text_of(error: Any) -> str:
    """Return the text of a ParserError, with the operation, which releases from 10 on know."""
    operator = getattr(error, "node_operator", None)
    return error.desc() if operator is None else "{}: {}".format(operator(), error.desc())
