"""`tsm-edge profile` and `tsm-edge compare` from end to end."""

import functools
import json
import os

import numpy as np
import pytest

from tests.device import boards, media, profiles
from tests.device.running import tsm_edge
from tsm_edge import load_engine
from tsm_edge.engines import load_manifest
from tsm_edge.engines.base import Engine
from tsm_edge.errors import InputError
from tsm_edge.machine import sampler as machine
from tsm_edge.native import library as kernel_library
from tsm_edge.profile import measure, record

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
    assert p.source.kind == "synthetic" and p.source.size == (100, 100) and p.dropped == 0
    assert p.frames >= 1 and p.seconds >= 0.3 and p.fps == pytest.approx(p.frames / p.seconds, rel=1e-3)
    names = [stage.name for stage in p.stages]
    assert names == ["decode", "wait", "preprocess", "infer", "decide", "sink", "frame", "latency", "interval"]
    counts = {stage.name: stage.count for stage in p.stages}
    assert counts.pop("interval") == p.frames - 1 and set(counts.values()) == {p.frames}
    for stage in p.stages:
        assert sum(count for _, _, count in stage.histogram) == stage.count
        assert stage.p50 <= stage.p90 <= stage.p95 <= stage.p99 <= stage.max * 1.01
    assert 0.5 < p.accounted <= 1.0 and 0 < p.ours < 1
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
    arguments = ("--engine", model, "--source", video, "--paced", 5000, "--cold", 0, "--no-layers")
    _, p = profiled(capsys, tmp_path, *arguments)
    assert (p.source.paced, p.source.latency_from) == (5000.0, "due")
    assert record.stage(p, "capture").count == p.frames
    # The clip is decoded less often than 5,000 times a second: each frame is later than the one before.
    assert record.stage(p, "latency").p50 > record.stage(p, "frame").p50


def test_a_throttled_run_says_so(model, capsys, tmp_path, monkeypatch):
    root = boards.nano(tmp_path / "nano")
    boards.write(root, {"sys/class/thermal/cooling_device1/cur_state": "2\n"})
    monkeypatch.setattr(measure.machine, "Sampler", functools.partial(machine.Sampler, root))
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
        found = measure.layers.sorted_out(places=places, **timed._asdict())
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
        before = engine.step(frames, engine.new_state())  # leaves buffers of a state that is gone
        assert engine.layer_times(1, 2).steps == 2
        assert np.array_equal(engine.step(frames, engine.new_state()), before)


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


def test_a_source_that_ends_within_the_warm_up(model, video, capsys, monkeypatch):
    real = measure.open_source
    monkeypatch.setattr(measure, "open_source", lambda spec, loop, decode_threads: real(spec, False, decode_threads))
    done = tsm_edge(capsys, "profile", "--engine", model, "--source", video, "--warm-up", 60)
    assert done.code == 2 and "within the warm-up" in done.err


# ---------------------------------------------------------------- compare


@pytest.fixture
def files(tmp_path):
    """A profile, one of the same speed, one 10 % slower, one of another machine."""
    base = profiles.sample()
    machine_ = base.machine._replace(cpu="Another CPU")
    return [
        profiles.written(profile, tmp_path / (name + ".json"))
        for name, profile in (
            ("base", base),
            ("same", profiles.sample(dropped=9)),
            ("slow", profiles.sample(infer=7.7)),
            ("far", base._replace(machine=machine_)),
        )
    ]


def test_compare_is_a_gate(files, capsys, tmp_path):
    base, same, slow, _ = files
    out = tmp_path / "c.json"
    done = tsm_edge(capsys, "compare", base, same, "--threshold", 1.03)
    assert done.code == 0 and "1.000" in done.out
    arguments = ("compare", base, same, slow, "--metric", "infer", "--json", out)
    done = tsm_edge(capsys, *(arguments + ("--threshold", 1.03)))
    assert done.code == 3
    assert "REGRESSED" in done.out
    found = json.loads(out.read_text())
    assert found["regressed"] == [slow]
    row = next(row for row in found["rows"] if row["name"] == slow and row["metric"] == "infer")
    assert row["ratio"] == pytest.approx(1.1) and row["low"] <= 1.1 <= row["high"]
    assert tsm_edge(capsys, *(arguments + ("--threshold", 1.2))).code == 0
    assert tsm_edge(capsys, *arguments).code == 0  # no gate, only figures


def test_a_difference_that_is_not_certain_passes(files, capsys, tmp_path):
    base, _, slow, _ = files
    done = tsm_edge(capsys, "compare", base, slow, "--metric", "infer", "--threshold", 1.099)
    assert done.code == 0  # 1.1, but the interval reaches below


def test_other_machines_are_compared_on_request_alone(files, capsys):
    base, _, _, far = files
    done = tsm_edge(capsys, "compare", base, far)
    assert done.code == 2 and "machine cpu" in done.err and "--allow-different" in done.err
    done = tsm_edge(capsys, "compare", base, far, "--allow-different")
    assert done.code == 0 and "Another CPU" in done.out


def test_other_sources_too(files, capsys, tmp_path):
    base = record.load(files[0])
    other = profiles.written(base._replace(source=base.source._replace(paced=15.0)), tmp_path / "o.json")
    done = tsm_edge(capsys, "compare", files[0], other)
    assert done.code == 2 and "source paced" in done.err


def test_notes_of_the_runs_are_repeated(files, capsys):
    assert "base.json: A note." in tsm_edge(capsys, "compare", *files[:2]).out


def test_what_cannot_be_compared(files, model, capsys, tmp_path):
    base = record.load(files[0])
    short = base._replace(blocks=base.blocks._replace(rows=base.blocks.rows[:3]))
    short = profiles.written(short, tmp_path / "short.json")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    for arguments, said in (
        ((), "two or more"),
        (files[:1], "two or more"),
        (("--run", model), "two or more"),
        (files[:2] + ["--run", model, model], "two or more"),
        ((files[0], broken), "damaged JSON"),
        ((files[0], short), "at least 5"),
        ((files[0], "none.json"), "none.json"),
        (("--run", model, "none.onnx"), "none.onnx"),
        (("--run", model, model, "--metric", "latency"), "latency"),
        (("--run", model, model, "--rounds", 1), "rounds"),
        (files[:2] + ["--threads", 2], "--threads"),
        (files[:2] + ["--json", tmp_path / "no" / "c.json"], "no"),
        (files[:2] + ["--json", files[1]], "the same file as"),
        (("--run", model, model, "--json", model[:-5] + ".json"), "the same file as a model's manifest"),
    ):
        done = tsm_edge(capsys, "compare", *arguments)
        assert done.code == 2 and said in done.err, (arguments, done.err)


def test_engines_take_turns(model, models, capsys, tmp_path):
    out = tmp_path / "c.json"
    standard = os.path.join(models, "tiny_standard.onnx")
    arguments = ("--run", model, standard, model, "--rounds", 5, "--threads", 1, "--json", out)
    done = tsm_edge(capsys, "compare", *arguments)
    assert done.code == 0, done.err
    found = json.loads(out.read_text())
    assert "paired" in found["how"] and "paired" in done.out
    names = [row["name"] for row in found["rows"] if row["metric"] == "frame"]
    assert names == [standard, model + " (3)"] and found["base"] == model + " (1)"
    for row in found["rows"]:
        assert 0 < row["low"] <= row["ratio"] <= row["high"]
    frame, infer = (next(r["base"] for r in found["rows"] if r["metric"] == metric) for metric in ("frame", "infer"))
    assert frame > infer > 0
    impossible = tsm_edge(capsys, "compare", "--run", model, standard, "--rounds", 5, "--threshold", 0.001)
    assert impossible.code == 3
