"""What every TSM network is: one definition, three forms (clip, step, single frame)."""

from torch import nn

from tsm_edge.errors import InputError
from tsm_edge.manifest import DIRECTIONS, ArchSpec
from tsm_edge.shift import fold_of

from .shift import ClipShift, NoShift, StepShift


class Block(nn.Module):
    """A residual block. fold: channels of its input that are cached and shifted, 0 where the block is not shifted.

    stride: of the whole block. shifted: name, inside the block, of the convolution whose input is shifted
    (placement "blockres": the residual itself stays unshifted). residual: whether the input is added to the branch.
    """

    shifted = ""

    def __init__(self, fold, stride, residual):
        super().__init__()
        self.fold, self.stride, self.residual = fold, stride, residual

    @property
    def last_norm(self):
        """The module that ends the branch, before the sum."""
        raise NotImplementedError


class Network(nn.Module):
    """A TSM network in plain torch, with the flat parameter names of the published code.

    A subclass defines `forward(x, shift)`: x (B, 3, H, W) float -> logits (B, classes), where `shift(x, fold)` is
    called on the input of each shifted convolution, in the order of `places`. Convolutions must pad by kernel // 2.
    stem_stride: what lies before the first block divides the size by.
    fused: BatchNorm is already folded into the convolutions (see `fuse`).
    """

    stem_stride = 0

    def __init__(self, arch: ArchSpec, fold_div: int, fused: bool):
        super().__init__()
        self.arch, self.fold_div, self.fused = arch, fold_div, fused

    def blocks(self):
        """(name, Block) in the order of the forward pass."""
        return [(name, module) for name, module in self.named_modules() if isinstance(module, Block)]

    @property
    def places(self):
        """Names of the modules whose input is shifted, in the order of the caches, as the published code has them."""
        return tuple(f"{name}.{block.shifted}" for name, block in self.blocks() if block.fold)

    def cache_shapes(self, height, width):
        """(F, h, w) of each cache, one stream, for frames of height x width pixels; same order as `places`."""
        shapes, stride = [], self.stem_stride
        for _, block in self.blocks():
            if block.fold:
                shapes.append((block.fold, -(-height // stride), -(-width // stride)))
            stride *= block.stride
        return shapes

    def frame(self, x):
        """The 2D network without shift. x: (B, 3, H, W) -> logits (B, classes)."""
        return self(x, NoShift())

    def clip(self, x, direction, lowering="custom"):
        """Whole clips. x: (N, T, 3, H, W); direction: "causal", "bidirectional" or "none".

        Returns logits of every frame, (N, T, classes); the published consensus is their mean over T.
        Raises ValueError for another rank of x, an unknown direction or lowering.
        """
        if direction not in DIRECTIONS:
            raise ValueError(f"direction: got {direction!r}, expected one of {', '.join(DIRECTIONS)}")
        if x.ndim != 5:
            raise ValueError(f"x: got shape {tuple(x.shape)}, expected five axes (N, T, 3, H, W)")
        n_segment = int(x.shape[1])
        shift = NoShift() if direction == "none" else ClipShift(n_segment, direction == "bidirectional", lowering)
        frames = x.reshape(-1, *(int(size) for size in x.shape[2:]))
        return self(frames, shift).reshape(-1, n_segment, self.arch.num_classes)

    def step(self, frame, caches, lowering="custom"):
        """One frame of N streams. frame: (N, 3, H, W); caches: one (N, F, h, w) for each place, zeros at the start.

        Returns logits (N, classes) and the list of the next caches. Raises ValueError for another number of caches,
        or one that does not fit.
        """
        if len(caches) != len(self.places):
            raise ValueError(f"caches: got {len(caches)}, expected {len(self.places)}, one for each of {self.places}")
        shift = StepShift(caches, lowering)
        return self(frame, shift), shift.next

    def zero_caches(self, streams, height, width):
        """The caches at the start of `streams` streams: zeros, on the device and in the dtype of the weights."""
        like = next(self.parameters())
        return [like.new_zeros((streams, *shape)) for shape in self.cache_shapes(height, width)]

    def fold_for(self, channels):
        """Channels in one fold of a shifted input (`tsm_edge.shift.fold_of`). Raises InputError where that is none."""
        fold = fold_of(channels, self.fold_div)
        if not fold:
            raise InputError("fold_div", self.fold_div, f"at most {channels}, the channels of a shifted layer", "use 8")
        return fold

    def conv(self, channels_in, channels_out, kernel, stride=1, groups=1):
        """A convolution that pads by kernel // 2; it has a bias only where BatchNorm is folded into it."""
        return nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=self.fused)

    def norm(self, channels):
        """The BatchNorm right after a convolution (eps 1e-5); nothing in a fused network."""
        return nn.Identity() if self.fused else nn.BatchNorm2d(channels)


def pooled(x):
    """Mean over the picture, (B, C, H, W) -> (B, C), as the published online_demo/mobilenet_v2_tsm.py has it."""
    return x.mean(3).mean(2)
