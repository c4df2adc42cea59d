"""TensorRT 8.2 to 11 behind one interface: the only file that knows how they differ.

| | 8.2 (JetPack 4.6) | 8.5 to 10 | 11 and tensorrt-rtx |
|---|---|---|---|
| batch axis | explicit by a flag of create_network | by the flag below 10 | always explicit |
| workspace | config.max_workspace_size | config.set_memory_pool_limit | the same |
| float16, int8 | flags of the builder, a dtype for each input and output | the same | the ONNX file's types alone |
| inputs and outputs | bindings by number, execute_async_v2 | tensors by name, execute_async_v3 | the same |
| contexts of an engine with open sizes | one a profile, so one | several, from 10 on | several |

Sources: the Python bindings of each release (github.com/NVIDIA/TensorRT, python/src/infer, tags 8.2.1 to 11.1), the API
references of 8.2 and 10, and for 8's one context a profile IExecutionContext::setOptimizationProfileAsync.

A call of TensorRT that fails returns False or None and writes to its log. Here it raises, with what the log said.
"""

import collections
import ctypes
import logging
from typing import NamedTuple, Optional, Tuple

from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.machine.install_hints import KERNELS

LEVELS = ("error", "warning", "info", "verbose")  # of the builder's log
PLUGINS = 2  # creators in our library
TOLD = 3  # messages of TensorRT in one of ours

_LOG = logging.getLogger("tsm_edge.tensorrt")
# ILogger.Severity: INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE
_TO_LOGGING = (logging.ERROR, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)
_DTYPES = {"FLOAT": "float32", "HALF": "float16", "INT8": "int8", "INT32": "int32", "INT64": "int64", "BOOL": "bool"}

BuildOptions = NamedTuple(
    "BuildOptions",
    [
        ("precision", str),  # "fp32", "fp16" or "int8"
        ("half", Tuple[str, ...]),  # inputs and outputs that are float16 (caches)
        ("streams", Tuple[int, int, int]),  # least, usual and most of an open batch axis
        ("workspace", int),  # bytes
        ("compute_capability", Optional[Tuple[int, int]]),  # for a builder that has to be told its GPU
    ],
)
Tensor = NamedTuple("Tensor", [("is_input", bool), ("dtype", str), ("shape", Tuple[int, ...])])  # -1: an open size


def load():
    """The installed TensorRT. Raises InputError where there is none."""
    try:
        import tensorrt
    except ImportError as error:
        raise InputError(
            "TensorRT", str(error), "the Python package tensorrt", "on a Jetson: sudo apt install nvidia-jetpack"
        ) from error
    return TensorRT(tensorrt)


class TensorRT:
    """One TensorRT. module: tensorrt, or one of its family. open_library: path -> a ctypes library (tests)."""

    def __init__(self, module, open_library=ctypes.CDLL):
        self.module = module
        self.version = module.__version__
        self.number = tuple(int(part) for part in self.version.split(".")[:2])
        self.by_flags = hasattr(module.BuilderFlag, "FP16")  # else precision is what the ONNX file says
        self._by_name = hasattr(module.ICudaEngine, "num_io_tensors")
        self._open_library, self._plugins = open_library, {}

    def log(self, level="warning"):
        """A log for the calls below: messages of `level` and worse go to Python's logging, errors are kept for ours.

        TensorRT keeps no reference of its own: whoever makes something with a log must keep the log.
        """
        return _log_class(self.module)(LEVELS.index(level) + 1)

    def load_plugins(self, path):
        """Open our plugin library, which registers itself. Raises InputError where it does not fit this TensorRT."""
        if path not in self._plugins:
            try:
                library = self._open_library(path)
                count = library.tsm_edge_trt_register()
            except (OSError, AttributeError) as error:
                raise InputError(path, error, "our TensorRT plugins", KERNELS) from error
            if count != PLUGINS:
                raise InputError(
                    path,
                    "plugins that find no TensorRT of their release here",
                    "plugins built with TensorRT {}".format(self.version),
                    KERNELS,
                )
            self._plugins[path] = library  # once unloaded, engines would call into nothing

    # ------------------------------------------------------------ building

    def build(self, data, where, options, log, timing_cache=b""):
        """An engine. data: the bytes of an ONNX file; timing_cache: what an earlier build returned, or empty.

        Returns (plan, timing cache), both bytes. Raises InputError where the parser refuses the model, where this GPU
        lacks the precision, for a foreign timing cache, and where the builder fails.
        """
        trt = self.module
        builder = trt.Builder(log)
        flag = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None) if self.number < (10, 0) else None
        network = builder.create_network(0 if flag is None else 1 << int(flag))
        parser = trt.OnnxParser(network, log)
        if not parser.parse(data):
            errors = [_of_parser(parser.get_error(i)) for i in range(parser.num_errors)]
            raise InputError(where, _text(errors or log.errors), "a model that TensorRT parses", _PARSE_ADVICE)
        config = builder.create_builder_config()
        if hasattr(config, "set_memory_pool_limit"):
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace)
        else:
            config.max_workspace_size = options.workspace
        self._set_precision(builder, network, config, options)
        self._set_sizes(builder, network, config, options)
        if hasattr(config, "num_compute_capabilities") and options.compute_capability is not None:
            config.num_compute_capabilities = 1
            name = "SM{}{}".format(*options.compute_capability)
            config.set_compute_capability(getattr(trt.ComputeCapability, name), 0)
        cache = config.create_timing_cache(timing_cache)
        if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
            raise InputError(
                "timing cache",
                _text(log.errors),
                "one of this TensorRT and this GPU",
                "delete it, or name another file",
            )
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise InputError(where, _text(log.errors), "an engine from TensorRT's builder", _BUILD_ADVICE)
        return bytes(plan), bytes(config.get_timing_cache().serialize())

    def _set_precision(self, builder, network, config, options):
        trt, flags = self.module, self.module.BuilderFlag
        if options.precision == "fp32":
            config.clear_flag(flags.TF32)  # which keeps 10 of float32's 23 bits
        if options.precision == "fp32" or not self.by_flags:
            return
        if options.precision == "int8":
            if not builder.platform_has_fast_int8:
                raise no_precision("int8", "the Jetson Nano and TX2 have none: build with --fp16")
            config.set_flag(flags.INT8)
        if not builder.platform_has_fast_fp16:
            raise no_precision("fp16", "build without it, in fp32")
        config.set_flag(flags.FP16)
        tensors = [network.get_input(i) for i in range(network.num_inputs)]
        for tensor in tensors + [network.get_output(i) for i in range(network.num_outputs)]:
            if tensor.name in options.half:
                tensor.dtype = trt.float16

    def _set_sizes(self, builder, network, config, options):
        """A profile for the inputs that leave sizes open."""
        inputs = [network.get_input(i) for i in range(network.num_inputs)]
        if all(size >= 0 for tensor in inputs for size in tensor.shape):
            return
        profile = builder.create_optimization_profile()
        for tensor in inputs:
            rest = tuple(tensor.shape)[1:]
            profile.set_shape(tensor.name, *[(streams,) + rest for streams in options.streams])
        if config.add_optimization_profile(profile) < 0:
            raise TsmEdgeError(
                "TensorRT: no engine for {} to {} streams".format(options.streams[0], options.streams[2])
            )

    # ------------------------------------------------------------ running

    def open(self, plan, where, log):
        """The engine in `plan` (bytes), as :class:`Plan`. Raises InputError where TensorRT refuses it."""
        return (_NamedPlan if self._by_name else _NumberedPlan)(self, plan, where, log)


def no_precision(name, do):
    return InputError("precision " + name, "a GPU without fast " + name, "a GPU that computes in " + name, do)


class Plan:
    """A deserialised engine. tensors: its inputs and outputs, an ordered dict of name -> :class:`Tensor`.

    one_context: this release gives only one context to an engine whose sizes are open.
    """

    def __init__(self, compat, plan, where, log):
        self.log = log
        self._runtime = compat.module.Runtime(log)
        self.engine = self._runtime.deserialize_cuda_engine(plan)
        if self.engine is None:
            raise InputError(where, _text(log.errors), "an engine of this TensorRT and GPU", "build it again")
        self.tensors = collections.OrderedDict(self._tensors(compat.module))
        is_open = any(size < 0 for tensor in self.tensors.values() for size in tensor.shape)
        self.one_context = is_open and compat.number < (10, 0)

    def context(self):
        """A new :class:`Context` of it."""
        context = self.engine.create_execution_context()
        if context is None:
            raise TsmEdgeError("TensorRT: no memory for an execution context: {}".format(_text(self.log.errors)))
        return self._context(context, self)

    def context_bytes(self):
        """What each context takes on the GPU for all that lies between layers."""
        newer = getattr(self.engine, "device_memory_size_v2", None)  # since 10.1
        return int(self.engine.device_memory_size if newer is None else newer)

    def streams(self):
        """(least, usual, most) streams: what its first input's batch axis allows."""
        name, tensor = next(iter(self.tensors.items()))
        if tensor.shape[0] >= 0:
            return (tensor.shape[0],) * 3
        return tuple(int(shape[0]) for shape in self._profile(name))


class Context:
    """What runs an engine for one set of sizes at a time. Not for two threads at once."""

    def __init__(self, context, plan):
        self.context, self.plan, self._sizes = context, plan, None

    def set_sizes(self, streams):
        """Fix the open batch axis of every input for the runs that follow."""
        if self._sizes == streams:
            return
        for name, tensor in self.plan.tensors.items():
            if tensor.is_input and -1 in tensor.shape:
                shape = (streams,) + tensor.shape[1:]
                self._check(self._set_shape(name, shape), "set {} to {}".format(name, shape))
        self._check(self._sizes_known(), "know the sizes of all outputs")
        self._sizes = streams

    def enqueue(self, addresses, stream):
        """Put a run on a CUDA stream (its handle). addresses: of every tensor, ints in the order of `Plan.tensors`."""
        self._check(self._enqueue(addresses, stream), "run")

    def report_layers_to(self, profiler):
        """Time each layer from here on. profiler: of `layer_profiler`."""
        self.context.profiler = profiler

    def _check(self, done, what):
        if not done:
            raise TsmEdgeError("TensorRT: could not {}: {}".format(what, _text(self.plan.log.errors)))


class _NumberedContext(Context):
    def _set_shape(self, name, shape):
        return self.context.set_binding_shape(self.plan.engine.get_binding_index(name), shape)

    def _sizes_known(self):
        return self.context.all_binding_shapes_specified

    def _enqueue(self, addresses, stream):
        return self.context.execute_async_v2(bindings=addresses, stream_handle=stream)


class _NumberedPlan(Plan):
    _context = _NumberedContext

    def _tensors(self, trt):
        engine = self.engine
        for i in range(engine.num_bindings):
            dtype = _DTYPES[engine.get_binding_dtype(i).name]
            yield (
                engine.get_binding_name(i),
                Tensor(engine.binding_is_input(i), dtype, tuple(engine.get_binding_shape(i))),
            )

    def _profile(self, name):
        return self.engine.get_profile_shape(profile_index=0, binding=name)


class _NamedContext(Context):
    def _set_shape(self, name, shape):
        return self.context.set_input_shape(name, shape)

    def _sizes_known(self):
        return not self.context.infer_shapes()

    def _enqueue(self, addresses, stream):
        set_address = self.context.set_tensor_address
        for name, address in zip(self.plan.tensors, addresses):
            self._check(set_address(name, address), "bind " + name)
        return self.context.execute_async_v3(stream)


class _NamedPlan(Plan):
    _context = _NamedContext

    def _tensors(self, trt):
        engine = self.engine
        for i in range(engine.num_io_tensors):
            name = engine.get_tensor_name(i)
            is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            dtype = _DTYPES[engine.get_tensor_dtype(name).name]
            yield name, Tensor(is_input, dtype, tuple(engine.get_tensor_shape(name)))

    def _profile(self, name):
        return self.engine.get_tensor_profile_shape(name, 0)


def layer_profiler(compat):
    """An IProfiler that adds up the times of layers: `.times`, an ordered dict of layer -> ms of all runs together."""

    class Layers(compat.module.IProfiler):
        def __init__(self):
            compat.module.IProfiler.__init__(self)
            self.times = collections.OrderedDict()

        def report_layer_time(self, layer_name, ms):
            self.times[layer_name] = self.times.get(layer_name, 0.0) + ms

    return Layers()


def _log_class(trt):
    class Log(trt.ILogger):
        def __init__(self, most):
            trt.ILogger.__init__(self)
            self.most, self.errors = most, collections.deque(maxlen=8)

        def log(self, severity, msg):
            level = int(severity)
            if level <= 1:
                self.errors.append(msg)
            if level <= self.most:
                _LOG.log(_TO_LOGGING[level], "%s", msg)

    return Log


def _text(errors):
    """The first few different ones: a network fails in the same way at each of its shifts."""
    lines = list(collections.OrderedDict.fromkeys(" ".join(error.split()) for error in errors))
    return "; ".join(lines[:TOLD]) or "no reason given"


def _of_parser(error):
    """What a ParserError says, with the operation, which releases from 10 on know."""
    operator = getattr(error, "node_operator", None)
    return error.desc() if operator is None else "{}: {}".format(operator(), error.desc())


_PARSE_ADVICE = "see its log (--log-level verbose); `--lowering standard` needs no plugin"
_BUILD_ADVICE = (
    "where memory ran out: close other programs, add swap, give less --workspace; else see --log-level verbose"
)
