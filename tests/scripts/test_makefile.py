"""The values that `make` is given: they reach a program as they were typed, and no part of them is ever run."""

import os
import random
import shutil
import stat
import subprocess

import pytest

from tests.conftest import ROOT

# Each would write the file "ran", or change the value, where make or a shell reads it.
NASTY = ["`touch ran`", "$(touch ran)", "$$(touch ran)", "$(shell touch ran)", "$(eval x:=$(shell touch ran))"]
NASTY += [";touch ran;", "\ntouch ran\n", "\n\ttouch ran #", "&&touch ran", "|touch ran", ">ran", "' ; touch ran '"]
NASTY += ['" ; touch ran "', "'", '"', "\\", "\\\n", "$", "$$", "${HOME}", "$(MODEL)", "${MODEL}", "$@", "#", "%", "*"]
NASTY += [
    "~",
    "!!",
    "{a,b}",
    "=",
    ":=",
    ",",
    ")",
    "(",
    " ",
    "\t",
    "--",
    "-x",
    "\x1b[31m",
    "\u202e",
    "\u00e9",
    "a",
    "b/c",
]

# make's target -> {variable: the argument that holds its value, of the program that the target calls}
TARGETS = {
    "export": {"MODEL": "{}", "WEIGHTS": "--weights={}", "MODE": "--mode={}", "LOWERING": "--lowering={}"},
    "verify": {"MODEL": "{}"},
    "demo": {"CLIP": "{}"},
    "soak": {"FRAMES": "--frames={}", "SEED": "--seed={}"},
    "train-demo": {"START": "{}"},
    "train-detection": {"CONFIG": "{}", "START": "{}", "DIRECTION": "{}"},
    "test-device": {"PYTHON36": "{}"},
    "deploy": {"HOST": "{}", "MODEL": "{}"},
    "venv": {"PYTHON": "{}"},
}
STUB = '#!/usr/bin/env bash\n{ printf "%s\\0" "${0##*/}" "$@"; printf "\\1"; } >>"$STUB_LOG"\n'


def nasty(rng):
    """Return a made-up value: some of NASTY, one after the other. make drops white space at the front of a value."""
    value = "".join(rng.choice(NASTY) for _ in range(rng.randint(1, 5)))
    return "x" + value if value[0].isspace() else value


class Stubs:
    """A copy of the Makefile in a folder where every program is a stub that logs its arguments."""

    def __init__(self, folder):
        self.folder, self.log = folder, folder / "log"
        shutil.copy(os.path.join(ROOT, "Makefile"), str(folder))
        for name in ("constraints.txt", "setup.py", ".venv/.ready"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("")
        names = os.listdir(os.path.join(ROOT, "scripts"))
        stubs = [folder / "scripts" / name for name in names if name.endswith(".sh")]
        stubs += [folder / ".venv/bin" / name for name in ("tsm-edge", "python")]
        stubs += [folder / "path" / name for name in ("cmake", "g++")]
        for stub in stubs:
            stub.parent.mkdir(exist_ok=True)
            stub.write_text(STUB)
            stub.chmod(stub.stat().st_mode | stat.S_IXUSR)

    def make(self, target, on_command_line, in_environment):
        """Return the calls of stubs that `make target` led to, each as [program, argument, ...]."""
        self.log.write_text("")
        arguments = ["{}={}".format(name, value) for name, value in on_command_line.items()]
        environment = dict(os.environ, STUB_LOG=str(self.log), **in_environment)
        environment["PATH"] = "{}:{}".format(self.folder / "path", os.environ["PATH"])
        if target == "venv":
            (self.folder / ".venv/.ready").unlink()
        done = subprocess.run(
            ["make", "-s", target] + arguments,
            cwd=str(self.folder),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        )
        assert done.returncode == 0, (on_command_line, in_environment, done.stdout)
        for parent, _, names in os.walk(str(self.folder)):
            assert not any("ran" in name for name in names if name != "train_demo.sh"), (parent, names)
        calls = self.log.read_bytes().decode("utf-8").split("\0\1")
        return [call.split("\0") for call in calls if call]


@pytest.fixture
def stubs(tmp_path):
    return Stubs(tmp_path)


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_values_arrive_as_they_were_typed(stubs, target):
    rng = random.Random(target)
    for case in range(60):
        values = {name: nasty(rng) for name in TARGETS[target]}
        typed = {name: value for name, value in values.items() if rng.random() < 0.6}
        others = {name: value for name, value in values.items() if name not in typed}
        called = stubs.make(target, dict(typed, UNKNOWN=nasty(rng)), others)[-1]
        for name, value in values.items():
            assert TARGETS[target][name].format(value) in called, (case, name, called)


@pytest.mark.parametrize("target", ["export", "verify"])
def test_a_model_is_never_an_option(stubs, target):
    assert stubs.make(target, {"MODEL": "--help"}, {})[-1] == ["tsm-edge", target, "--", "--help"]


def test_any_value_of_dry_run_is_a_dry_run(stubs):
    rng = random.Random(0)
    for _ in range(20):
        called = stubs.make("deploy", {"DRY_RUN": nasty(rng), "HOST": "--dry-run", "MODEL": "m"}, {})[-1]
        assert called == ["deploy.sh", "--dry-run", "--", "--dry-run", "m"]
    assert stubs.make("deploy", {"HOST": "h", "MODEL": "m"}, {})[-1] == ["deploy.sh", "--", "h", "m"]


def test_lists_are_split_at_white_space_and_no_more(stubs):
    rng = random.Random(0)
    for _ in range(40):
        value = nasty(rng) + " " + nasty(rng)
        called = next(call for call in stubs.make("kernels", {"KERNEL_OPTIONS": value}, {}) if call[0] == "cmake")
        assert called == ["cmake", "../../kernels"] + value.split()
        names = [call[1] for call in stubs.make("bench", {"BENCHES": value}, {}) if "--json" in call]
        assert names == ["benchmarks/bench_{}.py".format(name) for name in value.split()]


def test_no_make_below_expands_a_value(stubs):
    """As cmake runs make in the build folder: it would get the command line's variables, and expand them."""
    cmake = stubs.folder / "path" / "cmake"
    cmake.write_text(STUB + 'printf "all:\\n\\t@env >/dev/null\\n" >below.mk && "$(type -P make)" -f below.mk\n')
    stubs.make("kernels", {"KERNEL_OPTIONS": "$(shell touch {}/ran)".format(stubs.folder)}, {})


def test_every_variable_of_the_makefile_is_tried_here():
    with open(os.path.join(ROOT, "Makefile"), encoding="utf-8") as file:
        line = next(line for line in file if line.startswith("override VALUES :="))
    tried = {name for variables in TARGETS.values() for name in variables} | {"DRY_RUN", "KERNEL_OPTIONS"}
    assert set(line.split(":=")[1].split()) == tried | {"CASES"}  # `make hostile` reads it from the environment alone
