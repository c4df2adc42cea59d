"""Files that must not load, and why. And our own files, whole or not there."""

import os
import pickle

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.export.checkpoints.test_checkpoints import mit, mmaction2, network, renamed, same, saved, torchvision
from tsm_edge.errors import InputError
from tsm_edge.manifest import ArchSpec
from tsm_edge_export import checkpoints, models

ARCH = ArchSpec("resnet18", 1.0, 5)


def refused(path, match, arch=ARCH, **options):
    with pytest.raises(InputError, match=match) as caught:
        checkpoints.load(path, arch, **options)
    assert str(path) in str(caught.value)
    assert caught.value.do
    return str(caught.value)


@pytest.mark.parametrize("old", [False, True])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, old):
    class Touches:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "weights.pth"
    state = network("resnet18").state_dict()
    torch.save({"state_dict": state, "x": Touches()}, path, _use_new_zipfile_serialization=not old)
    refused(path, r"mkdir, which could run code")
    assert not (tmp_path / "ran").exists()
    path.write_bytes(pickle.dumps(Touches()))
    refused(path, "no checkpoint")
    assert not (tmp_path / "ran").exists()


def test_a_whole_module_is_refused(tmp_path):
    path = tmp_path / "module.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    refused(path, "torch.nn.modules.linear.Linear")


@pytest.mark.parametrize("suffix", [".pth", ".pth.tar", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "0 bytes"),
        (b"<html>404</html>", "damaged"),
        (b"\xff\xd8\xff\xe0" + bytes(range(256)), "damaged"),
        (b"PK\x03\x04 and no more", "damaged"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{no JSON at all}", "damaged safetensors"),
    ],
)
def test_no_checkpoint_at_all(tmp_path, suffix, content, match):
    path = tmp_path / ("weights" + suffix)
    path.write_bytes(content)
    refused(path, match)


@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
def test_truncated_anywhere(tmp_path, kind):
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        checkpoints.save(path, network("resnet18"), "causal", 8, "abcde")
    else:
        torch.save(network("resnet18").state_dict(), path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    for part in (1, 9, 60, 2000, len(whole) // 2, len(whole) - 100, len(whole) - 1):
        path.write_bytes(whole[:part])
        refused(path, "damaged")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_words(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    refused(path, "damaged|bytes|no checkpoint|a checkpoint")


def test_no_file_and_folder(tmp_path):
    refused(tmp_path / "nothing.pth", "No such file")
    refused(tmp_path, "directory")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ([1, 2], "a list"),
        ({"a": 1}, "'a' is no tensor"),
        ({"state_dict": {}}, "no tensors"),
        ({}, "no tensors"),
        ({"some.weight": torch.zeros(2)}, "some.weight"),
        ({"state_dict": {"a": torch.zeros(1), 3: torch.zeros(1)}}, "3 is no tensor"),
    ],
)
def test_other_content(tmp_path, data, match):
    refused(saved(tmp_path, data), match)


@pytest.mark.parametrize("name_of", [same, mit("resnet18"), mmaction2("resnet18")])
def test_every_tensor_is_accounted_for(tmp_path, name_of):
    state = renamed("resnet18", name_of)
    lost, grown = name_of("layer2.0.conv2.weight"), name_of("layer3.1.bn1.bias")
    del state[lost]
    state[grown] = torch.zeros(3)
    prefix = name_of("layer1.0.bn1.weight").removesuffix("weight")
    state[prefix + "extra"] = torch.zeros(1)
    message = refused(saved(tmp_path, state), "1 missing")
    for part in (lost.removeprefix("module."), "1 unexpected", "extra", "1 of another shape", "(3,), not (256,)"):
        assert part in message


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([k for k in network("resnet18").state_dict() if "tracked" not in k]), st.booleans())
@example(name="layer1.0.conv1.weight", lose=True)  # the dialect was once known by this name alone
def test_any_lost_or_foreign_tensor_is_noticed(tmp_path, name, lose):
    state = dict(network("resnet18").state_dict())
    tensor = state.pop(name)
    if not lose:
        state[name] = torch.cat([tensor, tensor[:1]])
    refused(saved(tmp_path, state), name if lose or not name.startswith("fc.weight") else "6 classes")


@pytest.mark.parametrize(
    ("made", "asked", "match"),
    [
        (("resnet50", mit("resnet50")), "resnet18", "weights of resnet50"),
        (("resnet50", mmaction2("resnet50")), "resnet101", "weights of resnet50"),
        (("resnet18", torchvision), "mobilenetv2", "weights of resnet18"),
        (("resnet34", mit("resnet34")), "resnet50", "weights of resnet34"),
        (("mobilenetv2", mmaction2("mobilenetv2")), "resnet50", "weights of mobilenetv2"),
        (("mobilenetv2", same), "resnet50", "weights of mobilenetv2"),
    ],
)
def test_another_architecture(tmp_path, made, asked, match):
    refused(saved(tmp_path, renamed(*made)), match, ArchSpec(asked, 1.0, 5))


def test_another_width_and_class_count(tmp_path):
    path = saved(tmp_path, renamed("mobilenetv2", same))
    refused(path, "of another shape", ArchSpec("mobilenetv2", 1.4, 5))
    refused(path, "a classifier of 5 classes", ArchSpec("mobilenetv2", 1.0, 6))


def test_not_finite(tmp_path):
    state = {key: tensor.clone() for key, tensor in network("resnet18").state_dict().items()}
    state["layer1.0.bn1.running_var"][3] = float("nan")
    refused(saved(tmp_path, state), "NaN or infinity in 1 tensors .layer1.0.bn1.running_var")


def test_unsupported_variants_by_their_keys(tmp_path):
    arch = ArchSpec("resnet50", 1.0, 5)
    state = renamed("resnet50", mit("resnet50"))
    for rename, match in (
        (lambda key: key.replace("layer2.0.", "layer2.0.block."), "non-local"),
        (lambda key: key.replace("conv1.net.", "conv1.").replace("layer1.0.", "layer1.0.net."), "block"),
        (lambda key: key.replace("layer2.", "layer2.net."), "temporal pooling"),
    ):
        changed = {rename(key): tensor for key, tensor in state.items()}
        if match == "non-local":
            changed["module.base_model.layer2.0.nl.theta.weight"] = torch.zeros(1)
        refused(saved(tmp_path, changed), match, arch)
    refused(saved(tmp_path, {**state, "module.base_model.bn1.num": torch.zeros(1)}), "1 unexpected", arch)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("TSM_kinetics_RGB_resnet18_shift8_blockres_avg_segment8_e100_dense_nl.pth", "non-local"),
        ("TSM_kinetics_RGB_resnet18_shift8_block_avg_segment8_e50.pth", 'placement "block"'),
        ("TSM_kinetics_RGB_resnet18_shift8_blockres_tpool_avg_segment8_e50.pth", "temporal pooling"),
    ],
)
def test_unsupported_variants_by_their_file_name(tmp_path, name, match):
    refused(saved(tmp_path, renamed("resnet18", mit("resnet18")), name), match)


def test_another_fold_div(tmp_path):
    name = "TSM_kinetics_RGB_resnet18_shift4_blockres_avg_segment8_e50.pth"
    path = saved(tmp_path, renamed("resnet18", mit("resnet18")), name)
    assert checkpoints.load(path, ARCH, fold_div=4).hints.fold_div == 4
    refused(path, "fold_div 4", fold_div=8)
    own = tmp_path / "own.safetensors"
    checkpoints.save(own, network("resnet18"), "causal", 8, "abcde")
    refused(own, "fold_div 8", fold_div=4)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("direction", ["causal", "bidirectional", "none"])
def test_our_own_files(tmp_path, half, direction):
    path = tmp_path / "own.safetensors"
    labels = ["a", "b", "ç", "d e", '"']
    checkpoints.save(path, network("resnet18"), direction, 8, labels, half=half)
    assert os.listdir(tmp_path) == ["own.safetensors"]
    checkpoint = checkpoints.load(path, ARCH, fold_div=8)
    assert (checkpoint.dialect, checkpoint.direction, checkpoint.head_loaded) == ("safetensors", direction, True)
    expected = {"arch": ARCH, "direction": direction, "fold_div": 8, "n_segment": 8, "labels": tuple(labels)}
    assert checkpoint.metadata == expected
    for key, tensor in network("resnet18").state_dict().items():
        stored = tensor.half().float() if half and tensor.ndim > 1 else tensor
        assert torch.equal(checkpoint.state[key], stored)
    assert not half or path.stat().st_size < 0.6 * 4 * sum(t.numel() for t in checkpoint.state.values())
    if direction != "causal":
        with pytest.raises(InputError, match="answers would be wrong"):
            checkpoints.require_direction(checkpoint, "causal", path)


def test_saving_refuses_and_leaves_nothing(tmp_path):
    net = network("resnet18")
    path = tmp_path / "own.safetensors"
    for arguments in ((net, "online", 8, "abcde"), (net, "causal", 8, "abcd"), (net, "causal", 0, "abcde")):
        with pytest.raises(ValueError, match="save: got"):
            checkpoints.save(path, *arguments)
    with pytest.raises(ValueError, match="fused=True"):
        checkpoints.save(path, models.fuse(net), "causal", 8, "abcde")
    with pytest.raises(InputError, match="can be written"):
        checkpoints.save(tmp_path / "no" / "own.safetensors", net, "causal", 8, "abcde")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"width": "wide"}, "wide"),
        ({"labels": "["}, "metadata"),
        ({"labels": "[]"}, "0 labels"),
        ({"direction": "online"}, "online"),
        ({"n_segment": None}, "n_segment"),
    ],
)
def test_damaged_metadata(tmp_path, change, match):
    good = {"format": "tsm_edge", "arch": "resnet18", "width": "1.0", "num_classes": "5", "direction": "causal"}
    good |= {"fold_div": "8", "n_segment": "8", "labels": '["a", "b", "c", "d", "e"]'}
    metadata = {key: value for key, value in {**good, **change}.items() if value is not None}
    path = tmp_path / "own.safetensors"
    save_file(network("resnet18").state_dict(), path, metadata)
    refused(path, match)


def test_foreign_safetensors_go_by_their_keys(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(network("resnet18").state_dict(), path)
    assert checkpoints.load(path, ARCH).dialect == "torchvision"
    np.testing.assert_array_equal(
        checkpoints.load(path, ARCH).state["fc.bias"].numpy(), network("resnet18").state_dict()["fc.bias"].numpy()
    )
