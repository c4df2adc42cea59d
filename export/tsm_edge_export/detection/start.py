"""The weights of a detector before training: random, of a detector, or of a classifier's backbone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tsm_edge.manifest import ArchSpec
from tsm_edge_export import checkpoints, models
from tsm_edge_export.checkpoints import reading
from tsm_edge_export.checkpoints.loading import require_frame
from tsm_edge_export.models import Network
from tsm_edge_export.training.train import start_file

from .config import Config

CLASSIFIER = "mobilenetv2"  # whose backbone has the names and shapes of the detector's


def make_start(config: Config, labels: Sequence[str]) -> tuple[Network, dict[str, Any]]:
    """Return the network before training, on the CPU, and its origin for the log (text, weights, head).

    The layer of the heat is new where the checkpoint has another class count or other labels. Layers for size and
    offset stay. Of a classifier's checkpoint the backbone alone is taken.
    Raises InputError for a checkpoint of another network, and for one that needs other frames.
    """
    arch = ArchSpec(config.arch.name, config.arch.width, len(labels))
    network = models.init_(models.build(arch, config.shift.fold_div), config.seed)
    if config.start.weights is None:
        return network, {"text": f"a random start from seed {config.seed}", "weights": None, "head": "new"}
    path = start_file(config.start.weights)
    if _is_classifier(path):
        return network, _take_backbone(network, path, config)
    checkpoint = checkpoints.load(path, arch, True, config.seed, config.shift.fold_div)
    require_frame(checkpoint, config.frame, path)
    network.load_state_dict(checkpoint.state, strict=True)
    same = tuple(checkpoint.metadata.get("labels", labels)) == tuple(labels)
    head = "kept" if checkpoint.head_loaded and same and not config.start.new_head else "new"
    if head == "new":
        draw_head(network, config.seed)
    text = f"started from {Path(path).name} ({checkpoint.dialect}, {checkpoint.direction}), {head} heat layer"
    origin = {"weights": checkpoint.sha256, "dialect": checkpoint.dialect, "direction": checkpoint.direction}
    return network, {"text": text, **origin, "head": head}


def _is_classifier(path: Path) -> bool:
    """Return whether a checkpoint has no layers of a detector."""
    if path.suffix.lower() == ".onnx":
        return False
    return not any(name.startswith(("laterals.", "heat.")) for name in reading.read(path).state)


def _take_backbone(network: Network, path: Path, config: Config) -> dict[str, Any]:
    """Give a network the backbone of a classifier's checkpoint. Returns its origin for the log."""
    arch = ArchSpec(CLASSIFIER, config.arch.width, network.arch.num_classes)
    checkpoint = checkpoints.load(path, arch, True, config.seed, config.shift.fold_div)
    own = network.state_dict()
    taken = {name: tensor for name, tensor in checkpoint.state.items() if name in own and name.startswith("features.")}
    network.load_state_dict({**own, **taken}, strict=True)
    count = len({name.split(".")[1] for name in taken})
    text = f"started from the first {count} layers of {path.name} ({checkpoint.dialect}, {checkpoint.direction})"
    return {"text": text, "weights": checkpoint.sha256, "direction": checkpoint.direction, "head": "new"}


@torch.no_grad()
def draw_head(network: Network, seed: int) -> None:
    """Draw a new layer for the heat as `models.init_` draws it, with variance 1 / inputs and the bias of no object.

    With a deviation of 0.01, as classifiers have it, the features get a twentieth of the gradient and learn slowly.
    """
    assert network.class_layer is not None
    layer = network.get_submodule(network.class_layer)
    assert isinstance(layer, nn.Conv2d) and layer.bias is not None
    layer.weight.normal_(0, layer.in_channels**-0.5, generator=torch.Generator().manual_seed(seed))
    layer.bias.fill_(network.class_bias)


@torch.no_grad()
def measure_statistics(network: Network, x: torch.Tensor, direction: str) -> None:
    """Give each BatchNorm the statistics of its input, and such a scale and shift that the network answers as before.

    A checkpoint whose BatchNorm was folded into the convolutions has no statistics. With them, training can normalise
    by batches.

    Args:
        network: changed in place; it must have BatchNorm, and is in eval mode afterwards.
        x: (N, T, 3, H, W) float32, clips from the training data.
        direction: of the shift.
    """
    inputs: dict[nn.BatchNorm2d, tuple[torch.Tensor, torch.Tensor]] = {}

    def note(norm: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        values = arguments[0].double()
        inputs[norm] = values.mean((0, 2, 3)), values.var((0, 2, 3), correction=0)

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    network.eval().clip(x, direction)
    for hook in hooks:
        hook.remove()
    for norm, (mean, variance) in inputs.items():
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        norm.bias.add_(((mean - norm.running_mean.double()) * scale).float())
        norm.weight.copy_(scale * torch.sqrt(variance + norm.eps))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
