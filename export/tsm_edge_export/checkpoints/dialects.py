"""The names that other projects give our tensors, and their files.

Sources: ops/models.py, ops/temporal_shift.py and online_demo/mobilenet_v2_tsm.py of mit-han-lab/temporal-shift-module;
mmaction/models/backbones/{resnet,resnet_tsm,mobilenet_v2,mobilenet_v2_tsm}.py and heads/tsm_head.py of
open-mmlab/mmaction2 (ConvModule of mmcv holds `conv` and `bn`); torchvision's resnet.py and mobilenetv2.py.
"""

import re
from pathlib import Path
from typing import Callable, Iterable, NamedTuple

import torch

from tsm_edge.errors import InputError
from tsm_edge_export.models.mobilenetv2 import STAGES
from tsm_edge_export.models.resnet import DEPTHS

IMAGENET_CLASSES = 1000
_SCHEME = re.compile(
    r"TSM_[^_]+_(RGB|Flow|RGBDiff)_[^_]+(_shift(?P<fold_div>\d+)_(?P<place>[^_]+))?(?P<temporal_pool>_tpool)?"
    r"_[^_]+_segment\d+_e\d+(?P<rest>(_[^_]+)*)"
)


class Names(NamedTuple):
    """What a renaming needs to know."""

    keys: frozenset[str]  # the file's, without DataParallel's "module."
    places: tuple[str, ...]  # of the network
    wrapped: bool  # the file has modules inside a TemporalShift (".net."), as a network that was trained with shift


class Dialect(NamedTuple):
    """One project's way to name tensors."""

    name: str  # as in `Checkpoint.dialect`
    claims: Callable[[frozenset[str]], bool]  # keys of a file -> whether the file is of this dialect
    rename: Callable[[str, Names], str]  # our name -> the file's name
    direction: str | None  # of the training; None: bidirectional if `Names.wrapped`, "none" otherwise


class Hints(NamedTuple):
    """What a file's name says of the network."""

    fold_div: int | None  # None for a network without shift (TSN)
    place: str | None  # of the shift: "blockres" or "block"
    temporal_pool: bool  # whether the network pools over time (_tpool)
    non_local: bool  # whether it has non-local blocks (_nl)


def find(keys: frozenset[str], where: object) -> Dialect:
    """Return the dialect of a file's keys (without "module."). Raises InputError where no dialect claims them."""
    for dialect in DIALECTS:
        if dialect.claims(keys):
            return dialect
    got, do = f"{len(keys)} tensors called {some(sorted(keys))}", "give a MobileNetV2 or ResNet of one of these"
    raise InputError(where, got, "the names of mit-han-lab's TSM, mmaction2, torchvision or tsm-edge", do)


def some(names: list[str], separator: str = ", ") -> str:
    """Return the first names as one text."""
    return separator.join(names[:4]) + (separator + "…" if len(names) > 4 else "")


def hints_of(path: str | Path) -> Hints | None:
    """Parse TSM_{dataset}_{modality}_{arch}[_shift{div}_{place}]_{consensus}_segment{T}_e{epochs}[_dense][_nl].pth.

    Only the base name is read. Returns None for a name of another form.
    Source: store_name in main.py of mit-han-lab/temporal-shift-module.
    """
    found = _SCHEME.fullmatch(Path(path).name.split(".")[0])
    if not found:
        return None
    fold_div = int(found["fold_div"]) if found["fold_div"] else None
    return Hints(fold_div, found["place"], bool(found["temporal_pool"]), "nl" in found["rest"].split("_"))


def without_parallel(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the state without the "module." that torch's DataParallel puts before every name."""
    if all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def looks_like(keys: Iterable[str]) -> str:
    """Return the name of the published network that has these keys, "an unknown network" where none has."""
    if any(re.search(r"(^|\.)features\.\d+\.|layer7\.0\.conv\.", key) for key in keys):
        return "mobilenetv2"
    blocks = {tuple(map(int, found.groups())) for key in keys if (found := re.search(r"layer([1-4])\.(\d+)\.", key))}
    counts = tuple(sum(1 for stage, _ in blocks if stage == wanted) for wanted in (1, 2, 3, 4))
    bottleneck = any(re.search(r"layer1\.0\.(\w+\.)*conv3\.", key) for key in keys)
    depths = {**DEPTHS, "resnet152": ((3, 8, 36, 3), True)}  # published, but not ours
    return next((name for name, depth in depths.items() if depth == (counts, bottleneck)), "an unknown network")


def _is_head(module: str) -> bool:
    return module in ("fc", "classifier")


def _mit_offline(name: str, names: Names) -> str:
    module, leaf = name.rsplit(".", 1)
    if _is_head(module):  # trained with dropout it is new_fc, without it stays in the base model
        return f"new_fc.{leaf}" if "new_fc.weight" in names.keys else f"base_model.{name}"
    net = ".net" if names.wrapped and module in names.places else ""
    return f"base_model.{module}{net}.{leaf}"


def _mmaction2(name: str, names: Names) -> str:
    module, leaf = name.rsplit(".", 1)
    if _is_head(module):
        return f"cls_head.fc_cls.{leaf}"
    rename = _mmaction2_mobilenet if module.startswith("features.") else _mmaction2_resnet
    return f"backbone.{rename(module, names)}.{leaf}"


def _mmaction2_resnet(module: str, names: Names) -> str:
    if ".downsample." in module:
        base, index = module.rsplit(".", 1)
        return f"{base}.{('conv', 'bn')[int(index)]}"
    *block, last = module.split(".")
    kind, number = last[:-1], last[-1]  # conv1, bn1
    net = ".net" if names.wrapped and module in names.places else ""
    return ".".join([*block, f"conv{number}", kind]) + net


def _mmaction2_mobilenet(module: str, names: Names) -> str:
    """Rename features.<n>.conv.<m> to layer<stage>.<block>.conv.<m // 3>.(conv|bn). The shift wraps the ConvModule."""
    _, feature, *inner = module.split(".")
    stages = [(stage, block) for stage, (_, _, count, _) in enumerate(STAGES, 1) for block in range(count)]
    if feature == "0" or int(feature) > len(stages):
        return f"conv{1 if feature == '0' else 2}.{('conv', 'bn')[int(inner[0])]}"
    (stage, block), index = stages[int(feature) - 1], int(inner[1])
    net = ".net" if names.wrapped and index < 2 and f"features.{feature}.conv.0" in names.places else ""
    return f"layer{stage}.{block}.conv.{index // 3}{net}.{('conv', 'bn')[index % 3]}"


def _torchvision(name: str, _: Names) -> str:
    """Rename for MobileNetV2, which groups convolution, BatchNorm and activation. ResNet's names are ours."""
    module, leaf = name.rsplit(".", 1)
    if module == "classifier":
        return f"classifier.1.{leaf}"
    found = re.fullmatch(r"features\.(\d+)\.conv\.(\d+)", module)
    if not found:
        return name
    feature, index = map(int, found.groups())
    groups = 1 if feature == 1 else 2  # the first block does not expand: it has one group before the projection
    group, member = divmod(index, 3)
    inner = f"{group}.{member}" if group < groups else str(groups + member)
    return f"features.{feature}.conv.{inner}.{leaf}"


def _any(pattern: str) -> Callable[[frozenset[str]], bool]:
    """Match where any name does, so that a file that lost a tensor is still recognised and the loss is reported."""
    return lambda keys: any(re.match(pattern, key) for key in keys)


DIALECTS = (
    Dialect("mmaction2", _any(r"backbone\."), _mmaction2, None),
    Dialect("mit_offline", _any(r"base_model\."), _mit_offline, None),
    Dialect("torchvision", _any(r"features\.\d+\.conv\.\d\.\d\."), _torchvision, "none"),
    Dialect("torchvision", _any(r"layer\d\.\d+\.(conv|bn)\d\."), _torchvision, "none"),
    Dialect("mit_online", _any(r"features\.\d+\.conv\.\d\."), lambda name, _: name, "causal"),
)
