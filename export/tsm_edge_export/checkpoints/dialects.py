"""What others call our tensors. A dialect maps each of our names to the name in the file; nothing is guessed.

Sources: ops/models.py, ops/temporal_shift.py and online_demo/mobilenet_v2_tsm.py of mit-han-lab/temporal-shift-module;
mmaction/models/backbones/{resnet,resnet_tsm,mobilenet_v2,mobilenet_v2_tsm}.py and heads/tsm_head.py of
open-mmlab/mmaction2 (ConvModule of mmcv holds `conv` and `bn`); torchvision's resnet.py and mobilenetv2.py.
"""

import re
from typing import Callable, NamedTuple

from tsm_edge_export.models.mobilenetv2 import STAGES

IMAGENET_CLASSES = 1000


class Names(NamedTuple):
    """What a renaming needs to know. keys: the file's, without DataParallel's "module.". places: of the network.

    wrapped: the file has modules inside a TemporalShift (".net."), which is how a network trained with shift was saved.
    """

    keys: frozenset[str]
    places: tuple[str, ...]
    wrapped: bool


class Dialect(NamedTuple):
    """name: as `Checkpoint.dialect`. claims(keys): whether a file speaks it. rename(our name, Names): the file's name.

    direction: what such weights were trained for; None: bidirectional if `Names.wrapped`, "none" otherwise.
    """

    name: str
    claims: Callable[[frozenset[str]], bool]
    rename: Callable[[str, Names], str]
    direction: str | None


def find(keys):
    """The dialect of a file's keys (without "module."), None for none of them."""
    return next((dialect for dialect in DIALECTS if dialect.claims(keys)), None)


def without_parallel(state):
    """The state without the "module." that torch's DataParallel puts before every name."""
    if all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def looks_like(keys):
    """The name of the network that these keys of any dialect belong to, "an unknown network" where none fits."""
    if any(re.search(r"(^|\.)features\.\d+\.", key) or re.search(r"layer7\.0\.conv\.", key) for key in keys):
        return "mobilenetv2"
    blocks = {tuple(map(int, found.groups())) for key in keys if (found := re.search(r"layer([1-4])\.(\d+)\.", key))}
    counts = tuple(sum(1 for stage, _ in blocks if stage == wanted) for wanted in (1, 2, 3, 4))
    bottleneck = any(re.search(r"layer1\.0\.(\w+\.)*conv3\.", key) for key in keys)
    known = {
        ((2, 2, 2, 2), False): "resnet18",
        ((3, 4, 6, 3), False): "resnet34",
        ((3, 4, 6, 3), True): "resnet50",
        ((3, 4, 23, 3), True): "resnet101",
        ((3, 8, 36, 3), True): "resnet152",
    }
    return known.get((counts, bottleneck), "an unknown network")


def _is_head(module):
    return module in ("fc", "classifier")


def _mit_offline(name, names):
    module, leaf = name.rsplit(".", 1)
    if _is_head(module):  # trained with dropout it is new_fc, without it stays in the base model
        return f"new_fc.{leaf}" if "new_fc.weight" in names.keys else f"base_model.{name}"
    net = ".net" if names.wrapped and module in names.places else ""
    return f"base_model.{module}{net}.{leaf}"


def _mmaction2(name, names):
    module, leaf = name.rsplit(".", 1)
    if _is_head(module):
        return f"cls_head.fc_cls.{leaf}"
    renamed = (
        _mmaction2_mobilenet(module, names) if module.startswith("features.") else _mmaction2_resnet(module, names)
    )
    return f"backbone.{renamed}.{leaf}"


def _mmaction2_resnet(module, names):
    if ".downsample." in module:
        base, index = module.rsplit(".", 1)
        return f"{base}.{('conv', 'bn')[int(index)]}"
    *block, last = module.split(".")
    kind, number = re.fullmatch(r"(conv|bn)(\d)", last).groups()
    net = ".net" if names.wrapped and module in names.places else ""
    return ".".join([*block, f"conv{number}", kind]) + net


def _mmaction2_mobilenet(module, names):
    """features.<n>.conv.<m> -> layer<stage>.<block>.conv.<m // 3>.(conv|bn); the shift wraps the whole ConvModule."""
    _, feature, *inner = module.split(".")
    stages = [(stage, block) for stage, (_, _, count, _) in enumerate(STAGES, 1) for block in range(count)]
    if feature == "0" or int(feature) > len(stages):
        return f"conv{1 if feature == '0' else 2}.{('conv', 'bn')[int(inner[0])]}"
    (stage, block), index = stages[int(feature) - 1], int(inner[1])
    net = ".net" if names.wrapped and index < 2 and f"features.{feature}.conv.0" in names.places else ""
    return f"layer{stage}.{block}.conv.{index // 3}{net}.{('conv', 'bn')[index % 3]}"


def _torchvision(name, names):
    """MobileNetV2 groups convolution, BatchNorm and activation; ResNet's names are ours."""
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


def _same(name, names):
    return name


def _any(pattern):
    """Whether any name matches. Any, so that a file that lost a tensor is still known and the loss is named."""
    return lambda keys: any(re.match(pattern, key) for key in keys)


DIALECTS = (
    Dialect("mmaction2", _any(r"backbone\."), _mmaction2, None),
    Dialect("mit_offline", _any(r"base_model\."), _mit_offline, None),
    Dialect("torchvision", _any(r"features\.\d+\.conv\.\d\.\d\."), _torchvision, "none"),
    Dialect("torchvision", _any(r"layer\d\.\d+\.(conv|bn)\d\."), _torchvision, "none"),
    Dialect("mit_online", _any(r"features\.\d+\.conv\.\d\."), _same, "causal"),
)
