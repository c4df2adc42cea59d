"""Two forms of one build: one fails, crashes, or differs from ONNX Runtime, and the other is still tried."""

import gc
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.device.engines.tensorrt.test_worker import is_gone
from tests.device.fakes.machine import Machine, request
from tests.device.fakes.process import VARIABLE, lose_context
from tests.device.running import tsm_edge
from tsm_edge import load_engine
from tsm_edge.engines.tensorrt import trial, worker
from tsm_edge.engines.tensorrt.build import build
from tsm_edge.engines.tensorrt.record import check_text, read_record
from tsm_edge.errors import InputError, TsmEdgeError

RELEASES = {"8.2": "10.2", "10": "12", "11": "12"}  # with the generation of CUDA


@pytest.fixture(params=sorted(RELEASES))
def machine(request, monkeypatch, models, tmp_path):
    folder = tmp_path / "kernels"
    folder.mkdir()
    return Machine(monkeypatch, models, folder, request.param, RELEASES[request.param])


@pytest.fixture
def nano(monkeypatch, models, tmp_path):
    folder = tmp_path / "kernels"
    folder.mkdir()
    return Machine(monkeypatch, models, folder)


@pytest.fixture
def wanted(machine, tmp_path):
    return request(machine.model("tiny_custom"), tmp_path / "model.trt", streams="1")


def is_empty(folder):
    return sorted(os.listdir(str(folder))) == ["kernels"]


# ---------------------------------------------------------------- one form fails


def plugin_fails(machine, monkeypatch, stage):
    """Make the plugin form fail at a stage."""
    if stage == "build":
        machine.world.fails = {"build plugin"}
    elif stage == "memory":
        real = trial.TensorRTEngine

        def opened(path, compat):
            machine.gpu.failures = {"mem_alloc": "cuMemAlloc failed: out of memory"} if "plugin" in path else {}
            return real(path, compat)

        monkeypatch.setattr(trial, "TensorRTEngine", opened)
    elif stage == "library":
        machine.world.faults["plugin"] = lambda views: views["a name that is not there"]
    elif stage == "pycuda":
        machine.world.faults["plugin"] = lambda views: machine.gpu.view(1, 1)
    else:
        real = trial.TensorRTEngine

        def opened(path, compat):
            machine.world.fails = {stage} if "plugin" in path else set()
            return real(path, compat)

        monkeypatch.setattr(trial, "TensorRTEngine", opened)


@pytest.mark.parametrize("stage, words", [
    ("build", "Could not find any implementation"),
    ("deserialize", "Deserialization failed"),
    ("context", "no memory for an execution context"),
    ("enqueue", "could not run: enqueueV"),
    ("memory", "cuMemAlloc failed: out of memory"),
    ("pycuda", "illegal memory access"),
    ("library", "KeyError: 'a name that is not there'"),
])  # fmt: skip
def test_a_form_that_fails_at_any_stage_is_left_out_by_auto(machine, wanted, monkeypatch, stage, words):
    said = []
    plugin_fails(machine, monkeypatch, stage)
    record = build(wanted, said.append)
    assert record.lowering == "standard"
    assert [timed.lowering for timed in record.times] == ["standard", "plugin"]
    assert words in record.times[1].why_not
    assert any(text.startswith("plugin: not used: ") and words in text for text in said)
    assert [check.lowering for check in record.checks] == ["standard"]
    assert read_record(wanted.output) == record


@pytest.mark.parametrize("stage", ["deserialize", "context", "enqueue", "memory", "pycuda", "library"])
def test_that_form_alone_is_an_error(machine, wanted, monkeypatch, tmp_path, stage):
    plugin_fails(machine, monkeypatch, stage)
    with pytest.raises(TsmEdgeError) as caught:
        build(wanted._replace(lowering="plugin"))
    assert isinstance(caught.value, InputError) or "--lowering auto" in str(caught.value)
    assert "(plugin lowering)" in str(caught.value) or stage == "deserialize"
    assert is_empty(tmp_path)


def test_forms_that_fail_in_different_ways_are_one_error(machine, wanted, tmp_path):
    machine.world.fails, machine.world.faults = {"build plugin"}, {"standard": lambda views: machine.gpu.view(1, 1)}
    with pytest.raises(TsmEdgeError) as caught:
        build(wanted)
    assert not isinstance(caught.value, InputError)
    for words in ("not written", "(plugin lowering): Could not find", "(standard lowering): CUDA: an illegal memory"):
        assert words in str(caught.value)
    assert is_empty(tmp_path)


@pytest.mark.parametrize("stage", ["build", "enqueue", "differs", None])
def test_no_two_builders_are_alive_at_once(machine, wanted, monkeypatch, stage):
    """By reference counts alone: the collector may run minutes later."""
    if stage == "differs":
        machine.world.skew = 1.0
    elif stage:
        plugin_fails(machine, monkeypatch, stage)
    gc.disable()
    try:
        build(wanted)
    finally:
        gc.enable()
    assert machine.world.live_builders == [0, 0]


def test_no_two_builders_are_alive_at_once_where_one_form_is_built_twice(machine, wanted):
    machine.world.fails = {"half caches"}
    gc.disable()
    try:
        build(wanted._replace(precision="fp16"))
    finally:
        gc.enable()
    assert machine.world.live_builders == [0, 0, 0, 0]


# ---------------------------------------------------------------- comparison with ONNX Runtime


@pytest.mark.parametrize("precision, allowed", [("fp32", 1e-3), ("fp16", 2e-2)])
@pytest.mark.parametrize("streams, counts", [("1", (1,)), ("1:2:3", (1, 2, 3)), ("2:2:3", (2, 3))])
def test_each_form_is_compared(machine, wanted, precision, allowed, streams, counts):
    said = []
    record = build(wanted._replace(precision=precision, streams=streams), said.append)
    assert [check.lowering for check in record.checks] == ["plugin", "standard"]
    for check in record.checks:
        assert check.passed
        assert (check.reference, check.steps, check.streams) == ("ONNX Runtime", 8, counts)
        assert check.error <= check.allowed == allowed
        assert "{}: {}".format(check.lowering, check_text(check)) in said
    assert any(text.startswith("reference: 8 steps for each of ") for text in said)
    assert read_record(wanted.output).checks == record.checks


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_clips_are_compared(machine, wanted, precision):
    record = build(wanted._replace(onnx=machine.model("tiny_offline"), streams="1:1:2", precision=precision))
    assert [(check.steps, check.streams, check.passed) for check in record.checks] == [(2, (1, 2), True)] * 2
    assert record.checks[0].where.startswith("logits of ")
    assert (record.checks[0].error > 1e-6) == (precision == "fp16" and not machine.compat.by_flags)


def swapped(views):
    cache = views["cache_04_next"]
    cache[...] = cache[:, ::-1].copy()


def skewed(views):
    views["logits"] += 1.0


def infinite(views):
    views["cache_09_next"][...] = np.inf


def of_two_streams(views):
    if len(views["logits"]) == 2:
        views["cache_00_next"][1] = views["cache_00_next"][0]


FAULTS = [(swapped, "cache_04"), (skewed, "logits of 1 stream,"), (infinite, "not finite")]
FAULTS += [(of_two_streams, "of 2 streams,")]


@pytest.mark.parametrize("fault, where", FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_form_that_differs_is_left_out_by_auto(machine, wanted, fault, where):
    said = []
    machine.world.faults = {"plugin": fault}
    record = build(wanted._replace(streams="1:1:2"), said.append)
    assert record.lowering == "standard"
    why = record.times[1].why_not
    assert "DIFFERS from ONNX Runtime over 8 steps of 1 and 2 streams" in why or "NaN or infinity" in why
    assert where in why or fault is infinite
    assert any("plugin: not used: " in text for text in said)
    assert [check.passed for check in record.checks] == ([True] if "NaN" in why else [False, True])
    load_engine(wanted.output).close()


def test_nothing_is_written_where_no_form_agrees(machine, wanted, tmp_path):
    machine.world.faults = {"plugin": swapped, "standard": skewed}
    for lowering, words in (
        (
            "auto",
            ["(plugin lowering): DIFFERS", "(standard lowering): DIFFERS", "in logits of 1 stream, allowed 0.1 %"],
        ),
        ("plugin", ["of 1 stream", "--lowering auto tries the other form"]),
        ("standard", ["in logits of 1 stream", "--lowering auto"]),
    ):
        with pytest.raises(TsmEdgeError) as caught:
            build(wanted._replace(lowering=lowering))
        assert not isinstance(caught.value, InputError)
        assert all(word in str(caught.value) for word in words), str(caught.value)
        assert is_empty(tmp_path)


def test_without_onnxruntime_a_build_is_refused_before_it_begins(nano, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"package onnxruntime(.|\n)*pip install onnxruntime(.|\n)*--no-check"):
        build(request(nano.model("tiny_custom"), tmp_path / "model.trt"))
    assert nano.gpu.calls.get("Builder") is None
    assert is_empty(tmp_path)


def test_without_a_check_the_record_info_and_each_run_say_so(nano, tmp_path, capsys, caplog):
    path = str(tmp_path / "model.trt")
    done = tsm_edge(capsys, "build", nano.model("tiny_custom"), "-o", path, "--no-check")
    assert done.code == 0
    assert "NOT compared with ONNX Runtime (--no-check)" in done.out
    record = read_record(path)
    assert {(check.passed, check.reference) for check in record.checks} == {(False, "")}
    assert "--no-check" in record.command
    info = tsm_edge(capsys, "info", path).out.splitlines()
    assert "compared    NOT compared with ONNX Runtime (--no-check)" in info
    caplog.clear()
    load_engine(path).close()
    assert [text for text in caplog.messages if "NOT compared with ONNX Runtime" in text and path in text]
    build(request(nano.model("tiny_custom"), path, streams="1"))
    caplog.clear()
    load_engine(path).close()
    assert caplog.messages == []
    assert [
        line for line in tsm_edge(capsys, "info", path).out.splitlines() if "agrees with ONNX Runtime over 8" in line
    ]


def test_without_a_check_forms_that_disagree_are_not_written(machine, wanted, tmp_path):
    machine.world.skew = 1.0
    with pytest.raises(TsmEdgeError, match="standard form DIFFERS from the plugin form over 8 steps(.|\n)*--no-check"):
        build(wanted._replace(check=False))
    assert is_empty(tmp_path)


# ---------------------------------------------------------------- float16 caches that TensorRT refuses


def test_caches_become_float32_where_the_builder_refuses_float16(machine, wanted, capsys):
    said = []
    machine.world.fails = {"half caches"}
    wanted = wanted._replace(precision="fp16", streams="1:1:2")
    record = build(wanted, said.append)
    assert "could not find any supported formats" in record.float32_caches
    assert {cache.dtype for cache in record.manifest.caches} == {"float32"}
    assert record.precision == record.manifest.precision == "fp16"
    assert sum("not with float16 caches, because TensorRT said: cache_00" in text for text in said) == 2
    expected = [] if not machine.compat.by_flags else ["FP16"]
    assert all(built["flags"] == expected + ["TF32"] for built in machine.world.built)
    with load_engine(wanted.output) as engine:
        assert {tensor.dtype for tensor in engine.plan.tensors.values()} == {"float32"}
        assert {cache.dtype for cache in engine.new_state().snapshot()} == {np.dtype("float32")}
    info = tsm_edge(capsys, "info", wanted.output).out
    assert "float32, because TensorRT said: cache_00" in info
    build(wanted._replace(onnx=machine.model("tiny_offline")))  # which has no caches


def test_an_engine_of_float16_caches_says_nothing_of_it(machine, wanted):
    record = build(wanted._replace(precision="fp16"))
    assert record.float32_caches is None
    assert {cache.dtype for cache in record.manifest.caches} == {"float16"}


def test_memory_that_runs_out_is_no_reason_for_other_caches(machine, wanted):
    machine.world.fails = {"build"}
    with pytest.raises(InputError, match="out of memory"):
        build(wanted._replace(precision="fp16"))
    assert len(machine.world.live_builders) == 2


# ---------------------------------------------------------------- in separate processes


@pytest.fixture
def processes(nano, monkeypatch, tmp_path):
    """A function that makes the processes of builds fake machines with faults."""

    def use(fails=(), **deaths):
        settings = {"models": nano.models, "folder": nano.folder, "release": "8.2", "fails": list(fails)}
        settings.update(deaths=deaths, pid=str(tmp_path / "kernels" / "pid"))
        monkeypatch.setenv(VARIABLE, json.dumps(settings))
        return settings

    monkeypatch.undo()  # in this process there is no TensorRT at all
    monkeypatch.setenv("TSM_EDGE_KERNELS", nano.folder)
    monkeypatch.setattr(worker, "_MODULE", "tests.device.fakes.process")
    use()
    return use


@pytest.mark.parametrize("death, words", [
    ("SIGSEGV", "its process ended by signal 11 (SIGSEGV)"),
    ("SIGKILL", "by signal 9 (SIGKILL); the system does that where memory runs out"),
    ("exit", "its process ended with exit code 7 and no answer"),
    ("sticky", "CUDA: an illegal memory access was encountered"),
])  # fmt: skip
def test_the_other_form_is_built_after_a_crash(nano, processes, tmp_path, death, words):
    said = []
    processes(plugin=death)
    record = build(request(nano.model("tiny_custom"), tmp_path / "model.trt", streams="1"), said.append)
    assert record.lowering == "standard"
    assert words in record.times[1].why_not
    assert [check.passed for check in record.checks] == [True]
    assert any(text.startswith("standard: agrees with ONNX Runtime over 8 steps") for text in said)
    assert sorted(os.listdir(str(tmp_path))) == ["kernels", "model.trt", "model.trt.json"]


def test_a_lost_context_fails_every_form_of_one_process(nano, tmp_path):
    """Why each form has a process: with both in one, the second form fails too."""
    nano.world.faults["plugin"] = lambda views: lose_context(nano.gpu)
    with pytest.raises(TsmEdgeError, match="standard lowering"):
        build(request(nano.model("tiny_custom"), tmp_path / "model.trt", streams="1"))
    nano.gpu.failures = {}


def test_both_forms_and_the_timing_cache_in_processes(nano, processes, tmp_path, monkeypatch):
    cache = str(tmp_path / "timing.cache")
    wanted = request(nano.model("tiny_custom"), tmp_path / "model.trt", timing_cache=cache, precision="fp16")
    record = build(wanted)
    assert {timed.lowering for timed in record.times} == {"plugin", "standard"}
    assert all(timed.why_not is None for timed in record.times)
    with open(cache, "rb") as file:
        assert file.read() == b"timed"
    processes(fails=["half caches"])
    assert "could not find any supported formats" in build(wanted).float32_caches


def test_an_error_of_the_user_stays_one(nano, processes, tmp_path):
    processes(fails=["parse"])
    with pytest.raises(InputError, match="No importer registered for op: Frobnicate"):
        build(request(nano.model("tiny_custom"), tmp_path / "model.trt"))
    assert is_empty(tmp_path)


@pytest.mark.parametrize("signum, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_build_its_process_and_its_drafts(nano, processes, tmp_path, signum, code):
    settings = processes(plugin="hang")
    model, path = nano.model("tiny_custom"), str(tmp_path / "model.trt")
    text = "import sys; from tsm_edge.engines.tensorrt import worker; from tsm_edge.cli import main; "
    text += "worker._MODULE = 'tests.device.fakes.process'; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", text, "build", model, "-o", path],
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
        stderr=subprocess.PIPE,
        universal_newlines=True,
        preexec_fn=lambda: [signal.signal(s, signal.SIG_DFL) for s in (signal.SIGINT, signal.SIGHUP)],
    )
    try:
        until = time.monotonic() + 60
        while not os.path.exists(settings["pid"]) or not os.path.getsize(settings["pid"]):
            assert process.poll() is None and time.monotonic() < until, process.communicate()
            time.sleep(0.05)
        with open(settings["pid"]) as file:
            pid = int(file.read())
        process.send_signal(signum)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert "Traceback" not in err
    assert is_gone(pid)
    assert is_empty(tmp_path)
