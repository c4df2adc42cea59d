"""`tsm-edge build` on fakes of TensorRT 8.2, 10 and 11 (tests/device/fakes): what is built, written, and refused."""

import json
import os

import pytest

from tests.device.fakes.machine import Machine, request
from tests.device.running import tsm_edge
from tsm_edge import load_engine
from tsm_edge.engines.tensorrt import build as building
from tsm_edge.engines.tensorrt import trial
from tsm_edge.engines.tensorrt.build import build, command_of, parse_streams
from tsm_edge.engines.tensorrt.record import read_record
from tsm_edge.errors import InputError
from tsm_edge.files import sha256_of

RELEASES = ["8.2", "10", "11"]


@pytest.fixture(params=RELEASES)
def machine(request, monkeypatch, models, tmp_path):
    folder = tmp_path / "kernels"
    folder.mkdir()
    return Machine(monkeypatch, models, folder, request.param, {"8.2": "10.2", "10": "12", "11": "12"}[request.param])


@pytest.fixture
def nano(monkeypatch, models, tmp_path):
    folder = tmp_path / "kernels"
    folder.mkdir()
    return Machine(monkeypatch, models, folder, "8.2", "10.2")


def is_empty(folder):
    """Nothing but the plugin library: no engine, no record, no draft."""
    return sorted(os.listdir(str(folder))) == ["kernels"]


def refused(wanted, *words, error=InputError):
    with pytest.raises(error) as caught:
        build(wanted)
    for word in words:
        assert word in str(caught.value)


def test_auto_builds_both_times_both_and_keeps_the_faster(machine, tmp_path, monkeypatch):
    said, path = [], str(tmp_path / "model.trt")
    times = {"plugin": 3.0, "standard": 2.0}
    real = trial._time

    def timed(engine, lowering, streams):
        measured = real(engine, lowering, streams)
        assert measured.p50 > 0
        assert measured.steps == trial.TIMED_STEPS
        return measured._replace(p50=times[lowering], p95=9.0)

    monkeypatch.setattr(trial, "_time", timed)
    for faster in ("standard", "plugin"):
        record = build(request(machine.model("tiny_custom"), path, streams="1"), said.append)
        assert record.lowering == faster
        assert [t.lowering for t in record.times] == ["plugin", "standard"]
        assert [t.p50 for t in record.times] == [times["plugin"], times["standard"]]
        assert [b["plugin"] for b in machine.world.built[-2:]] == [True, False]
        assert record == read_record(path)
        with load_engine(path) as engine:
            assert engine.shift_by == {"plugin": "plugin", "standard": "standard operations"}[faster]
        times["plugin"] = 1.0
    assert any("plugin: building in fp32" in text for text in said)
    assert sorted(os.listdir(str(tmp_path))) == ["kernels", "model.trt", "model.trt.json"]


def test_the_record(machine, tmp_path):
    path, onnx = str(tmp_path / "out" / "model.trt"), machine.model("tiny_custom")
    wanted = request(onnx, path, lowering="plugin", precision="fp16", streams="1:2:3", workspace=64)
    record = build(wanted)
    assert record.tensorrt == machine.compat.version
    assert record.gpu == ("NVIDIA Tegra X1", "5.3")
    assert record.plugin_sha256 == sha256_of(machine.plugin)
    assert record.onnx.sha256 == sha256_of(onnx)
    assert os.path.samefile(os.path.join(str(tmp_path), "out", record.onnx.name), onnx)
    assert (record.plan.name, record.plan.sha256) == ("model.trt", sha256_of(path))
    assert (record.precision, record.streams, record.workspace) == ("fp16", (1, 2, 3), 64 << 20)
    assert record.command == command_of(wanted)
    assert record.command.endswith("--lowering plugin --fp16 --workspace 64 --streams 1:2:3")
    assert command_of(wanted._replace(check=False)).endswith("--no-check --streams 1:2:3")
    assert {cache.dtype for cache in record.manifest.caches} == {"float16"}
    assert machine.world.built[-1]["workspace"] == 64 << 20
    with load_engine(path) as engine:
        assert {t.dtype for name, t in engine.plan.tensors.items() if "cache" in name} == {"float16"}
        assert {t.dtype for name, t in engine.plan.tensors.items() if "cache" not in name} == {"float32"}


def test_flags_of_precision(machine, tmp_path):
    """fp32 is float32 and not TF32; 11 has no flags for the rest."""
    for precision, flags in (("fp32", []), ("fp16", ["FP16", "TF32"])):
        path = str(tmp_path / "m.trt")
        build(request(machine.model("tiny_custom"), path, lowering="standard", precision=precision, streams="1"))
        expected = flags if machine.compat.by_flags else [f for f in flags if f != "FP16"]
        assert machine.world.built[-1]["flags"] == expected


def test_without_plugins_auto_builds_standard_operations_and_says_why(machine, tmp_path):
    os.remove(machine.plugin)
    path = str(tmp_path / "model.trt")
    record = build(request(machine.model("tiny_custom"), path, streams="1"))
    assert record.lowering == "standard"
    assert record.plugin_sha256 is None
    assert "make kernels" in record.times[1].why_not
    refused(request(machine.model("tiny_custom"), path, lowering="plugin"), "no libtsm_edge_tensorrt.so")


def test_a_model_of_standard_operations_has_no_plugin_form(machine, tmp_path):
    path = str(tmp_path / "model.trt")
    record = build(request(machine.model("tiny_standard"), path, streams="1"))
    assert "exported with --lowering standard" in record.times[1].why_not
    refused(request(machine.model("tiny_standard"), path, lowering="plugin"), "exported with --lowering standard")


def test_a_form_that_does_not_build_is_left_out_by_auto_and_told(machine, tmp_path):
    machine.world.fails = {"build plugin"}
    path = str(tmp_path / "model.trt")
    record = build(request(machine.model("tiny_custom"), path, streams="1"))
    assert record.lowering == "standard"
    assert "Could not find any implementation" in record.times[1].why_not
    assert machine.gpu.allocations == {}
    refused(request(machine.model("tiny_custom"), path, lowering="plugin"), "Could not find any implementation")
    machine.world.fails = {"build"}
    refused(request(machine.model("tiny_custom"), path), "Could not find any implementation", "do:")
    machine.world.plugins, machine.world.bodies = set(), {}
    machine.compat._plugins.clear()
    refused(request(machine.model("tiny_custom"), path), "find no TensorRT", "(standard lowering): Could not find")
    assert read_record(path) == record  # what was there before stays


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_offline_models(machine, tmp_path, precision):
    path = str(tmp_path / "clip.trt")
    record = build(request(machine.model("tiny_offline"), path, streams="2", precision=precision))
    assert record.manifest.mode == "offline"
    assert len(record.times) == 2
    if precision == "fp16" and not machine.compat.by_flags:  # types come from the file
        with open(path, "rb") as file:
            assert b"/float16" in file.read()


def test_timing_cache(machine, tmp_path):
    cache = str(tmp_path / "timing.cache")
    wanted = request(machine.model("tiny_custom"), tmp_path / "m.trt", timing_cache=cache, streams="1")
    build(wanted)
    with open(cache, "rb") as file:
        assert file.read() == b"timed"
    build(wanted)
    assert [b["cache"] for b in machine.world.built] == [b"", b"timed", b"timed", b"timed"]
    refused(wanted._replace(timing_cache=str(tmp_path / "none" / "cache")), "no folder")
    refused(wanted._replace(timing_cache=str(tmp_path)), "a folder")
    with open(cache, "wb") as file:
        file.write(b"of another GPU")
    refused(wanted._replace(lowering="standard"), "timing cache", "hash does not match", "delete it")


# ---------------------------------------------------------------- refusals


def test_int8(machine, tmp_path):
    """A model of ours has no scales, and there is nothing to calibrate with."""
    refused(
        request(machine.model("tiny_custom"), tmp_path / "m.trt", precision="int8"),
        "a model without scales",
        "calibration",
        "--fp16",
    )
    assert is_empty(tmp_path)


def test_int8_of_a_model_with_scales_needs_a_gpu_that_has_it(nano, tmp_path, monkeypatch):
    monkeypatch.setattr(building.onnx_graph, "operations", lambda data, where: {("", "QuantizeLinear")})
    wanted = request(nano.model("tiny_custom"), tmp_path / "m.trt", precision="int8", lowering="standard", streams="1")
    refused(wanted, "a GPU without fast int8", "Jetson Nano", "--fp16")
    nano.world.fast_int8 = True
    record = build(wanted)
    assert nano.world.built[-1]["flags"] == ["FP16", "INT8", "TF32"]
    assert record.precision == "int8"


def test_fp16_needs_a_gpu_that_has_it(nano, tmp_path):
    nano.world.fast_fp16 = False
    refused(request(nano.model("tiny_custom"), tmp_path / "m.trt", precision="fp16"), "without fast fp16", "in fp32")
    assert is_empty(tmp_path)


@pytest.mark.parametrize("text", ["0", "x", "1:2", "3:2:1", "1:1:1:1", "", "-1", "1:2:"])
def test_streams_that_make_no_sense(nano, tmp_path, text):
    refused(request(nano.model("tiny_custom"), tmp_path / "m.trt", streams=text), "--streams", "1:1:4")


def test_streams():
    assert parse_streams("2") == (2, 2, 2)
    assert parse_streams("1:2:4") == (1, 2, 4)


def test_inputs_and_outputs_that_cannot_be(nano, tmp_path):
    model = nano.model("tiny_custom")
    refused(request(str(tmp_path / "none.onnx"), tmp_path / "m.trt"), "no such file")
    refused(request(model, tmp_path / "m.onnx"), "no name of an engine", "*.trt")
    (tmp_path / "folder.trt").mkdir()
    refused(request(model, tmp_path / "folder.trt"), "Is a directory")
    (tmp_path / "file").write_bytes(b"")
    refused(request(model, tmp_path / "file" / "m.trt"), "a place that can be written")


def test_a_parser_that_refuses(machine, tmp_path):
    machine.world.fails = {"parse"}
    wanted = request(machine.model("tiny_custom"), tmp_path / "m.trt")
    refused(wanted, "standard lowering", "No importer registered for op: Frobnicate", "--log-level verbose")
    assert is_empty(tmp_path)


@pytest.mark.parametrize("call", ["Builder", "build_serialized_network", "mem_alloc", "synchronize"])
def test_a_gpu_that_fails_leaves_nothing(nano, tmp_path, monkeypatch, call):
    nano.gpu.failures = {call: "out of memory"}
    with pytest.raises(Exception, match="out of memory"):
        build(request(nano.model("tiny_custom"), tmp_path / "m.trt"))
    assert is_empty(tmp_path)
    assert not nano.gpu.contexts


def test_an_interrupt_leaves_nothing(nano, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(trial, "_time", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(request(nano.model("tiny_custom"), tmp_path / "m.trt"))
    assert is_empty(tmp_path)


def test_machines_without_tensorrt_pycuda_or_a_gpu(monkeypatch, models, tmp_path, nano):
    import sys

    from tsm_edge.engines.tensorrt import compat as trt_compat
    from tsm_edge.engines.tensorrt import cuda_device

    wanted = request(nano.model("tiny_custom"), tmp_path / "m.trt")
    nano.gpu.failures = {"init": "cuInit failed: no CUDA-capable device is detected"}
    refused(wanted, "no CUDA-capable device", "tsm-edge doctor")
    nano.gpu.failures = {}
    driver = sys.modules["pycuda.driver"]
    monkeypatch.delattr(driver.Device, "retain_primary_context")
    refused(wanted, "a pycuda before 2020.1")
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    refused(wanted, "Python package pycuda")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert not cuda_device._open
    with pytest.raises(InputError, match="Python package tensorrt"):
        trt_compat.load()


# ---------------------------------------------------------------- the command


def test_the_command(nano, tmp_path, capsys):
    path = str(tmp_path / "model.trt")
    done = tsm_edge(capsys, "build", nano.model("tiny_custom"), "-o", path, "--fp16", "--log-level", "info")
    assert done.code == 0
    assert "fp16" in done.out
    assert "plugin" in done.out
    assert "standard" in done.out
    assert "ms a step" in done.err
    record = read_record(path)
    assert record.streams == (1, 1, 1)
    assert record.precision == "fp16"
    info = tsm_edge(capsys, "info", path, "--json")
    assert json.loads(info.out)["precision"] == "fp16"
    info = tsm_edge(capsys, "info", path).out.split("\n")
    assert "engine      TensorRT 8.2.1.8 for NVIDIA Tegra X1, compute capability 5.3" in info
    assert "streams     1" in info and {"shift by    our plugin", "shift by    standard operations"} & set(info)
    for time in record.times:
        assert "  {:<9} {:.3f} ms a step when it was built".format(time.lowering, time.p50) in info
    assert tsm_edge(capsys, "build", nano.model("tiny_custom"), "-o", path, "--int8").code == 2
    assert tsm_edge(capsys, "build", nano.model("tiny_custom"), "--int8", "--fp16").code == 2


def test_run_takes_an_engine(nano, tmp_path, capsys):
    from tests.device import media

    path, video = str(tmp_path / "model.trt"), media.write_video(tmp_path / "in.mp4", 5)
    build(request(nano.model("tiny_custom"), path, streams="1", precision="fp16"))
    results = tmp_path / "o.jsonl"
    done = tsm_edge(capsys, "run", "--engine", path, "--source", video, "--jsonl", results)
    assert done.code == 0, done.err
    summary = json.loads(results.read_text().splitlines()[-1])
    assert summary["engine"] == "tensorrt"
    assert summary["shift_by"] in ("plugin", "standard operations")
    assert summary["frames"] == 5
