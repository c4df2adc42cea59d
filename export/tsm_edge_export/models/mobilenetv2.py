"""MobileNetV2-TSM.

Sources: Sandler et al., "MobileNetV2" (CVPR 2018), table 2; for names and rounding, archs/mobilenet_v2.py and
online_demo/mobilenet_v2_tsm.py of mit-han-lab/temporal-shift-module.
"""

import math

from torch import Tensor, nn

from tsm_edge.manifest import ArchSpec

from .network import Block, Classifier, Network, Shift, pooled

# expansion, channels, blocks, stride of the first block
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STEM, LAST = 32, 1280


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Round up to a multiple of `divisor`, as the published TSM code does (others round to the nearest)."""
    return math.ceil(channels / divisor) * divisor


def _unit(network: Network, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> list:
    conv = network.conv(channels_in, channels_out, kernel, stride, groups)
    return [conv, network.norm(channels_out), nn.ReLU6(inplace=True)]


class InvertedResidual(Block):
    """Expand 1x1, depthwise 3x3, project 1x1. A block that is residual and expands (all but the first) is shifted."""

    shifted = "conv.0"

    def __init__(self, network: Network, channels_in: int, channels_out: int, stride: int, expansion: int) -> None:
        residual = stride == 1 and channels_in == channels_out
        super().__init__(network.fold_for(channels_in) if residual and expansion > 1 else 0, stride, residual)
        hidden = channels_in * expansion
        layers = _unit(network, channels_in, hidden, 1) if expansion > 1 else []
        layers += _unit(network, hidden, hidden, 3, stride, groups=hidden)
        self.conv = nn.Sequential(*layers, network.conv(hidden, channels_out, 1), network.norm(channels_out))

    @property
    def last_norm(self) -> nn.Module:
        return self.conv[-1]

    def forward(self, x: Tensor, shift: Shift) -> Tensor:
        y = self.conv(shift(x, self.fold) if self.fold else x)
        return x + y if self.residual else y


class MobileNetV2(Classifier):
    """MobileNetV2-TSM. The stem always has 32 channels, the first stage 16, the last 1280 (more for width > 1)."""

    has_width = True
    stem_stride = 2

    def __init__(self, arch: ArchSpec, fold_div: int, fused: bool = False) -> None:
        super().__init__(arch, fold_div, fused)
        last = make_divisible(LAST * arch.width) if arch.width > 1 else LAST
        features: list[nn.Module] = [nn.Sequential(*_unit(self, 3, STEM, 3, stride=2))]
        channels = STEM
        for expansion, base, count, stride in STAGES:
            out = make_divisible(base * arch.width) if expansion > 1 else base
            for index in range(count):
                features.append(InvertedResidual(self, channels, out, stride if index == 0 else 1, expansion))
                channels = out
        features.append(nn.Sequential(*_unit(self, channels, last, 1)))
        self.features = nn.ModuleList(features)
        self.classifier = nn.Linear(last, arch.num_classes)

    def forward(self, x: Tensor, shift: Shift) -> tuple[Tensor, ...]:
        for feature in self.features:
            x = feature(x, shift) if isinstance(feature, Block) else feature(x)
        return (self.classifier(pooled(x)),)


NETWORK = MobileNetV2
