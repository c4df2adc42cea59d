"""devices/*/setup.sh, on the system files of boards and with fake commands that log their arguments."""

import getpass
import os
import shlex
import shutil
import subprocess

import pytest

from tests.conftest import ROOT
from tests.device import boards
from tsm_edge import cli

DEVICES = os.path.join(ROOT, "devices")
FAKES = ["sudo", "id", "getent", "dpkg-query", "apt-cache", "apt-get", "python3", "venv-python", "usermod"]
FAKES += ["fallocate", "mkswap", "swapon", "nvpmodel", "jetson_clocks", "systemctl"]
EVERYTHING = ["--swap", "4", "--performance", "--headless", "--service"]
SETUP = {"nano": ("jetson_nano", boards.nano), "orin": ("jetson_orin_nano", boards.orin_nano)}


class Board:
    """A board's system files, its commands, and the set-up script on them."""

    def __init__(self, folder, name, **facts):
        self.script = os.path.join(DEVICES, SETUP[name][0], "setup.sh")
        self.root = SETUP[name][1](folder / "root", **facts)
        boards.write(
            self.root, {"etc/fstab": "/dev/root / ext4 defaults 0 1\n", "usr/local/cuda/bin/nvcc": "#!/bin/sh\n"}
        )
        os.chmod(os.path.join(self.root, "usr/local/cuda/bin/nvcc"), 0o755)
        self.state, self.prefix, bin_folder = folder / "state", folder / "opt", folder / "bin"
        for made in (self.state, bin_folder):
            made.mkdir()
        for command in FAKES:
            shutil.copy(os.path.join(ROOT, "tests/scripts/fake_commands.sh"), str(bin_folder / command))
        (self.state / "has").write_text("known libopencv-python\nknown python3-opencv\n")
        self.environment = dict(
            os.environ,
            PATH="{}:{}".format(bin_folder, os.environ["PATH"]),
            FAKE_STATE=str(self.state),
            TSM_EDGE_SYSTEM=self.root,
        )
        self.environment.pop("SUDO_USER", None)

    def setup(self, *arguments):
        """Run setup.sh. Returns (exit code, output, the lines that the commands logged)."""
        log = self.state / "log"
        log.write_text("")
        done = subprocess.run(
            ["bash", self.script, "--prefix", str(self.prefix)] + list(arguments),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            timeout=120,
        )
        return done.returncode, done.stdout, log.read_text().splitlines()

    def files(self):
        """Return {path: text} of all files that the script may change."""
        found = {}
        for folder in (self.root, str(self.prefix), str(self.state / "has")):
            for parent, _, names in os.walk(folder):
                for name in names:
                    with open(os.path.join(parent, name), errors="replace") as file:
                        found[os.path.join(parent, name)] = file.read()
        return found

    def text(self, path):
        with open(os.path.join(self.root, path)) as file:
            return file.read()


@pytest.mark.parametrize("name", sorted(SETUP))
def test_a_dry_run_says_it_all_and_changes_nothing(tmp_path, name):
    board = Board(tmp_path, name)
    before = board.files()
    code, out, asked = board.setup("--dry-run", *EVERYTHING)
    assert (code, asked) == (0, []) and board.files() == before and not board.prefix.exists()
    for part in (
        "apt-get install",
        "libopencv-python",
        "-m venv --system-site-packages",
        "CUDA_ROOT=",
        "fallocate -l 4G",
        "nvpmodel -m " + ("0" if name == "nano" else "2"),  # the Orin's fastest mode has another number
        "jetson_clocks",
        "set-default multi-user.target",
        "systemctl enable",
        "bin/tsm-edge doctor",
    ):
        assert part in out


@pytest.mark.parametrize("name", sorted(SETUP))
def test_twice_is_once(tmp_path, name):
    board = Board(tmp_path, name)
    code, out, asked = board.setup(*EVERYTHING)
    assert code == 0 and out.endswith("doctor says: fine\n")
    text = "\n".join(asked)
    pinned = "numpy==1.19.4" if name == "nano" else "numpy==1.26.4"
    with open(os.path.join(str(board.prefix), "venv", "requirements.txt")) as file:
        assert pinned in file.read()
    cuda = os.path.join(board.root, "usr/local/cuda")
    assert "CUDA_ROOT={0} CPATH={0}/include LIBRARY_PATH={0}/lib64 nvcc={0}/bin/nvcc".format(cuda) in text
    assert board.text("etc/fstab").endswith("/var/tsm-edge.swap none swap sw 0 0\n")
    assert "jetson_clocks" in board.text("etc/systemd/system/tsm-edge.service.d/clocks.conf")
    after = board.files()

    code, out, asked = board.setup(*EVERYTHING)
    assert code == 0 and board.files() == after
    # These run each time: a boot undoes modes and clocks, and systemctl's commands change nothing the second time.
    assert {line.split()[0] for line in asked} <= {"nvpmodel", "jetson_clocks", "systemctl"}
    assert out.count("already there") >= 8


def test_clocks_are_locked_for_a_service_that_is_there_already(tmp_path):
    board = Board(tmp_path, "nano")
    clocks = os.path.join(board.root, "etc/systemd/system/tsm-edge.service.d/clocks.conf")
    assert board.setup("--performance")[0] == 0 and not os.path.exists(clocks)
    assert board.setup("--service")[0] == 0 and not os.path.exists(clocks)
    assert board.setup("--performance")[0] == 0 and "jetson_clocks" in board.text(clocks)


def test_only_what_is_missing_is_installed(tmp_path):
    board = Board(tmp_path, "nano")
    with open(str(board.state / "has"), "a") as file:
        file.write("package cmake\npackage v4l-utils\npackage nvidia-jetpack\n")
    code, _, asked = board.setup("--no-pycuda")
    installs = [line for line in asked if line.startswith("apt-get install")]
    assert code == 0 and len(installs) == 1
    assert installs[0].split()[-4:] == ["python3-dev", "python3-venv", "build-essential", "libopencv-python"]
    assert not any("pycuda" in line for line in asked)
    assert not any(line.split()[0] in ("fallocate", "nvpmodel", "systemctl") for line in asked)  # none was asked for


def test_ubuntus_opencv_where_jetpack_has_none(tmp_path):
    board = Board(tmp_path, "orin", major=39, release="2.0", package="7.2")
    (board.state / "has").write_text("known python3-opencv\n")
    assert " python3-opencv" in "\n".join(board.setup("--no-pycuda")[2])


def test_other_pins_are_installed_anew(tmp_path):
    board = Board(tmp_path, "nano")
    assert board.setup()[0] == 0
    (board.prefix / "venv" / "requirements.txt").write_text("numpy==1.13.3\n")
    assert sum("requirements.txt" in line for line in board.setup()[2]) == 1


@pytest.mark.parametrize(
    "name, facts, arguments, said",
    [
        ("nano", {"release": "6.1"}, [], "L4T 32.6.1"),
        ("nano", {"release": "damaged"}, [], "L4T unknown"),
        ("orin", {"release": "3.0"}, [], "L4T 36.3.0"),
        ("orin", {"major": 38, "release": "2.0"}, [], "L4T 38.2.0"),
        ("nano", {}, ["--swap", "0"], "--swap 0"),
        ("nano", {}, ["--swap", "4; reboot"], "--swap 4; reboot"),
        ("nano", {}, ["--swap"], "--swap needs a value"),
        ("nano", {}, ["--prefix", "here"], "--prefix here"),
        ("nano", {}, ["--fast"], "unknown argument --fast"),
    ],
)
def test_refused(tmp_path, name, facts, arguments, said):
    board = Board(tmp_path, name, **facts)
    before = board.files()
    code, out, asked = board.setup(*arguments)
    assert (code, asked) == (2, []) and board.files() == before
    assert "setup: error: " in out and said in out and "do: " in out


def test_no_jetson_is_refused(tmp_path):
    board = Board(tmp_path, "nano")
    os.remove(os.path.join(board.root, "etc/nv_tegra_release"))
    code, out, asked = board.setup()
    assert (code, asked) == (2, []) and "no Jetson" in out


def test_help_names_every_option():
    out = subprocess.check_output(
        ["bash", os.path.join(DEVICES, "jetson_nano/setup.sh"), "--help"], universal_newlines=True
    )
    for option in ["--dry-run", "--prefix", "--no-pycuda"] + [word for word in EVERYTHING if word.startswith("--")]:
        assert option in out


def test_the_command_that_is_installed(tmp_path):
    """The launcher runs this tree, with the environment variable that OpenBLAS needs on a Jetson."""
    board = Board(tmp_path, "nano")
    assert board.setup()[0] == 0
    fake = tmp_path / "opt" / "venv" / "bin" / "python"
    fake.unlink()
    fake.write_text('#!/bin/sh\necho "$OPENBLAS_CORETYPE $PYTHONPATH" "$@"\n')
    fake.chmod(0o755)
    out = subprocess.check_output([str(board.prefix / "bin" / "tsm-edge"), "run", "a b"], universal_newlines=True)
    assert out.split()[0] == "ARMV8" and ROOT in out.split()[1] and out.endswith("-m tsm_edge run a b\n")


# ---------------------------------------------------------------- the service


@pytest.fixture
def unit(tmp_path):
    """Return the path of the installed unit file."""
    board = Board(tmp_path, "nano")
    assert board.setup("--service")[0] == 0
    return os.path.join(board.root, "etc/systemd/system/tsm-edge.service")


def test_the_service_is_whole(unit, tmp_path):
    with open(unit) as file:
        text = file.read()
    assert "@" not in text.split("[Unit]")[1] and "User={}\n".format(getpass.getuser()) in text
    assert "ExecStart={}/bin/tsm-edge run $TSM_EDGE_ARGUMENTS\n".format(tmp_path / "opt") in text
    for line in ("Type=notify", "WatchdogSec=30", "Restart=always", "SuccessExitStatus=143", "StartLimitIntervalSec=0"):
        assert line + "\n" in text


def test_the_service_runs_a_command_that_exists():
    with open(os.path.join(DEVICES, "tsm-edge.default")) as file:
        line = file.read().splitlines()[-1]
    name, value = line.split("=", 1)
    assert name == "TSM_EDGE_ARGUMENTS"
    options = cli._parse(["run"] + shlex.split(value)[0].split())
    assert options.sources == [0] and options.engine.startswith("/")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here to check a unit with")
def test_systemd_accepts_the_service(unit):
    done = subprocess.run(
        ["systemd-analyze", "verify", unit],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        timeout=120,
    )
    ours = [line for line in done.stdout.splitlines() if "tsm-edge" in line]
    assert ours == []
