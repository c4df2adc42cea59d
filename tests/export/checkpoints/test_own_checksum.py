"""The checksum of our own safetensors files: one flipped bit is refused, or has no effect."""

import logging
import os
import stat

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from tests.device.damage import flipped
from tests.export.checkpoints.test_checkpoints import network
from tsm_edge.errors import InputError
from tsm_edge.manifest import ArchSpec
from tsm_edge_export import checkpoints, recipe
from tsm_edge_export.checkpoints import own
from tsm_edge_export.checkpoints.reading import DIGEST_KEY

ARCH = ArchSpec("resnet18", 1.0, 5)
LABELS = ("wave", "push", "pull", "stop", "no gesture")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The bytes of a saved network, a path to damage, and what the whole file holds."""
    path = tmp_path_factory.mktemp("own") / "own.safetensors"
    checkpoints.save(path, network("resnet18"), "causal", 8, LABELS, half=True)
    data = path.read_bytes()
    return data, path, checkpoints.load(path, ARCH), 8 + int.from_bytes(data[:8], "little")


def same(one, other):
    pairs = ((one.state[name], other.state[name]) for name in one.state)
    return one._replace(state={}) == other._replace(state={}) and all(torch.equal(a, b) for a, b in pairs)


def check(saved, bit):
    data, path, whole, _ = saved
    path.write_bytes(flipped(data, bit))
    try:
        got = checkpoints.load(path, ARCH)
    except InputError as error:
        assert error.do
        return True
    assert same(got, whole)
    return False


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True))
def test_a_flipped_bit_anywhere(saved, place):
    check(saved, int(place * 8 * len(saved[0])))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True))
def test_a_flipped_bit_in_the_header(saved, place):
    """Where it says for what the network was trained, and which bytes are which tensor."""
    check(saved, int(place * 8 * saved[3]))


def test_the_flips_that_a_load_does_not_notice_are_of_two_kinds(saved):
    """The name of the checksum (the file then passes as one of an older release), and counters that nothing reads."""
    data = saved[0]
    name = data.index(DIGEST_KEY.encode())
    assert not check(saved, 8 * name + 1)
    with safe_open(saved[1], "pt") as file:
        assert any(key.endswith("num_batches_tracked") for key in file.keys())  # noqa: SIM118 (the file is no dict)
    for key in ("direction", "labels", "format", "fold_div"):
        start = data.index(f'"{key}":"'.encode()) + len(key) + 4
        assert all(check(saved, 8 * start + bit) for bit in range(7))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_missing_end_is_refused(saved, share):
    data, path, *_ = saved
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError):
        checkpoints.load(path, ARCH)


def test_a_file_of_an_older_release_is_taken_with_a_warning(saved, tmp_path, caplog):
    data, path, whole, _ = saved
    path.write_bytes(data)
    with safe_open(path, "pt") as file:
        metadata = {key: value for key, value in file.metadata().items() if key != DIGEST_KEY}
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (the file is no dict)
    save_file(state, tmp_path / "old.safetensors", metadata)
    with caplog.at_level(logging.WARNING):
        assert same(
            checkpoints.load(tmp_path / "old.safetensors", ARCH)._replace(metadata={}), whole._replace(metadata={})
        )
    assert caplog.text.count("no checksum") == 1


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_saved_file_follows_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        checkpoints.save(tmp_path / "own.safetensors", network("resnet18"), "causal", 8, LABELS)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "own.safetensors").st_mode) == 0o666 & ~umask


def test_the_shipped_weights_have_a_checksum(caplog):
    found = 0
    for name in recipe.names():
        spec = recipe.load(name)
        if spec.weights.file is not None:
            with safe_open(spec.weights.file, "pt") as file:
                assert file.metadata()["format"] == own.FORMAT and len(file.metadata()[DIGEST_KEY]) == 64
            checkpoints.load(spec.weights.file, spec.arch)
            found += 1
    assert found and "no checksum" not in caplog.text
