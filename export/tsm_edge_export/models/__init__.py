"""The networks in plain torch, one file an architecture. Each network runs clips, single steps, or single frames."""

from typing import Type

import torch

from tsm_edge.errors import InputError
from tsm_edge.manifest import LIMITS, ArchSpec
from tsm_edge.registry import Entry, Registry

from .fusion import fold_batch_norm
from .init import init_
from .network import Classifier, Network

__all__ = ["ARCHITECTURES", "Classifier", "Network", "build", "build_fused", "fuse", "init_", "outline"]

MAX_PARAMETERS = 64_000_000  # an export takes 2 GB for them; ResNet-101 has 45 million
_LIMITS = {limit.name: limit for limit in LIMITS}

# The module of an entry names its network class NETWORK.
ARCHITECTURES = Registry(
    "architecture",
    [Entry("mobilenetv2", "tsm_edge_export.models.mobilenetv2", "MobileNetV2-TSM with a width multiplier")]
    + [Entry(f"resnet{n}", "tsm_edge_export.models.resnet", f"ResNet-{n}-TSM") for n in (18, 34, 50, 101)]
    + [Entry("mobilenetv2_centernet", "tsm_edge_export.models.centernet", "MobileNetV2-TSM with CenterFace's head")],
)


def build(arch: ArchSpec, fold_div: int = 8, fused: bool = False) -> Network:
    """Return an untrained network in training mode, with torch's own initial values (see `init_`).

    Raises InputError for an unknown name, a width or class count that it cannot have, a fold_div without channels, and
    a network of more than MAX_PARAMETERS.
    """
    outline(arch, fold_div)  # refuses what is too large, before memory is taken
    return _class_of(arch, fold_div)(arch, fold_div, fused)


def outline(arch: ArchSpec, fold_div: int = 8) -> Network:
    """Return the network of `build` without memory for its weights (torch's meta device): names and shapes alone."""
    kind = _class_of(arch, fold_div)
    with torch.device("meta"):
        network = kind(arch, fold_div)
    count = sum(parameter.numel() for parameter in network.parameters())
    if count > MAX_PARAMETERS:
        got, most = f"a network of {count / 1e6:.0f} million weights", f"at most {MAX_PARAMETERS / 1e6:.0f} million"
        raise InputError("arch", got, most, "lower arch.width or arch.num_classes")
    return network


def _class_of(arch: ArchSpec, fold_div: int) -> Type[Network]:
    """Return the class of a network. Raises InputError for an unknown name and for impossible numbers."""
    if arch.name not in ARCHITECTURES:
        known = ", ".join(entry.key for entry in ARCHITECTURES)
        raise InputError("arch.name", arch.name, "one of " + known, "name one of these networks")
    kind: Type[Network] = ARCHITECTURES.load(arch.name).NETWORK
    if not kind.has_width and arch.width != 1:
        raise InputError(f"arch.width of {arch.name}", arch.width, "1.0: it has no multiplier", "correct it")
    values = {"arch.width": arch.width, "arch.num_classes": arch.num_classes, "shift.fold_div": fold_div}
    for name, value in values.items():
        limit = _LIMITS[name]
        if not limit.least <= value <= limit.most:
            raise InputError(name, value, f"{limit.least:,} to {limit.most:,} ({limit.reason})", "correct it")
    return kind


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
