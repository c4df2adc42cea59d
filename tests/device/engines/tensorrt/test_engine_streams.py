"""The engine makes no call on the default stream, and one engine is used while another one is captured, on fakes."""

import threading

import numpy as np
import pytest

from tests.device.fakes.machine import Machine, request
from tests.device.streams import noise, steps
from tsm_edge import load_engine
from tsm_edge.engines.tensorrt import cuda_device
from tsm_edge.engines.tensorrt.build import build


def use_everything(engine):
    """Return the outputs, after every kind of copy that an engine makes."""
    frames, state = noise(engine.manifest.frame, 3), engine.new_state()
    got = steps(engine, state, frames)
    snapshot = state.snapshot()
    state.reset()
    state.reset(0)
    state.restore(snapshot)
    again = steps(engine, state, frames)
    engine.transfer_times(2)
    return np.concatenate([got, again])


def test_no_call_uses_the_default_stream(machine, built):
    with load_engine(built) as engine:
        use_everything(engine)
        engine.layer_times(1, 2)
    assert "default stream" not in machine.gpu.calls
    assert not {"memcpy_htod", "memcpy_dtoh"} & set(machine.gpu.calls)
    assert [stream.blocking for stream in machine.gpu.streams.values()] == [False] * len(machine.gpu.streams)


def test_offline_engines_and_builds_do_not_either(monkeypatch, models, tmp_path):
    machine = Machine(monkeypatch, models, tmp_path, "10", "12")
    path = str(tmp_path / "clip.trt")
    build(request(machine.model("tiny_offline"), path, streams="1"))
    with load_engine(path) as engine:
        frame = engine.manifest.frame
        engine.clip(np.zeros((1, engine.manifest.shift.n_segment, 3, frame.height, frame.width), np.float32))
    assert "default stream" not in machine.gpu.calls


@pytest.mark.parametrize("apart", [True, False], ids=["in another thread", "in the thread that captures"])
def test_an_engine_is_used_while_another_one_is_captured(machine, built, apart):
    with load_engine(built) as one, load_engine(built) as other:
        expected, state, failed, done = use_everything(one), one.new_state(), [], []
        snapshot = state.snapshot()

        def use():
            try:
                state.restore(snapshot)
                state.reset()
                done.append(steps(one, state, noise(one.manifest.frame, 3)))
                state.snapshot()
            except Exception as error:
                failed.append(error)

        def meanwhile():
            thread = threading.Thread(target=use)
            for run in (thread.start, thread.join) if apart else (use,):
                run()

        machine.gpu.while_capturing = meanwhile
        captured = other.new_state()
        assert not failed
        assert machine.gpu.while_capturing is None
        assert other.why_no_graph is None
        assert np.array_equal(done[0], expected[:3])
        assert np.array_equal(steps(other, captured, noise(other.manifest.frame, 3)), expected[:3])


def test_with_blocking_streams_the_default_stream_would_break_the_capture(machine, built, monkeypatch):
    """The test above can fail: a snapshot on the default stream, as releases before this one took it."""
    monkeypatch.setattr(cuda_device, "NON_BLOCKING", 0)
    with load_engine(built) as one, load_engine(built) as other:
        state, errors = one.new_state(), []

        def meanwhile():
            try:
                with one.device:
                    one.device.driver.memcpy_dtoh(np.zeros(4, np.uint8), state.block.at[0])
            except Exception as error:
                errors.append(error)

        machine.gpu.while_capturing = meanwhile
        other.new_state()
        assert errors and other.why_no_graph is not None
