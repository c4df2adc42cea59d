"""How a network architecture is added from outside the package, as CONTRIBUTING.md shows it."""

import numpy as np
import pytest
import torch
from torch import nn

from tsm_edge import load_engine
from tsm_edge.errors import InputError
from tsm_edge.registry import Entry
from tsm_edge_export import checkpoints, models, recipe
from tsm_edge_export.exporter import export
from tsm_edge_export.models.network import Block, Classifier, pooled

RECIPE = """
labels = ["still", "moving"]
[arch]
name = "plain"
num_classes = 2
[frame]
height = 24
width = 32
short_side = 36
"""


class Layer(Block):
    shifted = "conv"

    def __init__(self, network, channels):
        super().__init__(network.fold_for(channels), 1, residual=True)
        self.conv, self.norm = network.conv(channels, channels, 3), network.norm(channels)

    @property
    def last_norm(self):
        return self.norm

    def forward(self, x, shift):
        return x + self.norm(self.conv(shift(x, self.fold)))


class Plain(Classifier):
    stem_stride = 4

    def __init__(self, arch, fold_div, fused=False):
        super().__init__(arch, fold_div, fused)
        self.stem, self.norm1 = self.conv(3, 16, 5, stride=4), self.norm(16)
        self.layers = nn.ModuleList(Layer(self, 16) for _ in range(3))
        self.fc = nn.Linear(16, arch.num_classes)

    def forward(self, x, shift):
        x = self.norm1(self.stem(x)).relu()
        for layer in self.layers:
            x = layer(x, shift)
        return (self.fc(pooled(x)),)


NETWORK = Plain


@pytest.fixture(autouse=True)
def registered():
    models.ARCHITECTURES.add(Entry("plain", __name__, "a plain stack of shifted layers"))
    yield
    models.ARCHITECTURES.remove("plain")


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "plain.toml"
    path.write_text(RECIPE)
    return path


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_a_registered_architecture_is_exported_and_proven(written, tmp_path, mode):
    path = export(written, mode=mode, output=tmp_path / f"{mode}.onnx")
    with load_engine(path) as engine:
        manifest = engine.manifest
        assert (manifest.task, [spec.name for spec in manifest.outputs]) == ("classification", ["logits"])
        assert manifest.shift.places == tuple(f"layers.{n}.conv" for n in range(3))
        assert manifest.parity["passed"]
        if mode == "online":
            logits = engine.step(np.zeros((1, 3, 24, 32), np.float32), engine.new_state())["logits"]
            assert logits.shape == (1, 2)


def test_its_checkpoints_are_ours(written, tmp_path):
    spec = recipe.load(str(written))
    network = models.init_(models.build(spec.arch), 1)
    path = tmp_path / "plain.safetensors"
    checkpoints.save(path, network, "causal", 8, spec.labels)
    loaded = checkpoints.load(path, spec.arch)
    assert (loaded.dialect, loaded.direction, loaded.head_loaded) == ("safetensors", "causal", True)
    assert all(torch.equal(loaded.state[name], tensor) for name, tensor in network.state_dict().items())
    assert export(written, path, output=tmp_path / "trained.onnx").exists()
    with pytest.raises(InputError, match="weights of plain"):
        checkpoints.load(path, spec.arch._replace(name="resnet18"))


def test_without_its_entry_it_is_unknown(written):
    models.ARCHITECTURES.remove("plain")
    try:
        with pytest.raises(InputError, match="arch.name") as refusal:
            recipe.load(str(written))
        assert "mobilenetv2, resnet18" in str(refusal.value)
    finally:
        models.ARCHITECTURES.add(Entry("plain", __name__, "a plain stack of shifted layers"))
