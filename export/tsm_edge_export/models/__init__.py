"""The networks in plain torch: MobileNetV2-TSM and ResNet-TSM, each in three forms from one definition."""

from tsm_edge.errors import InputError
from tsm_edge.manifest import ArchSpec

from . import resnet
from .fusion import fold_batch_norm
from .init import init_
from .mobilenetv2 import MobileNetV2
from .network import Network

__all__ = ["ARCHS", "Network", "build", "build_fused", "fuse", "init_"]

_CLASSES = {"mobilenetv2": MobileNetV2, **dict.fromkeys(resnet.DEPTHS, resnet.ResNet)}
ARCHS = tuple(_CLASSES)


def build(arch: ArchSpec, fold_div: int = 8) -> Network:
    """An untrained network (torch's own initial values; see `init_`), in training mode.

    Raises InputError for an unknown name, a width that the network does not have, fewer than one class, or a fold_div
    that would leave a shift without channels.
    """
    return _build(arch, fold_div, fused=False)


def build_fused(arch: ArchSpec, fold_div: int = 8) -> Network:
    """The structure that `fuse` returns, in eval mode: same names, every convolution with a bias, no BatchNorm."""
    return _build(arch, fold_div, fused=True).eval()


def fuse(network: Network) -> Network:
    """A copy in eval mode, every BatchNorm folded into its convolution (in float64, stored as float32).

    Parameter names stay, `*.bias` of each convolution is new, the BatchNorms' own are gone.
    """
    fused = build_fused(network.arch, network.fold_div)
    fused.load_state_dict(network.state_dict() if network.fused else fold_batch_norm(network), strict=True)
    return fused


def _build(arch, fold_div, fused):
    if arch.name not in _CLASSES:
        raise InputError("arch.name", arch.name, "one of " + ", ".join(ARCHS), "name one of these networks")
    if arch.name != "mobilenetv2" and arch.width != 1:
        raise InputError(
            f"arch.width of {arch.name}", arch.width, 1.0, "leave the width at 1.0: only mobilenetv2 has it"
        )
    if not arch.width > 0:
        raise InputError(
            "arch.width", arch.width, "above 0", "give the width multiplier, 1.0 for the published network"
        )
    if arch.num_classes < 1:
        raise InputError("arch.num_classes", arch.num_classes, "at least 1", "give the number of labels")
    if fold_div < 1:
        raise InputError("fold_div", fold_div, "at least 1", "use 8, as the published weights do")
    return _CLASSES[arch.name](arch, fold_div, fused)
