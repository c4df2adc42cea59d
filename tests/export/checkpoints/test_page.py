"""docs/checkpoints.md: its files are valid, and its refusals are what the loader says."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.export.checkpoints.test_checkpoints import mit, renamed, same, saved
from tsm_edge.errors import InputError
from tsm_edge.manifest import ArchSpec
from tsm_edge_export import checkpoints, recipe
from tsm_edge_export.torch_engine import load_torch_engine
from tsm_edge_export.training import config

with open(os.path.join(ROOT, "docs", "checkpoints.md"), encoding="utf-8") as file:
    PAGE = file.read()
OFFLINE = "TSM_jester_RGB_mobilenetv2_shift8_blockres_avg_segment8_e50.pth"


def block(name):
    """Return the block of the page whose first line is the file's name."""
    (text,) = re.findall(r"^```\w+\n(# {}\b.*?)^```$".format(re.escape(name)), PAGE, re.DOTALL | re.MULTILINE)
    return text


def run(name, folder):
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    command = [sys.executable, "-c", block(name)]
    return subprocess.run(command, cwd=str(folder), env=environment, capture_output=True, text=True)


def refusal(path, arch=("mobilenetv2", 1.0, 27), wanted=None, fold_div=8):
    """Return how the export refuses a checkpoint; `wanted` is the direction of the model."""
    with pytest.raises(InputError) as caught:
        checkpoint = checkpoints.load(path, ArchSpec(*arch), fold_div=fold_div)
        checkpoints.require_direction(checkpoint, wanted, path.name)
    return caught.value


def test_the_stand_in_has_the_official_names_and_shapes(tmp_path, data):
    assert run("stand_in.py", tmp_path).returncode == 0
    made = torch.load(tmp_path / "mobilenetv2_jester_online.pth.tar", weights_only=True)
    with open(os.path.join(data, "..", "reference", "jester_online_keys_shapes.json")) as file:
        published = json.load(file)
    assert {name: list(tensor.shape) for name, tensor in made.items()} == {n: s for n, (s, _) in published.items()}


def test_the_recipe_and_the_configuration_are_valid(tmp_path):
    for name in ("sthv2.toml", "live.toml"):
        (tmp_path / name).write_text(block(name), encoding="utf-8")
    spec = recipe.load(str(tmp_path / "sthv2.toml"))
    assert (spec.mode, spec.arch.name, len(spec.labels)) == ("offline", "resnet50", 174)
    assert config.load(tmp_path / "live.toml").direction == "causal"


def test_the_keys_of_the_table_are_those_of_a_recipe():
    table = PAGE.split("### Write the recipe")[1].split("##")[0]
    keys = re.findall(r"^\| `([\w.]+)`", table, re.MULTILINE)
    fields = {"arch": ArchSpec, "shift": recipe.RecipeShift}
    for key in keys:
        first, _, second = key.partition(".")
        assert first in recipe.Recipe._fields
        assert not second or second in fields[first]._fields


def test_each_refusal_of_the_table_is_what_the_loader_says(tmp_path):
    def online(name="online.pth"):
        return saved(tmp_path, renamed("mobilenetv2", same, 27), name)

    def offline(name):
        return saved(tmp_path, renamed("mobilenetv2", mit("mobilenetv2"), 27), name, wrapped=True)

    lost = renamed("mobilenetv2", same, 27)
    for name in ("features.3.conv.0.weight", "features.4.conv.0.weight"):
        lost.pop(name)
    lost["extra.weight"] = torch.ones(1)
    torch.save({"state_dict": {}, "model": torch.nn.Linear(2, 2)}, tmp_path / "objects.pth")
    (tmp_path / "page.pth").write_text("<html>")
    scheme = "TSM_jester_RGB_mobilenetv2_shift8_{}.pth"
    found = [
        refusal(offline(OFFLINE), wanted="causal"),
        refusal(online(), wanted="bidirectional"),
        refusal(offline(scheme.format("blockres_avg_segment8_e100_dense_nl"))),
        refusal(offline(scheme.format("blockres_tpool_avg_segment8_e50"))),
        refusal(offline(scheme.format("block_avg_segment8_e50"))),
        refusal(offline(OFFLINE), arch=("resnet50", 1.0, 400)),
        refusal(offline(OFFLINE.replace("shift8", "shift4"))),
        refusal(online(), arch=("mobilenetv2", 1.0, 12)),
        refusal(saved(tmp_path, lost, "lost.pth")),
        refusal(tmp_path / "objects.pth"),
        refusal(tmp_path / "page.pth"),
    ]
    told = re.findall(r"^\| `(.+?)`.* \|$", PAGE.split("## What a refusal means")[1], re.MULTILINE)
    assert len(told) == len(found)
    for text, error in zip(told, found, strict=True):
        assert re.match(re.escape(text).replace("…", ".*"), str(error.got)), (text, error)
    assert "tsm-edge: error: {}\n".format(found[0]) in PAGE


def test_ours_compares_with_theirs(tmp_path, models):
    """The script passes on logits of the torch network, and fails on others."""
    path = os.path.join(models, "mobilenetv2_tsm")
    for ending in (".onnx", ".json"):
        (tmp_path / ("jester" + ending)).symlink_to(path + ending)
    frames = np.random.default_rng(0).standard_normal((4, 1, 3, 224, 224)).astype(np.float32)
    with load_torch_engine(path + ".onnx", device="cpu") as engine:
        state = engine.new_state()
        logits = np.stack([engine.step(frame, state)["logits"] for frame in frames])
    np.savez(tmp_path / "theirs.npz", frames=frames, logits=logits)
    done = run("ours.py", tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("largest difference "), done.stderr
    np.savez(tmp_path / "theirs.npz", frames=frames, logits=np.roll(logits, 1, axis=0))
    assert run("ours.py", tmp_path).returncode == 1
