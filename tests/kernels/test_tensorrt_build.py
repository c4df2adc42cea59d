"""`engines.tensorrt.compat` with a real builder of the TensorRT family; the fakes against published signatures.

tensorrt-rtx builds engines without a GPU, by the calls of TensorRT 11 (types from the file, tensors by name), so the
code of `tsm-edge build` runs on it as it is; running an engine needs a GPU. `make kernels-check` fetches it and the
stubs of TensorRT 10, and sets TSM_EDGE_KERNELS_CHECK; without that these tests skip.
"""

import ast
import inspect
import os
import re
import sys

import pytest

from tests.device.fakes import network, tensorrt10
from tests.device.fakes.gpu import Gpu
from tests.device.fakes.signatures import beyond
from tsm_edge.engines import load_manifest
from tsm_edge.engines.tensorrt import compat
from tsm_edge.engines.tensorrt.compat import BuildOptions, TensorRT
from tsm_edge.engines.tensorrt.trial import kept_in_float32, onnx_rewritten
from tsm_edge.errors import InputError
from tsm_edge.onnx.float16 import in_float16

CHECK = os.environ.get("TSM_EDGE_KERNELS_CHECK")
pytestmark = pytest.mark.skipif(not CHECK, reason="needs what `make kernels-check` fetches")
SHARED = (network.IOptimizationProfile, network.ITimingCache, network.ParserError, network.ILogger, network.IProfiler)


@pytest.fixture(scope="module")
def real():
    sys.path.insert(0, os.path.join(CHECK, "rtx"))
    import tensorrt_rtx_bindings

    return TensorRT(tensorrt_rtx_bindings)


def options(precision="fp32", streams=(1, 1, 1)):
    return BuildOptions(precision, (), streams, 256 << 20, (8, 6))


def model(models, name):
    path = os.path.join(models, name + ".onnx")
    with open(path, "rb") as file:
        return file.read(), path


# ---------------------------------------------------------------- the builder


@pytest.mark.parametrize("streams", [(1, 1, 1), (2, 2, 2), (1, 2, 4)])
@pytest.mark.parametrize("precision, caches", [("fp32", "float32"), ("fp16", "float16"), ("fp16", "float32")])
@pytest.mark.parametrize("name", ["tiny_custom", "tiny_standard", "tiny_offline"])
def test_the_build_code_builds(real, models, name, precision, caches, streams):
    data, path = model(models, name)
    data = onnx_rewritten(data, path, "standard", streams)
    if precision == "fp16":
        manifest = load_manifest(path)
        manifest = manifest._replace(caches=tuple(cache._replace(dtype=caches) for cache in manifest.caches))
        data = in_float16(data, path, kept_in_float32(manifest))
    log = real.log()
    mark = log.mark()
    plan, cache = real.build(data, path, options(precision, streams), log)
    assert len(plan) > 100_000
    assert not log.since(mark)
    again, _ = real.build(data, path, options(precision, streams), log, cache)
    assert len(again) > 100_000


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_build_code_builds_a_detector(real, models, precision):
    data, path = model(models, "tiny_detector")
    data = onnx_rewritten(data, path, "standard", (1, 2, 4))
    if precision == "fp16":
        data = in_float16(data, path, kept_in_float32(load_manifest(path)))
    log = real.log()
    mark = log.mark()
    plan, _ = real.build(data, path, options(precision, (1, 2, 4)), log)
    assert len(plan) > 100_000
    assert not log.since(mark)


def test_a_network_may_take_any_format_until_we_say_linear(real, models):
    data, path = model(models, "tiny_standard")
    log = real.log()
    network = real.module.Builder(log).create_network(0)
    assert real.module.OnnxParser(network, log).parse(onnx_rewritten(data, path, "standard", (1, 1, 1)))
    ends = compat._ends_of(network)
    assert len(ends) == network.num_inputs + network.num_outputs > 2
    formats = real.module.TensorFormat
    assert all(end.allowed_formats & 1 << int(formats.HWC8) for end in ends)
    compat._allow_only_linear(real.module, network)
    assert {end.allowed_formats for end in ends} == {1 << int(formats.LINEAR)}


def test_half_engines_are_smaller(real, models):
    data, path = model(models, "mobilenetv2_tsm")
    data = onnx_rewritten(data, path, "standard", (1, 1, 1))
    whole, half = (
        len(real.build(d, path, options(), real.log())[0]) for d in (data, in_float16(data, path, ("frame", "logits")))
    )
    assert half < 0.7 * whole


def test_a_missing_plugin_is_the_parsers_own_message(real, models):
    data, path = model(models, "tiny_custom")
    with pytest.raises(InputError, match="TemporalShiftStep") as caught:
        real.build(onnx_rewritten(data, path, "plugin", (1, 1, 1)), path, options(), real.log())
    assert "--lowering standard" in str(caught.value)


def test_damage_is_refused(real, models):
    data, path = model(models, "tiny_standard")
    with pytest.raises(InputError, match="tiny_standard"):
        real.build(data[:5000], path, options(), real.log("error"))


# ---------------------------------------------------------------- the fakes


def stubs():
    """class -> {name: lists of arguments, or None for a property} of TensorRT 10's published stubs."""
    with open(os.path.join(CHECK, "rtx", "tensorrt_bindings", "tensorrt.pyi"), encoding="utf-8") as file:
        lines = file.read().split("\n")
    while True:  # the stubs were generated: some lines have a default before an argument without one
        try:
            tree = ast.parse("\n".join(lines))
            break
        except SyntaxError as error:
            lines[error.lineno - 1] = re.sub(r"\(self.*\)", "(self)", lines[error.lineno - 1])
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            members = found[node.name] = {}
            for item in node.body:
                if isinstance(item, ast.AnnAssign):
                    members[item.target.id] = None
                elif isinstance(item, ast.FunctionDef):
                    decorators = {ast.unparse(d) for d in item.decorator_list}
                    if "property" in decorators:
                        members[item.name] = None
                    else:
                        arguments = [a.arg for a in item.args.args if a.arg != "self"]
                        members[item.name] = (members.get(item.name) or []) + [arguments]
                        if item.name == "create_execution_context":
                            members[item.name].append([])  # every argument has a default
    return found


@pytest.mark.parametrize("version", ["10.3.0", "11.1.0"])
def test_the_fake_of_tensorrt_10_against_its_stubs(version):
    module, real = tensorrt10.make(network.World(Gpu()), version), stubs()
    fakes = {name: thing for name, thing in vars(module).items() if inspect.isclass(thing)}
    fakes.update({thing.__name__: thing for thing in SHARED})
    compared = {name: beyond(fake, real[name]) for name, fake in fakes.items() if "Flag" not in name}
    enums = ("DataType", "TensorIOMode", "MemoryPoolType", "TensorFormat")
    assert {name: found for name, found in compared.items() if found and name not in enums} == {}
    assert len(compared) - len(enums) >= 10
    for name in enums:
        assert {m.name for m in getattr(module, name)} <= set(real[name])


def test_the_fake_of_tensorrt_11_against_the_real_tensorrt_rtx(real):
    """Its bindings state their signatures in their docstrings: name(self: …, argument: type = default) -> type."""
    module = tensorrt10.make(network.World(Gpu()), "11.1.0")
    for name in ("Builder", "IBuilderConfig", "OnnxParser", "Runtime", "ICudaEngine", "IExecutionContext"):
        theirs = getattr(real.module, name)
        signatures = {}
        for member in dir(theirs):
            attribute = inspect.getattr_static(theirs, member)
            if isinstance(attribute, property):
                signatures[member] = None
                continue
            calls = re.findall(r"\b" + member + r"\((.*?)\) ->", getattr(theirs, member).__doc__ or "")
            lists = [[a for a in re.findall(r"(\w+): ", call) if a != "self"] for call in calls]
            if lists or member != "__init__":  # without: made by the library alone
                signatures[member] = lists + ([[]] if member == "create_execution_context" else [])
        assert beyond(getattr(module, name), signatures) == [], name
    assert not hasattr(real.module.BuilderFlag, "FP16")
    assert not hasattr(real.module.Builder, "platform_has_fast_fp16")
