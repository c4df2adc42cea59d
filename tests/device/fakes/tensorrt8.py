"""`tensorrt` 8.2.1.8, as on JetPack 4.6.1: bindings by number, max_workspace_size, one context a profile."""

import enum
import types

from tests.device.fakes import network as parts
from tests.device.fakes.builder import BuilderBase, ConfigBase, ParserBase, RuntimeBase

VERSION = "8.2.1.8"


class DataType(enum.Enum):
    FLOAT, HALF, INT8, INT32, BOOL = range(5)


class BuilderFlag(enum.IntEnum):
    FP16, INT8, DEBUG, GPU_FALLBACK, STRICT_TYPES, REFIT, DISABLE_TIMING_CACHE, TF32 = range(8)


class NetworkDefinitionCreationFlag(enum.IntEnum):
    EXPLICIT_BATCH, EXPLICIT_PRECISION = range(2)


class IBuilderConfig(ConfigBase):
    _settable = ("max_workspace_size",)

    def __init__(self, world):
        ConfigBase.__init__(self, world)
        self._flags = {BuilderFlag.TF32}
        self.max_workspace_size = 0

    def _told_workspace(self):
        return self.max_workspace_size


class Builder(BuilderBase):
    _config, _version, _dtypes = IBuilderConfig, VERSION, DataType

    def create_network(self, flags=0):
        network = parts.INetworkDefinition()
        network._explicit = flags & 1 << int(NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
        return network

    @property
    def platform_has_fast_fp16(self):
        return self._world.fast_fp16

    @property
    def platform_has_fast_int8(self):
        return self._world.fast_int8


class OnnxParser(ParserBase):
    _dtypes, _expand = DataType, False

    def __init__(self, network, logger):
        if not network._explicit:
            raise TypeError("the ONNX parser needs a network of explicit batch")
        ParserBase.__init__(self, network, logger)

    def parse(self, model, path=None):
        return self._parse(model)


class IExecutionContext(parts.Strict):
    _settable = ("profiler",)

    def __init__(self, plan, logger, has_profile):
        self._plan, self._logger, self._has_profile, self._shapes = plan, logger, has_profile, {}
        self.profiler = None

    def set_binding_shape(self, binding, shape):
        name, is_input = self._plan.tensors[binding][:2]
        if not is_input or not self._has_profile or not self._plan.fits(name, shape):
            parts.tell(self._logger, parts.Severity.ERROR, "setBindingDimensions: not within the profile")
            return False
        self._shapes[name] = tuple(shape)
        return True

    def get_strides(self, binding):
        name, _, shape, _ = self._plan.tensors[binding]
        if not self.all_binding_shapes_specified:
            raise ValueError("__len__() should return >= 0")  # Dims whose nbDims is -1
        streams = next(iter(self._all().values()))[0]
        return self._plan.strides(name, [streams if s < 0 else s for s in shape])

    @property
    def all_binding_shapes_specified(self):
        return all(name in self._all() for name, is_input, _, _ in self._plan.tensors if is_input)

    def _all(self):
        fixed = {n: tuple(shape) for n, is_input, shape, _ in self._plan.tensors if is_input and -1 not in shape}
        return dict(fixed, **self._shapes)

    def execute_async_v2(self, bindings, stream_handle, input_consumed=None):
        if not isinstance(bindings, list) or len(bindings) != len(self._plan.tensors):
            raise TypeError("incompatible function arguments")
        if not self.all_binding_shapes_specified:
            parts.tell(self._logger, parts.Severity.ERROR, "enqueueV2: dimensions not specified")
            return False
        addresses = {tensor[0]: int(address) for tensor, address in zip(self._plan.tensors, bindings)}
        done = self._plan.put(stream_handle, self._all(), addresses)
        if done and self.profiler is not None:
            self._plan.world.gpu.stream(stream_handle).synchronize()
            for layer, ms in (("conv", 0.5), ("shift", 0.25)):
                self.profiler.report_layer_time(layer, ms)
        if not done:
            parts.tell(self._logger, parts.Severity.ERROR, "enqueueV2 failed")
        return done


class ICudaEngine(parts.Strict):
    def __init__(self, plan, logger):
        self._plan, self._logger = plan, logger

    num_bindings = property(lambda self: len(self._plan.tensors))
    device_memory_size = property(lambda self: 1 << 20)

    def get_binding_name(self, index):
        return self._plan.tensors[index][0]

    def get_binding_index(self, name):
        return [tensor[0] for tensor in self._plan.tensors].index(name)

    def binding_is_input(self, index):
        return self._plan.tensors[index][1]

    def get_binding_shape(self, index):
        return self._plan.tensors[index][2]

    def get_binding_dtype(self, index):
        return DataType[self._plan.tensors[index][3]]

    def get_binding_format(self, index):
        return parts.TensorFormat[self._plan.formats[self._plan.tensors[index][0]]]

    def get_binding_format_desc(self, index):
        return parts.FORMAT_TEXTS.get(self.get_binding_format(index).name, "another") + " format"

    def get_profile_shape(self, profile_index, binding):
        return self._plan.profile[binding]

    def create_execution_context(self):
        if "context" in self._plan.world.fails:
            parts.tell(self._logger, parts.Severity.ERROR, "createExecutionContext: out of memory")
            return None
        self._plan.world.gpu.call("create_execution_context")
        self._plan.contexts += 1
        return IExecutionContext(self._plan, self._logger, has_profile=self._plan.contexts == 1)


class Runtime(RuntimeBase):
    _version, _engine = VERSION, ICudaEngine

    def deserialize_cuda_engine(self, serialized_engine):
        return self._deserialize(serialized_engine)


def make(world):
    """A module with the names of tensorrt."""
    module = types.ModuleType("tensorrt")
    module.__version__ = VERSION
    module.float16 = DataType.HALF
    for thing in (DataType, BuilderFlag, NetworkDefinitionCreationFlag, ICudaEngine, IExecutionContext, IBuilderConfig):
        setattr(module, thing.__name__, thing)
    for thing in (parts.ILogger, parts.IProfiler, parts.INetworkDefinition, parts.ITensor, parts.TensorFormat):
        setattr(module, thing.__name__, thing)
    for thing in (Builder, OnnxParser, Runtime):
        setattr(module, thing.__name__, type(thing.__name__, (thing,), {"_world": world}))
    return module
