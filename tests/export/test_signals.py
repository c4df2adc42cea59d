"""Ctrl-C and SIGTERM end every host command: exit 130 or 143, no traceback, no draft and no output that looks whole."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT
from tests.device import profiles
from tests.export.evaluation import toy as evaluated
from tests.export.training import toy
from tsm_edge_export.synthetic import LABELS

TRIES = 2  # of each command; at moments that are drawn anew each time, unless CI fixes them


@pytest.fixture(scope="module")
def calls(tmp_path_factory, exported):
    """Long calls of the host commands, each with its output."""
    folder = tmp_path_factory.mktemp("signals")
    evaluated.untrained(folder, LABELS)
    weights = str(folder / "weights.safetensors")
    config = toy.project(folder / "toy", train=8, test=4, schedule={"epochs": 1000}, run={"workers": 2})
    profiles.written(profiles.sample(), folder / "p.json")
    gestures = ["eval", "--synthetic", "1000", "--size", "64", "--workers", "2", "--engine", weights, "-o", "eval.json"]
    return {
        "export": (["export", str(folder / "recipe.toml"), "--weights", weights, "-o", "x.onnx"], "x.onnx"),
        "verify": (["verify", str(exported("online", "custom"))], None),
        "train": (["train", str(config), "-o", "trained"], None),
        "eval": (gestures, "eval.json"),
        "report": (["report", str(folder / "p.json"), "-o", "p.html"], "p.html"),
    }


@pytest.mark.parametrize("command", ["export", "verify", "train", "eval", "report"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_without_a_traceback(tmp_path, calls, command, signum):
    arguments, output = calls[command]
    moments = random.Random(f"{command} {signum}" if os.environ.get("CI") else None)
    for number in range(TRIES):
        folder = tmp_path / str(number)
        folder.mkdir()
        process = subprocess.Popen(
            [sys.executable, "-m", "tsm_edge", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/export"},
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            until = time.monotonic() + 60
            while not handles_signals(process.pid) and process.poll() is None:
                assert time.monotonic() < until
                time.sleep(0.01)
            time.sleep(moments.uniform(0, 4))
            if process.poll() is None:
                os.killpg(process.pid, signum)  # as a terminal does: the processes that read clips too
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
        assert "Traceback" not in err and "Error" not in err, err
        left = sorted(name for name in os.listdir(folder) if name.startswith(".draft"))
        assert left == []
        if process.returncode == 0:  # it was done before
            continue
        # A signal that comes while Python itself ends, after all work, kills it.
        assert process.returncode in (128 + signum, -signum), err
        if output is not None and process.returncode > 0:
            assert not (folder / output).exists()


def handles_signals(pid):
    """Whether a process handles SIGTERM, as ours do only while they work."""
    with open(f"/proc/{pid}/status") as file:
        caught = next(line for line in file if line.startswith("SigCgt"))
    return int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1
