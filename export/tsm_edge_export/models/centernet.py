"""MobileNetV2-TSM with the detection head of CenterFace: a heat map of the boxes' centres for each class.

Sources: Zhou et al., "Objects as Points" (2019), for the outputs; Xu et al., "CenterFace" (2019), and the published
centerface.onnx of Star-Clouds/CenterFace for the layers: MobileNetV2 with ReLU up to features.17, a top-down pyramid of
24 channels, and one 3x3 convolution under all heads. CenterFace also has landmarks, which this network leaves out.
"""

import math

import torch
from torch import Tensor, nn

from tsm_edge.errors import InputError
from tsm_edge.heads.boxes import STRIDE, VALUES, grid_size
from tsm_edge.manifest import ArchSpec, OutputSpec

from .mobilenetv2 import STEM_STRIDE, backbone
from .network import Block, Network, Shift

PYRAMID = 24  # channels of each level of the pyramid
LEVELS = (3, 6, 13, 17)  # the features whose outputs make the pyramid, of stride 4, 8, 16 and 32
HEAT_PRIOR = 0.1  # the heat of an untrained network, as "Objects as Points" starts with


class MobileNetV2CenterNet(Network):
    """Finds boxes. Its output `grid` is what `tsm_edge.heads.detection` decodes.

    The shifts are those of MobileNetV2-TSM. A width multiplier changes the backbone; the pyramid keeps 24 channels.
    """

    task = "detection"
    has_width = True
    has_mean_over_time = False  # the mean of two boxes is no box
    stem_stride = STEM_STRIDE
    class_bias = math.log(HEAT_PRIOR / (1 - HEAT_PRIOR))

    def __init__(self, arch: ArchSpec, fold_div: int, fused: bool = False) -> None:
        super().__init__(arch, fold_div, fused)
        features, channels = backbone(self, arch.width, nn.ReLU)
        self.features = nn.ModuleList(features)
        self.laterals = nn.ModuleList(self._unit(self.conv(channels[level], PYRAMID, 1)) for level in LEVELS)
        self.ups = nn.ModuleList(self._unit(self.upsample(PYRAMID, PYRAMID, 2)) for _ in LEVELS[1:])
        self.shared = self._unit(self.conv(PYRAMID, PYRAMID, 3))
        self.heat = nn.Conv2d(PYRAMID, arch.num_classes, 1)
        self.size = nn.Conv2d(PYRAMID, 2, 1)
        self.offset = nn.Conv2d(PYRAMID, 2, 1)

    @property
    def class_layer(self) -> str | None:
        """The head of the heat maps."""
        return "heat"

    def _unit(self, conv: nn.Module) -> nn.Sequential:
        return nn.Sequential(conv, self.norm(PYRAMID), nn.ReLU(inplace=True))

    def outputs(self, height: int, width: int) -> tuple[OutputSpec, ...]:
        """Return the grid: (K + 4, height / 4, width / 4), rounded up.

        Its channels are the heat of each of K classes (0 to 1), log(height / 4), log(width / 4), offset y and offset x
        of the box whose centre lies in the cell. Raises InputError for a frame that is smaller than one cell.
        """
        if min(height, width) < STRIDE:
            expected = f"at least {STRIDE}x{STRIDE}, one cell of the grid"
            raise InputError("frame.height, frame.width", f"{height}x{width}", expected, "choose a larger frame")
        grid = self.arch.num_classes + VALUES, grid_size(height), grid_size(width)
        return (OutputSpec("grid", grid, "float32"),)

    def forward(self, x: Tensor, shift: Shift) -> tuple[Tensor, ...]:
        levels = []
        for index, feature in enumerate(self.features):
            x = feature(x, shift) if isinstance(feature, Block) else feature(x)
            if index in LEVELS:
                levels.append(x)
        x = self.laterals[-1](levels[-1])
        for index in reversed(range(len(self.ups))):
            finer = self.laterals[index](levels[index])
            x = _cropped(self.ups[index](x), finer) + finer
        x = self.shared(x)
        return (torch.cat([self.heat(x).sigmoid(), self.size(x), self.offset(x)], 1),)


def _cropped(x: Tensor, like: Tensor) -> Tensor:
    """Cut the last row and column off where an odd size was rounded up before: 5 -> 3 -> 6.

    A frame whose sides are multiples of 32 needs no cut, and its graph has none.
    """
    height, width = (int(size) for size in like.shape[2:])  # constants where an export traces
    return x if [int(size) for size in x.shape[2:]] == [height, width] else x[:, :, :height, :width]


NETWORK = MobileNetV2CenterNet
