"""scripts/deploy.sh, with this machine as the board: a real sshd on loopback with its own keys and configuration."""

import getpass
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT

SSHD = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
needs_sshd = pytest.mark.skipif(SSHD is None, reason="no sshd here (apt-get install openssh-server)")
# Seconds, not minutes; other tests build the other libraries.
ONE_LIBRARY, NO_LIBRARY = ("-DCUDA=OFF -DTENSORRT=OFF -DONNXRUNTIME=" + part for part in ("ON", "OFF"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Loopback:
    """An sshd on 127.0.0.1 as the user of the tests, and the ssh command that reaches it as "board"."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        for key in ("host", "user", "stranger"):
            subprocess.check_call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)])
        shutil.copy(str(folder / "user.pub"), str(folder / "authorized"))
        self.write(
            "sshd_config",
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
            "PidFile {folder}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nSetEnv PATH={path}\n",
            path=os.environ["PATH"],
        )
        host_key = (folder / "host.pub").read_text().split()[:2]
        self.write("known", "[127.0.0.1]:{port} " + " ".join(host_key) + "\n")
        self.write(
            "config",
            "Host board\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  IdentityFile {folder}/user\n"
            "  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known\n  StrictHostKeyChecking yes\n",
        )
        self.ssh = "ssh -F {}".format(folder / "config")
        if os.getuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)  # sshd's own, which its service would make
        self.log = open(str(folder / "log"), "w")  # noqa: SIM115 - close() closes it
        self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=self.log)
        until = time.monotonic() + 60
        while "Server listening" not in (folder / "log").read_text():
            assert self.process.poll() is None and time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.02)

    def write(self, name, text, **values):
        (self.folder / name).write_text(
            text.format(port=self.port, folder=self.folder, user=getpass.getuser(), **values)
        )

    def logins(self):
        return (self.folder / "log").read_text().count("Accepted publickey")

    def close(self):
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


@pytest.fixture(scope="module")
def loopback(tmp_path_factory):
    loopback = Loopback(tmp_path_factory.mktemp("sshd"))
    yield loopback
    loopback.close()


@pytest.fixture
def model(models):
    return os.path.join(models, "tiny_custom.onnx")


def environment(folder, ssh, **more):
    return dict(
        os.environ,
        SSH=ssh,
        FOLDER=str(folder / "board"),
        BOARD_PYTHON=sys.executable,
        REPORTS=str(folder / "reports"),
        KERNEL_OPTIONS=NO_LIBRARY,
        PROFILE_SECONDS="1",
        **more,
    )


def deploy(environment, *arguments):
    """Run deploy.sh. Returns (exit code, output)."""
    done = subprocess.run(
        [os.path.join(ROOT, "scripts/deploy.sh")] + list(arguments),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        timeout=600,
    )
    return done.returncode, done.stdout


def listing(folder):
    return sorted(os.listdir(str(folder)))


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "no HOST"),
        (["", "x"], "no HOST"),
        (["me@board"], "no MODEL"),
        (["me@board", "never_exported"], "make export MODEL=never_exported"),
        (["-oProxyCommand=touch x", "x"], "HOST '-oProxyCommand"),
        (["me@board; reboot", "x"], "HOST 'me@board; reboot'"),
        (["me@board", "a b.onnx"], "MODEL 'a b.onnx'"),
        (["--", "--dry-run", "x"], "HOST '--dry-run'"),
        (["me@board\nreboot", "x"], "HOST $'me@board\\nreboot'"),
        (["me@board", "\x1b[2J\u202e"], "MODEL $'\\E[2J\\342\\200\\256'"),
    ],
)
def test_refused_before_anything_is_sent(tmp_path, arguments, said):
    code, out = deploy(environment(tmp_path, "false"), *arguments)
    assert code == 2 and "deploy: error: " in out and said in out and listing(tmp_path) == []


def test_a_folder_that_the_boards_shell_would_read(tmp_path, model):
    code, out = deploy(dict(environment(tmp_path, "false"), FOLDER="x; reboot"), "me@board", model)
    assert code == 2 and "FOLDER 'x; reboot'" in out


@pytest.mark.parametrize("name, value", [("PROFILE_SECONDS", "1; reboot"), ("BOARD_PYTHON", "python\n3")])
def test_other_values_that_are_refused(tmp_path, model, name, value):
    code, out = deploy(dict(environment(tmp_path, "false"), **{name: value}), "me@board", model)
    assert code == 2 and name in out and listing(tmp_path) == []


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_the_boards_shell_runs_no_part_of_a_value(tmp_path, model, shell):
    """A Python and options whose names are shell code, through a stand-in for ssh that calls the board's shell."""
    ssh, commands = tmp_path / "ssh", tmp_path / "commands"
    # The words after the host are the board's; the exit of the shared connection comes with -O and has none.
    ssh.write_text(
        '#!/bin/sh\ncase "$*" in *" -O exit "*) exit;; esac\nfor last; do :; done\nexec {} -c "$last"\n'.format(shell)
    )
    commands.mkdir()
    cmake = commands / "cmake"
    cmake.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >>"{}/cmake.log"\n'.format(tmp_path))
    folder = tmp_path / "a '$(touch ran)' \"`touch ran`\" \\ \u00e9"
    folder.mkdir()
    python = board_python(folder, "")
    for made in (ssh, cmake):
        made.chmod(0o755)
    options = ["-DA=$(touch${IFS}ran)", "-DB=`touch`;reboot", "-DC='\"\\", "*"]
    values = dict(environment(tmp_path, str(ssh)), BOARD_PYTHON=python, KERNEL_OPTIONS="  ".join(options))
    values["PATH"] = "{}:{}".format(commands, values["PATH"])
    code, out = deploy(values, "board", model)
    assert code == 0, out
    assert (tmp_path / "cmake.log").read_text().splitlines()[: 1 + len(options)] == ["../../kernels"] + options
    board = tmp_path / "board"
    info = [str(board / "tsm-edge"), "info", str(board / "models" / "tiny_custom.onnx")]
    assert "tiny" in subprocess.check_output(info, universal_newlines=True, cwd=str(tmp_path))
    assert not [name for _, _, names in os.walk(str(tmp_path)) for name in names if name == "ran"]


def test_a_dry_run_says_every_command_and_runs_none(tmp_path, model):
    code, out = deploy(environment(tmp_path, "false"), "--dry-run", "me@board", model)
    assert code == 0 and listing(tmp_path) == []
    commands = [line for line in out.splitlines() if line.startswith("+ ")]
    once = ("BatchMode=yes", "ControlMaster=auto", "tar -cz", "-C build onnxruntime")
    for part in once + ("kernels", "place", "engine", "report"):
        assert any(part in command for command in commands)
    assert "== done" not in out and "dry run: nothing was copied" in out
    assert all("me@board" in command or " tar " in command for command in commands)


def test_make_passes_what_it_is_given(tmp_path, model):
    values = ["HOST=me@board", "MODEL=" + model, "DRY_RUN=1"]
    out = subprocess.check_output(["make", "-s", "deploy"] + values, cwd=ROOT, universal_newlines=True)
    assert "== copy the device half, the kernels' sources and tiny_custom" in out
    with open(os.path.join(ROOT, "devices/jetson_nano/README.md"), encoding="utf-8") as file:
        page = file.read().replace("mobilenetv2_tsm", "tiny_custom")
    run = "tsm-edge/tsm-edge run --engine tsm-edge/models/tiny_custom.trt --camera 0"
    assert run in page and run in out  # what the page says and what deploy says are one
    done = subprocess.run(["make", "-s", "deploy"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 2 and b"no HOST" in done.stderr


@needs_sshd
def test_a_deploy_and_a_second_one(loopback, tmp_path, model):
    before, values = loopback.logins(), dict(environment(tmp_path, loopback.ssh), KERNEL_OPTIONS=ONE_LIBRARY)
    code, out = deploy(values, "board", model)
    assert code == 0, out
    assert loopback.logins() - before == 1  # one connection for all of it
    board, report = tmp_path / "board", tmp_path / "reports" / "board"
    assert listing(board) == ["code", "models", "report", "tsm-edge"]
    assert listing(board / "models") == ["tiny_custom.engine", "tiny_custom.json", "tiny_custom.onnx"]
    assert listing(board / "code" / "tsm_edge" / "native" / "lib") == ["libtsm_edge_onnxruntime.so"]
    assert not (board / "code" / "export").exists() and not (board / "code" / "tests").exists()
    facts = json.loads((report / "doctor.json").read_text())
    assert facts["kernel_libraries"]["onnxruntime"] is not None and facts["tsm_edge"]
    assert (report / "engine.txt").read_text() == "models/tiny_custom.onnx\n"
    assert "no TensorRT, or no pycuda, for" in out and (report / "profile.txt").read_text()
    assert listing(tmp_path / "reports") == ["board"]

    info = [str(board / "tsm-edge"), "info", str(board / "models" / "tiny_custom.onnx")]
    assert "tiny" in subprocess.check_output(info, universal_newlines=True, cwd=str(tmp_path))

    (board / "code" / "stale.py").write_text("of an earlier version")
    (board / "models" / "other.onnx").write_text("another model")
    assert deploy(environment(tmp_path, loopback.ssh), "board", model)[0] == 0
    assert not (board / "code" / "stale.py").exists() and (board / "models" / "other.onnx").exists()
    assert listing(board) == ["code", "models", "report", "tsm-edge"]


@needs_sshd
def test_a_build_that_fails_leaves_the_earlier_deploy_whole(loopback, tmp_path, model):
    board = tmp_path / "board"
    (board / "code").mkdir(parents=True)
    (board / "code" / "old").write_text("the earlier code")
    (tmp_path / "reports" / "board").mkdir(parents=True)
    (tmp_path / "reports" / "board" / "doctor.txt").write_text("the earlier report")
    failing = dict(environment(tmp_path, loopback.ssh), KERNEL_OPTIONS="-DCUDA=PERHAPS")
    code, out = deploy(failing, "board", model)
    assert code == 1 and "CUDA: got PERHAPS" in out
    assert (
        listing(board) == ["code", "models"] and listing(board / "code") == ["old"] and listing(board / "models") == []
    )
    assert listing(tmp_path / "reports" / "board") == ["doctor.txt"]


def board_python(folder, script):
    """Write a Python for the board that first runs `script` (sh), which may end it. Returns its path."""
    path = folder / "python"
    path.write_text('#!/bin/sh\n{}\nexec "{}" "$@"\n'.format(script, sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@needs_sshd
def test_a_board_with_tensorrt_builds_an_engine_and_profiles_that(loopback, tmp_path, model):
    """The copied code runs its real build, info, doctor and profile, on fakes of TensorRT 8.2 and a GPU."""
    script = (
        'case "$*" in\n'
        '"-c import tensorrt, pycuda") exit 0 ;;\n'
        '"-m tsm_edge"*) shift; export PYTHONPATH="$PYTHONPATH:{}"\n'
        'exec "{}" -m tests.device.fakes.board "$0" "{}" "$@" ;;\n'
        "esac"
    ).format(ROOT, sys.executable, os.path.dirname(model))
    values = dict(environment(tmp_path, loopback.ssh), BOARD_PYTHON=board_python(tmp_path, script))
    code, out = deploy(values, "board", model)
    assert code == 0, out
    board, report = tmp_path / "board", tmp_path / "reports" / "board"
    assert listing(board / "models") == [
        "tiny_custom" + end for end in (".engine", ".json", ".onnx", ".trt", ".trt.json")
    ]
    assert json.loads((board / "models" / "tiny_custom.trt.json").read_text())["precision"] == "fp16"
    assert (report / "engine.txt").read_text() == "models/tiny_custom.trt\n"
    profile = json.loads((report / "profile.json").read_text())
    assert profile["subject"]["backend"] == "tensorrt" and profile["frames"] > 0
    assert "TensorRT 8.2.1" in (report / "info.txt").read_text() and (report / "profile.txt").read_text()
    assert "run --engine {}/models/tiny_custom.trt".format(board) in out


@needs_sshd
@pytest.mark.parametrize("script, said", [('[ "$2" != "import numpy" ] || exit 1', "no numpy"), ("exit 1", "3.6")])
def test_a_board_that_is_not_set_up(loopback, tmp_path, model, script, said):
    values = dict(environment(tmp_path, loopback.ssh), BOARD_PYTHON=board_python(tmp_path, script))
    code, out = deploy(values, "board", model)
    assert code == 2 and said in out and "setup.sh" in out
    assert listing(tmp_path / "board") == ["models"] and not (tmp_path / "reports").exists()


@needs_sshd
def test_no_password_is_ever_asked_for(loopback, tmp_path, model):
    config = (loopback.folder / "config").read_text().replace("/user\n", "/stranger\n")
    (tmp_path / "config").write_text(config)
    code, out = deploy(environment(tmp_path, "ssh -F {}".format(tmp_path / "config")), "board", model)
    assert code == 2 and "Permission denied" in out and "ssh-copy-id board" in out
    assert listing(tmp_path) == ["config"]


def test_a_board_that_is_not_there(tmp_path, model):
    ssh = "ssh -F /dev/null -p {}".format(free_port())
    code, out = deploy(environment(tmp_path, ssh), "nobody@127.0.0.1", model)
    assert code == 2 and "no connection to nobody@127.0.0.1" in out and listing(tmp_path) == []


@needs_sshd
def test_ctrl_c_leaves_nothing_half_done(loopback, tmp_path, model):
    script = "touch {0}/reached; while [ ! -e {0}/go ]; do sleep 0.1; done".format(tmp_path)
    values = dict(environment(tmp_path, loopback.ssh), BOARD_PYTHON=board_python(tmp_path, script))
    process = subprocess.Popen(
        [os.path.join(ROOT, "scripts/deploy.sh"), "board", model],
        env=values,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: (os.setsid(), signal.signal(signal.SIGINT, signal.SIG_DFL)),
    )
    try:
        until = time.monotonic() + 120
        while not (tmp_path / "reached").exists():
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(120) == 130
    finally:
        process.kill()
        (tmp_path / "go").write_text("")
    assert listing(tmp_path / "board") == ["models"] and not (tmp_path / "reports").exists()
