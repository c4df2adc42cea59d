"""The TensorRT engine on fakes of TensorRT 8.2, 10 and 11 (tests/device/fakes): the contract, and each way to fail."""

import gc
import json
import os
import shutil
import threading

import numpy as np
import pytest

pytest.register_assert_rewrite("tests.device.engines.contract")

from tests.device.engines.contract import EngineContract  # noqa: E402
from tests.device.fakes.machine import Machine, request  # noqa: E402
from tests.device.refusals import refused  # noqa: E402
from tests.device.streams import noise, steps, traced  # noqa: E402
from tests.tolerances import allowed  # noqa: E402
from tsm_edge import load_engine  # noqa: E402
from tsm_edge.engines import load_manifest  # noqa: E402
from tsm_edge.engines.tensorrt.build import build  # noqa: E402
from tsm_edge.engines.tensorrt.engine import TensorRTEngine  # noqa: E402
from tsm_edge.errors import InputError, TsmEdgeError  # noqa: E402

BUILT = {}  # (release, precision, lowering, streams, model): folder of the engine, kept for the session


@pytest.fixture(scope="session")
def engines(tmp_path_factory):
    return tmp_path_factory.mktemp("engines")


def engine_of(machine, engines, model, release, **changes):
    """Path of the engine that `tsm-edge build` makes of a model, made once."""
    key = (release, model) + tuple(sorted(changes.items()))
    if key not in BUILT:
        path = str(engines / "{}.trt".format(len(BUILT)))
        build(request(model, path, **changes))
        BUILT[key] = path
    return BUILT[key]


class OnFakes(EngineContract):
    release, cuda, precision, lowering = "8.2", "10.2", "fp32", "standard"

    @pytest.fixture(autouse=True)
    def machine(self, monkeypatch, models, engines):
        folder = engines / "lib"
        folder.mkdir(exist_ok=True)
        self.engines, self.machine = engines, Machine(monkeypatch, models, folder, self.release, self.cuda)
        return self.machine

    def open(self, path):
        changes = {"precision": self.precision, "lowering": self.lowering}
        return load_engine(engine_of(self.machine, self.engines, path, self.release, **changes))


class TestTensorRT82(OnFakes):
    """A Nano. Sizes are open, so all states share one context, and there are no graphs."""

    lowering = "plugin"

    def test_there_is_one_context(self, engine, machine):
        engine.new_state(2), engine.new_state(1)
        assert machine.gpu.calls["create_execution_context"] == 1
        assert "one context" in engine.why_no_graph


class TestTensorRT82Half(OnFakes):
    precision, tolerance = "fp16", "float16"


class TestTensorRT10(OnFakes):
    release, cuda, lowering = "10", "12", "plugin"

    def test_steps_run_as_graphs(self, engine, machine):
        state = engine.new_state(2)
        enqueued = machine.gpu.calls["enqueue"]
        steps(engine, state, noise(engine.manifest.frame, 3, 2))
        assert engine.why_no_graph is None
        assert machine.gpu.calls["enqueue"] == enqueued
        assert machine.gpu.calls["cuGraphLaunch"] == 3


class TestTensorRT10WithoutGraphs(OnFakes):
    release, cuda = "10", "9"

    def test_why(self, engine):
        engine.new_state()
        assert engine.why_no_graph == "this CUDA driver has none"


class TestTensorRT11Half(OnFakes):
    """11 takes types from the file alone."""

    release, cuda, precision, lowering = "11", "12", "fp16", "plugin"
    tolerance = "float16"


# ---------------------------------------------------------------- one engine, one machine


@pytest.fixture(params=[("8.2", "10.2"), ("10", "12")], ids=lambda p: "-".join(p))
def machine(request, monkeypatch, models, tmp_path):
    return Machine(monkeypatch, models, tmp_path, *request.param)


@pytest.fixture
def built(machine, engines, tmp_path):
    """Path of an engine for one stream, by plugin."""
    path, release = str(tmp_path / "model.trt"), machine.compat.version
    made = engine_of(machine, engines, machine.model("tiny_custom"), release, lowering="plugin", streams="1")
    shutil.copy(made, path)
    shutil.copy(made + ".json", path + ".json")
    machine.gpu.calls.clear()
    return path


@pytest.mark.parametrize("generation", ["10.2", "11", "12"])
def test_graphs_by_every_generation_of_the_driver(monkeypatch, models, tmp_path, engines, generation):
    machine = Machine(monkeypatch, models, tmp_path, "8.2", generation)
    path = engine_of(machine, engines, machine.model("tiny_custom"), "8.2.1.8", lowering="plugin", streams="1")
    with load_engine(path) as engine:
        frames, state = noise(engine.manifest.frame, 3), engine.new_state()
        got = steps(engine, state, frames)
        assert len(machine.libcuda.execs) == 2
        assert engine.why_no_graph is None
    with TensorRTEngine(path, graphs=False) as engine:
        assert np.array_equal(steps(engine, engine.new_state(), frames), got)
        assert engine.why_no_graph == "not asked for"


def test_one_number_of_streams_has_graphs_everywhere(machine, built, models):
    expected = np.load(os.path.join(models, "tiny_custom.npy"))[0]
    with load_engine(built) as engine:
        assert engine.shift_by == "plugin"
        assert engine.streams == (1, 1)
        state, other = engine.new_state(), engine.new_state()
        frames = np.ascontiguousarray(noise(engine.manifest.frame, len(expected), 2)[:, :1])
        got = steps(engine, state, frames)
        assert engine.why_no_graph is None
        assert machine.gpu.calls["cuGraphLaunch"] == len(expected)
        assert np.abs(got[:, 0] - expected).max() <= allowed(expected)
        assert np.array_equal(steps(engine, other, frames), got)
        assert len(machine.libcuda.execs) == 4  # one a buffer set
    assert not machine.libcuda.execs
    assert not machine.libcuda.graphs


def test_other_numbers_of_streams_are_refused_with_what_builds_them(machine, built):
    with load_engine(built) as engine, pytest.raises(InputError) as caught:
        engine.new_state(2)
    assert "tsm-edge build" in str(caught.value)
    assert str(caught.value).endswith("--streams 2")


def test_streams_that_fall_out_of_step_are_copied_on_the_gpu(monkeypatch, models, tmp_path):
    """A step of one stream of three: the other two follow by one copy a cache, and nothing crosses to the host."""
    machine = Machine(monkeypatch, models, tmp_path, "10", "12")
    path = str(tmp_path / "model.trt")
    build(request(machine.model("tiny_custom"), path, lowering="standard"))
    with load_engine(path) as engine:
        frames, state = noise(engine.manifest.frame, 3, 3), engine.new_state(3)
        engine.step(frames[0, 1:2], state, [1])
        assert (state.sets, machine.gpu.calls.get("memcpy_dtod_async", 0)) == ([0, 1, 0], 0)
        engine.step(frames[1], state)
        assert state.sets == [1, 1, 1]
        assert machine.gpu.calls["memcpy_dtod_async"] == len(engine.manifest.caches)
        engine.step(frames[2], state)
        assert machine.gpu.calls["memcpy_dtod_async"] == len(engine.manifest.caches)
        assert "memcpy_dtoh" not in machine.gpu.calls and "memcpy_htod" not in machine.gpu.calls
        assert np.array_equal(state.frame, frames[2])
        engine.step(frames[0, 2:], state, [2])
        assert np.array_equal(state.frame[2], frames[0, 2])
        assert not state.frame[:2].any()  # zeros for the streams that have no frame


def test_caches_stay_on_the_gpu(machine, built):
    """A step copies one frame in and one row of logits out. Snapshots copy caches, when they are asked for."""
    with load_engine(built) as engine:
        state = engine.new_state()
        frame = noise(engine.manifest.frame, 1)[0]
        before = dict(machine.gpu.calls)
        for _ in range(10):
            engine.step(frame, state)
        made = {name: n - before.get(name, 0) for name, n in machine.gpu.calls.items() if n != before.get(name, 0)}
        assert made == {"push": 10, "pop": 10, "synchronize": 10, "cuGraphLaunch": 10}
        state.snapshot()
        assert machine.gpu.calls["memcpy_dtoh"] == len(engine.manifest.caches)


def test_nothing_is_allocated_in_10000_steps(machine, built):
    """On the GPU nothing at all; on the host the logits and nothing of a frame's size. The network is left out."""
    with load_engine(built) as engine:
        state, frame = engine.new_state(), noise(engine.manifest.frame, 1)[0]
        for number in machine.libcuda.execs:
            machine.libcuda.execs[number] = []
        memory = sorted(machine.gpu.allocations)
        for _ in range(10):
            engine.step(frame, state)
        stayed, most = traced(engine, frame, state, 10000)
        assert sorted(machine.gpu.allocations) == memory
        assert stayed < 8192
        assert most < frame.nbytes / 2


def test_closing_gives_all_memory_back(machine, built):
    engine = load_engine(built)
    states = [engine.new_state() for _ in range(3)]
    assert len(machine.gpu.allocations) == 3
    del states[0]
    gc.collect()
    assert len(machine.gpu.allocations) == 2  # a state that is forgotten gives its own back
    engine.close()
    engine.close()
    assert not machine.gpu.allocations
    del states
    gc.collect()


def test_any_thread_may_step(machine, built):
    """The camera loop is seldom the thread that loaded the engine; a context is of the thread that pushed it."""
    with load_engine(built) as engine:
        state, frames, got, errors = engine.new_state(), noise(engine.manifest.frame, 4), [], []

        def work():
            try:
                got.append(steps(engine, state, frames))
                state.reset()
                engine.new_state()
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(60)
        assert not errors
        assert np.array_equal(got[0], steps(engine, state, frames))
    assert not machine.gpu.contexts


def test_an_engine_that_cannot_be_captured_runs_without_graphs(machine, built):
    with load_engine(built) as engine:
        expected = steps(engine, engine.new_state(), noise(engine.manifest.frame, 3))
    for cause in ("capture", "cuStreamEndCapture", "cuGraphInstantiate", "cuStreamBeginCapture_v2"):
        if cause == "capture":
            machine.world.fails = {cause}
        else:
            machine.gpu.failures = {cause: "unsupported"}
        with load_engine(built) as engine:
            got = steps(engine, engine.new_state(), noise(engine.manifest.frame, 3))
            assert engine.why_no_graph
            assert np.array_equal(got, expected)
            assert not machine.libcuda.execs
            assert not machine.libcuda.graphs
        machine.world.fails, machine.gpu.failures = set(), {}


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


@pytest.mark.parametrize("call", ["memcpy_dtoh", "memcpy_htod", "memset_d8_async"])
def test_snapshots_restores_and_resets_that_fail_raise(machine, built, call):
    with load_engine(built) as engine:
        state = engine.new_state()
        snapshot = state.snapshot()
        machine.gpu.failures = {call: "unspecified launch failure"}
        with pytest.raises(TsmEdgeError, match="unspecified launch failure"):
            state.snapshot(), state.restore(snapshot), state.reset()
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
    with open(path + ".json", encoding="utf-8") as file:
        text = file.read()
    assert text.count(old) == 1, old
    with open(path + ".json", "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))


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
    edit(built, '\n "format_version": 1,', '\n "format_version": 2,')
    refused(built, "format_version", "got:      2")
    edit(built, '\n "format_version": 2,', '\n "format_version": 1,')
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
    with open(built + ".json", "w", encoding="utf-8") as file:
        json.dump(record, file)
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


# ---------------------------------------------------------------- the rest


def test_the_manifest_of_an_engine_needs_no_tensorrt(machine, built):
    manifest = load_manifest(built)
    assert manifest.precision == "fp32"
    assert manifest.labels == load_manifest(machine.model("tiny_custom")).labels
