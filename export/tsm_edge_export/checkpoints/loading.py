"""`load`: reads a file as checked tensors under our names."""

import re
from pathlib import Path
from typing import Any, Iterable, NamedTuple

import torch

from tsm_edge.errors import InputError
from tsm_edge.manifest import ArchSpec, FrameSpec
from tsm_edge_export import models

from . import centerface, own
from .checks import TRACKED, check_tensors
from .dialects import IMAGENET_CLASSES, Dialect, Hints, Names, find, hints_of, looks_like, some, without_parallel
from .reading import FORMAT, read, weights_sha256

State = dict[str, torch.Tensor]

_FINE_TUNE = "fine-tune it with shift first (tsm-edge train), or export it with --direction none"
_UNSHIFTED = "its channels were never trained to come from another frame", _FINE_TUNE
_SHIFTED = "its shifted channels were trained to come from other frames", "use it with the direction of its training"
_REASONS = {  # (trained, wanted) -> why the answers would be wrong, and what to do
    ("bidirectional", "causal"): (
        "a live stream has no next frame, which this network's first fold was trained to read",
        "export it with --mode offline, or fine-tune it causally first (tsm-edge train)",
    ),
    ("causal", "bidirectional"): (
        "its first fold was trained to read the previous frame, never the next",
        "export it with --mode online, or state the causal direction in the recipe",
    ),
}


class Checkpoint(NamedTuple):
    """Weights that fit `models.build(arch)`: network.load_state_dict(checkpoint.state, strict=True)."""

    state: State  # our name -> float32 tensor (int64 for num_batches_tracked, 0 where the file has none)
    dialect: str  # "mit_offline", "mit_online", "mmaction2", "torchvision", "centerface" or "safetensors"
    direction: str  # of the training: "bidirectional", "causal", or "none" (a 2D network)
    sha256: str  # weights_sha256(state)
    head_loaded: bool  # False where the classifier is new (see `load`)
    metadata: dict[str, Any]  # what else the file says: epoch, arch, best_prec1, …; of our own: see `own.described`
    hints: Hints | None  # what the file's name says, None for a name outside the published scheme
    frame: dict[str, Any] = {}  # values of FrameSpec that the weights need, where the file is known to need them


def load(
    path: own.FilePath, arch: ArchSpec, start: bool = False, seed: int = 0, fold_div: int | None = None
) -> Checkpoint:
    """Load the weights of a network from a file of any published dialect.

    start: the weights are a start for training: where the file has another class count or no classifier, a new one is
    drawn from `seed` (normal, deviation 0.001, as published). fold_div: a file that says another one is refused.

    Raises:
        InputError: an unreadable file; tensors missing, left over or of another shape, all in one message; another
            architecture or class count; non-local, "block" or temporal-pool networks; tensors that are no plain
            weights (see `checks.check_tensors`); weights that are not finite.
    """
    path = Path(path)
    contents = read(path)
    state, hints, metadata = without_parallel(contents.state), hints_of(path), contents.metadata
    is_own = contents.is_safetensors and metadata.get("format") == FORMAT
    check_tensors(path, state, quiet=is_own)
    if is_own:
        metadata = own.described(path, metadata)
        dialect = Dialect("safetensors", bool, lambda name, _: name, metadata["direction"])
        likely = metadata["arch"].name
    elif contents.is_centerface:
        dialect, likely = Dialect("centerface", bool, lambda name, _: name, "none"), centerface.ARCH.name
    else:
        _refuse_unsupported(path, state, hints)
        dialect, likely = find(frozenset(state), path), looks_like(state)
    if likely != arch.name:
        raise InputError(path, f"weights of {likely} ({dialect.name})", arch.name, "name that network in the recipe")
    stated = metadata.get("fold_div", hints.fold_div if hints else None)
    if None not in (fold_div, stated) and stated != fold_div:
        raise InputError(path, f"weights of fold_div {stated}", fold_div, f"set fold_div = {stated} in the recipe")
    network = models.outline(arch)
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    names = Names(frozenset(state), network.places, any(".net." in name for name in state))
    head = network.class_layer
    renamed = {name: dialect.rename(name, names) for name in wanted}
    rows = None if head is None else state.get(renamed[f"{head}.weight"])
    classes = None if rows is None or rows.ndim != len(wanted[f"{head}.weight"]) else rows.shape[0]
    head_loaded = not (start and head) or classes == arch.num_classes
    if head_loaded and classes not in (None, arch.num_classes):
        do = "name the classes it was trained for, or load it as a start for training, with a new classifier"
        raise InputError(path, f"a classifier of {classes} classes", f"{arch.num_classes} (arch.num_classes)", do)
    loaded = _take(path, state, wanted, renamed, set() if head_loaded else {f"{head}.weight", f"{head}.bias"})
    if not head_loaded:
        generator = torch.Generator().manual_seed(seed)
        loaded[f"{head}.weight"] = torch.empty(wanted[f"{head}.weight"]).normal_(0, 0.001, generator=generator)
        loaded[f"{head}.bias"] = torch.full(wanted[f"{head}.bias"], network.class_bias)
    loaded = {name: loaded[name] for name in wanted}
    direction = _direction(dialect, names, classes)
    frame = centerface.FRAME if contents.is_centerface else {}
    return Checkpoint(loaded, dialect.name, direction, weights_sha256(loaded), head_loaded, metadata, hints, frame)


def require_direction(checkpoint: Checkpoint, wanted: str, where: object) -> None:
    """Raise InputError, naming the file `where`, for weights that were trained for another direction of the shift.

    A start whose classifier was not loaded gives no answers yet, right or wrong, and passes.
    """
    trained = checkpoint.direction
    if trained != wanted and checkpoint.head_loaded:
        reason, do = _REASONS.get((trained, wanted), _UNSHIFTED if trained == "none" else _SHIFTED)
        got = f"weights trained with direction {trained!r} ({checkpoint.dialect})"
        raise InputError(where, got, f"{wanted!r}: the keys match, but the answers would be wrong: {reason}", do)


def require_frame(checkpoint: Checkpoint, frame: FrameSpec, where: object) -> None:
    """Raise InputError, naming the file `where`, for frames of another colour or scale than its weights need."""
    for name, needed in checkpoint.frame.items():
        value = getattr(frame, name)
        if value != needed:
            got = f"weights for frame.{name} = {needed} ({checkpoint.dialect})"
            raise InputError(where, got, f"{value}, as the recipe has it", f"set frame.{name} in the recipe")


def _direction(dialect: Dialect, names: Names, classes: int | None) -> str:
    if dialect.direction is None:
        return "bidirectional" if names.wrapped else "none"
    if dialect.name == "mit_online" and classes == IMAGENET_CLASSES:
        return "none"  # the 2D ImageNet start of the published training code has the online network's names
    return dialect.direction


def _refuse_unsupported(path: Path, keys: Iterable[str], hints: Hints | None) -> None:
    def has(pattern: str) -> bool:
        return any(re.search(pattern, key) for key in keys)

    place = hints.place if hints else None
    if (hints and hints.non_local) or has(r"\.(nl|non_local_block)\."):
        got, reason = "a non-local network (_nl)", "its attention reads all frames of a clip at once; none exists here"
    elif (hints and hints.temporal_pool) or has(r"layer2\.net\.\d+\."):
        got, reason = "a network with temporal pooling (_tpool)", "it halves the frame rate, which no stream can follow"
    elif place not in (None, "blockres") or has(r"layer\d\.\d+\.net\."):
        got, reason = 'shift placement "block"', "it shifts the shortcut too, so the same weights answer differently"
    else:
        return
    raise InputError(path, got, f'placement "blockres" alone: {reason}', "use a checkpoint with blockres")


def _take(
    path: Path, state: State, wanted: dict[str, tuple[int, ...]], renamed: dict[str, str], head: set[str]
) -> State:
    """Return our name -> float32 tensor, all but `head`. wanted: our name -> shape. renamed: our name -> the file's."""
    missing = [renamed[n] for n in wanted if renamed[n] not in state and n not in head and not n.endswith(TRACKED)]
    unexpected = sorted(set(state) - set(renamed.values()))
    shaped = [
        f"{theirs}: {tuple(state[theirs].shape)}, not {wanted[ours]}"
        for ours, theirs in renamed.items()
        if theirs in state and ours not in head and tuple(state[theirs].shape) != wanted[ours]
    ]
    faults = [(missing, "missing"), (unexpected, "unexpected"), (shaped, "of another shape")]
    got = ", ".join(f"{len(names)} {what} ({some(names, '; ')})" for names, what in faults if names)
    if got:
        do = "check architecture and width in the recipe, and that the file is whole"
        raise InputError(path, got, f"the {len(wanted)} tensors of this network, by name and shape", do)
    loaded = {}
    for ours, theirs in renamed.items():
        if ours.endswith(TRACKED):
            loaded[ours] = state[theirs].long() if theirs in state else torch.zeros((), dtype=torch.int64)
        elif ours not in head:
            loaded[ours] = state[theirs].detach().to(torch.float32).contiguous()
    broken = [renamed[ours] for ours, tensor in loaded.items() if not torch.isfinite(tensor).all()]
    if broken:
        got = f"NaN or infinity in {len(broken)} tensors ({some(broken)})"
        raise InputError(path, got, "finite weights", "train it again")
    return loaded
