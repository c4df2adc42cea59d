"""The command line itself: the table of commands, exit codes, help; what a terminal takes."""

import argparse
import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
import types

import pytest

from tests.device import profiles
from tests.device.running import ended, start, tsm_edge
from tsm_edge import __version__, cli
from tsm_edge.commands import COMMANDS, doctor
from tsm_edge.commands.arguments import number, whole_number
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.registry import Entry

HOST_COMMANDS = [entry.key for entry in COMMANDS if entry.extra == "export"]


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


@pytest.mark.parametrize("command", [entry.key for entry in COMMANDS if entry.key not in HOST_COMMANDS])
def test_help_of_a_command(capsys, command):
    done = tsm_edge(capsys, command, "--help")
    assert done.code == 0
    assert "usage: tsm-edge " + command in done.out
    done.out.encode("ascii")  # a terminal with LANG=C shows it too


def test_help_lists_every_command_without_importing_one(capsys, monkeypatch):
    def load(key):
        raise AssertionError("imported " + key)

    monkeypatch.setattr(COMMANDS, "load", load)
    monkeypatch.setenv("COLUMNS", "200")
    done = tsm_edge(capsys, "--help")
    assert done.code == 0
    for entry in COMMANDS:
        assert [entry.key, entry.summary] in [line.split(None, 1) for line in done.out.splitlines()]
    done.out.encode("ascii")


def test_only_the_module_of_the_typed_command_is_imported(model, capsys, monkeypatch):
    loaded, load = [], COMMANDS.load
    monkeypatch.setattr(COMMANDS, "load", lambda key: loaded.append(key) or load(key))
    assert tsm_edge(capsys, "-v", "info", model).code == 0
    assert tsm_edge(capsys, "fly", "info").code == 2
    assert loaded[0] == "info" and set(loaded) == {"info"}


@pytest.fixture
def toy():
    """A command of another package: it prints its option `--speed`, and refuses the speed 13."""
    module = types.ModuleType("toy_command")

    def add_options(parser):
        parser.add_argument("--speed", metavar="N", type=whole_number(1), default=1)

    def run(options):
        if options.speed == 13:
            raise InputError("--speed", 13, "another number", "tsm-edge fly --speed 12")
        sys.stdout.write("flying at {}\n".format(options.speed))
        return 3

    module.add_options, module.run = add_options, run
    sys.modules["toy_command"] = module
    COMMANDS.add(Entry("fly", "toy_command", "fly over the road"))
    yield
    COMMANDS.remove("fly")
    del sys.modules["toy_command"]


def test_a_command_of_another_package(capsys, toy):
    assert "fly over the road" in tsm_edge(capsys, "--help").out
    assert "--speed N" in tsm_edge(capsys, "fly", "--help").out
    done = tsm_edge(capsys, "fly", "--speed", "7")
    assert (done.code, done.out) == (3, "flying at 7\n")
    done = tsm_edge(capsys, "fly", "--speed", "0")
    assert done.code == 2 and "argument --speed: 0 is not at least 1" in done.err
    done = tsm_edge(capsys, "fly", "--speed", "13")
    assert done.code == 2 and "do:       tsm-edge fly --speed 12" in done.err
    with pytest.raises(ValueError, match="command 'fly' is registered already"):
        COMMANDS.add(Entry("fly", "other", "another one"))


@pytest.mark.parametrize(
    "kind, text, said",
    [
        (whole_number(1), "0", "0 is not at least 1"),
        (whole_number(1), "1.5", "'1.5' is no whole number from 1 to 1000000000"),
        (number(0.001), "nan", "nan is not at least 0.001"),
        (number(0.001), "inf", "inf is not at most 1000000000"),
        (number(0.001), "fast", "'fast' is no number from 0.001 to 1000000000"),
    ],
)
def test_numbers_that_are_refused(capsys, kind, text, said):
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=kind)
    with pytest.raises(SystemExit):
        parser.parse_args(["--rate", text])
    assert "argument --rate: " + said in capsys.readouterr().err
    assert (whole_number(1)("1"), number(0)("0.5")) == (1, 0.5)


@pytest.mark.parametrize(
    "package, arguments",
    [("onnxruntime", ("profile", "--cold", "0")), ("cv2", ("run", "--source", "a.mp4"))],
)
def test_a_missing_package_is_named_with_what_brings_it(model, capsys, monkeypatch, package, arguments):
    for name, module in list(sys.modules.items()):
        if name.startswith("tsm_edge.") and hasattr(module, package):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    done = tsm_edge(capsys, *(arguments + ("--engine", model)))
    assert done.code == 2
    assert "Python package {}".format(package) in done.err and "on a Jetson" in done.err and "do:" in done.err


def test_a_fault_of_ours_in_importing_is_none_of_the_users(capsys, monkeypatch):
    def broken(options):
        raise ImportError("no such name", name="tsm_edge.nothing")

    monkeypatch.setattr(doctor, "run", broken)
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said and "no such name" in said and "a fault of tsm-edge" in said


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


def device_commands(model, folder):
    """Return the commands of the device half that print, each with what it reads."""
    profile = profiles.written(profiles.sample(), folder / "p.json")
    noise = ["profile", "--engine", model, "--seconds", "0.1", "--warm-up", "0.1", "--cold", "0", "--no-layers"]
    compare = [["compare", profile, profile], ["compare", "--run", model, model, "--rounds", "5"]]
    return [["info", model], ["info", "--json", model], ["doctor"], ["doctor", "--json"], noise, ["--help"]] + compare


@pytest.mark.parametrize("closed", ["stdout", "stderr", "both", "full"])
def test_an_output_that_takes_nothing(model, tmp_path, closed):
    for command in device_commands(model, tmp_path):
        redirect = {"stdout": ">&-", "stderr": "2>&-", "both": ">&- 2>&-", "full": ">/dev/full"}[closed]
        line = " ".join(map(shlex.quote, [sys.executable, "-m", "tsm_edge"] + command)) + " " + redirect
        done = subprocess.run(
            ["bash", "-c", line],
            env=dict(os.environ, PYTHONPATH=os.getcwd()),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=120,
        )
        assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, (command, done.stderr)
        if closed == "full":
            assert done.returncode == 2 and "No space left" in done.stderr, (command, done)
        else:
            assert done.returncode == 0, (command, done)


@pytest.mark.parametrize("seconds", [0.1, 0.2, 0.4, 0.8, 1.6])
def test_ctrl_c_at_any_time(model, tmp_path, seconds):
    """130 and no traceback, whether modules are imported, a run is on, or fresh processes are started."""
    script = "import sys, tsm_edge.__main__ as m; print(0, flush=True); sys.exit(m.main())"
    noise = ["profile", "--engine", model, "--seconds", "60", "--warm-up", "0.1"]
    cold = ["profile", "--engine", model, "--seconds", "0.1", "--warm-up", "0.1", "--cold", "500", "--no-layers"]
    turns = ["compare", "--run", model, model, "--rounds", "100000"]
    for command in (noise, cold, turns, ["-v"] + noise, ["doctor"], ["info", model]):
        process = subprocess.Popen(
            [sys.executable, "-c", script] + command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            env=dict(os.environ, PYTHONPATH=os.getcwd()),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert process.stdout.readline() == "0\n"  # from here on it is our code that is interrupted
        time.sleep(seconds)
        for _ in range(3):  # some packages swallow one while they load (numpy 1.19): a person presses again
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(8)
                break
        done = ended(process)  # fails on a traceback
        if "profile" in command or "compare" in command:
            assert done.code == 130, (command, done.code, done.err)
        else:
            # -SIGINT: it was done, and Python was ending
            assert done.code in (0, 130, -signal.SIGINT), (command, done.code, done.err)


@pytest.mark.parametrize("rest", [("mobilenetv2_tsm",), ("--weights", "w.pth", "mobilenetv2_tsm"), ("--help",), ()])
@pytest.mark.parametrize("command", HOST_COMMANDS)
def test_host_commands_without_the_host_half(capsys, monkeypatch, command, rest):
    class Block:
        def find_spec(self, name, path=None, target=None):
            if name == "tsm_edge_export":
                raise ModuleNotFoundError("No module named " + name, name=name)

    for name in [name for name in sys.modules if name.split(".")[0] == "tsm_edge_export"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Block()] + sys.meta_path)
    done = tsm_edge(capsys, command, *rest)
    assert done.code == 2
    assert "tsm-edge: error: tsm-edge {}".format(command) in done.err
    assert 'in the folder of the tsm-edge checkout: pip install ".[export]"' in done.err


def test_a_fault_of_ours_is_exit_code_1(capsys, monkeypatch):
    def fail(options):
        raise TsmEdgeError("broken inside")

    monkeypatch.setattr(doctor, "run", fail)
    done = tsm_edge(capsys, "doctor")
    assert (done.code, done.err) == (1, "tsm-edge: error: broken inside\n")


def test_verbose_says_where_an_error_came_from(caplog):
    with caplog.at_level("DEBUG"):
        cli.main(["-vv", "info", "none.onnx"])
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.skipif(sys.version_info < (3, 8), reason="Python 3.6 and 3.7 print such an error by themselves")
def test_an_interrupt_that_python_drops_prints_nothing():
    script = """
import os, signal, weakref
from tsm_edge import cli
class Any: pass
with cli._CtrlC() as ctrl_c:
    kept = Any()
    callback = weakref.ref(kept, lambda _: os.kill(os.getpid(), signal.SIGINT) or [None] * 9)
    del kept
    other = Any()
    failing = weakref.ref(other, lambda _: 1 / 0)
    del other
print(ctrl_c.pressed)
"""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "universal_newlines": True}
    done = subprocess.run([sys.executable, "-c", script], env=dict(os.environ, PYTHONPATH=os.getcwd()), **pipes)
    assert done.stdout == "True\n" and "KeyboardInterrupt" not in done.stderr
    assert "ZeroDivisionError" in done.stderr  # any other error is still shown
