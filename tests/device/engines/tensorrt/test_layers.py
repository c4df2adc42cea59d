"""What the TensorRT engine tells a profile, on fakes: layers, the copy to the GPU, memory."""

import pytest

from tests.device.fakes.machine import Machine, request
from tests.device.streams import noise, steps
from tsm_edge import load_engine
from tsm_edge.engines.tensorrt.build import build
from tsm_edge.errors import InputError

FRAME_BYTES = 3 * 64 * 96 * 4


@pytest.fixture(params=[("8.2", "10.2"), ("10", "12")], ids=lambda p: "-".join(p))
def machine(request, monkeypatch, models, tmp_path):
    return Machine(monkeypatch, models, tmp_path, *request.param)


@pytest.fixture
def engine(machine, tmp_path):
    path = str(tmp_path / "model.trt")
    build(request(machine.model("tiny_custom"), path, lowering="plugin", streams="1"))
    with load_engine(path) as engine:
        yield engine


def test_layer_times(machine, engine):
    timed = engine.layer_times(2, 4)
    assert timed.measured == [("conv", "conv", 0.0005), ("shift", "shift", 0.00025)]
    assert (timed.by, timed.steps) == ("TensorRT", 4) and timed.step > 0
    assert not machine.gpu.allocations


def test_what_needs_a_context_of_its_own_and_what_not(monkeypatch, models, tmp_path):
    machine = Machine(monkeypatch, models, tmp_path)
    path = str(tmp_path / "model.trt")
    build(request(machine.model("tiny_custom"), path, lowering="standard"))  # sizes are open
    with load_engine(path) as engine:
        with pytest.raises(InputError, match="--streams N"):
            engine.layer_times(1, 1)
        states = [engine.new_state(n) for n in (1, 3)]
        both = engine.device_bytes()
        assert 2**20 + 4 * FRAME_BYTES < both < 2 * 2**20  # one context, which all states share
        assert len(engine.transfer_times(2)) == 2 and engine.device_bytes() == both
        del states


def test_the_copy_to_the_gpu_is_timed_and_touches_no_stream(machine, engine):
    frames = noise(engine.manifest.frame, 4)
    expected = steps(engine, engine.new_state(), frames)
    state = engine.new_state()
    got = [steps(engine, state, frames[:2])]
    before, copies = len(machine.gpu.allocations), machine.gpu.calls["memcpy_htod_async"]
    times = engine.transfer_times(5)
    assert len(times) == 5 and all(0 < seconds < 10 for seconds in times)
    assert len(machine.gpu.allocations) == before
    assert machine.gpu.calls["memcpy_htod_async"] >= copies + 5
    got.append(steps(engine, state, frames[2:]))
    assert (expected == [step for part in got for step in part]).all()


def test_memory_on_the_gpu(machine, engine):
    assert engine.device_bytes() == 0
    state = engine.new_state()
    one = engine.device_bytes()
    assert one == 2**20 + sum(len(memory) for memory in machine.gpu.allocations.values())
    other = engine.new_state()
    assert engine.device_bytes() == 2 * one
    del state, other
    assert engine.device_bytes() == 0
