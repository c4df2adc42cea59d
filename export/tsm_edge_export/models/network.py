"""What every TSM network is: one definition that runs whole clips, single steps of streams, or single frames."""

from typing import Callable, Sequence

from torch import Tensor, nn

from tsm_edge.errors import InputError
from tsm_edge.manifest import DIRECTIONS, ArchSpec, OutputSpec
from tsm_edge.shift import fold_of

from .shift import ClipShift, NoShift, StepShift

Shift = Callable[[Tensor, int], Tensor]


class Block(nn.Module):
    """A residual block.

    fold: channels of the input that are cached and shifted, or 0. residual: whether the input is added to the branch.
    """

    shifted = ""  # name, inside the block, of the convolution whose input is shifted; the residual is not shifted

    def __init__(self, fold: int, stride: int, residual: bool) -> None:
        super().__init__()
        self.fold, self.stride, self.residual = fold, stride, residual

    @property
    def last_norm(self) -> nn.Module:
        """The module that ends the branch, before the sum."""
        raise NotImplementedError


class Network(nn.Module):
    """A TSM network in plain torch, with the flat parameter names of the published code.

    A subclass defines `outputs` and `forward(x, shift)`: x (B, 3, H, W) float -> a tuple of tensors (B, ...), one for
    each output. `forward` calls `shift(x, fold)` on the input of each shifted convolution, in the order of `places`.
    Convolutions must pad by kernel // 2. Weights lie in Conv2d, ConvTranspose2d, BatchNorm2d and Linear layers, each
    called once.

    fold_div: one fold is 1 / fold_div of the channels. fused: BatchNorm is folded into the convolutions (see `fuse`).
    """

    task = ""  # what the outputs mean, a key of `tsm_edge.heads.TASKS`
    has_width = False  # whether the network takes a width multiplier
    has_mean_over_time = True  # whether the mean of its outputs over a clip's frames means anything (offline models)
    stem_stride = 0  # the layers before the first block divide the frame's size by this
    class_bias = 0.0  # of an untrained `class_layer`

    def __init__(self, arch: ArchSpec, fold_div: int, fused: bool = False) -> None:
        super().__init__()
        self.arch, self.fold_div, self.fused = arch, fold_div, fused

    def outputs(self, height: int, width: int) -> tuple[OutputSpec, ...]:
        """Return what `forward` gives for one frame of height x width pixels, in the same order."""
        raise NotImplementedError

    @property
    def class_layer(self) -> str | None:
        """The name of the layer that has one row (output channel) for each class; None where there is none."""
        return None

    def blocks(self) -> list[tuple[str, Block]]:
        """Return (name, block) in the order of the forward pass."""
        return [(name, module) for name, module in self.named_modules() if isinstance(module, Block)]

    @property
    def places(self) -> tuple[str, ...]:
        """Names of the modules whose input is shifted, in the order of the caches, as the published code has them."""
        return tuple(f"{name}.{block.shifted}" for name, block in self.blocks() if block.fold)

    def step_places(self, direction: str) -> tuple[str, ...]:
        """Return the places whose caches a step needs: none where the direction is "none", the 2D network."""
        return () if direction == "none" else self.places

    def cache_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """Return (F, h, w) of each cache of one stream, for frames of height x width pixels; ordered as `places`."""
        shapes, stride = [], self.stem_stride
        for _, block in self.blocks():
            if block.fold:
                shapes.append((block.fold, -(-height // stride), -(-width // stride)))
            stride *= block.stride
        return shapes

    def frame(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run the 2D network without shift: x (B, 3, H, W) -> outputs, each (B, ...)."""
        return self(x, NoShift())

    def clip(self, x: Tensor, direction: str, lowering: str = "custom") -> tuple[Tensor, ...]:
        """Run whole clips: x (N, T, 3, H, W) -> the outputs of every frame, each (N, T, ...).

        The published consensus is the mean over T. Raises ValueError for another rank, direction or lowering.
        """
        if direction not in DIRECTIONS:
            raise ValueError(f"direction: got {direction!r}, expected one of {', '.join(DIRECTIONS)}")
        if x.ndim != 5:
            raise ValueError(f"x: got shape {tuple(x.shape)}, expected five axes (N, T, 3, H, W)")
        n_segment = int(x.shape[1])
        shift = NoShift() if direction == "none" else ClipShift(n_segment, direction == "bidirectional", lowering)
        flat = self(x.reshape(-1, *_sizes(x, 2)), shift)
        return tuple(output.reshape(-1, n_segment, *_sizes(output, 1)) for output in flat)

    def step(
        self, frame: Tensor, caches: Sequence[Tensor], lowering: str = "custom", direction: str = "causal"
    ) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """Run one frame (N, 3, H, W) of N streams. Returns the outputs, each (N, ...), and the next caches.

        caches: one (N, F, h, w) a place, zeros at a stream's start; not changed. Direction "none" has no places.
        Raises ValueError if the caches do not fit.
        """
        places = self.step_places(direction)
        if len(caches) != len(places):
            raise ValueError(f"caches: got {len(caches)}, expected {len(places)}, one for each of {places}")
        if direction == "none":
            return self.frame(frame), []
        shift = StepShift(caches, lowering)
        return self(frame, shift), shift.next

    def zero_caches(self, streams: int, height: int, width: int) -> list[Tensor]:
        """Return the caches at the start of `streams` streams: zeros, on the device and in the dtype of the weights."""
        like = next(self.parameters())
        return [like.new_zeros((streams, *shape)) for shape in self.cache_shapes(height, width)]

    def fold_for(self, channels: int) -> int:
        """Return the channels in one fold of a shifted input. Raises InputError where there would be none."""
        fold = fold_of(channels, self.fold_div)
        if not fold:
            raise InputError("shift.fold_div", self.fold_div, f"at most {channels}, a layer's channels", "use 8")
        return fold

    def conv(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
        """Return a convolution that pads by kernel // 2; it has a bias only where BatchNorm is folded into it."""
        return nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=self.fused)

    def upsample(self, channels_in: int, channels_out: int, factor: int) -> nn.ConvTranspose2d:
        """Return a transposed convolution that makes a picture `factor` times as large; it has a bias as `conv` has."""
        return nn.ConvTranspose2d(channels_in, channels_out, factor, factor, bias=self.fused)

    def norm(self, channels: int) -> nn.Module:
        """Return the BatchNorm right after a convolution (eps 1e-5); nothing in a fused network."""
        return nn.Identity() if self.fused else nn.BatchNorm2d(channels)


class Classifier(Network):
    """A network whose one output is the logits of its classes."""

    task = "classification"

    @property
    def class_layer(self) -> str | None:
        """The last layer with weights."""
        return next(n for n in reversed(self.state_dict()) if n.endswith(".weight")).removesuffix(".weight")

    def outputs(self, height: int, width: int) -> tuple[OutputSpec, ...]:
        """Return the logits, whatever the size of the frame."""
        del height, width
        return (OutputSpec("logits", (self.arch.num_classes,), "float32"),)


def pooled(x: Tensor) -> Tensor:
    """Return the mean over the picture, (B, C, H, W) -> (B, C), as online_demo/mobilenet_v2_tsm.py has it."""
    return x.mean(3).mean(2)


def _sizes(tensor: Tensor, first: int) -> list[int]:
    """Return the sizes of the axes from `first` on, as constants where an export traces: only N is dynamic."""
    return [int(size) for size in tensor.shape[first:]]
