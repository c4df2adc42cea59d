"""Models exported once for all tests of the export chain."""

import os
from pathlib import Path

import pytest
import torch

from tests.device_models import TINY
from tsm_edge_export.exporter import export


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """The networks here are too small to share out, and threads that wait for each other starve a busy machine."""
    before, torch_before = os.environ.get("OMP_NUM_THREADS"), torch.get_num_threads()
    os.environ["OMP_NUM_THREADS"] = "1"  # for the commands that tests start
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(torch_before)
    if before is None:
        del os.environ["OMP_NUM_THREADS"]
    else:
        os.environ["OMP_NUM_THREADS"] = before


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The path of the tiny recipe."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def exported(tiny, tmp_path_factory):
    """A function (mode, lowering) -> path of the tiny recipe's model, exported when first asked for."""
    made, folder = {}, tmp_path_factory.mktemp("exported")

    def get(mode, lowering) -> Path:
        if (mode, lowering) not in made:
            output = folder / f"{mode}_{lowering}.onnx"
            made[mode, lowering] = export(tiny, mode=mode, lowering=lowering, output=output)
        return made[mode, lowering]

    return get
