"""The detector's network: what its grid holds, at which sizes, and what its graph is made of."""

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tsm_edge.errors import InputError
from tsm_edge.heads import boxes
from tsm_edge.manifest import LOWERINGS, ArchSpec, WeightsSpec
from tsm_edge_export import checkpoints, models, recipe
from tsm_edge_export.models.mobilenetv2 import MobileNetV2
from tsm_edge_export.onnx_export import to_onnx

ARCH = ArchSpec("mobilenetv2_centernet", 0.25, 3)
# What TensorRT 8.2 and ONNX Runtime 1.10 take at opset 13. Identity stands where a BatchNorm was.
OPERATIONS = {"Add", "Concat", "Conv", "ConvTranspose", "Identity", "Relu", "Sigmoid"}
RECIPE = """
labels = ["a", "b", "c"]
[arch]
name = "mobilenetv2_centernet"
width = 0.25
num_classes = 3
[shift]
n_segment = 2
[frame]
height = {}
width = {}
"""


@pytest.fixture(scope="module")
def network():
    return models.init_(models.build(ARCH), 0).eval()


def graph(tmp_path, network, size, direction="causal", lowering="standard"):
    path = tmp_path / "detector.toml"
    path.write_text(RECIPE.format(*size))
    spec = recipe.load(str(path))
    spec = spec._replace(shift=spec.shift._replace(online_direction=direction))
    weights = WeightsSpec("0" * 64, "toy", False)
    return to_onnx(models.fuse(network), recipe.manifest_of(spec, "online", lowering, network, weights, "toy"))


@settings(max_examples=8, deadline=None)
@given(st.integers(4, 150), st.integers(4, 150), st.integers(1, 80))
@torch.no_grad()
def test_the_grid_has_a_cell_for_every_four_pixels_at_any_size(height, width, classes):
    with torch.device("meta"):  # shapes alone: nothing is computed
        net = models.build(ARCH._replace(num_classes=classes)).eval()
        (grid,) = net.frame(torch.zeros(2, 3, height, width))
    (spec,) = net.outputs(height, width)
    assert (spec.name, spec.dtype) == ("grid", "float32")
    assert tuple(grid.shape[1:]) == spec.shape == (classes + 4, -(-height // 4), -(-width // 4))


@pytest.mark.parametrize("size", [(3, 64), (64, 3), (1, 1)])
def test_frames_smaller_than_a_cell_are_refused(tmp_path, size):
    path = tmp_path / "small.toml"
    path.write_text(RECIPE.format(*size))
    with pytest.raises(InputError, match="at least 4x4") as caught:
        recipe.load(str(path))
    assert str(path) in str(caught.value) and f"{size[0]}x{size[1]}" in str(caught.value)


@torch.no_grad()
def test_the_heat_of_an_untrained_network_is_a_share_and_starts_low(network):
    x = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    heat = network.frame(x)[0][:, :3]
    assert heat.min() > 0 and heat.max() < 1
    assert 0.02 < heat.mean() < 0.3
    assert heat.std() > 1e-3


@torch.no_grad()
def test_the_order_of_the_channels(network):
    """Heat of each class, log height, log width, offset y, offset x: each from its own layer."""
    x = torch.rand(1, 3, 64, 64)
    seen = {}
    hooks = [
        getattr(network, name).register_forward_hook(lambda m, a, y, name=name: seen.update({name: y}))
        for name in ("heat", "size", "offset")
    ]
    (grid,) = network.frame(x)
    for hook in hooks:
        hook.remove()
    assert torch.equal(grid[:, :3], seen["heat"].sigmoid())
    assert torch.equal(grid[:, 3:5], seen["size"]) and torch.equal(grid[:, 5:], seen["offset"])


@torch.no_grad()
def test_a_blob_of_heat_is_decoded_where_it_is(network):
    """The convention of the head and of the network are one: a hand-made grid through `boxes.decode`."""
    (spec,) = network.outputs(72, 104)
    grid = np.zeros(spec.shape, np.float32)
    grid[1, 5, 7], grid[3:, 5, 7] = 0.9, (np.log(24 / 4), np.log(12 / 4), 0.25, -0.5)
    found, scores, classes = boxes.decode(grid, 3, 0.3)
    assert (scores.tolist(), classes.tolist()) == ([np.float32(0.9)], [1])
    y, x = (5 + 0.25 + 0.5) * 4, (7 - 0.5 + 0.5) * 4
    assert np.allclose(found, [[x - 6, y - 12, x + 6, y + 12]])


def test_the_backbone_is_that_of_the_classifier_with_relu():
    with torch.device("meta"):
        detector, classifier = models.build(ARCH._replace(width=1.0)), models.build(ArchSpec("mobilenetv2", 1.0, 3))
    shapes = {name: tensor.shape for name, tensor in detector.features.state_dict().items()}
    theirs = {name: tensor.shape for name, tensor in classifier.features.state_dict().items()}
    assert shapes == {name: shape for name, shape in theirs.items() if not name.startswith("18.")}
    assert detector.places == classifier.places and detector.cache_shapes(256, 256) == classifier.cache_shapes(256, 256)
    assert not [module for module in detector.modules() if isinstance(module, torch.nn.ReLU6)]
    assert isinstance(classifier, MobileNetV2)
    assert not [module for module in classifier.modules() if type(module) is torch.nn.ReLU]


@pytest.mark.parametrize(("size", "direction", "more"), [((64, 96), "none", set()), ((72, 104), "none", {"Slice"})])
def test_the_operations_of_the_graph(tmp_path, network, size, direction, more):
    model = graph(tmp_path, network, size, direction)
    assert {node.op_type for node in model.graph.node} - {"Constant"} == OPERATIONS | more
    assert {node.domain for node in model.graph.node} == {""}
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 13)]
    constants = {tensor.name for tensor in model.graph.initializer}
    assert all(node.input[1] in constants for node in model.graph.node if "Conv" in node.op_type)


def test_every_weight_of_the_graph_has_its_name(tmp_path, network):
    model, fused = graph(tmp_path, network, (64, 64)), models.fuse(network).state_dict()
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert all(np.array_equal(held[name], tensor.numpy()) for name, tensor in fused.items())
    read = {name for node in model.graph.node for name in node.input}
    assert set(fused) <= read


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_the_shift_adds_no_arithmetic(tmp_path, network, lowering):
    """The same convolutions of the same sizes as the network without shift."""
    kinds = [
        [(node.op_type, list(node.input[1:])) for node in model.graph.node if "Conv" in node.op_type]
        for model in (graph(tmp_path, network, (64, 64), direction, lowering) for direction in ("causal", "none"))
    ]
    assert kinds[0] == kinds[1]


def test_an_offline_detector_is_refused(tmp_path, network):
    path = tmp_path / "offline.toml"
    path.write_text(RECIPE.format(64, 64))
    spec = recipe.load(str(path))
    manifest = recipe.manifest_of(spec, "offline", "custom", network, WeightsSpec("", "", False), "toy")
    with pytest.raises(InputError, match="--mode online"):
        to_onnx(models.fuse(network), manifest)


@pytest.mark.parametrize("half", [False, True])
def test_its_own_checkpoint(tmp_path, network, half):
    path = tmp_path / "detector.safetensors"
    checkpoints.save(path, network, "causal", 8, ("a", "b", "c"), half=half)
    loaded = checkpoints.load(path, ARCH)
    assert (loaded.direction, loaded.head_loaded, loaded.metadata["labels"]) == ("causal", True, ("a", "b", "c"))
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(loaded.state[name], tensor, rtol=1e-3 if half else 0, atol=1e-6 if half else 0)
    with pytest.raises(InputError, match="3 classes"):
        checkpoints.load(path, ARCH._replace(num_classes=2))
    start = checkpoints.load(path, ARCH._replace(num_classes=2), start=True)
    assert not start.head_loaded and start.state["heat.weight"].shape == (2, 24, 1, 1)
