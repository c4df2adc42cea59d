"""The TensorRT engine on fakes of TensorRT 8.2, 10 and 11 (tests/device/fakes): the contract, graphs and memory."""

import gc
import os
import threading

import numpy as np
import pytest

pytest.register_assert_rewrite("tests.device.engines.contract")

from tests.device.engines.contract import EngineContract  # noqa: E402
from tests.device.engines.tensorrt.conftest import engine_of  # noqa: E402
from tests.device.fakes.machine import Machine, request  # noqa: E402
from tests.device.streams import noise, steps, traced  # noqa: E402
from tests.tolerances import allowed  # noqa: E402
from tsm_edge import load_engine  # noqa: E402
from tsm_edge.engines import load_manifest  # noqa: E402
from tsm_edge.engines.tensorrt.build import build  # noqa: E402
from tsm_edge.engines.tensorrt.engine import TensorRTEngine  # noqa: E402
from tsm_edge.errors import InputError  # noqa: E402


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
    machine.gpu.calls.clear()
    with load_engine(path) as engine:
        frames, state = noise(engine.manifest.frame, 3, 3), engine.new_state(3)
        engine.step(frames[0, 1:2], state, [1])
        assert (state.sets, machine.gpu.calls.get("memcpy_dtod_async", 0)) == ([0, 1, 0], 0)
        engine.step(frames[1], state)
        assert state.sets == [1, 1, 1]
        assert machine.gpu.calls["memcpy_dtod_async"] == len(engine.manifest.caches)
        engine.step(frames[2], state)
        assert machine.gpu.calls["memcpy_dtod_async"] == len(engine.manifest.caches)
        assert "pageable" not in machine.gpu.calls
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
        assert machine.gpu.calls["pageable"] == len(engine.manifest.caches)


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


def test_the_manifest_of_an_engine_needs_no_tensorrt(machine, built):
    manifest = load_manifest(built)
    assert manifest.precision == "fp32"
    assert manifest.labels == load_manifest(machine.model("tiny_custom")).labels
