"""What building has in common in the fakes of every release."""

from tests.device.fakes import network as parts


class ConfigBase(parts.Strict):
    def __init__(self, world):
        self._world, self._flags, self._profiles, self._cache = world, set(), [], None

    def set_flag(self, flag):
        self._flags.add(flag)

    def clear_flag(self, flag):
        self._flags.discard(flag)

    def get_flag(self, flag):
        return flag in self._flags

    def add_optimization_profile(self, profile):
        if not profile._shapes:
            return -1
        self._profiles.append(profile)
        return len(self._profiles) - 1

    def create_timing_cache(self, serialized_timing_cache):
        return parts.ITimingCache(bytes(serialized_timing_cache))

    def set_timing_cache(self, cache, ignore_mismatch):
        if "timing cache" in self._world.fails or (cache._data and not cache._data.startswith(b"timed")):
            parts.tell(self._logger, parts.Severity.ERROR, "Cache's hash does not match")
            return False
        self._cache = cache
        return True

    def get_timing_cache(self):
        return self._cache


class BuilderBase(parts.Strict):
    def __init__(self, logger):
        self._logger = logger
        self._world.keep_logger(logger)
        self._world.gpu.call("Builder")
        self._world.builder_began(self)

    def create_builder_config(self):
        config = self._config(self._world)
        config._logger = self._logger
        return config

    def create_optimization_profile(self):
        return parts.IOptimizationProfile()

    def build_serialized_network(self, network, config):
        """None, and an error in the log, for all that the real builder refuses."""
        self._world.gpu.call("build_serialized_network")
        problem = self._problem(network, config)
        if problem is not None:
            parts.tell(self._logger, parts.Severity.ERROR, problem)
            return None
        parts.tell(self._logger, parts.Severity.INFO, "[MemUsageChange] Init builder kernel library")
        parsed = network._parsed
        tensors = [
            (t.name, t in network._inputs, list(t.shape), t.dtype.name) for t in network._inputs + network._outputs
        ]
        profile = config._profiles[0]._shapes if config._profiles else {}
        flags = sorted(flag.name for flag in config._flags)
        told = {"flags": flags, "workspace": config._told_workspace()}
        self._world.built.append(dict(told, plugin=parsed.plugin, cache=config._cache and config._cache._data))
        if config._cache is not None:
            config._cache._data = config._cache._data or b"timed"
        formats = {t.name: self._format(t, parsed.plugin) for t in network._inputs + network._outputs}
        return parts.IHostMemory(parts.plan_of(self._version, parsed, tensors, profile, told, formats))

    @staticmethod
    def _format(tensor, plugin):
        """Return what a builder may choose for a tensor at the edge, where our plugins take vectors of half."""
        if plugin and tensor.dtype.name == "HALF" and tensor.allowed_formats >> int(parts.TensorFormat.HWC8) & 1:
            return "HWC8"
        if not tensor.allowed_formats & 1:
            raise AssertionError("no format of {} is left".format(tensor.name))
        return "LINEAR"

    def _problem(self, network, config):
        if network._parsed is None:
            return "Network must have at least one output"
        if "build" in self._world.fails or ("build plugin" in self._world.fails and network._parsed.plugin):
            return "Could not find any implementation for node: out of memory"
        half = [t for t in network._inputs + network._outputs if t.dtype.name == "HALF"]
        if half and "half caches" in self._world.fails:
            return "{}: could not find any supported formats consistent with input/output data types".format(
                half[0].name
            )
        if config._told_workspace() <= 0:
            return "no workspace: Could not find any implementation for node"
        open_inputs = [t.name for t in network._inputs if -1 in t.shape]
        shapes = config._profiles[0]._shapes if config._profiles else {}
        if any(name not in shapes for name in open_inputs):
            return "Network has dynamic or shape inputs, but no optimization profile has been defined."
        if half and not network._strong and "FP16" not in {flag.name for flag in config._flags}:
            return "an input or output is float16, and the builder may not use it"
        return None


class ParserBase(parts.Strict):
    def __init__(self, network, logger):
        self._network, self._logger, self._errors = network, logger, []
        network._strong = False

    num_errors = property(lambda self: len(self._errors))

    def get_error(self, index):
        return self._errors[index]

    def _parse(self, model):
        if "parse" in self._world.fails:
            self._errors.append(parts.ParserError("No importer registered for op: Frobnicate"))
            return False
        parsed = parts.ParsedNetwork(self._world, bytes(model), self._expand)
        if parsed.error is not None:
            self._errors.append(parts.ParserError(parsed.error))
            return False
        self._network._parsed = parsed
        for names, side in ((parsed.inputs, self._network._inputs), (parsed.outputs, self._network._outputs)):
            side.extend(parts.ITensor(name, shape, self._dtypes[dtype]) for name, shape, dtype in names)
        return True


class RuntimeBase(parts.Strict):
    def __init__(self, logger):
        self._logger = logger
        self._world.keep_logger(logger)
        self._world.gpu.call("Runtime")

    def _deserialize(self, data):
        try:
            return self._engine(parts.LoadedPlan(self._world, bytes(data), self._version), self._logger)
        except ValueError as error:
            parts.tell(self._logger, parts.Severity.ERROR, str(error))
            return None
