"""The temporal shift in torch: the op, its ONNX symbols, and the three ways in which a forward pass shifts.

Tested against `tsm_edge/shift.py`, which states the rule and its source. Each function has two lowerings:
"custom" is one node of domain `tsm_edge` in an ONNX export, "standard" is slices and concatenations.
"""

import torch
from torch.autograd import Function

from tsm_edge.manifest import LOWERINGS


def shift_step(x, cache, lowering="custom"):
    """One streaming frame; differentiable.

    x: (N, C, H, W). cache: (N, F, H, W), same dtype: the first F channels of the previous frame.
    Returns y (N, C, H, W) with y[:, :F] = cache and y[:, F:] = x[:, F:], and the next cache x[:, :F].
    Raises ValueError where the shapes or dtypes disagree, or for an unknown lowering.
    """
    if not torch.jit.is_tracing():  # shapes are tensors while an export traces; the trace's example was checked before
        _check_rank(x, "x")
        _check_rank(cache, "cache")
        if x.shape[:1] + x.shape[2:] != cache.shape[:1] + cache.shape[2:] or cache.shape[1] > x.shape[1]:
            raise ValueError(
                f"cache: got shape {tuple(cache.shape)}, expected (N, F, H, W) of x {tuple(x.shape)} with F <= C"
            )
        if cache.dtype != x.dtype:
            raise ValueError(f"cache: got dtype {cache.dtype}, expected that of x, {x.dtype}")
    return _StepOp.apply(x, cache) if is_custom(lowering) else _step(x, cache)


def shift_clip(x, n_segment, fold, bidirectional, lowering="custom"):
    """A whole clip at once; differentiable.

    x: (N*T, C, H, W), the T = n_segment frames of each clip in order.
    bidirectional: channels [0, fold) take frame t+1 and [fold, 2*fold) take frame t-1 (needs 2*fold <= C);
        otherwise (causal) channels [0, fold) take frame t-1. Past the ends of the clip stand zeros.
    Returns y (N*T, C, H, W). Raises ValueError for impossible sizes or an unknown lowering.
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


def is_custom(lowering):
    """Whether `lowering` is "custom" rather than "standard". Raises ValueError for any other."""
    if lowering not in LOWERINGS:
        raise ValueError(f"lowering: got {lowering!r}, expected one of {', '.join(LOWERINGS)}")
    return lowering == "custom"


class NoShift:
    """The 2D network: every frame for itself (the TSN baseline)."""

    def __call__(self, x, fold):
        return x


class ClipShift:
    """Frames of whole clips, (N*T, C, H, W) at every shift."""

    def __init__(self, n_segment, bidirectional, lowering="custom"):
        self.n_segment, self.bidirectional, self.lowering = n_segment, bidirectional, lowering

    def __call__(self, x, fold):
        return shift_clip(x, self.n_segment, fold, self.bidirectional, self.lowering)


class StepShift:
    """One frame of each stream. caches: one (N, F, H, W) for each shift, in order; `next` collects theirs."""

    def __init__(self, caches, lowering="custom"):
        self._caches, self.lowering, self.next = iter(caches), lowering, []

    def __call__(self, x, fold):
        y, following = shift_step(x, next(self._caches), self.lowering)
        self.next.append(following)
        return y


def _check_rank(tensor, name):
    if tensor.ndim != 4:
        raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, expected four axes (N, C, H, W)")


def _step(x, cache):
    fold = int(cache.shape[1])  # a constant of the graph where an export traces this
    return torch.cat([cache, x[:, fold:]], 1), x[:, :fold]


def _clip(x, n_segment, fold, bidirectional):
    """The clip's shift in ops that export as few nodes."""
    frame = [int(size) for size in x.shape[1:]]  # constants in an exported graph: only the batch axis is dynamic
    clips = x.reshape(-1, n_segment, *frame)
    from_past = [False, True] if bidirectional else [True]
    parts = [_moved(clips[:, :, i * fold : (i + 1) * fold], past) for i, past in enumerate(from_past)]
    return torch.cat([*parts, clips[:, :, len(parts) * fold :]], 2).reshape(-1, *frame)


def _clip_in_place(x, n_segment, fold, bidirectional, reverse=False):
    """`_clip` for training: one copy, in the memory order of x (channels last stays so), and the folds written into it.

    reverse: every fold moves the other way, as a gradient does. The copies of `_clip` come out in rows of width, and
    the next convolution would have to turn them around again.
    """
    y = x.clone()  # a gradient may come in any order, an expanded one even without memory of its own
    source, target = (tensor.unflatten(0, (-1, n_segment)) for tensor in (x, y))
    for index, from_past in enumerate([False, True] if bidirectional else [True]):
        part = slice(index * fold, (index + 1) * fold)
        if from_past != reverse:
            target[:, 1:, part], target[:, :1, part] = source[:, :-1, part], 0
        else:
            target[:, :-1, part], target[:, -1:, part] = source[:, 1:, part], 0
    return y


def _moved(part, from_past):
    """part: (N, T, F, H, W). Frame t takes t-1 (from_past) or t+1; zeros at the end that has none."""
    blank = torch.zeros_like(part[:, :1])  # functional.pad would export as Transpose, Reshape, Cast and Pad
    return torch.cat([blank, part[:, :-1]] if from_past else [part[:, 1:], blank], 1)


class _StepOp(Function):
    """`TemporalShiftStep` of domain `tsm_edge`, version 1."""

    @staticmethod
    def forward(ctx, x, cache):
        ctx.fold = cache.shape[1]
        y, following = _step(x, cache)
        return y, following.clone()

    @staticmethod
    def backward(ctx, grad_y, grad_next):
        return torch.cat([grad_next, grad_y[:, ctx.fold :]], 1), grad_y[:, : ctx.fold]

    @staticmethod
    def symbolic(g, x, cache):
        y, following = g.op("tsm_edge::TemporalShiftStep", x, cache, outputs=2)
        y.setType(x.type())  # the exporter has no shape rule for a foreign op: without this, all later shapes are lost
        following.setType(cache.type())
        return y, following


class _ClipOp(Function):
    """`TemporalShift` of domain `tsm_edge`, version 1."""

    @staticmethod
    def forward(ctx, x, n_segment, fold, bidirectional):
        ctx.arguments = n_segment, fold, bidirectional
        return _clip_in_place(x, n_segment, fold, bidirectional)

    @staticmethod
    def backward(ctx, grad_y):
        return _clip_in_place(grad_y, *ctx.arguments, reverse=True), None, None, None

    @staticmethod
    def symbolic(g, x, n_segment, fold, bidirectional):
        y = g.op("tsm_edge::TemporalShift", x, n_segment_i=n_segment, fold_i=fold, bidirectional_i=int(bidirectional))
        y.setType(x.type())
        return y
