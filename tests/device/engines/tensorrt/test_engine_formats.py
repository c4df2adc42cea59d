"""No engine runs whose buffers TensorRT lays out in another way than we allocate them, on fakes."""

import random
import re

import pytest

from tests.device.fakes.machine import Machine, request
from tests.device.fakes.network import TensorFormat
from tests.device.streams import noise, steps
from tsm_edge import load_engine
from tsm_edge.engines.tensorrt import compat as trt_compat
from tsm_edge.engines.tensorrt.build import build
from tsm_edge.errors import InputError

RELEASES = [("8.2", "10.2"), ("10", "12"), ("11", "12")]


def names_of(path):
    with load_engine(path) as engine:
        return sorted(engine.plan.tensors)


@pytest.mark.parametrize("release", RELEASES, ids=lambda p: p[0])
@pytest.mark.parametrize("lowering", ["plugin", "standard"])
def test_every_input_and_output_that_is_built_is_linear(monkeypatch, models, tmp_path, release, lowering):
    """Left to itself the fake builder takes HWC8 for half caches next to the plugin, as the real one may."""
    machine = Machine(monkeypatch, models, tmp_path, *release)
    path = str(tmp_path / "model.trt")
    wanted = request(machine.model("tiny_custom"), path, lowering=lowering, precision="fp16", streams="1")
    build(wanted)
    with load_engine(path) as engine:
        assert {tensor.format for tensor in engine.plan.tensors.values()} == {"LINEAR"}
        assert "Row major linear" in engine.plan.format_text("cache_00")
        assert {tensor.dtype for tensor in engine.plan.tensors.values()} == {"float32", "float16"}


def test_without_our_limit_a_builder_takes_vectors_and_the_engine_is_refused(monkeypatch, models, tmp_path):
    machine = Machine(monkeypatch, models, tmp_path)
    monkeypatch.setattr(trt_compat, "_allow_only_linear", lambda trt, network: None)
    wanted = request(machine.model("tiny_custom"), tmp_path / "m.trt", lowering="plugin", precision="fp16", streams="1")
    with pytest.raises(InputError, match=r"format of input cache_00\n.*HWC8 .*\n.*LINEAR"):
        build(wanted)


def test_engines_with_any_other_format_are_refused(machine, built):
    """Every format for every input and output, alone and with others."""
    names, choose = names_of(built), random.Random(0)
    cases = [{name: layout.name} for name in names for layout in TensorFormat if layout.name != "LINEAR"]
    for _ in range(20):
        some = choose.sample(names, choose.randint(2, len(names)))
        cases.append({name: choose.choice(list(TensorFormat)[1:]).name for name in some})
    for formats in cases:
        machine.world.formats = formats
        with pytest.raises(InputError) as caught:
            load_engine(built)
        named = re.search("format of (?:input|output) ([a-z0-9_]+)$", caught.value.where).group(1)
        assert caught.value.got.split()[0] == formats[named]
        assert caught.value.expected == "LINEAR" and "tsm-edge build" in caught.value.do
    machine.world.formats = {}
    load_engine(built).close()


def test_buffers_that_tensorrt_pads_are_refused(machine, built):
    """An engine whose format is linear, but whose rows are longer than ours."""
    for name in names_of(built):
        machine.world.padding = {name: 1}
        with load_engine(built) as engine:
            rows = len(engine.plan.tensors[name].shape) > 2  # logits have a single row, which has no next one
            if not rows:
                engine.new_state()
                continue
            with pytest.raises(InputError, match="buffer of " + name) as caught:
                engine.new_state()
            assert int(caught.value.got.split()[0]) > int(re.search("[0-9]+", caught.value.expected).group())
            assert "tsm-edge build" in caught.value.do
        assert not machine.gpu.allocations
    machine.world.padding = {}


def test_strides_that_tensorrt_does_not_state_refuse_nothing(machine, built, monkeypatch):
    monkeypatch.setattr(trt_compat.Context, "_strides", lambda context, name: ())
    with load_engine(built) as engine:
        steps(engine, engine.new_state(), noise(engine.manifest.frame, 2))
