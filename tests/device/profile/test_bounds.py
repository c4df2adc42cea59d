"""Numbers that no measurement could use are refused before anything is measured or allocated."""

import os

import pytest

from tests.device.running import tsm_edge
from tsm_edge.engines import load_manifest
from tsm_edge.errors import InputError
from tsm_edge.profile import measure


@pytest.fixture
def model(models):
    return os.path.join(models, "tiny_custom.onnx")


OPTIONS = ["--seconds", "--warm-up", "--paced", "--streams", "--cold", "--camera"]
VALUES = [
    "1000000",
    "1e300",
    "10000000000",
    "-1",
    "nan",
    "inf",
    "",
    "1e",
    "9" * 6000,
    "0x10",
    "\u0664" * 400,
    "1_0" * 99,
]


@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_profile(model, capsys, option):
    for value in VALUES:
        done = tsm_edge(capsys, "profile", "--engine", model, "{}={}".format(option, value))
        assert done.code == 2 and "argument " + option in done.err, value
        assert len(done.err.splitlines()[-1]) < 300


@pytest.mark.parametrize("option", ["--rounds", "--threshold"])
def test_options_of_compare(model, capsys, option):
    for value in VALUES:
        done = tsm_edge(capsys, "compare", "--run", model, model, "{}={}".format(option, value))
        assert done.code == 2 and "argument " + option in done.err, value


def test_streams_that_do_not_fit_into_memory(model, capsys, monkeypatch):
    """The frames and caches of 1,000 streams need more; a machine that has 5 MB free is told how many fit."""
    monkeypatch.setattr(measure, "memory_mb", lambda root="/", key="MemTotal": 5)
    done = tsm_edge(capsys, "profile", "--engine", model, "--streams", "1000", "--cold", "0")
    assert done.code == 2 and "free memory, 5 MB" in done.err and "do:       --streams " in done.err
    fitting = int(done.err.split("do:       --streams ")[1])
    measure._check_memory(fitting, load_manifest(model))
    with pytest.raises(InputError, match="caches of 1000 streams"):
        measure._check_memory(1000, load_manifest(model))
    monkeypatch.setattr(measure, "memory_mb", lambda root="/", key="MemTotal": None)  # not known: tried
    measure._check_memory(1000, load_manifest(model))
