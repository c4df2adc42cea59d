"""`tsm-edge profile` from end to end."""

import functools
import os

import numpy as np
import pytest

from tests.device import boards, media
from tests.device.running import tsm_edge
from tsm_edge import load_engine
from tsm_edge.engines import load_manifest
from tsm_edge.engines.base import Engine
from tsm_edge.errors import InputError
from tsm_edge.machine.sampler import Sampler
from tsm_edge.native import library as kernel_library
from tsm_edge.profile import measure, record
from tsm_edge.profile.layers import sort_layers
from tsm_edge.sources.synthetic import SyntheticSource

SHORT = ("--seconds", 0.3, "--warm-up", 0.2, "--threads", 1)


@pytest.fixture
def model(models):
    return os.path.join(models, "tiny_custom.onnx")


@pytest.fixture
def video(tmp_path):
    return media.write_video(tmp_path / "in.mp4", 3)


def profiled(capsys, tmp_path, *arguments):
    """(Done, the checked Profile) of one run."""
    path = tmp_path / "p.json"
    done = tsm_edge(capsys, "profile", "--json", path, *(arguments + SHORT))
    assert done.code == 0, done.err
    return done, record.load(str(path))


def test_everything_at_once(model, capsys, tmp_path):
    done, p = profiled(capsys, tmp_path, "--engine", model, "--streams", 2, "--cold", 1)
    assert p.source.kind == "synthetic" and p.source.size == (100, 100) and (p.dropped, p.corrupt) == (0, 0)
    assert p.frames >= 1 and p.seconds >= 0.3 and p.fps == pytest.approx(p.frames / p.seconds, rel=1e-3)
    names = [stage.name for stage in p.stages]
    assert names == ["decode", "wait", "preprocess", "infer", "decide", "sink", "frame", "latency", "interval"]
    counts = {stage.name: stage.count for stage in p.stages}
    assert counts.pop("interval") == p.frames - 1 and set(counts.values()) == {p.frames}
    for stage in p.stages:
        assert sum(count for _, _, count in stage.histogram) == stage.count
        assert stage.p50 <= stage.p90 <= stage.p95 <= stage.p99 <= stage.max * 1.01
    assert 0.98 <= p.accounted <= 1.02 and 0 < p.overhead < 1
    assert len(p.blocks.rows) * p.blocks.frames <= max(p.frames, p.blocks.frames)
    assert p.memory.caches == 2 * sum(_bytes(model)) and p.memory.device is None
    assert 0 < p.memory.resident <= p.memory.peak
    assert p.subject.shift_by in ("kernel library", "function body") and p.subject.threads == 1
    assert p.streams.count == 2 and p.streams.low <= p.streams.ratio <= p.streams.high
    assert min(p.cold.start, p.cold.imports, p.cold.load, p.cold.first_step, p.cold.second_step) > 0
    assert p.layers.steps == measure.LAYER_STEPS and 0 < p.layers.shift < p.layers.total
    for said in ("synthetic 100x100 noise", "p99", "all shifts", "cold start", "batched"):
        assert said in done.out
    assert "profile: measuring" in done.err


def _bytes(model):
    with load_engine(model) as engine:
        for cache in engine.manifest.caches:
            yield 4 * cache.shape[0] * cache.shape[1] * cache.shape[2]


def test_a_file_that_is_shorter_than_the_run(model, video, capsys, tmp_path):
    _, p = profiled(capsys, tmp_path, "--engine", model, "--source", video, "--cold", 0, "--no-layers")
    assert (p.source.kind, p.source.name, p.source.size) == ("file", video, (64, 48))
    assert p.source.latency_from == "read begun" and any("--paced" in note for note in p.notes)
    assert p.frames > 3 and p.resets >= 1  # it began again
    assert p.layers is p.cold is p.streams is None
    assert record.stage(p, "capture") is None and record.stage(p, "decode").count == p.frames


def test_a_paced_file_counts_what_it_drops(model, video, capsys, tmp_path):
    arguments = ("--engine", model, "--source", video, "--paced", 1000, "--cold", 0, "--no-layers")
    _, p = profiled(capsys, tmp_path, *arguments)
    assert (p.source.paced, p.source.latency_from) == (1000.0, "due")
    assert record.stage(p, "capture").count == p.frames
    # The clip is served less often than 1,000 times a second: each frame is later than the one before.
    assert record.stage(p, "latency").p50 > record.stage(p, "frame").p50


def test_a_throttled_run_says_so(model, capsys, tmp_path, monkeypatch):
    root = boards.nano(tmp_path / "nano")
    boards.write(root, {"sys/class/thermal/cooling_device1/cur_state": "2\n"})
    monkeypatch.setattr(measure, "Sampler", functools.partial(Sampler, root))
    monkeypatch.setattr(measure, "read_board", functools.partial(measure.read_board, root))
    done, p = profiled(capsys, tmp_path, "--engine", model, "--cold", 0, "--no-layers")
    assert p.sensing.throttling == ("gpu-balanced",)
    assert "note: THROTTLED during the run by: gpu-balanced." in done.out
    assert (p.machine.board, p.machine.power_mode) == ("NVIDIA Jetson Nano Developer Kit", "MAXN")
    assert p.sensing.power["POM_5V_IN"] == [4812, 4812, 4812]


@pytest.mark.parametrize("name, kernels", [("tiny_custom", True), ("tiny_custom", False), ("tiny_standard", False)])
def test_the_shifts_of_every_form_are_found(models, name, kernels):
    if kernels and kernel_library.find("onnxruntime") is None:
        pytest.skip("no kernel library: make kernels")
    with load_engine(os.path.join(models, name + ".onnx"), threads=1, kernels=kernels) as engine:
        places = engine.manifest.shift.places
        state = engine.new_state()
        timed = engine.layer_times(1, 4)
        found = sort_layers(timed, places)
        shifts = [layer for layer in found.layers if layer.group == "shift"]
        assert {layer.group for layer in found.layers} <= {"shift", "layout", "other"}
        assert 0 < found.shift < found.total
        if engine.shift_by == "kernel library":
            assert len(shifts) == len(places) and {layer.op for layer in shifts} == {"TemporalShiftStep"}
        else:
            concatenated = [layer.name for layer in shifts if layer.op == "Concat"]
            assert sorted(concatenated) == sorted(place + " / Concat" for place in places)
        assert not [layer for layer in found.layers if layer.op == "Conv" and layer.group != "other"]
        assert (state.frames, timed.steps, timed.by) == (0, 4, "ONNX Runtime")  # the engine's own states stand still
        assert timed.step > 0


def test_layers_of_the_engine_for_gpus_whose_buffers_belong_to_a_session(model):
    onnxruntime = pytest.importorskip("onnxruntime")
    if not hasattr(onnxruntime.OrtValue, "update_inplace"):
        pytest.skip("ONNX Runtime {} is too old for that engine".format(onnxruntime.__version__))
    from tsm_edge.engines.onnxruntime.cuda import OnnxRuntimeCudaEngine

    with OnnxRuntimeCudaEngine(model, load_manifest(model), threads=1, place="cpu") as engine:
        frames = np.zeros((1, 3, 64, 96), np.float32)
        before = engine.step(frames, engine.new_state())["logits"]  # leaves buffers of a state that is gone
        assert engine.layer_times(1, 2).steps == 2
        assert np.array_equal(engine.step(frames, engine.new_state())["logits"], before)


def test_an_engine_that_times_no_layers(model, capsys, tmp_path, monkeypatch):
    from tsm_edge.engines.onnxruntime.cpu import OnnxRuntimeEngine

    monkeypatch.setattr(OnnxRuntimeEngine, "layer_times", Engine.layer_times)
    monkeypatch.setattr(OnnxRuntimeEngine, "transfer_times", lambda engine, copies: copies * [0.001])
    _, p = profiled(capsys, tmp_path, "--engine", model, "--cold", 0)
    assert p.layers is None
    transfers = record.stage(p, "host-to-device")
    assert transfers.count == measure.TRANSFERS and transfers.p50 == pytest.approx(1.0, rel=0.01)


def test_layers_that_cannot_be_timed_cost_the_run_nothing(model, capsys, tmp_path, monkeypatch):
    from tsm_edge.engines.onnxruntime.cpu import OnnxRuntimeEngine

    def refuse(engine, warm_up, steps):
        raise InputError("layer times", "one context", "another", "build it with --streams N")

    monkeypatch.setattr(OnnxRuntimeEngine, "layer_times", refuse)
    done, p = profiled(capsys, tmp_path, "--engine", model, "--cold", 0)
    assert p.layers is None and any("build it with --streams N" in note for note in p.notes)
    assert "note: No layers" in done.out


def test_streams_that_the_engine_does_not_take_cost_no_measuring(model, capsys, monkeypatch):
    from tsm_edge.engines.onnxruntime.cpu import OnnxRuntimeEngine

    def refuse(engine, streams=1):
        raise InputError("m.trt: streams", streams, "1", "build it for them")

    monkeypatch.setattr(OnnxRuntimeEngine, "new_state", refuse)
    done = tsm_edge(capsys, "profile", "--engine", model, "--streams", 3)
    assert done.code == 2 and "build it for them" in done.err and "measuring" not in done.out + done.err


def test_what_cannot_be_profiled(model, models, video, capsys, tmp_path):
    offline = os.path.join(models, "tiny_offline.onnx")
    for arguments, said in (
        (("--engine", offline), "offline"),
        (("--engine", "none.onnx"), "none.onnx"),
        (("--engine", model, "--source", "none.mp4"), "none.mp4"),
        (("--engine", model, "--camera", 0, "--paced", 30), "--paced"),
        (("--engine", model, "--json", tmp_path / "none" / "p.json"), "none"),
        (("--engine", model, "--json", model), "the same file as the model"),
        (("--engine", model, "--json", model[:-5] + ".json"), "the same file as the model's manifest"),
        (("--engine", model, "--source", video, "--json", video), "the same file as the source"),
        (("--engine", model, "--seconds", 0), "seconds"),
        (("--engine", model, "--camera", 0, "--source", video), "not allowed"),
    ):
        done = tsm_edge(capsys, "profile", *arguments)
        assert done.code == 2 and said in done.err, done.err
        assert not done.out


class Odd(SyntheticSource):
    """Ends after five frames, or has a frame that could not be decoded with each that could."""

    ends = False

    def grab(self):
        self.corrupt += 1
        return None if self.ends and self._index == 4 else super(Odd, self).grab()


def test_a_source_that_ends_within_the_warm_up(model, capsys, monkeypatch):
    monkeypatch.setattr(measure, "SyntheticSource", type("Short", (Odd,), {"ends": True}))
    done = tsm_edge(capsys, "profile", "--engine", model, "--warm-up", 60)
    assert done.code == 2 and "its end after 5 frames, within the warm-up" in done.err


def test_corrupt_frames_are_counted_and_told(model, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "SyntheticSource", Odd)
    done, p = profiled(capsys, tmp_path, "--engine", model, "--cold", 0, "--no-layers")
    assert 0 < p.corrupt <= p.frames + 8  # the capture reads a few frames ahead
    assert "note: {} frames of the source could not be decoded.".format(p.corrupt) in done.out
