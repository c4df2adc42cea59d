"""What the TensorRT engine does where a call fails, or where an engine does not fit this machine, on fakes."""

import json
import os
import shutil

import numpy as np
import pytest

from tests.device.fakes.machine import Machine, request
from tests.device.refusals import refused
from tests.device.streams import noise, steps
from tsm_edge import load_engine
from tsm_edge.engines import checksums, load_manifest
from tsm_edge.engines.tensorrt.build import build
from tsm_edge.engines.tensorrt.record import FORMAT_VERSION
from tsm_edge.errors import InputError, TsmEdgeError

# ---------------------------------------------------------------- failures


@pytest.mark.parametrize("call", ["cuGraphLaunch", "synchronize"])
def test_a_step_that_fails_raises_and_leaves_the_state(machine, built, call):
    with load_engine(built) as engine:
        frames, state = noise(engine.manifest.frame, 4), engine.new_state()
        expected = steps(engine, engine.new_state(), frames)
        first = steps(engine, state, frames[:2])
        machine.gpu.failures = {call: "an illegal instruction was encountered"}
        with pytest.raises(TsmEdgeError, match="CUDA: "):
            engine.step(frames[2], state)
        machine.gpu.failures = {}
        assert state.frames == 2
        assert not machine.gpu.contexts
        assert np.array_equal(np.concatenate([first, steps(engine, state, frames[2:])]), expected)


@pytest.mark.parametrize("call", ["memcpy_htod_async", "memcpy_dtoh_async", "mem_alloc", "pagelocked_empty"])
def test_a_state_that_cannot_be_made_raises_and_keeps_nothing(machine, built, call):
    with load_engine(built) as engine:
        machine.gpu.failures = {call: "out of memory"}
        with pytest.raises(TsmEdgeError, match="out of memory"):
            engine.new_state()
        machine.gpu.failures = {}
        assert not machine.gpu.allocations
        assert not machine.gpu.contexts
        engine.new_state()


@pytest.mark.parametrize("call", ["memcpy_dtoh_async", "memcpy_htod_async", "memset_d8_async", "synchronize"])
def test_snapshots_restores_and_resets_that_fail_raise(machine, built, call):
    with load_engine(built) as engine:
        state = engine.new_state()
        snapshot = state.snapshot()
        machine.gpu.failures = {call: "unspecified launch failure"}
        uses = {"memcpy_dtoh_async": state.snapshot, "memcpy_htod_async": lambda: state.restore(snapshot)}
        uses["memset_d8_async"] = state.reset
        for use in [uses[call]] if call in uses else uses.values():
            with pytest.raises(TsmEdgeError, match="unspecified launch failure"):
                use()
        machine.gpu.failures = {}


@pytest.mark.parametrize("stage", ["enqueue", "context"])
def test_what_tensorrt_refuses_raises_with_its_own_words(machine, built, stage):
    with load_engine(built) as engine:
        machine.world.fails = {stage}
        with pytest.raises(TsmEdgeError, match="out of memory|enqueueV. failed"):
            engine.new_state()
        assert not machine.gpu.allocations


def test_shapes_and_addresses_that_tensorrt_refuses_raise(monkeypatch, models, tmp_path):
    machine = Machine(monkeypatch, models, tmp_path, "10", "12")
    path = str(tmp_path / "model.trt")
    build(request(machine.model("tiny_custom"), path, lowering="standard"))
    with load_engine(path) as engine:
        machine.world.fails = {"set_shape"}
        with pytest.raises(TsmEdgeError, match="could not set .*: setInputShape: not within the profile"):
            engine.new_state(2)
        machine.world.fails = set()
        with engine.device:
            context = engine.plan.context()
            context.set_sizes(1)
            with pytest.raises(TsmEdgeError, match="could not bind frame"):
                context.enqueue([0] * len(engine.plan.tensors), engine.stream.handle)


def test_an_engine_that_does_not_deserialise_is_refused(machine, built):
    machine.world.fails = {"deserialize"}
    with pytest.raises(InputError, match="Deserialization failed"):
        load_engine(built)


# ---------------------------------------------------------------- stale engines


def edit(path, old, new):
    """Replace text in the record of an engine, and state the checksum of what is then there."""
    with open(path + ".json", encoding="utf-8") as file:
        text = file.read()
    assert text.count(old) == 1, old
    write(path, json.loads(text.replace(old, new)))


def write(path, values):
    values["sha256"] = checksums.checksum_of(values)
    with open(path + ".json", "w", encoding="utf-8") as file:
        file.write(json.dumps(values, indent=1))


def test_engines_for_another_machine_are_refused_before_tensorrt_sees_them(machine, built):
    machine.world.fails = {"deserialize"}  # would be the message if it did
    again = "tsm-edge build"
    version = machine.compat.version
    edit(built, '"tensorrt": "{}"'.format(version), '"tensorrt": "9.9.9"')
    refused(built, "stale engine: TensorRT", "got:      9.9.9", version + " (this machine)", again)
    edit(built, '"tensorrt": "9.9.9"', '"tensorrt": "{}"'.format(version))
    machine.gpu.name, machine.gpu.compute_capability = "Orin", (8, 7)
    from tsm_edge.engines.tensorrt import cuda_device

    cuda_device._open.clear()
    refused(built, "stale engine: GPU", "Tegra X1, compute capability 5.3", "Orin, compute capability 8.7", again)


def test_another_plugin_library_is_refused(machine, built):
    with open(machine.plugin, "ab") as file:
        file.write(b", built again")
    refused(built, "stale engine: plugin library", "tsm-edge build")
    os.remove(machine.plugin)
    refused(built, "an engine that runs our plugin", "make kernels")


def test_another_model_beside_it_is_refused(machine, tmp_path):
    onnx, path = str(tmp_path / "my.onnx"), str(tmp_path / "my.trt")
    shutil.copy(machine.model("tiny_custom"), onnx)
    build(request(onnx, path, streams="1"))
    load_engine(path).close()
    shutil.copy(machine.model("tiny_standard"), onnx)
    refused(path, "stale engine: model " + onnx, "tsm-edge build")
    os.remove(onnx)
    load_engine(path).close()  # a device may have the engine alone


@pytest.mark.parametrize("damage", [b"", b"more"])
def test_another_plan_than_its_record_describes_is_refused(machine, built, damage):
    machine.world.fails = {"deserialize"}
    with open(built, "rb") as file:
        data = file.read()
    with open(built, "wb") as file:
        file.write(data[:-100] if not damage else data + damage)
    refused(built, "another file than the one that was built", "tsm-edge build")


def test_records_that_are_missing_damaged_or_of_another_format_are_refused(machine, built, tmp_path):
    refused(str(tmp_path / "none.trt"), "no such file", "tsm-edge build")
    edit(built, '\n  "format_version": 2,', '\n  "format_version": 3,')
    refused(built, "manifest format_version", "got:      3")
    edit(built, '\n  "format_version": 3,', '\n  "format_version": 2,')
    edit(built, '\n "format_version": {},'.format(FORMAT_VERSION), '\n "format_version": 99,')
    refused(built, "format_version", "got:      99", "tsm-edge build ")
    edit(built, '\n "format_version": 99,', '\n "format_version": {},'.format(FORMAT_VERSION))
    edit(built, '"workspace": 268435456', '"workspace": "much"')
    refused(built, "workspace", "a whole number")
    with open(built + ".json", "w") as file:
        file.write("{")
    refused(built, "damaged JSON")
    os.remove(built + ".json")
    refused(built, built + ".json", "no such file")
    with pytest.raises(InputError, match="no such file"):
        load_manifest(built)


def test_an_engine_whose_manifest_is_of_version_1_loads(machine, built):
    """As `tsm-edge build` wrote it before 0.1.0: no task, no outputs."""
    with open(built + ".json", encoding="utf-8") as file:
        record = json.load(file)
    manifest = load_manifest(built)
    record["manifest"]["format_version"] = 1
    del record["manifest"]["task"], record["manifest"]["outputs"]
    write(built, record)
    assert load_manifest(built) == manifest
    with load_engine(built) as engine:
        engine.step(noise(engine.manifest.frame, 1)[0], engine.new_state())


def test_an_engine_whose_tensors_are_not_the_manifests_is_refused(machine, built):
    edit(built, '"height": 64', '"height": 32')
    refused(built, "frame", "(3, 64, 96)", "(3, 32, 96)")


@pytest.mark.parametrize("count, fault", [(0, "find no TensorRT"), (None, "our TensorRT plugins")])
def test_plugins_that_do_not_fit_are_refused(machine, built, count, fault):
    class Other:
        if count is not None:

            def tsm_edge_trt_register(self):
                return count

    machine.compat._plugins.clear()
    machine.compat._open_library = lambda path: Other()
    refused(built, machine.plugin, fault, "make kernels")
