"""MobileNetV2-TSM.

Sources: Sandler et al., "MobileNetV2" (CVPR 2018), table 2; for names and rounding, archs/mobilenet_v2.py and
online_demo/mobilenet_v2_tsm.py of mit-han-lab/temporal-shift-module.
"""

import math
from typing import Callable

from torch import Tensor, nn

from tsm_edge.manifest import ArchSpec

from .network import Block, Classifier, Network, Shift, pooled

# expansion, channels, blocks, stride of the first block
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STEM, LAST = 32, 1280
STEM_STRIDE = 2


Activation = Callable[..., nn.Module]  # a class such as nn.ReLU6


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Round up to a multiple of `divisor`, as the published TSM code does (others round to the nearest)."""
    return math.ceil(channels / divisor) * divisor


def _unit(
    network: Network,
    channels_in: int,
    channels_out: int,
    kernel: int,
    activation: Activation,
    stride: int = 1,
    groups: int = 1,
) -> list[nn.Module]:
    conv = network.conv(channels_in, channels_out, kernel, stride, groups)
    return [conv, network.norm(channels_out), activation(inplace=True)]


class InvertedResidual(Block):
    """Expand 1x1, depthwise 3x3, project 1x1. A block that is residual and expands (all but the first) is shifted."""

    shifted = "conv.0"

    def __init__(
        self,
        network: Network,
        channels_in: int,
        channels_out: int,
        stride: int,
        expansion: int,
        activation: Activation = nn.ReLU6,
    ) -> None:
        residual = stride == 1 and channels_in == channels_out
        super().__init__(network.fold_for(channels_in) if residual and expansion > 1 else 0, stride, residual)
        hidden = channels_in * expansion
        layers = _unit(network, channels_in, hidden, 1, activation) if expansion > 1 else []
        layers += _unit(network, hidden, hidden, 3, activation, stride, groups=hidden)
        self.conv = nn.Sequential(*layers, network.conv(hidden, channels_out, 1), network.norm(channels_out))

    @property
    def last_norm(self) -> nn.Module:
        return self.conv[-1]

    def forward(self, x: Tensor, shift: Shift) -> Tensor:
        y = self.conv(shift(x, self.fold) if self.fold else x)
        return x + y if self.residual else y


def backbone(network: Network, width: float, activation: Activation = nn.ReLU6) -> tuple[list[nn.Module], list[int]]:
    """Return the layers "features.0" to "features.17", and the channels that each gives.

    The stem always has 32 channels and the first stage 16, whatever the width multiplier.
    """
    features: list[nn.Module] = [nn.Sequential(*_unit(network, 3, STEM, 3, activation, STEM_STRIDE))]
    channels = [STEM]
    for expansion, base, count, stride in STAGES:
        out = make_divisible(base * width) if expansion > 1 else base
        for index in range(count):
            step = stride if index == 0 else 1
            features.append(InvertedResidual(network, channels[-1], out, step, expansion, activation))
            channels.append(out)
    return features, channels


class MobileNetV2(Classifier):
    """MobileNetV2-TSM. The last layer has 1280 channels (more for width > 1)."""

    has_width = True
    stem_stride = STEM_STRIDE

    def __init__(self, arch: ArchSpec, fold_div: int, fused: bool = False) -> None:
        super().__init__(arch, fold_div, fused)
        last = make_divisible(LAST * arch.width) if arch.width > 1 else LAST
        features, channels = backbone(self, arch.width)
        features.append(nn.Sequential(*_unit(self, channels[-1], last, 1, nn.ReLU6)))
        self.features = nn.ModuleList(features)
        self.classifier = nn.Linear(last, arch.num_classes)

    def forward(self, x: Tensor, shift: Shift) -> tuple[Tensor, ...]:
        for feature in self.features:
            x = feature(x, shift) if isinstance(feature, Block) else feature(x)
        return (self.classifier(pooled(x)),)


NETWORK = MobileNetV2
