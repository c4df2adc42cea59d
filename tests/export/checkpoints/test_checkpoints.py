"""Each dialect: files made here by its published naming rules load as the tensors they were made from."""

import functools
import json
import os
import re

import pytest
import torch

from tsm_edge.errors import InputError
from tsm_edge.manifest import ArchSpec
from tsm_edge_export import checkpoints, models

NAMES = ("mobilenetv2", "resnet18", "resnet50", "resnet101")
SHIFTED = re.compile(  # what the published code wraps, written down apart from our `places`
    r"(features\.(?:3|5|6|8|9|10|12|13|15|16)\.conv\.0|layer\d\.\d+\.conv1)\."
)
SHIFTED_EVEN = re.compile(r"(layer\d\.\d*[02468]\.conv1)\.")


@functools.lru_cache(maxsize=2)
def network(name, classes=5):
    """Every tensor filled with values of its own."""
    net = models.build(ArchSpec(name, 1.0, classes))
    generator = torch.Generator().manual_seed(1)
    for tensor in net.state_dict().values():
        tensor.uniform_(0.5, 1.5, generator=generator) if tensor.is_floating_point() else tensor.fill_(7)
    return net


def renamed(name, rename, classes=5):
    return {rename(key): tensor for key, tensor in network(name, classes).state_dict().items()}


def wrap(name, key, into=r"\1.net."):
    return (SHIFTED_EVEN if name == "resnet101" else SHIFTED).sub(into, key)


def mit(name, shift=True, head="new_fc", parallel="module."):
    def rename(key):
        if key.startswith(("fc.", "classifier.")):
            return parallel + head + "." + key.split(".")[1]
        return parallel + "base_model." + (wrap(name, key) if shift else key)

    return rename


def mmaction2(name, shift=True):
    layers = {}  # features.<n> -> layer<stage>.<block>, by the counts of mmaction2's arch_settings
    for stage, count in enumerate((1, 2, 3, 4, 3, 3, 1), 1):
        for block in range(count):
            layers[str(len(layers) + 1)] = f"layer{stage}.{block}"
    inner = {"0": "0.conv", "1": "0.bn", "3": "1.conv", "4": "1.bn", "6": "2.conv", "7": "2.bn"}

    def rename(key):
        if key.startswith(("fc.", "classifier.")):
            return "cls_head.fc_cls." + key.split(".")[1]
        if key.startswith("features."):
            parts = key.split(".")
            if parts[1] in ("0", "18"):
                return f"backbone.conv{1 if parts[1] == '0' else 2}.{('conv', 'bn')[int(parts[2])]}.{parts[3]}"
            new = f"backbone.{layers[parts[1]]}.conv.{inner[parts[3]]}.{parts[4]}"
            wrapped = shift and SHIFTED.match(f"features.{parts[1]}.conv.0.")
            return new.replace(".conv.0.", ".conv.0.net.", 1) if wrapped else new
        marked = wrap(name, key, r"\1.NET.") if shift else key
        marked = marked.replace(".downsample.0.", ".downsample.conv.").replace(".downsample.1.", ".downsample.bn.")
        marked = re.sub(r"(^|\.)(conv\d)\.", r"\1\2.conv.", marked)
        return "backbone." + re.sub(r"(^|\.)bn(\d)\.", r"\1conv\2.bn.", marked).replace("conv.NET.", "conv.net.")

    return rename


def torchvision(key):
    key = key.replace("classifier.", "classifier.1.")
    if key.startswith("features.1."):
        inner = {"0": "0.0", "1": "0.1", "3": "1", "4": "2"}
    else:
        inner = {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2", "7": "3"}
    return re.sub(r"(features\.\d+\.conv)\.(\d)\.", lambda found: f"{found[1]}.{inner[found[2]]}.", key)


def same(key):
    return key


def saved(tmp_path, state, name="weights.pth", wrapped=False):
    path = tmp_path / name
    torch.save({"epoch": 9, "arch": "resnet50", "state_dict": state, "best_prec1": 50.5} if wrapped else state, path)
    return path


def check(checkpoint, name, dialect, direction):
    expected = network(name).state_dict()
    assert list(checkpoint.state) == list(expected)
    assert all(torch.equal(checkpoint.state[key], expected[key]) for key in expected)
    assert (checkpoint.dialect, checkpoint.direction, checkpoint.head_loaded) == (dialect, direction, True)
    assert checkpoint.sha256 == checkpoints.weights_sha256(expected)


CASES = [
    *[(name, mit(name), "mit_offline", "bidirectional") for name in NAMES],
    ("mobilenetv2", mit("mobilenetv2", head="base_model.classifier"), "mit_offline", "bidirectional"),
    ("resnet50", mit("resnet50", head="base_model.fc", parallel=""), "mit_offline", "bidirectional"),
    ("resnet50", mit("resnet50", shift=False), "mit_offline", "none"),
    *[(name, mmaction2(name), "mmaction2", "bidirectional") for name in NAMES],
    ("resnet50", mmaction2("resnet50", shift=False), "mmaction2", "none"),
    *[(name, torchvision, "torchvision", "none") for name in NAMES[:2]],
    ("mobilenetv2", same, "mit_online", "causal"),
]


@pytest.mark.parametrize(("name", "rename", "dialect", "direction"), CASES)
def test_dialects(tmp_path, name, rename, dialect, direction):
    path = saved(tmp_path, renamed(name, rename), wrapped=dialect in ("mit_offline", "mmaction2"))
    checkpoint = checkpoints.load(path, ArchSpec(name, 1.0, 5))
    check(checkpoint, name, dialect, direction)
    if dialect == "mit_offline":
        assert checkpoint.metadata == {"epoch": 9, "arch": "resnet50", "best_prec1": 50.5}
    models.build(ArchSpec(name, 1.0, 5)).load_state_dict(checkpoint.state, strict=True)


@pytest.mark.parametrize(
    ("name", "rename", "key"),
    [
        ("resnet50", mit("resnet50"), "module.base_model.layer1.0.conv1.net.weight"),
        ("mobilenetv2", mit("mobilenetv2"), "module.base_model.features.3.conv.0.net.weight"),
        ("resnet101", mit("resnet101"), "module.base_model.layer3.21.conv1.weight"),
        ("resnet50", mmaction2("resnet50"), "backbone.layer1.0.conv1.conv.net.weight"),
        ("resnet50", mmaction2("resnet50"), "backbone.layer1.0.downsample.bn.running_mean"),
        ("mobilenetv2", mmaction2("mobilenetv2"), "backbone.layer2.1.conv.0.net.bn.weight"),
        ("mobilenetv2", torchvision, "features.1.conv.1.weight"),
    ],
)
def test_the_generated_names_are_the_published_ones(name, rename, key):
    """Spot checks of this file's own renaming, copied from real listings and configs."""
    assert key in renamed(name, rename)


def test_official_online_jester_names_and_shapes(tmp_path, data):
    with open(os.path.join(data, "..", "reference", "jester_online_keys_shapes.json")) as file:
        published = json.load(file)
    state = {name: torch.ones(shape) for name, (shape, _) in published.items()}
    path = saved(tmp_path, state, "mobilenetv2_jester_online.pth.tar")
    checkpoint = checkpoints.load(path, ArchSpec("mobilenetv2", 1.0, 27))
    assert len(published) == len(checkpoint.state) == 314
    assert (checkpoint.dialect, checkpoint.direction) == ("mit_online", "causal")


def test_old_files_without_counters_and_of_the_old_format(tmp_path):
    state = {k: t for k, t in renamed("resnet18", mit("resnet18")).items() if not k.endswith("num_batches_tracked")}
    path = tmp_path / "old.pth.tar"
    torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=False)
    checkpoint = checkpoints.load(path, ArchSpec("resnet18", 1.0, 5))
    assert checkpoint.state["bn1.num_batches_tracked"] == 0
    assert checkpoint.sha256 == checkpoints.weights_sha256(network("resnet18").state_dict())


def test_half_precision_is_widened(tmp_path):
    state = {key: t.bfloat16() if t.is_floating_point() else t for key, t in network("resnet18").state_dict().items()}
    checkpoint = checkpoints.load(saved(tmp_path, state), ArchSpec("resnet18", 1.0, 5))
    assert {t.dtype for k, t in checkpoint.state.items() if "tracked" not in k} == {torch.float32}


def test_a_real_torchvision_file(data):
    path = os.path.join(data, "weights", "mobilenetv2_labdog19_from_keras.pth")
    checkpoint = checkpoints.load(path, ArchSpec("mobilenetv2", 1.0, 19))
    assert (checkpoint.dialect, checkpoint.direction, checkpoint.head_loaded) == ("torchvision", "none", True)
    file = torch.load(path, weights_only=True)
    assert torch.equal(checkpoint.state["features.5.conv.3.weight"], file["features.5.conv.1.0.weight"])
    assert torch.equal(checkpoint.state["features.1.conv.4.running_var"], file["features.1.conv.2.running_var"])


def test_a_start_keeps_the_backbone_and_draws_a_new_classifier(data):
    path = os.path.join(data, "weights", "mobilenetv2_labdog19_from_keras.pth")
    arch = ArchSpec("mobilenetv2", 1.0, 27)
    with pytest.raises(InputError, match="19 classes"):
        checkpoints.load(path, arch)
    first, again, other = (checkpoints.load(path, arch, start=True, seed=seed) for seed in (1, 1, 2))
    assert not first.head_loaded
    assert first.state["classifier.weight"].shape == (27, 1280)
    assert 0 < first.state["classifier.weight"].std() < 0.01
    assert first.sha256 == again.sha256 != other.sha256
    whole = checkpoints.load(path, ArchSpec("mobilenetv2", 1.0, 19))
    for key in whole.state:
        assert key.startswith("classifier.") or torch.equal(whole.state[key], first.state[key])
    checkpoints.require_direction(first, "causal", path)  # it answers nothing yet


def test_the_imagenet_start_of_the_published_code_is_not_causal(tmp_path):
    """It has the very names of the online network, and 1000 classes."""
    path = saved(tmp_path, renamed("mobilenetv2", same, 1000))
    assert checkpoints.load(path, ArchSpec("mobilenetv2", 1.0, 1000)).direction == "none"
    assert not checkpoints.load(path, ArchSpec("mobilenetv2", 1.0, 5), start=True).head_loaded


@pytest.mark.parametrize(
    ("rename", "passes", "refused"),
    [
        (mit("mobilenetv2"), "bidirectional", {"causal": "next frame", "none": "other frames"}),
        (same, "causal", {"bidirectional": "previous frame", "none": "other frames"}),
        (torchvision, "none", {"causal": "never trained", "bidirectional": "never trained"}),
    ],
)
def test_direction(tmp_path, rename, passes, refused):
    path = saved(tmp_path, renamed("mobilenetv2", rename))
    checkpoint = checkpoints.load(path, ArchSpec("mobilenetv2", 1.0, 5))
    checkpoints.require_direction(checkpoint, passes, path)
    for wanted, reason in refused.items():
        with pytest.raises(InputError, match=reason) as caught:
            checkpoints.require_direction(checkpoint, wanted, path)
        assert str(path) in str(caught.value) and caught.value.do


def test_hash_depends_on_names_shapes_types_and_values():
    state = {"b": torch.ones(2, 3), "a": torch.zeros(4)}
    digest = checkpoints.weights_sha256(state)
    assert checkpoints.weights_sha256(dict(reversed(state.items()))) == digest
    assert checkpoints.weights_sha256({**state, "a.num_batches_tracked": torch.tensor(3)}) == digest
    strided = torch.ones(3, 2).t()
    assert checkpoints.weights_sha256({**state, "b": strided}) == digest
    for other in (torch.ones(3, 2), torch.ones(2, 3).half(), torch.full((2, 3), 1.0001)):
        assert checkpoints.weights_sha256({**state, "b": other}) != digest
    assert checkpoints.weights_sha256({"c": state["b"], "a": state["a"]}) != digest


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e50.pth", (8, "blockres", False, False)),
        ("TSM_kinetics_RGB_mobilenetv2_shift8_blockres_avg_segment8_e100_dense.pth", (8, "blockres", False, False)),
        ("TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e100_dense_nl.pth", (8, "blockres", False, True)),
        ("TSM_kinetics_RGB_resnet50_shift8_blockres_tpool_avg_segment8_e50.pth", (8, "blockres", True, False)),
        ("TSM_kinetics_RGB_resnet50_avg_segment5_e50.pth", (None, None, False, False)),
        ("TSM_something_RGB_resnet101_shift4_block_avg_segment16_e45.pth.tar", (4, "block", False, False)),
    ],
)
def test_hints(file, expected):
    from tsm_edge_export.checkpoints.dialects import hints_of

    assert hints_of("temporal-shift-module/" + file) == expected
    assert hints_of("temporal-shift-module_TSM_x/weights.pth") is None
