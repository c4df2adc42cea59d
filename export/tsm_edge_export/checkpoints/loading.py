"""`load`: file -> checked tensors under our names."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tsm_edge.errors import InputError
from tsm_edge.manifest import ArchSpec
from tsm_edge_export import models

from . import own
from .dialects import IMAGENET_CLASSES, Dialect, Names, find, looks_like, without_parallel
from .hashing import weights_sha256
from .hints import Hints, parse
from .reading import read

TRACKED = ".num_batches_tracked"


class Checkpoint(NamedTuple):
    """Weights that fit `models.build(arch)`: network.load_state_dict(checkpoint.state, strict=True).

    state: our name -> float32 tensor (int64 for num_batches_tracked, 0 where the file has none).
    dialect: "mit_offline", "mit_online", "mmaction2", "torchvision" or "safetensors".
    direction: what they were trained for: "bidirectional", "causal", or "none" (a 2D network).
    sha256: `weights_sha256(state)`. head_loaded: False where the classifier is new (see `load`).
    metadata: what the file says besides: epoch, arch, best_prec1, …; of our own: arch, direction, fold_div, n_segment,
    labels. hints: what its name says, None for a name outside the published scheme.
    """

    state: dict[str, torch.Tensor]
    dialect: str
    direction: str
    sha256: str
    head_loaded: bool
    metadata: dict[str, Any]
    hints: Hints | None


def load(path, arch: ArchSpec, start=False, seed=0, fold_div=None) -> Checkpoint:
    """The weights in `path` for the network `arch`, whatever published dialect they are in.

    start: they are a start for training: where the file has another class count or no classifier, a new one is drawn
        from `seed` (normal, deviation 0.001, as the published ops/models.py does). fold_div: of the network; a file
        that says another one is refused, None asks nothing.
    Raises InputError, and loads nothing, for: an unreadable file (see `reading.read`); tensors missing, left over or of
    another shape, all in one message; another architecture or class count; non-local, "block" or temporal-pool
    networks; weights that are not finite.
    """
    path = Path(path)
    contents = read(path)
    state, hints, metadata = without_parallel(contents.state), parse(path), contents.metadata
    if contents.is_safetensors and metadata.get("format") == own.FORMAT:
        metadata = own.described(path, metadata)
        dialect = Dialect("safetensors", bool, lambda name, names: name, metadata["direction"])
    else:
        dialect = find(frozenset(state))
    _refuse_unsupported(path, state, hints)
    _refuse_other_network(path, state, dialect, arch)
    said = metadata.get("fold_div", hints.fold_div if hints else None)
    if None not in (fold_div, said) and said != fold_div:
        raise InputError(
            path, f"weights trained with fold_div {said}", fold_div, f"set fold_div = {said} in the recipe"
        )
    with torch.device("meta"):
        network = models.build(arch)
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    names = Names(frozenset(state), network.places, any(".net." in name for name in state))
    head = next(name for name in reversed(wanted) if name.endswith(".weight")).removesuffix(".weight")
    renamed = {name: dialect.rename(name, names) for name in wanted}
    classes = _classes(state, renamed[f"{head}.weight"])
    head_loaded = not start or classes == arch.num_classes
    if head_loaded and classes not in (None, arch.num_classes):
        raise _other_classes(path, classes, arch)
    loaded = _take(path, state, wanted, renamed, set() if head_loaded else {f"{head}.weight", f"{head}.bias"})
    if not head_loaded:
        generator = torch.Generator().manual_seed(seed)
        loaded[f"{head}.weight"] = torch.empty(wanted[f"{head}.weight"]).normal_(0, 0.001, generator=generator)
        loaded[f"{head}.bias"] = torch.zeros(wanted[f"{head}.bias"])
    loaded = {name: loaded[name] for name in wanted}
    direction = _direction(dialect, names, classes)
    return Checkpoint(loaded, dialect.name, direction, weights_sha256(loaded), head_loaded, metadata, hints)


def _direction(dialect, names, classes):
    if dialect.direction is None:
        return "bidirectional" if names.wrapped else "none"
    if dialect.name == "mit_online" and classes == IMAGENET_CLASSES:
        return "none"  # the 2D ImageNet start of the published training code has the online network's names
    return dialect.direction


def _refuse_unsupported(path, keys, hints):
    found = None
    if (hints and hints.non_local) or any(re.search(r"\.(nl|non_local_block)\.", key) for key in keys):
        found = "a non-local network (_nl)", "its attention blocks read all frames of a clip at once; none exists here"
    elif (hints and hints.temporal_pool) or any(re.search(r"layer2\.net\.\d+\.", key) for key in keys):
        found = (
            "a network with temporal pooling (_tpool)",
            "it halves the frame rate inside, which no stream can follow",
        )
    elif (hints and hints.place not in (None, "blockres")) or any(
        re.search(r"layer\d\.\d+\.net\.", key) for key in keys
    ):
        found = (
            'shift placement "block"',
            "it shifts the shortcut as well, so the same weights would answer differently",
        )
    if found:
        raise InputError(path, found[0], f'placement "blockres" alone: {found[1]}', "use a checkpoint with blockres")


def _refuse_other_network(path, keys, dialect, arch):
    if dialect is None:
        raise InputError(
            path,
            f"{len(keys)} tensors called {_some(sorted(keys))}",
            "the names of mit-han-lab's TSM, mmaction2, torchvision or tsm-edge",
            "give a MobileNetV2 or ResNet checkpoint from one of these",
        )
    likely = looks_like(keys)
    if likely != arch.name:
        raise InputError(path, f"weights of {likely} ({dialect.name})", arch.name, "name that network in the recipe")


def _classes(state, name):
    return state[name].shape[0] if name in state and state[name].ndim == 2 else None


def _other_classes(path, classes, arch):
    return InputError(
        path,
        f"a classifier of {classes} classes",
        f"{arch.num_classes} (arch.num_classes)",
        "name the classes it was trained for, or load it as a start for training, with a new classifier",
    )


def _take(path, state, wanted, renamed, head):
    """Our name -> float32 tensor, all but `head` (and what the file may leave out), each accounted for."""
    missing = [renamed[n] for n in wanted if renamed[n] not in state and n not in head and not n.endswith(TRACKED)]
    unexpected = sorted(set(state) - set(renamed.values()))
    shaped = [
        f"{theirs}: {tuple(state[theirs].shape)}, not {wanted[ours]}"
        for ours, theirs in renamed.items()
        if theirs in state and ours not in head and tuple(state[theirs].shape) != wanted[ours]
    ]
    faults = [(missing, "missing"), (unexpected, "unexpected"), (shaped, "of another shape")]
    if any(names for names, _ in faults):
        raise InputError(
            path,
            ", ".join(f"{len(names)} {what} ({_some(names, '; ')})" for names, what in faults if names),
            f"the {len(wanted)} tensors of this network, by name and shape",
            "check architecture and width in the recipe, and that the file is whole",
        )
    loaded = {}
    for ours, theirs in renamed.items():
        if ours.endswith(TRACKED):
            loaded[ours] = state[theirs].long() if theirs in state else torch.zeros((), dtype=torch.int64)
        elif ours not in head:
            loaded[ours] = state[theirs].detach().to(torch.float32).contiguous()
    broken = [renamed[ours] for ours, tensor in loaded.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise InputError(
            path, f"NaN or infinity in {len(broken)} tensors ({_some(broken)})", "finite weights", "train it again"
        )
    return loaded


def _some(names, separator=", ", most=4):
    return separator.join(names[:most]) + (separator + "…" if len(names) > most else "")
