"""Shell completion: what bash is given for a typed line, and that the command works without argcomplete."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.device.running import tsm_edge
from tsm_edge.commands import COMMANDS, completion

LOADABLE = [entry for entry in COMMANDS if entry.extra != "export" or sys.version_info >= (3, 10)]
# A shell function that completes a line as bash does at the Tab key, and prints what it would offer.
BASH = """
eval "$(tsm-edge completion bash)"
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9
_python_argcomplete tsm-edge
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """PATH with a `tsm-edge` that runs this Python and these sources."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "tsm-edge"
    script.write_text('#!/bin/sh\nexec "{}" -m tsm_edge "$@"\n'.format(sys.executable))
    script.chmod(0o755)
    return "{}:{}".format(folder, os.environ["PATH"])


def offered(path, line, **environment):
    """What bash offers after `line`."""
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH, "bash", line],
        env=dict(os.environ, PATH=path, PYTHONPATH=os.pathsep.join((os.getcwd(), "export")), **environment),
        stdout=subprocess.PIPE,
        universal_newlines=True,
        timeout=120,
        check=True,
    )
    return [word.strip() for word in done.stdout.split("\n") if word.strip()]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_commands_options_and_choices(path):
    assert set(offered(path, "tsm-edge ")) >= {entry.key for entry in COMMANDS}
    assert offered(path, "tsm-edge doc") == ["doctor"]
    assert offered(path, "tsm-edge run --eng") == ["--engine"]
    assert set(offered(path, "tsm-edge run --preprocess ")) == {"fast", "exact"}
    assert set(offered(path, "tsm-edge --")) == {"--help", "--version", "--verbose"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("entry", LOADABLE, ids=[entry.key for entry in LOADABLE])
def test_a_completion_of_no_command_loads_a_large_package(path, entry, tmp_path):
    """The packages are hidden: a command that imports one of them to state its options offers nothing."""
    for name in ("torch", "onnx", "onnxruntime", "matplotlib", "PIL", "tensorrt", "safetensors"):
        (tmp_path / (name + ".py")).write_text("raise AssertionError('imported')\n")
    path_of_python = os.pathsep.join((str(tmp_path), os.getcwd(), os.path.join(os.getcwd(), "export")))
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH, "bash", "tsm-edge {} --".format(entry.key)],
        env=dict(os.environ, PATH=path, PYTHONPATH=path_of_python),
        stdout=subprocess.PIPE,
        universal_newlines=True,
        timeout=120,
    )
    assert "--help" in done.stdout, entry.key


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_the_script_of_a_shell_is_printed_unchanged(capsys, shell):
    import argcomplete

    done = tsm_edge(capsys, "completion", shell)
    assert done.code == 0
    assert done.out.rstrip("\n") == argcomplete.shellcode(["tsm-edge"], shell=shell).rstrip("\n")


def test_without_argcomplete_the_command_names_it_and_the_rest_works(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    done = tsm_edge(capsys, "completion", "bash")
    assert done.code == 2 and "pip install argcomplete" in done.err
    assert tsm_edge(capsys, "--version").code == 0
    monkeypatch.setenv(completion.ASKED, "1")  # a script from before argcomplete was removed
    monkeypatch.setenv(completion.LINE, "tsm-edge ru")
    assert tsm_edge(capsys).code == 2


def test_argcomplete_is_not_loaded_where_no_shell_asks(path):
    code = "import sys; from tsm_edge.cli import main; main(['info', 'x']); assert 'argcomplete' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)


def test_the_marker_of_argcomplete_is_where_its_global_completion_looks():
    with open("tsm_edge/__main__.py") as file:
        assert "PYTHON_ARGCOMPLETE_OK" in file.read(1024)
