"""Tensors that are no plain weights, and headers of safetensors that contradict their file: refused by name."""

import json
import logging
import os
import struct
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.export.checkpoints.test_checkpoints import network, saved
from tests.export.checkpoints.test_refused import ARCH, refused
from tsm_edge.errors import InputError
from tsm_edge_export import checkpoints
from tsm_edge_export.checkpoints import checks

STATE = {name: tensor.detach().clone() for name, tensor in network("resnet18").state_dict().items()}
WEIGHTS = sorted(name for name in STATE if not name.endswith(checks.TRACKED))
SMALL = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
ODD_DTYPES = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64]
ODD_DTYPES += [torch.complex128, torch.float8_e4m3fn, torch.float8_e5m2]


@settings(max_examples=25, **SMALL)
@given(st.sampled_from(WEIGHTS), st.sampled_from(ODD_DTYPES), st.booleans())
def test_a_dtype_that_holds_no_weights(tmp_path, name, dtype, as_safetensors):
    state = {**STATE, name: STATE[name].to(dtype)}
    path = tmp_path / "w.safetensors"
    if as_safetensors and dtype != torch.complex128:  # which the format does not have
        save_file(state, path)
    else:
        path = saved(tmp_path, state)
    message = refused(path, str(dtype).removeprefix("torch."))
    assert f"{path}: {name}\n" in message and "float32" in message


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@settings(max_examples=20, **SMALL)
@given(st.sampled_from(WEIGHTS), st.sampled_from(["sparse", "csr", "meta", "quantised", "nested", "empty", "expanded"]))
def test_a_tensor_of_another_kind(tmp_path, name, kind):
    tensor = STATE[name]
    odd, said = {
        "sparse": lambda: (tensor.to_sparse(), "sparse_coo"),
        "csr": lambda: (tensor.reshape(len(tensor), -1).to_sparse_csr(), "sparse_csr"),
        "meta": lambda: (tensor.to("meta"), "meta"),
        "quantised": lambda: (torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "quantised"),
        "nested": lambda: (torch.nested.nested_tensor([tensor, tensor], layout=torch.jagged), "nested|could run code"),
        "empty": lambda: (tensor[:0], "without elements"),
        "expanded": lambda: (tensor.flatten()[:1].expand(tensor.shape), "elements in the memory of 1"),
    }[kind]()
    message = refused(saved(tmp_path, {**STATE, name: odd}), said)
    assert name in message or kind == "nested"


@settings(max_examples=15, **SMALL)
@given(st.lists(st.sampled_from(WEIGHTS), min_size=2, max_size=2, unique=True), st.integers(0, 3))
def test_tensors_that_share_memory(tmp_path, names, offset):
    first, second = names
    size = STATE[first].numel() + STATE[second].numel()
    flat = torch.zeros(size)
    at = min(offset, STATE[first].numel() - 1)
    state = dict(STATE)
    state[first] = flat[: STATE[first].numel()].view(STATE[first].shape)
    state[second] = flat[at : at + STATE[second].numel()].view(STATE[second].shape)
    message = refused(saved(tmp_path, state), "the memory of")
    assert first in message and second in message


def test_views_of_one_block_that_do_not_overlap_are_weights(tmp_path):
    flat, at, state = torch.zeros(sum(t.numel() for t in STATE.values())), 0, dict(STATE)
    for name in WEIGHTS:
        part = flat[at : at + STATE[name].numel()].view(STATE[name].shape)
        state[name], at = part.copy_(STATE[name]), at + part.numel()
    loaded = checkpoints.load(saved(tmp_path, state), ARCH).state
    assert all(torch.equal(loaded[name], STATE[name]) for name in WEIGHTS)


@pytest.mark.parametrize("dtype", checks.CONVERTED)
def test_other_floating_point_weights_are_converted_and_it_is_said(tmp_path, caplog, dtype):
    state = {name: tensor.to(dtype) if name in WEIGHTS else tensor for name, tensor in STATE.items()}
    with caplog.at_level(logging.WARNING):
        loaded = checkpoints.load(saved(tmp_path, state), ARCH).state
    assert all(torch.equal(loaded[name], state[name].float()) for name in WEIGHTS)
    (line,) = caplog.messages
    assert f"{len(WEIGHTS)} tensors of {str(dtype)[6:]} are converted" in line
    assert ("rounding" in line) == (dtype == torch.float64)


def test_our_own_half_files_are_no_news(tmp_path, caplog):
    checkpoints.save(tmp_path / "own.safetensors", network("resnet18"), "causal", 8, "abcde", half=True)
    checkpoints.load(tmp_path / "own.safetensors", ARCH)
    assert caplog.messages == []


@settings(max_examples=15, **SMALL)
@given(st.sampled_from(WEIGHTS), st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e300, -1e39]))
def test_values_that_are_not_finite_in_float32(tmp_path, name, value):
    tensor = STATE[name].double() if abs(value) < float("inf") else STATE[name].clone()
    tensor.view(-1)[-1] = value
    assert name in refused(saved(tmp_path, {**STATE, name: tensor}), "NaN or infinity")


# ---------------------------------------------------------------- headers of safetensors


def container(header, data, text=None):
    """A safetensors file of a header (a dict, or its text) and data."""
    text = (json.dumps(header) if text is None else text).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(begin, end, shape=None, dtype="F32"):
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


GOOD = {"a": entry(0, 8), "b": entry(8, 24)}
DAMAGES = {
    "overlapping": ({**GOOD, "b": entry(4, 20)}, "b\n"),
    "a hole": ({**GOOD, "b": entry(12, 24)}, "b\n"),
    "beyond the end": ({**GOOD, "b": entry(8, 28)}, "b\n"),
    "one inside another": ({**GOOD, "c": entry(8, 16)}, "c"),
    "less than the file": ({"a": entry(0, 8)}, "24 bytes of tensors"),
    "backwards": ({**GOOD, "b": entry(24, 8)}, "b\n"),
    "negative": ({**GOOD, "b": {"dtype": "F32", "shape": [-4], "data_offsets": [8, 24]}}, "b\n"),
    "a shape of another size": ({**GOOD, "b": entry(8, 24, [5])}, "b\n"),
    "a shape of fractions": ({**GOOD, "b": entry(8, 24, [4.0])}, "b\n"),
    "a shape of truths": ({**GOOD, "b": {"dtype": "F32", "shape": [True], "data_offsets": [8, 12]}}, "b\n"),
    "a shape beyond 64 bits": ({**GOOD, "b": entry(8, 24, [2**40, 2**40])}, "b\n"),
    "an unknown dtype": ({**GOOD, "b": entry(8, 24, dtype="F31")}, "F31"),
    "a dtype that is none": ({**GOOD, "b": entry(8, 24, dtype=["F32"])}, "b\n"),
    "no offsets": ({**GOOD, "b": {"dtype": "F32", "shape": [4]}}, "b\n"),
    "an entry that is none": ({**GOOD, "b": 3}, "b\n"),
    "a list": ([1, 2], "a list"),
}


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_a_header_that_does_not_describe_its_file(tmp_path, damage):
    header, said = DAMAGES[damage]
    path = tmp_path / "w.safetensors"
    path.write_bytes(container(header, bytes(24)))
    assert said in refused(path, "a damaged safetensors file")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD)[:-1] + ', "a": ' + json.dumps(entry(0, 8)) + "}",
        json.dumps(GOOD).replace('"shape": [4]', '"shape": [4], "shape": [4]'),
        json.dumps(GOOD)[:-1] + ', "__metadata__": {"format": "pt", "format": "tsm_edge"}}',
    ],
)
def test_a_key_twice(tmp_path, text):
    path = tmp_path / "w.safetensors"
    path.write_bytes(container(None, bytes(24), text))
    assert "twice" in refused(path, "a damaged safetensors file")


@settings(max_examples=60, **SMALL)
@given(st.data())
def test_any_change_of_a_header_is_refused_or_harmless(tmp_path, data):
    """Whatever number, name or character of the header changes: no traceback, and no tensor that was not saved."""
    good = json.dumps(GOOD)
    at = data.draw(st.integers(0, len(good) - 1))
    typed, cut = data.draw(st.text(st.characters(max_codepoint=0x17F), max_size=6)), data.draw(st.integers(0, 3))
    text = good[:at] + typed + good[at + cut :]
    path = tmp_path / "w.safetensors"
    path.write_bytes(container(None, bytes(24), text))
    try:
        checks.check_header(path)
    except InputError as error:
        assert error.got and error.expected and error.do
    else:
        entries = [one for name, one in json.loads(text).items() if name != "__metadata__"]
        assert {tuple(one["data_offsets"]) for one in entries} == {(0, 8), (8, 24)}


@pytest.mark.parametrize("length", [0, 1, 2**20, 2**27, 2**62, 2**64 - 1])
def test_a_length_of_another_header(tmp_path, length):
    path = tmp_path / "w.safetensors"
    path.write_bytes(struct.pack("<Q", length) + container(GOOD, bytes(24))[8:])
    refused(path, "a damaged safetensors file")


# ---------------------------------------------------------------- files


def test_no_file_that_ends(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    refused(tmp_path / "pipe.pth", "a named pipe")
    (tmp_path / "device.pth").symlink_to("/dev/zero")
    refused(tmp_path / "device.pth", "a device")
    (tmp_path / "huge.pth").touch()
    os.truncate(tmp_path / "huge.pth", 1 << 40)
    refused(tmp_path / "huge.pth", "1099.5 GB")
    with pytest.raises(InputError, match="null byte"):
        checkpoints.load("w\0.pth", ARCH)


def test_a_zip_file_that_unpacks_to_more_than_it_is(tmp_path):
    path = saved(tmp_path, STATE)
    bomb = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for item in whole.infolist():
            content = whole.read(item)
            packed.writestr(item.filename, content if len(content) < 10000 else bytes(len(content)))
    refused(bomb, "unpacks to")
