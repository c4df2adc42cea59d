"""ResNet-TSM, 18 to 101 layers, placement "blockres".

Sources: He et al., "Deep Residual Learning" (CVPR 2016), table 1, with the stride in the 3x3 convolution and the names
of torchvision; make_temporal_shift in ops/temporal_shift.py of mit-han-lab/temporal-shift-module.
"""

from torch import Tensor, nn

from tsm_edge.manifest import ArchSpec

from .network import Block, Classifier, Network, Shift, pooled

# blocks of the four stages, and whether they are bottlenecks
DEPTHS = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
}
STEM = 64


class Residual(Block):
    """3x3, 3x3; or the bottleneck: 1x1, 3x3, 1x1 to four times the width. The shortcut is not shifted."""

    shifted = "conv1"

    def __init__(
        self, network: Network, channels_in: int, width: int, stride: int, is_shifted: bool, bottleneck: bool
    ) -> None:
        super().__init__(network.fold_for(channels_in) if is_shifted else 0, stride, residual=True)
        # channels, kernel and stride of each convolution
        layers = [(width, 3, stride), (width, 3, 1)]
        if bottleneck:
            layers = [(width, 1, 1), (width, 3, stride), (4 * width, 1, 1)]
        self.depth, channels = len(layers), channels_in
        for number, (channels_out, kernel, step) in enumerate(layers, 1):
            self.add_module(f"conv{number}", network.conv(channels, channels_out, kernel, step))
            self.add_module(f"bn{number}", network.norm(channels_out))
            channels = channels_out
        self.channels, self.relu = channels, nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(network.conv(channels_in, channels, 1, stride), network.norm(channels))

    @property
    def last_norm(self) -> nn.Module:
        return self.get_submodule(f"bn{self.depth}")

    def forward(self, x: Tensor, shift: Shift) -> Tensor:
        y = shift(x, self.fold) if self.fold else x
        for number in range(1, self.depth + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            y = self.relu(y) if number < self.depth else y
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(Classifier):
    """ResNet-TSM. Every block is shifted; in ResNet-101, whose third stage has 23 blocks, every second one."""

    stem_stride = 4

    def __init__(self, arch: ArchSpec, fold_div: int, fused: bool = False) -> None:
        super().__init__(arch, fold_div, fused)
        counts, bottleneck = DEPTHS[arch.name]
        n_round = 2 if counts[2] >= 23 else 1
        self.conv1, self.bn1 = self.conv(3, STEM, 7, 2), self.norm(STEM)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        channels = STEM
        for stage, count in enumerate(counts):
            blocks = nn.ModuleList()
            for index in range(count):
                stride = 2 if stage and index == 0 else 1
                block = Residual(self, channels, STEM << stage, stride, index % n_round == 0, bottleneck)
                blocks.append(block)
                channels = block.channels
            self.add_module(f"layer{stage + 1}", blocks)
        self.fc = nn.Linear(channels, arch.num_classes)

    def forward(self, x: Tensor, shift: Shift) -> tuple[Tensor, ...]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for _, block in self.blocks():
            x = block(x, shift)
        return (self.fc(pooled(x)),)


NETWORK = ResNet
