"""The command line itself: exit codes, help, info and doctor."""

import json
import os
import subprocess
import sys

import pytest

from tests.device.running import ended, start, tsm_edge
from tsm_edge import __version__, cli
from tsm_edge.errors import TsmEdgeError
from tsm_edge.manifest import from_json


@pytest.fixture
def model(models):
    return os.path.join(models, "tiny_custom.onnx")


def test_version(capsys):
    done = tsm_edge(capsys, "--version")
    assert (done.code, done.out) == (0, "tsm-edge {}\n".format(__version__))


def test_no_command_and_unknown_ones(capsys):
    for arguments in ((), ("fly",), ("--fly",), ("info",), ("info", "a", "b"), ("doctor", "--fly"), ("run",)):
        done = tsm_edge(capsys, *arguments)
        assert done.code == 2
        assert "usage: tsm-edge" in done.err


@pytest.mark.parametrize("command", [(), ("run",), ("info",), ("doctor",), ("profile",), ("compare",)])
def test_help(capsys, command):
    done = tsm_edge(capsys, *(command + ("--help",)))
    assert done.code == 0
    assert "usage: tsm-edge" in done.out
    done.out.encode("ascii")  # a terminal with LANG=C shows it too


@pytest.mark.parametrize(
    "package, arguments",
    [("onnxruntime", ("profile", "--cold", "0")), ("cv2", ("run", "--source", "a.mp4"))],
)
def test_a_missing_package_is_named_with_what_brings_it(model, capsys, monkeypatch, package, arguments):
    for name in list(sys.modules):
        if name.startswith(("tsm_edge.engines.", "tsm_edge.sources.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    done = tsm_edge(capsys, *(arguments + ("--engine", model)))
    assert done.code == 2
    assert "Python package {}".format(package) in done.err and "on a Jetson" in done.err and "do:" in done.err


def test_a_fault_of_ours_in_importing_is_none_of_the_users(capsys, monkeypatch):
    def broken(options):
        raise ImportError("no such name", name="tsm_edge.nothing")

    monkeypatch.setattr(cli, "_doctor", broken)
    with pytest.raises(ImportError):
        cli.main(["doctor"])


def test_info_names_what_matters(model, capsys):
    done = tsm_edge(capsys, "info", model)
    assert done.code == 0
    for fact in (
        "mobilenetv2, width 0.25, 5 classes",
        "online, causal shift of 1/8",
        "UNTRAINED: the labels mean nothing",
        "centre 96x64, RGB",
        "10, together",
        "class_000",
        "mean of 2 frames",
        "custom lowering, float32",
        "all passed",
    ):
        assert fact in done.out


def test_info_of_an_offline_model(models, capsys):
    done = tsm_edge(capsys, "info", os.path.join(models, "tiny_offline.onnx"))
    assert done.code == 0
    assert "offline, bidirectional" in done.out
    assert "caches      none" in done.out


def test_info_as_json_is_the_manifest(model, capsys):
    done = tsm_edge(capsys, "info", model, "--json")
    assert done.code == 0
    with open(model[:-5] + ".json") as beside:
        assert from_json(done.out, "info") == from_json(beside.read(), "beside")


@pytest.mark.parametrize("name", ["none.onnx", "tests"])
def test_info_of_what_is_no_model(capsys, name):
    done = tsm_edge(capsys, "info", name)
    assert done.code == 2
    assert done.err.startswith("tsm-edge: error: " + name)
    assert "do:" in done.err


def test_output_that_the_terminal_cannot_encode(model):
    done = ended(start("info", model, PYTHONIOENCODING="ascii"))
    assert done.code == 0


def test_a_reader_that_leaves_early(model):
    """As in `tsm-edge info model.onnx | head -1`, where the pipe may close before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "tsm_edge", "info", model], stdout=writer, stderr=subprocess.PIPE
        )
    finally:
        os.close(writer)
    assert process.communicate(timeout=120)[1] == b""
    assert process.returncode == 1


def test_doctor(capsys):
    done = tsm_edge(capsys, "doctor")
    assert done.code == 0
    for fact in ("Python", "onnxruntime", "opencv", "run on CPU", "TensorRT", "CUDA"):
        assert fact in done.out
    report = json.loads(tsm_edge(capsys, "doctor", "--json").out)
    assert report["tsm_edge"] == __version__
    assert {feature["name"]: feature["ready"] for feature in report["features"]}["run on CPU"] is True


@pytest.mark.parametrize("rest", [("mobilenetv2_tsm",), ("--weights", "w.pth", "mobilenetv2_tsm"), ("--help",), ()])
@pytest.mark.parametrize("command", cli.HOST_COMMANDS)
def test_host_commands_without_the_host_half(capsys, monkeypatch, command, rest):
    monkeypatch.setattr(cli, "HOST_PACKAGE", "no_such_package")
    done = tsm_edge(capsys, command, *rest)
    assert done.code == 2
    assert "tsm-edge: error: tsm-edge {}".format(command) in done.err
    assert 'pip install "tsm-edge[export]"' in done.err


def test_a_fault_of_ours_is_exit_code_1(capsys, monkeypatch):
    def fail(options):
        raise TsmEdgeError("broken inside")

    monkeypatch.setattr(cli, "_doctor", fail)
    done = tsm_edge(capsys, "doctor")
    assert (done.code, done.err) == (1, "tsm-edge: error: broken inside\n")


def test_verbose_says_where_an_error_came_from(caplog):
    with caplog.at_level("DEBUG"):
        cli.main(["-vv", "info", "none.onnx"])
    assert any(record.exc_info for record in caplog.records)
