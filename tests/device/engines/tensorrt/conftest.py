"""Machines with fakes of TensorRT, and engines that were built on them."""

import shutil

import pytest

from tests.device.fakes.machine import Machine, request
from tsm_edge.engines.tensorrt.build import build

BUILT = {}  # (release, precision, lowering, streams, model): folder of the engine, kept for the session


@pytest.fixture(scope="session")
def engines(tmp_path_factory):
    return tmp_path_factory.mktemp("engines")


def engine_of(machine, engines, model, release, **changes):
    """Path of the engine that `tsm-edge build` makes of a model, made once."""
    key = (release, model) + tuple(sorted(changes.items()))
    if key not in BUILT:
        path = str(engines / "{}.trt".format(len(BUILT)))
        build(request(model, path, **changes))
        BUILT[key] = path
    return BUILT[key]


@pytest.fixture(params=[("8.2", "10.2"), ("10", "12")], ids=lambda p: "-".join(p))
def machine(request, monkeypatch, models, tmp_path):
    return Machine(monkeypatch, models, tmp_path, *request.param)


@pytest.fixture
def built(machine, engines, tmp_path):
    """Path of an engine for one stream, by plugin."""
    path, release = str(tmp_path / "model.trt"), machine.compat.version
    made = engine_of(machine, engines, machine.model("tiny_custom"), release, lowering="plugin", streams="1")
    shutil.copy(made, path)
    shutil.copy(made + ".json", path + ".json")
    machine.gpu.calls.clear()
    return path
