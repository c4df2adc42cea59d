"""MobileNetV2-TSM.

Sources: Sandler et al., "MobileNetV2" (CVPR 2018), table 2; archs/mobilenet_v2.py and
online_demo/mobilenet_v2_tsm.py of mit-han-lab/temporal-shift-module, whose parameter names and rounding rules
these are.
"""

import math

from torch import nn

from .network import Block, Network, pooled

# expansion, channels, blocks, stride of the first block
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STEM, LAST = 32, 1280


def make_divisible(channels, divisor=8):
    """Channels rounded up to a multiple of `divisor` (the published TSM code rounds up; others round to nearest)."""
    return math.ceil(channels / divisor) * divisor


class InvertedResidual(Block):
    """Expand 1x1, depthwise 3x3, project 1x1. Shifted where it is residual and expands (all but the first block)."""

    shifted = "conv.0"

    def __init__(self, network, channels_in, channels_out, stride, expansion):
        residual = stride == 1 and channels_in == channels_out
        super().__init__(network.fold_for(channels_in) if residual and expansion > 1 else 0, stride, residual)
        hidden = channels_in * expansion
        expand = [network.conv(channels_in, hidden, 1), network.norm(hidden), nn.ReLU6(inplace=True)]
        self.conv = nn.Sequential(
            *(expand if expansion > 1 else []),
            network.conv(hidden, hidden, 3, stride, groups=hidden),
            network.norm(hidden),
            nn.ReLU6(inplace=True),
            network.conv(hidden, channels_out, 1),
            network.norm(channels_out),
        )

    @property
    def last_norm(self):
        return self.conv[-1]

    def forward(self, x, shift):
        y = self.conv(shift(x, self.fold) if self.fold else x)
        return x + y if self.residual else y


class MobileNetV2(Network):
    """width: the stem is always 32 channels and the first stage 16; the last layer is 1280, more only for width > 1."""

    stem_stride = 2

    def __init__(self, arch, fold_div, fused=False):
        super().__init__(arch, fold_div, fused)
        last = make_divisible(LAST * arch.width) if arch.width > 1 else LAST
        features, channels = [self._conv_norm(3, STEM, 3, stride=2)], STEM
        for expansion, base, count, stride in STAGES:
            out = make_divisible(base * arch.width) if expansion > 1 else base
            for index in range(count):
                features.append(InvertedResidual(self, channels, out, stride if index == 0 else 1, expansion))
                channels = out
        features.append(self._conv_norm(channels, last, 1))
        self.features = nn.ModuleList(features)
        self.classifier = nn.Linear(last, arch.num_classes)

    def _conv_norm(self, channels_in, channels_out, kernel, stride=1):
        conv = self.conv(channels_in, channels_out, kernel, stride)
        return nn.Sequential(conv, self.norm(channels_out), nn.ReLU6(inplace=True))

    def forward(self, x, shift):
        for feature in self.features:
            x = feature(x, shift) if isinstance(feature, Block) else feature(x)
        return self.classifier(pooled(x))
