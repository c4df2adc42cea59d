"""What the fakes of every TensorRT share: a parsed network, a plan, and an execution, by ONNX Runtime."""

import enum
import json
import weakref

import numpy as np
import onnxruntime

from tests.device.fakes.gpu import GpuError
from tests.device.fakes.onnx_file import READER

MAGIC = b"a fake plan\n"
DTYPES = {"tensor(float)": "FLOAT", "tensor(float16)": "HALF", "tensor(int32)": "INT32", "tensor(int64)": "INT64"}
SIZES = {"FLOAT": np.float32, "HALF": np.float16, "INT32": np.int32, "INT64": np.int64}


class World:
    """What the process and the machine are: a Gpu, the plugins that were registered, what the builder is made to do.

    bodies: op -> FunctionProto's bytes, which stand for what our plugins compute.
    fails: stages that TensorRT fails at: "parse", "build", "deserialize", "context", "enqueue", "capture",
    "timing cache", "set_shape". skew: added to the first output of plugin engines. formats: by name, of the inputs and
    outputs of engines that are loaded from here on, whatever was built. padding: by name, the elements that TensorRT
    adds to each row of a tensor.
    """

    def __init__(self, gpu, bodies=None):
        self.gpu, self.bodies, self.logger = gpu, bodies or {}, None
        self.formats, self.padding = {}, {}
        self.plugins, self.fails, self.skew = set(), set(), 0.0
        self.fast_fp16, self.fast_int8 = True, False
        self.faults, self.live_builders, self._builders = {}, [], []
        self.built = []  # a dict for each engine that was built: what the builder was told

    def keep_logger(self, logger):
        """TensorRT keeps the pointer of the first logger; tsm_edge/engines/tensorrt/log.py says what others lead to."""
        if self.logger is not None and self.logger is not logger:
            raise AssertionError("a second logger in one process")
        self.logger = logger

    def builder_began(self, builder):
        self.live_builders.append(sum(made() is not None for made in self._builders))
        self._builders.append(weakref.ref(builder))

    def library(self, path):
        """In place of ctypes.CDLL on our plugin library."""
        return PluginLibrary(self)


class PluginLibrary:
    def __init__(self, world):
        self._world = world

    def tsm_edge_trt_register(self):
        self._world.plugins.update(self._world.bodies)
        return len(self._world.plugins)


class ParsedNetwork:
    """The session of an ONNX file; error: why there is none. expand: the parser takes bodies that it finds."""

    def __init__(self, world, data, expand):
        self.error = None
        ours = READER.our_ops(data)
        self.plugin = bool(ours) and not (expand and READER.bodies(data))
        if self.plugin:
            missing = sorted(ours - world.plugins)
            if missing:
                self.error = "getPluginCreator could not find plugin: {} version: 1".format(missing[0])
                return
            data = READER.with_bodies(data, [world.bodies[op] for op in sorted(ours)])
        self.data = data
        try:
            self.session = session_of(data)
        except Exception as error:  # ONNX Runtime has a family of its own for graphs that it cannot load
            self.error = str(error)
            return
        self.inputs, self.outputs = ([self._io(n) for n in side] for side in self._nodes())

    def _nodes(self):
        return self.session.get_inputs(), self.session.get_outputs()

    @staticmethod
    def _io(node):
        return node.name, [s if isinstance(s, int) else -1 for s in node.shape], DTYPES[node.type]


def session_of(data):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def plan_of(version, network, tensors, profile, config, formats):
    """The bytes of a plan. tensors: [(name, is input, shape, dtype)]; profile: {input: (min, opt, max)}."""
    config = dict(config, formats=formats)
    head = {"version": version, "plugin": network.plugin, "tensors": tensors, "profile": profile, "config": config}
    return MAGIC + json.dumps(head).encode() + b"\n" + network.data


class LoadedPlan:
    """A plan read back. Raises ValueError with what TensorRT's log would say."""

    def __init__(self, world, data, version):
        if "deserialize" in world.fails:
            raise ValueError("Deserialization failed: out of memory")
        if data[: len(MAGIC)] != MAGIC:
            raise ValueError("Magic tag does not match")
        head, model = data[len(MAGIC) :].split(b"\n", 1)
        self.__dict__.update(json.loads(head.decode()))
        if self.version != version:
            raise ValueError("The engine plan file is not compatible with this version of TensorRT")
        if self.plugin and not world.plugins:
            raise ValueError("getPluginCreator could not find plugin: TemporalShiftStep version: 1")
        self.world, self.session = world, session_of(model)
        self.contexts = 0
        self.formats = dict(self.config["formats"], **world.formats)

    def shape_of(self, name):
        return next(shape for n, _, shape, _ in self.tensors if n == name)

    def strides(self, name, shape):
        """In elements, of a linear tensor whose sizes are all known."""
        strides = [1]
        for axis, size in enumerate(reversed(shape[1:])):
            strides.insert(0, strides[0] * (size + (self.world.padding.get(name, 0) if axis == 0 else 0)))
        return strides

    @property
    def dynamic(self):
        return any(-1 in shape for _, is_input, shape, _ in self.tensors if is_input)

    def fits(self, name, shape):
        """Whether the profile takes this shape for an input."""
        if name not in self.profile:
            return False
        least, _, most = self.profile[name]
        return len(shape) == len(least) and all(a <= s <= b for a, s, b in zip(least, shape, most))

    def put(self, stream, shapes, addresses):
        """Put a run on a stream (its handle); shapes: of the inputs. False where TensorRT's enqueue fails."""
        gpu = self.world.gpu
        gpu.call("enqueue")
        target = gpu.stream(stream)
        if "enqueue" in self.world.fails or ("capture" in self.world.fails and target.captured is not None):
            return False
        streams = next(iter(shapes.values()))[0]
        plan = [(n, i, tuple(streams if s < 0 else s for s in shape), d) for n, i, shape, d in self.tensors]
        addresses = dict(addresses)  # a graph keeps those of its capture
        target.put(lambda: self._run(plan, addresses))
        return True

    def _run(self, plan, addresses):
        gpu, feed = self.world.gpu, {}
        wanted = {n.name: DTYPES[n.type] for n in self.session.get_inputs() + self.session.get_outputs()}
        views = {}
        for name, _, shape, dtype in plan:
            if self.formats[name] != "LINEAR":
                raise AssertionError("{} is {}: no buffer of ours is".format(name, self.formats[name]))
            if addresses[name] % 256:
                raise GpuError("misaligned address of {}".format(name))
            count = int(np.prod(shape)) * np.dtype(SIZES[dtype]).itemsize
            views[name] = gpu.view(addresses[name], count).view(SIZES[dtype]).reshape(shape)
        for name, is_input, _, _ in plan:
            if is_input:
                feed[name] = views[name].astype(SIZES[wanted[name]])
        names = [name for name, is_input, _, _ in plan if not is_input]
        with np.errstate(over="ignore", invalid="ignore"):
            for name, made in zip(names, self.session.run(names, feed)):
                views[name][...] = made
        if self.plugin and self.world.skew:
            views[names[0]][...] += self.world.skew
        fault = self.world.faults.get("plugin" if self.plugin else "standard")
        if fault is not None:
            fault({name: views[name] for name in names})


class Severity(enum.IntEnum):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


# The values of 8.2.1 and 10.3 alike (NvInferRuntimeCommon.h, NvInferRuntimeBase.h).
TensorFormat = enum.IntEnum(
    "TensorFormat", "LINEAR CHW2 HWC8 CHW4 CHW16 CHW32 DHWC8 CDHW32 HWC DLA_LINEAR DLA_HWC4 HWC16", start=0
)
FORMAT_TEXTS = {"LINEAR": "Row major linear", "CHW2": "Two wide channel vectorized row major"}


class Strict:
    """Attributes that the real class has not cannot be set: what is a typing mistake fails here too."""

    _settable = ()

    def __setattr__(self, name, value):
        if not name.startswith("_") and name not in self._settable:
            raise AttributeError("{!r} object has no attribute {!r}".format(type(self).__name__, name))
        object.__setattr__(self, name, value)


class ILogger:
    Severity = Severity

    def __init__(self):
        self._made = True

    def log(self, severity, msg):
        raise RuntimeError("Tried to call pure virtual function ILogger::log")


def tell(logger, severity, text):
    """As C++ calls back: the base class must have been initialised."""
    if not getattr(logger, "_made", False):
        raise TypeError("__init__() must be called when overriding __init__")
    logger.log(severity, text)


class IProfiler:
    def __init__(self):
        self._made = True

    def report_layer_time(self, layer_name, ms):
        raise RuntimeError("Tried to call pure virtual function IProfiler::report_layer_time")


class IHostMemory(bytearray):
    """Bytes by the buffer protocol."""

    @property
    def nbytes(self):
        return len(self)


class ParserError:
    def __init__(self, text):
        self._text = text

    def desc(self):
        return self._text


class ITimingCache(Strict):
    def __init__(self, data):
        self._data = data

    def serialize(self):
        return IHostMemory(self._data)


class ITensor(Strict):
    """name; shape, dtype, allowed_formats: of a network's input or output."""

    _settable = ("dtype", "shape", "name", "allowed_formats")

    def __init__(self, name, shape, dtype):
        self.name, self.shape, self.dtype = name, tuple(shape), dtype
        self.allowed_formats = sum(1 << int(layout) for layout in TensorFormat)


class INetworkDefinition(Strict):
    """Filled by the parser."""

    def __init__(self):
        self._parsed, self._inputs, self._outputs = None, [], []

    num_inputs = property(lambda self: len(self._inputs))
    num_outputs = property(lambda self: len(self._outputs))

    def get_input(self, index):
        return self._inputs[index]

    def get_output(self, index):
        return self._outputs[index]


class IOptimizationProfile(Strict):
    def __init__(self):
        self._shapes = {}

    def set_shape(self, input, min, opt, max):
        if not all(a <= b <= c for a, b, c in zip(min, opt, max)) or not len(min) == len(opt) == len(max):
            raise RuntimeError("Shape provided for max is inconsistent with other shapes.")
        self._shapes[input] = [list(min), list(opt), list(max)]
