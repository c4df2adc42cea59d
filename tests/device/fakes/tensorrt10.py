"""`tensorrt` 10.3 (JetPack 6) and 11: tensors by name, memory pools, a context for whoever wants one.

11 has no flags of precision: what the ONNX file says is what is built.
"""

import enum
import types

from tests.device.fakes import network as parts
from tests.device.fakes.builder import BuilderBase, ConfigBase, ParserBase, RuntimeBase


class DataType(enum.Enum):
    FLOAT, HALF, INT8, INT32, BOOL, UINT8, FP8, BF16, INT64 = range(9)


class TensorIOMode(enum.Enum):
    NONE, INPUT, OUTPUT = range(3)


class MemoryPoolType(enum.Enum):
    WORKSPACE, DLA_MANAGED_SRAM = range(2)


class IBuilderConfig(ConfigBase):
    def __init__(self, world):
        ConfigBase.__init__(self, world)
        self._flags, self._limits = {self._all_flags.TF32}, {MemoryPoolType.WORKSPACE: 1 << 40}

    def set_memory_pool_limit(self, pool, pool_size):
        self._limits[MemoryPoolType(pool)] = int(pool_size)

    def _told_workspace(self):
        return self._limits[MemoryPoolType.WORKSPACE]


class Builder(BuilderBase):
    _dtypes = DataType

    def create_network(self, flags=0):
        return parts.INetworkDefinition()


class Builder10(Builder):
    @property
    def platform_has_fast_fp16(self):
        return self._world.fast_fp16

    @property
    def platform_has_fast_int8(self):
        return self._world.fast_int8


class OnnxParser(ParserBase):
    _dtypes, _expand = DataType, True

    def __init__(self, network, logger):
        ParserBase.__init__(self, network, logger)
        network._strong = self._typed

    def parse(self, model, path=None):
        return self._parse(model)


class IExecutionContext(parts.Strict):
    _settable = ("profiler",)

    def __init__(self, plan, logger):
        self._plan, self._logger, self._shapes, self._addresses = plan, logger, {}, {}
        self.profiler = None

    def _all(self):
        fixed = {n: tuple(shape) for n, is_input, shape, _ in self._plan.tensors if is_input and -1 not in shape}
        return dict(fixed, **self._shapes)

    def set_input_shape(self, name, shape):
        if "set_shape" in self._plan.world.fails or not self._plan.fits(name, shape):
            parts.tell(self._logger, parts.Severity.ERROR, "setInputShape: not within the profile")
            return False
        self._shapes[name] = tuple(shape)
        return True

    def infer_shapes(self):
        return [name for name, is_input, _, _ in self._plan.tensors if is_input and name not in self._all()]

    def get_tensor_strides(self, name):
        if self.infer_shapes():
            raise ValueError("__len__() should return >= 0")  # Dims whose nbDims is -1
        shape, streams = self._plan.shape_of(name), next(iter(self._all().values()))[0]
        return self._plan.strides(name, [streams if s < 0 else s for s in shape])

    def set_tensor_address(self, name, memory):
        if name not in [tensor[0] for tensor in self._plan.tensors] or not memory:
            return False
        self._addresses[name] = int(memory)
        return True

    def execute_async_v3(self, stream_handle):
        missing = [tensor[0] for tensor in self._plan.tensors if tensor[0] not in self._addresses]
        if missing or self.infer_shapes():
            parts.tell(self._logger, parts.Severity.ERROR, "enqueueV3: no address or shape for {}".format(missing))
            return False
        done = self._plan.put(stream_handle, self._all(), self._addresses)
        if done and self.profiler is not None:
            self._plan.world.gpu.stream(stream_handle).synchronize()
            for layer, ms in (("conv", 0.5), ("shift", 0.25)):
                self.profiler.report_layer_time(layer, ms)
        if not done:
            parts.tell(self._logger, parts.Severity.ERROR, "enqueueV3 failed")
        return done


class ICudaEngine(parts.Strict):
    def __init__(self, plan, logger):
        self._plan, self._logger = plan, logger
        self._by_name = {tensor[0]: tensor for tensor in plan.tensors}

    num_io_tensors = property(lambda self: len(self._plan.tensors))
    device_memory_size_v2 = property(lambda self: 1 << 20)

    def get_tensor_name(self, index):
        return self._plan.tensors[index][0]

    def get_tensor_mode(self, name):
        return TensorIOMode.INPUT if self._by_name[name][1] else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name):
        return DataType[self._by_name[name][3]]

    def get_tensor_shape(self, name):
        return self._by_name[name][2]

    def get_tensor_format(self, name):
        return parts.TensorFormat[self._plan.formats[name]]

    def get_tensor_format_desc(self, name):
        return parts.FORMAT_TEXTS.get(self.get_tensor_format(name).name, "another") + " format"

    def get_tensor_profile_shape(self, name, profile_index):
        return self._plan.profile[name]

    def create_execution_context(self):
        if "context" in self._plan.world.fails:
            parts.tell(self._logger, parts.Severity.ERROR, "createExecutionContext: out of memory")
            return None
        self._plan.world.gpu.call("create_execution_context")
        return IExecutionContext(self._plan, self._logger)


class Runtime(RuntimeBase):
    _engine = ICudaEngine

    def deserialize_cuda_engine(self, serialized_engine):
        return self._deserialize(serialized_engine)


FLAGS_10 = enum.IntEnum("BuilderFlag", "FP16 INT8 DEBUG GPU_FALLBACK REFIT DISABLE_TIMING_CACHE TF32", start=0)
FLAGS_11 = enum.IntEnum("BuilderFlag", [("DEBUG", 2), ("REFIT", 4), ("TF32", 6)])
NETWORK_10 = enum.IntEnum("NetworkDefinitionCreationFlag", "EXPLICIT_BATCH STRONGLY_TYPED", start=0)
NETWORK_11 = enum.IntEnum("NetworkDefinitionCreationFlag", [("STRONGLY_TYPED", 1)])


def make(world, version="10.3.0"):
    """A module with the names of tensorrt."""
    module = types.ModuleType("tensorrt")
    module.__version__ = version
    module.float16 = DataType.HALF
    typed = version.startswith("11")
    module.BuilderFlag = FLAGS_11 if typed else FLAGS_10
    module.NetworkDefinitionCreationFlag = NETWORK_11 if typed else NETWORK_10
    for thing in (DataType, TensorIOMode, MemoryPoolType, ICudaEngine, IExecutionContext):
        setattr(module, thing.__name__, thing)
    for thing in (parts.ILogger, parts.IProfiler, parts.INetworkDefinition, parts.ITensor, parts.TensorFormat):
        setattr(module, thing.__name__, thing)
    module.IBuilderConfig = type("IBuilderConfig", (IBuilderConfig,), {"_all_flags": module.BuilderFlag})
    shared = {"_world": world, "_version": version}
    module.Builder = type("Builder", (Builder if typed else Builder10,), dict(shared, _config=module.IBuilderConfig))
    module.OnnxParser = type("OnnxParser", (OnnxParser,), dict(shared, _typed=typed))
    module.Runtime = type("Runtime", (Runtime,), shared)
    return module
