"""`tsm-edge doctor --first-run` on fakes: what it does on a board, and what it writes where steps fail or crash."""

import json
import os
import random
import signal
import sys
import time

import pytest

from tests.device.fakes import process
from tests.device.fakes.machine import Machine
from tests.device.running import tsm_edge
from tsm_edge.commands import first_run
from tsm_edge.commands.bounded_log import BoundedLog, captured_stderr
from tsm_edge.engines.tensorrt import compat as trt_compat
from tsm_edge.engines.tensorrt import first_run as steps
from tsm_edge.engines.tensorrt import worker
from tsm_edge.text import masked

RELEASES = {"8.2": "10.2", "10": "12", "11": "12"}
ONLINE = ["build", "bindings", "comparison", "graph", "speed", "streams", "snapshot"]
APART = worker.run_apart
SECRET = "rtsp://user:hunter2@camera/stream"


def make(monkeypatch, models, tmp_path, release="8.2"):
    folder = tmp_path / "kernels"
    folder.mkdir()
    for name, value in (("COMPARED_STEPS", 4), ("WARM_UP_STEPS", 1), ("TIMED_STEPS", 3)):
        monkeypatch.setattr(steps, name, value)
    return Machine(monkeypatch, models, folder, release, RELEASES[release])


@pytest.fixture
def machine(monkeypatch, models, tmp_path):
    return make(monkeypatch, models, tmp_path)


@pytest.fixture
def processes(monkeypatch, models, tmp_path, machine):
    """A function: each step in a process of its own from here on, as on a board, with these deaths."""

    def start(**deaths):
        settings = {"models": models, "folder": machine.folder, "release": "8.2", "fails": [], "deaths": deaths}
        monkeypatch.setattr(worker, "run_apart", APART)
        monkeypatch.setattr(worker, "_MODULE", "tests.device.fakes.process")
        monkeypatch.setenv(process.VARIABLE, json.dumps(dict(settings, pid=str(tmp_path / "pid"))))

    return start


def read(path):
    with open(str(path), encoding="utf-8") as file:
        return json.load(file)


def outcomes(report):
    return {(step["form"]["lowering"], step["step"]): step["outcome"] for step in report["steps"]}


def step_of(report, lowering, name):
    return next(s for s in report["steps"] if (s["form"]["lowering"], s["step"]) == (lowering, name))


# ---------------------------------------------------------------- a board on which all is well


@pytest.mark.parametrize("release", sorted(RELEASES))
def test_all_steps_of_all_forms(monkeypatch, models, tmp_path, capsys, release):
    machine, path = make(monkeypatch, models, tmp_path, release), tmp_path / "report.json"
    done = tsm_edge(capsys, "doctor", "--first-run", machine.model("tiny_custom"), "-o", path)
    report = read(path)
    assert set(outcomes(report).values()) == {"passed"}, done.out
    assert done.code == 0 and "23 of 23 steps passed" in done.out
    expected = [("standard", "reference")] + [("standard", step) for step in ONLINE]
    expected += [("plugin", step) for step in ONLINE] + [("auto", "reference")] + [("auto", step) for step in ONLINE]
    assert list(outcomes(report)) == expected
    assert report["finished"] is True and report["kind"] == "first run"
    assert report["machine"]["packages"]["tensorrt"]["version"] == machine.compat.version
    assert report["model"]["sha256"] and report["model"]["name"] == "tiny_custom.onnx"
    assert sorted(os.listdir(str(tmp_path))) == ["kernels", "report.json"]
    assert not machine.gpu.allocations


def test_what_each_step_finds(machine, tmp_path, capsys):
    path = tmp_path / "report.json"
    done = tsm_edge(capsys, "doctor", "--first-run", machine.model("tiny_custom"), "-o", path)
    assert "22 inputs and outputs, formats: LINEAR" in done.out and "steps run as CUDA graphs" in done.out
    report = read(path)
    rows = step_of(report, "auto", "bindings")["facts"]["bindings"]
    assert {row["format"] for row in rows} == {"LINEAR"} and {row["side"] for row in rows} == {"input", "output"}
    assert all(row["stated_bytes"] == row["bytes"] > 0 and "Row major linear" in row["layout"] for row in rows)
    assert {row["dtype"] for row in rows if "cache" in row["name"]} == {"float16"}
    assert next(row["shape"] for row in rows if row["name"] == "frame") == [2, 3, 64, 96]
    graph = step_of(report, "plugin", "graph")["facts"]
    assert graph == {"captured": True, "why_no_graph": None, "equal": True, "largest_difference": 0.0}
    speed = step_of(report, "plugin", "speed")["facts"]
    assert speed["with graphs"]["p95_ms"] >= speed["with graphs"]["p50_ms"] > 0
    assert speed["without graphs"]["why_no_graph"] == "not asked for"
    assert step_of(report, "auto", "streams")["facts"]["one_of_2_equal"] is True
    assert step_of(report, "plugin", "snapshot")["facts"]["in_another_state_equal"] is True
    found = step_of(report, "standard", "comparison")["facts"]
    assert found["error"] <= found["allowed"] and "agrees with ONNX Runtime" in found["text"]
    built = step_of(report, "auto", "build")
    assert {time["lowering"] for time in built["facts"]["record"]["times"]} == {"plugin", "standard"}
    assert "[MemUsageChange]" in built["log"] and "agrees with ONNX Runtime" in built["log"]
    text = first_run._as_text(report, "the facts of doctor")
    for part in ("all steps were tried", "the facts of doctor", "== plugin fp32, 1 stream(s): graph", "format LINEAR"):
        assert part in text
    assert "name cache_00, side input" in text and "why_no_graph: null" in text and "p50_ms" in text


def test_an_offline_model(machine, tmp_path, capsys):
    path = tmp_path / "report.json"
    done = tsm_edge(capsys, "doctor", "--first-run", machine.model("tiny_offline"), "-o", path)
    assert done.code == 0, done.out
    assert {step["step"] for step in read(path)["steps"]} == {"reference"} | set(ONLINE) - {"streams", "snapshot"}


# ---------------------------------------------------------------- faults


def test_a_fault_in_a_form_is_told_by_the_steps_that_see_it(machine, tmp_path, capsys):
    def wrong(views):
        next(iter(views.values()))[...] += 0.5

    machine.world.faults["plugin"] = wrong
    path = tmp_path / "report.json"
    done = tsm_edge(capsys, "doctor", "--first-run", machine.model("tiny_custom"), "-o", path)
    got = outcomes(read(path))
    assert done.code == 1
    assert [step for step, outcome in got.items() if outcome != "passed"] == [("plugin", "comparison")]
    assert "DIFFERS from ONNX Runtime" in step_of(read(path), "plugin", "comparison")["log"]


def test_graphs_that_compute_something_else(machine, tmp_path, capsys, monkeypatch):
    real = steps._run

    def run(engine, frames):
        outputs, caches = real(engine, frames)
        return [output + (engine.why_no_graph is None) for output in outputs], caches

    monkeypatch.setattr(steps, "_run", run)
    path = tmp_path / "report.json"
    assert tsm_edge(capsys, "doctor", "--first-run", machine.model("tiny_custom"), "-o", path).code == 1
    facts = step_of(read(path), "standard", "graph")["facts"]
    assert facts["equal"] is False and facts["largest_difference"] == pytest.approx(1)


@pytest.mark.parametrize("stage", ["build", "deserialize", "context", "enqueue"])
def test_a_stage_that_fails_everywhere(machine, tmp_path, capsys, stage):
    machine.world.fails = {stage}
    path = tmp_path / "report.json"
    done = tsm_edge(capsys, "doctor", "--first-run", machine.model("tiny_custom"), "-o", path)
    report = read(path)
    assert done.code == 1 and report["finished"]
    for lowering in ("standard", "plugin", "auto"):
        assert step_of(report, lowering, "build")["outcome"] == "failed"
        assert step_of(report, lowering, "build")["error"]
        assert step_of(report, lowering, "bindings")["error"] == "there is no engine"
    assert sorted(os.listdir(str(tmp_path))) == ["kernels", "report.json"]


def test_without_our_plugin_and_without_onnx_runtime(machine, tmp_path, capsys, monkeypatch):
    os.remove(machine.plugin)
    monkeypatch.setattr(steps, "reference", lambda question, say: failing("no onnxruntime"))
    path = tmp_path / "report.json"
    assert tsm_edge(capsys, "doctor", "--first-run", machine.model("tiny_custom"), "-o", path).code == 1
    report = read(path)
    assert "libtsm_edge_tensorrt.so" in step_of(report, "plugin", "build")["error"]
    assert step_of(report, "standard", "comparison")["error"] == "there is no reference"
    assert step_of(report, "auto", "build")["outcome"] == "passed"


def failing(text):
    raise worker.TsmEdgeError(text)


def test_an_interrupt_leaves_a_report_that_says_so(machine, tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(first_run, "build", interrupted)
    path = tmp_path / "report.txt"
    done = tsm_edge(capsys, "doctor", "--first-run", machine.model("tiny_custom"), "-o", path)
    assert done.code == 130
    assert "NOT FINISHED" in path.read_text() and "build: interrupted" in path.read_text()
    assert sorted(os.listdir(str(tmp_path))) == ["kernels", "report.txt"]


# ---------------------------------------------------------------- processes of their own


def test_a_form_that_crashes_is_recorded_and_the_others_go_on(machine, processes, tmp_path, capfd, monkeypatch):
    processes(plugin="SIGSEGV")
    monkeypatch.setattr(first_run, "FORMS", (first_run.FORMS[1], first_run.FORMS[0]._replace(lowering="auto")))
    path = tmp_path / "report.json"
    done = tsm_edge(capfd, "doctor", "--first-run", machine.model("tiny_custom"), "-o", path)
    report = read(path)
    assert done.code == 1 and report["finished"]
    crashed = step_of(report, "plugin", "build")
    assert crashed["outcome"] == "failed" and "SIGSEGV" in crashed["error"]
    assert "Fatal Python error: Segmentation fault" in crashed["log"]
    assert "Fatal" not in done.err
    assert {step["outcome"] for step in report["steps"] if step["form"]["lowering"] == "auto"} == {"passed"}
    assert [time["why_not"] for time in step_of(report, "auto", "build")["facts"]["record"]["times"]][1]


def test_a_step_that_crashes_or_hangs_tells_where_and_the_next_one_runs(
    machine, processes, tmp_path, capfd, monkeypatch
):
    processes()
    monkeypatch.setattr(first_run, "FORMS", first_run.FORMS[1:2])
    monkeypatch.setattr(steps, "STEPS", ((crash, True), (hang, True), (steps.bindings, True)))
    path = tmp_path / "report.json"
    done = tsm_edge(capfd, "doctor", "--first-run", machine.model("tiny_custom"), "-o", path)
    report = read(path)
    assert done.code == 1 and report["finished"] and "3 of 5 steps passed" in done.out
    crashed, hanging = (step_of(report, "plugin", name) for name in ("crash", "hang"))
    assert "by signal 11 (SIGSEGV)" in crashed["error"]
    assert "Fatal Python error: Segmentation fault" in crashed["log"] and "in crash" in crashed["log"]
    assert "exit code 1" in hanging["error"]
    assert "Timeout" in hanging["log"] and "in hang" in hanging["log"]
    assert step_of(report, "plugin", "bindings")["outcome"] == "passed"


def crash(question: steps.Question, say) -> steps.Findings:
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)


def hang(question: steps.Question, say) -> steps.Findings:
    with steps._limited(question._replace(seconds=1)):
        time.sleep(60)


# ---------------------------------------------------------------- what is not possible


def test_without_tensorrt_or_pycuda_or_a_gpu(machine, tmp_path, capsys, monkeypatch):
    path, model = tmp_path / "report.json", machine.model("tiny_custom")
    machine.gpu.failures = {"init": "cuInit failed: no CUDA-capable device is detected"}
    done = tsm_edge(capsys, "doctor", "--first-run", model, "-o", path)
    assert done.code == 2 and "no CUDA-capable device" in done.err
    for name in ("pycuda", "tensorrt"):
        monkeypatch.setitem(sys.modules, name, None)
        done = tsm_edge(capsys, "doctor", "--first-run", model, "-o", path)
        assert done.code == 2 and name + " is " in done.err and "do: " in done.err
    assert not path.exists() and sorted(os.listdir(str(tmp_path))) == ["kernels"]


def test_wrong_arguments(machine, tmp_path, capsys):
    model = machine.model("tiny_custom")
    for arguments, words in (
        (["--first-run", model, "-o", tmp_path / "report.pdf"], "*.txt or *.json"),
        (["--first-run", model, "-o", tmp_path / "none" / "report.txt"], "no folder"),
        (["--first-run", tmp_path / "none.onnx", "-o", tmp_path / "r.txt"], "none.onnx"),
        (["--first-run", model, "-o", os.path.splitext(model)[0] + ".json"], "same file"),
        (["-o", tmp_path / "r.txt"], "--first-run"),
        (["--first-run", ""], "--first-run"),
    ):
        done = tsm_edge(capsys, "doctor", *arguments)
        assert done.code == 2 and words in done.err
    assert sorted(os.listdir(str(tmp_path))) == ["kernels"]


# ---------------------------------------------------------------- the file


def noise_of(choose):
    """A log line of a library: any bytes, of any length."""
    return bytes(choose.choice((0, 10, 27, 34, 92, 65, 128, 195, 255)) for _ in range(choose.choice((1, 80, 5000))))


@pytest.mark.parametrize("extension", [".txt", ".json"])
def test_the_file_is_never_too_large_and_holds_no_secret(machine, tmp_path, capsys, monkeypatch, extension):
    """Every step writes a megabyte of anything to standard error, to the log and in an error, with a password."""
    monkeypatch.setattr(first_run, "MAX_BYTES", 1 << 20)
    choose = random.Random(0)
    home = os.path.expanduser("~")

    def noisy(function):
        def run(argument, say):
            for _ in range(20):
                os.write(2, noise_of(choose) * 3 + b"\n" + SECRET.encode() + b"\n")
            say(SECRET + " in " + home)
            trt_compat.load().log("verbose").log(4, SECRET)
            raise worker.TsmEdgeError(SECRET + "\x1b[31m" + "long " * 1000)

        return run

    monkeypatch.setattr(first_run, "build", noisy("build"))
    monkeypatch.setattr(worker, "run_apart", lambda function, argument, say: (
        worker.run_here(function, argument, say) if function.__name__ == "prepare" else noisy(function)(argument, say)
    ))  # fmt: skip
    path = tmp_path / ("report" + extension)
    assert tsm_edge(capsys, "doctor", "--first-run", machine.model("tiny_custom"), "-o", path).code == 1
    data = path.read_bytes()
    assert len(data) <= 1 << 20
    assert b"hunter2" not in data and b"\x1b" not in data
    assert b"user:***@camera" in data
    assert len(home) < 2 or home.encode() not in data


def test_logs_of_any_length_in_bounded_memory():
    choose = random.Random(0)
    for _ in range(300):
        head, tail = choose.randint(0, 40), choose.randint(0, 40)
        log, written = BoundedLog(head, tail), b""
        for _ in range(choose.randint(0, 20)):
            data = bytes(choose.choice(b"abcdefg\n") for _ in range(choose.randint(0, 30)))
            log.add(data)
            written += data
        first, gap, last = log.text().encode().partition(b"[... ")
        assert len(log._first) <= head and len(log._last) <= 2 * tail + 30
        if len(written) <= head + tail:
            assert first == written
            continue
        count, _, last = last.partition(b" bytes left out ...]\n")
        assert len(first) <= head and written.startswith(first) and first[-1:] in (b"", b"\n")
        assert len(last) <= tail and written.endswith(last)
        assert written[: len(written) - len(last)][-1:] in (b"", b"\n") or not last
        assert int(count) == len(written) - len(first) - len(last)


def test_no_part_of_a_password_is_kept_wherever_a_log_is_cut():
    for size in range(3 * len(SECRET)):
        log = BoundedLog(size, size)
        for _ in range(20):
            log.write("opened {}\n".format(SECRET))
        text = masked(log.text())
        assert not [part for part in ("hun", "unt", "nte", "ter", "er2") if part in text], text


def test_standard_error_is_given_back():
    log = BoundedLog(1000, 1000)
    with pytest.raises(ZeroDivisionError), captured_stderr(log):
        os.write(2, b"of a library\n")
        raise ZeroDivisionError
    assert log.text() == "of a library\n"
