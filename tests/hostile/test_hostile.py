"""The generator in small; and that its oracle finds what it is there to find, by commands that misbehave on purpose."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT
from tests.hostile import oracle
from tests.hostile.assets import Assets
from tests.hostile.bases import uncovered
from tests.hostile.case import Case, kinds_of, snapshot
from tests.hostile.drive import Driver, make, plan, report, shares
from tests.hostile.families import FAMILIES, make_values, options

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads /proc")
MAX_SECONDS = 4.0
MAX_BYTES = 400 << 20


def changing_seed():
    """Return a seed that changes with every commit: one commit gives one answer, and the next one looks elsewhere."""
    try:
        commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, stderr=subprocess.DEVNULL)
        return int(commit[:6], 16)
    except (OSError, subprocess.CalledProcessError):  # no repository
        return int(time.time()) // 86400


@pytest.mark.parametrize(("cases", "seed"), [(44, 0), (28, changing_seed())])
def test_hostile_inputs(cases, seed, tmp_path):
    path = tmp_path / "hostile.json"
    command = [sys.executable, "-m", "tests.hostile", "--cases", str(cases), "--seed", str(seed), "--json", str(path)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
    print("seed", seed)
    out = done.stdout.decode()
    assert done.returncode == 0, out
    found = json.loads(path.read_text())
    assert found["ok"] and found["seed"] == seed and found["cases"] >= cases
    assert set(found["families"]) == set(FAMILIES)


@pytest.fixture(scope="session")
def assets():
    return Assets()


@pytest.fixture(scope="module")
def driver(assets):
    made = Driver(assets, MAX_SECONDS, MAX_BYTES)
    yield made
    made.close()


def judged(driver, fill):
    """The faults of a case that `fill(case)` makes: a list of what they are."""

    def maker(family, seed, folder, assets):
        case = Case(family, seed, folder, assets)
        fill(case)
        return case

    return driver.run("planted", 0, maker)


def python(case, code, **fields):
    case.run_program(sys.executable, "-c", code, **fields)


def found(driver, fill):
    return [what for what, _ in judged(driver, fill).faults]


def test_a_command_that_behaves_has_no_fault(driver):
    def fill(case):
        case.take("tiny_custom.onnx", "tiny_custom.json", "clip.avi")
        line = ("run", "--engine", "tiny_custom.onnx", "--source", "clip.avi", "--threads", "1", "--jsonl", "o.jsonl")
        case.run(*line, allowed=(0,))
        case.run("info", "nothing.onnx")
        case.outputs.append("o.jsonl")
        case.checks.append(oracle.same_frames("o.jsonl", case.assets.clean("clip.avi")))

    verdict = judged(driver, fill)
    assert verdict.faults == []
    assert verdict.memory > 20e6 and verdict.seconds > 0


PLANTED = {
    "hang": "import time; time.sleep(60)",
    "memory": "a = [bytearray(b'x') * (64 << 20) for _ in range(30)]; import time; time.sleep(3)",
    "signal": "import ctypes; ctypes.string_at(0)",
    "traceback": "import sys; sys.stderr.write('Traceback (most recent call last):\\n'); sys.exit(2)",
    "answered": "pass",
    "exit code": "import sys; sys.stderr.write('no'); sys.exit(77)",
    "no message": "import sys; sys.exit(2)",
    "control characters": "import sys; sys.stderr.write('\\x1b[2J'); sys.exit(2)",
    "input changed": "import sys; open('input', 'a').write('x'); sys.stderr.write('no'); sys.exit(2)",
    "stray file": "import sys; open('stray', 'w'); sys.stderr.write('no'); sys.exit(2)",
    "left process": "import subprocess, sys; subprocess.Popen(['sleep', '30']); sys.stderr.write('no'); sys.exit(2)",
}


@pytest.mark.parametrize("what", sorted(PLANTED))
def test_a_planted_fault_is_found(driver, what):
    def fill(case):
        case.write("input", b"input")
        python(case, PLANTED[what])

    assert found(driver, fill) == [what]


def test_a_removed_input_is_found(driver):
    def fill(case):
        case.write("input", b"input")
        python(case, "import os, sys; os.remove('input'); sys.stderr.write('no'); sys.exit(2)")

    assert found(driver, fill) == ["input changed"]


@pytest.mark.parametrize("place", ["sys.stdout", "sys.stderr", "open('out', 'w')"])
def test_a_secret_is_found(driver, place):
    def fill(case):
        case.outputs.append("out")
        python(case, "import sys; {}.write('rtsp://user:{}@host')".format(place, case.secret()), allowed=(0,))

    assert found(driver, fill) == ["secret"]


def lines_of(*kinds):
    """Return code that writes JSON lines of these kinds."""
    records = [{"kind": kind, "stream": None, "frames": kinds.count("frame")} for kind in kinds]
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.mark.parametrize(
    "text",
    [
        lines_of("frame", "summary")[:-20],
        lines_of("frame"),
        "",
        lines_of("frame", "summary") + "\0" * 4 + "\n",
        lines_of("frame", "summary").replace('"frames": 1', '"frames": 2'),
    ],
)
def test_half_a_file_of_records_is_found(driver, text):
    def fill(case):
        case.outputs.append("o.jsonl")
        python(case, "open('o.jsonl', 'w').write({!r})".format(text), allowed=(0,))

    assert found(driver, fill) == ["half a file"]


def test_whole_records_and_those_of_a_killed_run_are_fine(driver):
    def fill(case, kinds=("frame", "summary"), **fields):
        case.outputs.append("o.jsonl")
        code = "open('o.jsonl', 'w').write({!r}); import time; time.sleep(1)".format(lines_of(*kinds))
        python(case, code, **dict({"allowed": (0,)}, **fields))

    assert found(driver, fill) == []
    killed = {"signals": [(0.5, signal.SIGKILL)], "allowed": (-9,)}
    assert found(driver, lambda case: fill(case, ("frame",), **killed)) == []


def test_a_video_and_a_page_that_end_early_are_found(driver):
    def fill(case):
        case.outputs += ["o.mp4", "r.html", "p.json"]
        case.take("clip.mp4")
        code = "open('o.mp4', 'wb').write(open('clip.mp4', 'rb').read()[:9000])"
        python(case, code + "; open('r.html', 'w').write('<html>'); open('p.json', 'w').write('{')", allowed=(0,))

    assert found(driver, fill) == ["half a file"] * 3


def test_a_flipped_model_that_answers_is_found(driver):
    """The command is the real one; the model's frames differ from those of the clean run."""

    def fill(case):
        case.take("clip.avi")
        line = ("run", "--engine", "tiny_custom.onnx", "--source", "clip.avi", "--threads", "1", "--jsonl", "o.jsonl")
        case.take("tiny_custom.onnx", "tiny_custom.json")
        case.run(*line, allowed=(0, 2))
        case.outputs.append("o.jsonl")
        wrong = [
            (i, t, label, [[name, 1 - p] for name, p in top]) for i, t, label, top in case.assets.clean("clip.avi")
        ]
        case.checks.append(oracle.same_frames("o.jsonl", wrong))

    assert found(driver, fill) == ["wrong answer"]

    def answers(case):
        case.run("--version")

    assert found(driver, answers) == ["answered"]


def test_frames_that_were_not_read_are_found(driver):
    def fill(case, more=()):
        case.take("tiny_custom.onnx", "tiny_custom.json", "clip.avi")
        line = ("run", "--engine", "tiny_custom.onnx", "--source", "clip.avi", "--threads", "1", "--jsonl", "o.jsonl")
        case.run(*line, *more, allowed=(0,))
        case.outputs.append("o.jsonl")
        case.checks.append(oracle.all_frames("o.jsonl", 32))

    assert found(driver, fill) == []
    assert found(driver, lambda case: fill(case, ("--max-frames", "31"))) == ["wrong answer"]


@pytest.mark.parametrize("payload", ["touch injected", "mkdir -p deep && touch deep/injected"])
def test_shell_code_that_runs_is_found(driver, payload):
    def fill(case):
        case.outputs += ["injected", "deep", "deep/*"]
        case.run_program("sh", "-c", payload, allowed=(0,))
        case.checks.append(make_values.not_injected)

    assert found(driver, fill) == ["injected"]


def test_a_generator_that_fails_is_a_fault(driver):
    def fill(case):
        raise OSError("the generator breaks")

    (fault,) = judged(driver, fill).faults
    assert fault[0] == "generator" and "the generator breaks" in fault[1]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_case_follows_from_its_seed(family, assets, tmp_path):
    """Every kind of the family makes the same files and the same commands again, and other seeds make others."""
    made, kinds, seed = {}, {kind.name for kind in kinds_of(FAMILIES[family])}, 0
    while set(made) < kinds:
        assert seed <= len(shares(family))
        cases, seed = [], seed + 1
        for number in range(2):
            folder = tmp_path / "{}-{}".format(seed, number)
            folder.mkdir()
            case = make(family, seed, folder, assets)
            case.close()
            lines = [command.line().replace(str(folder), "FOLDER") for command in case.commands]
            files = {k: v for k, v in snapshot(case.folder).items() if v[0] != "link"}
            description = case.description.replace(str(folder), "FOLDER")
            cases.append((case.kind, description, lines if "stream" not in case.kind else [], files))
        assert cases[0] == cases[1]
        assert cases[0][1] and (cases[0][2] or "stream" in case.kind)
        made[case.kind] = cases[0]
    assert all(kind.make.__doc__ for kind in kinds_of(FAMILIES[family]))


def test_a_plan_has_every_family_and_every_kind():
    planned = plan(1000, 3)
    assert planned == plan(1000, 3) != plan(1000, 4)
    assert len(planned) == len(set(planned)) >= 1000
    for family in FAMILIES:
        assert sum(name == family for name, _ in planned) >= 2 * len(shares(family))
    assert {name for name, _ in plan(30, 0)} == set(FAMILIES)


def test_every_command_and_every_numeric_option_is_covered():
    assert uncovered() == []
    numeric = {(command, action.option_strings[-1]) for command, action in options.NUMERIC}
    assert {("run", "--threads"), ("run", "--fps"), ("profile", "--streams"), ("eval", "--crops")} <= numeric
    assert {("train", "--workers"), ("build", "--workspace"), ("compare", "--rounds")} <= numeric
    texts = {(command, (action.option_strings or [""])[-1]) for command, action in options.TEXTS}
    assert {("run", "--save"), ("info", ""), ("eval", "--reversed"), ("build", "--output")} <= texts


def test_a_report_says_what_failed(driver):
    good = judged(driver, lambda case: python(case, "pass", allowed=(0,)))
    bad = judged(driver, lambda case: python(case, "pass"))
    verdicts = [verdict._replace(family="models", seed=seed) for seed, verdict in enumerate((good, bad))]
    said = report(verdicts, 0, 1.0)
    assert said["families"]["models"]["cases"] == 2 and said["families"]["models"]["failures"] == 1
    assert not said["ok"] and said["faults"]["answered"] == 1
    assert said["failures"][0]["reproduce"] == "python -m tests.hostile --only models:1"
    json.dumps(said)


@pytest.mark.parametrize("value", ["-1", "x", "1; touch injected", "9" * 6000, "\uff11"])
@pytest.mark.parametrize("name", ["SEED", "CASES"])
def test_a_wrong_number_of_make_is_refused(name, value):
    environment = dict(os.environ, **{name: value})
    command = [sys.executable, "-m", "tests.hostile", "--list"]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 2 and b"whole number" in done.stderr
