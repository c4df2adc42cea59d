"""ResNet-TSM, 18 to 101 layers, placement "blockres".

Sources: He et al., "Deep Residual Learning" (CVPR 2016), table 1, with the stride in the 3x3
convolution as torchvision has it, whose parameter names these are; make_temporal_shift in
ops/temporal_shift.py of mit-han-lab/temporal-shift-module.
"""

from torch import nn

from .network import Block, Network, pooled

# blocks of the four stages, whether they are bottlenecks
DEPTHS = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
}
STEM = 64


class Residual(Block):
    """What both kinds of block share: the shift before conv1, the unshifted shortcut."""

    shifted = "conv1"
    expansion = 1

    def __init__(self, network, channels_in, width, stride, is_shifted):
        super().__init__(network.fold_for(channels_in) if is_shifted else 0, stride, residual=True)
        channels_out = width * self.expansion
        self._convolutions(network, channels_in, width, stride)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                network.conv(channels_in, channels_out, 1, stride), network.norm(channels_out)
            )

    def forward(self, x, shift):
        y = self._branch(shift(x, self.fold) if self.fold else x)
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class BasicBlock(Residual):
    """3x3, 3x3."""

    def _convolutions(self, network, channels_in, width, stride):
        self.conv1, self.bn1 = network.conv(channels_in, width, 3, stride), network.norm(width)
        self.conv2, self.bn2 = network.conv(width, width, 3), network.norm(width)

    @property
    def last_norm(self):
        return self.bn2

    def _branch(self, x):
        return self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))


class Bottleneck(Residual):
    """1x1, 3x3, 1x1 to four times the width."""

    expansion = 4

    def _convolutions(self, network, channels_in, width, stride):
        out = width * self.expansion
        self.conv1, self.bn1 = network.conv(channels_in, width, 1), network.norm(width)
        self.conv2, self.bn2 = network.conv(width, width, 3, stride), network.norm(width)
        self.conv3, self.bn3 = network.conv(width, out, 1), network.norm(out)

    @property
    def last_norm(self):
        return self.bn3

    def _branch(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        return self.bn3(self.conv3(self.relu(self.bn2(self.conv2(x)))))


class ResNet(Network):
    """Every block is shifted; where the third stage has 23 or more, only those with an even index, in all stages."""

    stem_stride = 4

    def __init__(self, arch, fold_div, fused=False):
        super().__init__(arch, fold_div, fused)
        counts, bottleneck = DEPTHS[arch.name]
        kind, n_round = Bottleneck if bottleneck else BasicBlock, 2 if counts[2] >= 23 else 1
        self.conv1, self.bn1 = self.conv(3, STEM, 7, 2), self.norm(STEM)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        channels = STEM
        for stage, count in enumerate(counts):
            width, blocks = STEM << stage, []
            for index in range(count):
                stride = 2 if stage and index == 0 else 1
                blocks.append(kind(self, channels, width, stride, index % n_round == 0))
                channels = width * kind.expansion
            self.add_module(f"layer{stage + 1}", nn.ModuleList(blocks))
        self.fc = nn.Linear(channels, arch.num_classes)

    def forward(self, x, shift):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                x = block(x, shift)
        return self.fc(pooled(x))
