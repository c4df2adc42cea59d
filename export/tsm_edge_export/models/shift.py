"""The temporal shift in torch: the op, its ONNX nodes, and the three ways in which a forward pass shifts.

Tested against `tsm_edge/shift.py`, which states the rule and its source. Each function has two lowerings:
"custom" is one node of domain `tsm_edge` in an ONNX export, "standard" is slices and concatenations.
"""

from typing import Any, Iterable

import torch
from torch import Tensor
from torch.autograd import Function

from tsm_edge.manifest import LOWERINGS


def shift_step(x: Tensor, cache: Tensor, lowering: str = "custom") -> tuple[Tensor, Tensor]:
    """Shift one streaming frame, with the arguments and results of `tsm_edge.shift.shift_step`; differentiable.

    Raises ValueError where the shapes or dtypes disagree, and for an unknown lowering.
    """
    if not torch.jit.is_tracing():  # shapes are tensors while an export traces; the trace's example was checked before
        _check_rank(x, "x")
        _check_rank(cache, "cache")
        if x.shape[:1] + x.shape[2:] != cache.shape[:1] + cache.shape[2:] or cache.shape[1] > x.shape[1]:
            expected = f"(N, F, H, W) of x {tuple(x.shape)} with F <= C"
            raise ValueError(f"cache: got shape {tuple(cache.shape)}, expected {expected}")
        if cache.dtype != x.dtype:
            raise ValueError(f"cache: got dtype {cache.dtype}, expected that of x, {x.dtype}")
    return _StepOp.apply(x, cache) if is_custom(lowering) else _step(x, cache)


def shift_clip(x: Tensor, n_segment: int, fold: int, bidirectional: bool, lowering: str = "custom") -> Tensor:
    """Shift whole clips, with the arguments and result of `tsm_edge.shift.shift_clip`; differentiable.

    Raises ValueError for impossible sizes and for an unknown lowering.
    """
    if not torch.jit.is_tracing():
        _check_rank(x, "x")
        if n_segment < 1 or x.shape[0] % n_segment:
            raise ValueError(f"x: got {x.shape[0]} frames, expected a multiple of n_segment = {n_segment}")
        shifted = 2 * fold if bidirectional else fold
        if fold < 0 or shifted > x.shape[1]:
            raise ValueError(f"fold: got {fold}, expected 0 <= {shifted} <= {x.shape[1]} channels")
    function = _ClipOp.apply if is_custom(lowering) else _clip
    return function(x, n_segment, fold, bool(bidirectional))


def is_custom(lowering: str) -> bool:
    """Return whether `lowering` is "custom" rather than "standard". Raises ValueError for any other."""
    if lowering not in LOWERINGS:
        raise ValueError(f"lowering: got {lowering!r}, expected one of {', '.join(LOWERINGS)}")
    return lowering == "custom"


class NoShift:
    """The 2D network: no frame sees another (the TSN baseline)."""

    def __call__(self, x: Tensor, fold: int) -> Tensor:  # noqa: ARG002
        return x


class ClipShift:
    """Shifts frames of whole clips, (N*T, C, H, W)."""

    def __init__(self, n_segment: int, bidirectional: bool, lowering: str = "custom") -> None:
        self.n_segment, self.bidirectional, self.lowering = n_segment, bidirectional, lowering

    def __call__(self, x: Tensor, fold: int) -> Tensor:
        return shift_clip(x, self.n_segment, fold, self.bidirectional, self.lowering)


class StepShift:
    """Shifts one frame of each stream by caches (N, F, H, W), one for each place; `next` collects the next ones."""

    def __init__(self, caches: Iterable[Tensor], lowering: str = "custom") -> None:
        self._caches, self.lowering = iter(caches), lowering
        self.next: list[Tensor] = []

    def __call__(self, x: Tensor, fold: int) -> Tensor:  # noqa: ARG002 - the cache has it
        y, following = shift_step(x, next(self._caches), self.lowering)
        self.next.append(following)
        return y


def _check_rank(tensor: Tensor, name: str) -> None:
    if tensor.ndim != 4:
        raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, expected four axes (N, C, H, W)")


def _step(x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
    fold = int(cache.shape[1])  # a constant of the graph where an export traces this
    return torch.cat([cache, x[:, fold:]], 1), x[:, :fold]


def _clip(x: Tensor, n_segment: int, fold: int, bidirectional: bool) -> Tensor:
    """Shift clips by operations that export as few nodes."""
    frame = [int(size) for size in x.shape[1:]]  # constants in an exported graph: only the batch axis is dynamic
    clips = x.reshape(-1, n_segment, *frame)
    from_past = [False, True] if bidirectional else [True]
    parts = [_moved(clips[:, :, i * fold : (i + 1) * fold], past) for i, past in enumerate(from_past)]
    return torch.cat([*parts, clips[:, :, len(parts) * fold :]], 2).reshape(-1, *frame)


def _clip_in_place(x: Tensor, n_segment: int, fold: int, bidirectional: bool, reverse: bool) -> Tensor:
    """Shift clips for training: copy x once, in its own memory order, and write the folds into the copy.

    `_clip` would leave the channels-last order, and the next convolution would have to convert its result back.
    reverse: every fold moves the other way, as a gradient does.
    """
    y = x.clone()  # an expanded gradient has no memory of its own
    source, target = (tensor.unflatten(0, (-1, n_segment)) for tensor in (x, y))
    for index, from_past in enumerate([False, True] if bidirectional else [True]):
        part = slice(index * fold, (index + 1) * fold)
        if from_past != reverse:
            target[:, 1:, part], target[:, :1, part] = source[:, :-1, part], 0
        else:
            target[:, :-1, part], target[:, -1:, part] = source[:, 1:, part], 0
    return y


def _moved(part: Tensor, from_past: bool) -> Tensor:
    """Move a part (N, T, F, H, W): frame t takes t-1 (from_past) or t+1; zeros at the end that has none."""
    blank = torch.zeros_like(part[:, :1])  # functional.pad would export as Transpose, Reshape, Cast and Pad
    return torch.cat([blank, part[:, :-1]] if from_past else [part[:, 1:], blank], 1)


class _StepOp(Function):
    """`TemporalShiftStep` of domain `tsm_edge`, version 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        ctx.fold = cache.shape[1]
        y, following = _step(x, cache)
        return y, following.clone()

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor, grad_next: Tensor) -> tuple[Tensor, Tensor]:
        return torch.cat([grad_next, grad_y[:, ctx.fold :]], 1), grad_y[:, : ctx.fold]

    @staticmethod
    def symbolic(g: Any, x: Any, cache: Any) -> Any:
        y, following = g.op("tsm_edge::TemporalShiftStep", x, cache, outputs=2)
        y.setType(x.type())  # the exporter has no shape rule for a foreign op, and would lose all later shapes
        following.setType(cache.type())
        return y, following


class _ClipOp(Function):
    """`TemporalShift` of domain `tsm_edge`, version 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, n_segment: int, fold: int, bidirectional: bool) -> Tensor:
        ctx.arguments = n_segment, fold, bidirectional
        return _clip_in_place(x, n_segment, fold, bidirectional, reverse=False)

    @staticmethod
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, None, None, None]:
        n_segment, fold, bidirectional = ctx.arguments
        return _clip_in_place(grad_y, n_segment, fold, bidirectional, reverse=True), None, None, None

    @staticmethod
    def symbolic(g: Any, x: Any, n_segment: int, fold: int, bidirectional: bool) -> Any:
        y = g.op("tsm_edge::TemporalShift", x, n_segment_i=n_segment, fold_i=fold, bidirectional_i=int(bidirectional))
        y.setType(x.type())
        return y
