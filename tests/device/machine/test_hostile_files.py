"""System files that are missing, unreadable, of another kind, binary, huge or nonsense: a fact is then not known."""

import json
import os
import random

import pytest

from tests.device import boards
from tsm_edge.commands import doctor
from tsm_edge.machine import sampler
from tsm_edge.machine.board import problems, read_board
from tsm_edge.machine.sensors import Sensors
from tsm_edge.machine.system_files import MAX_BYTES, memory_mb, text_of
from tsm_edge.text import printable

TEXTS = [
    "",
    "\0",
    "\n",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "9" * 6000,
    "-1",
    "0x10",
    "1 2 3",
    "cpu " + "9" * 5000,
    "cpu a b c d e f g h",
]
TEXTS += [
    "\x1b[2J\x07",
    "a\nb\rc\t",
    "\u202e\u2066",
    "x" * 100000,
    "MemTotal: " + "9" * 5000 + " kB\nVmRSS: " + "8" * 5000 + " kB",
]
TEXTS += ["MemTotal: -1 kB", "VmRSS:\t-3 kB", "# R" + "1" * 5000 + " (release), REVISION: 7.1", "pmode:" + "9" * 5000]
TEXTS += [
    "# R32 (release), REVISION: " + "." * 30,
    "# R32 (release), REVISION: 7",
    'PRETTY_NAME="\x1b[31m\u202e"',
    "model name : \x1b]0;x\x07",
]
TEXTS += [
    "Package: nvidia-jetpack\n" + "a: b\n" * 20000,
    "< POWER_MODEL ID=" + "1" * 5000 + " NAME=MAXN >",
    "nvidia,tegra210\0\x1b",
]


def damage(rng, path):
    """Replace the file at `path` by something that no kernel would put there."""
    os.remove(path)
    kind = rng.randrange(8)
    if kind == 0:
        os.mkdir(path)
    elif kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        os.symlink(rng.choice(["/dev/zero", "/dev/null", "/proc/self/mem", "/proc/1/mem", "nowhere", path]), path)
    elif kind == 3:
        with open(path, "wb") as file:
            file.write(bytes(bytearray(rng.randrange(256) for _ in range(rng.choice([1, 100, 5000])))))
    elif kind > 4:
        with open(path, "w", encoding="utf-8") as file:
            file.write(rng.choice(TEXTS))


def files_below(root):
    return sorted(os.path.join(parent, name) for parent, _, names in os.walk(root) for name in names)


@pytest.fixture
def quick_doctor(monkeypatch):
    """Leave out what is slow and not read from `root`: packages, programs and libraries."""
    report = doctor.inspect_machine(doctor.PACKAGES)
    monkeypatch.setattr("tsm_edge.machine.inspection._package", lambda name: {"version": "1", "error": "not installed"})
    monkeypatch.setattr("tsm_edge.machine.inspection._output", lambda *command: "")
    for name in ("cuda", "kernel_library"):
        value = report["cuda"] if name == "cuda" else report["kernel_libraries"]["tensorrt"]
        monkeypatch.setattr("tsm_edge.machine.inspection._" + name, lambda *arguments, value=value: value)


@pytest.mark.parametrize("make", [boards.nano, boards.orin_nano])
def test_facts_that_cannot_be_read(tmp_path, quick_doctor, make):
    rng = random.Random(make.__name__)
    for case in range(120):
        root = str(tmp_path / str(case))
        make(root)
        boards.write(root, {"proc/stat": "cpu 1 2 3 4 5 6 7 8 0\n", "proc/self/status": "VmRSS: 5 kB\nVmHWM: 7 kB\n"})
        boards.write(root, {"proc/self/statm": "9 8 7\n", "proc/cpuinfo": "model name : x\n", "etc/os-release": ""})
        paths = files_below(root)
        for path in rng.sample(paths, rng.randint(1, len(paths))):
            damage(rng, path)
        report = doctor.examine(root=root)
        text = doctor.render(report)
        assert text == printable(text)
        assert len(text) < 20000 and len(text.splitlines()) < 120
        json.dumps(report, allow_nan=False)
        json.dumps(Sensors(root).read(), allow_nan=False)
        board = read_board(root)
        assert board is None or problems(board) is not None
        for value in (memory_mb(root), sampler.busy_seconds(root), sampler.resident_now(root)) + sampler.resident(root):
            assert value is None or isinstance(value, (int, float))
        assert len(sampler.cpu_name(root)) < 200


def test_a_file_without_an_end_is_read_in_part(tmp_path):
    path = str(tmp_path / "large")
    with open(path, "wb") as file:
        file.truncate(3 * MAX_BYTES)
    assert len(text_of(path)) == MAX_BYTES
    assert text_of("/dev/zero") == ""


def test_a_machine_without_proc(tmp_path):
    assert doctor.render(doctor.examine(root=str(tmp_path / "none"))).count("\n") > 10
