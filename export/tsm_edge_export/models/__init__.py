"""The networks in plain torch, one file an architecture. Each network runs clips, single steps, or single frames."""

from typing import Type

import torch

from tsm_edge.errors import InputError
from tsm_edge.manifest import ArchSpec
from tsm_edge.registry import Entry, Registry

from .fusion import fold_batch_norm
from .init import init_
from .network import Classifier, Network

__all__ = ["ARCHITECTURES", "Classifier", "Network", "build", "build_fused", "fuse", "init_", "outline"]

# The module of an entry names its network class NETWORK.
ARCHITECTURES = Registry(
    "architecture",
    [Entry("mobilenetv2", "tsm_edge_export.models.mobilenetv2", "MobileNetV2-TSM with a width multiplier")]
    + [Entry(f"resnet{n}", "tsm_edge_export.models.resnet", f"ResNet-{n}-TSM") for n in (18, 34, 50, 101)],
)


def build(arch: ArchSpec, fold_div: int = 8, fused: bool = False) -> Network:
    """Return an untrained network in training mode, with torch's own initial values (see `init_`).

    Raises InputError for an unknown name, a width or class count that it cannot have, and a fold_div without channels.
    """
    if arch.name not in ARCHITECTURES:
        known = ", ".join(entry.key for entry in ARCHITECTURES)
        raise InputError("arch.name", arch.name, "one of " + known, "name one of these networks")
    network: Type[Network] = ARCHITECTURES.load(arch.name).NETWORK
    for holds, name, got, expected in (
        (network.has_width or arch.width == 1, f"arch.width of {arch.name}", arch.width, "1.0: it has no multiplier"),
        (arch.width > 0, "arch.width", arch.width, "above 0; 1.0 for the published network"),
        (arch.num_classes >= 1, "arch.num_classes", arch.num_classes, "at least 1"),
        (fold_div >= 1, "shift.fold_div", fold_div, "at least 1; 8 for the published weights"),
    ):
        if not holds:
            raise InputError(name, got, expected, "correct it")
    return network(arch, fold_div, fused)


def outline(arch: ArchSpec, fold_div: int = 8) -> Network:
    """Return the network of `build` without memory for its weights (torch's meta device): names and shapes alone."""
    with torch.device("meta"):
        return build(arch, fold_div)


def build_fused(arch: ArchSpec, fold_div: int = 8) -> Network:
    """Return the structure that `fuse` returns, in eval mode: every convolution has a bias, there is no BatchNorm."""
    return build(arch, fold_div, fused=True).eval()


def fuse(network: Network) -> Network:
    """Return a copy in eval mode with every BatchNorm folded into its convolution (in float64, stored as float32).

    Parameter names stay. Each convolution gains a `bias`, and the parameters of the BatchNorms are gone.
    """
    fused = build_fused(network.arch, network.fold_div)
    fused.load_state_dict(network.state_dict() if network.fused else fold_batch_norm(network), strict=True)
    return fused
