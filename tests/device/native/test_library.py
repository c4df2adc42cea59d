"""Where the native libraries are looked for, and what is refused there. Needs no built library."""

import hashlib
import os
import platform
import struct

import pytest

from tsm_edge.errors import InputError
from tsm_edge.native import library as kernel_library
from tsm_edge.native.kernels import Kernels

MACHINES = {"x86_64": 62, "aarch64": 183}


def make_library(folder, name, machine=None, data=None):
    """A file with the head of an ELF library of `machine`, by default of this one."""
    path = os.path.join(str(folder), "libtsm_edge_{}.so".format(name))
    header = b"\x7fELF" + bytes(14) + struct.pack("<H", MACHINES[machine or platform.machine()]) + bytes(40)
    with open(path, "wb") as file:
        file.write(header if data is None else data)
    return path


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """(the package's own folder, the one that TSM_EDGE_KERNELS names), both empty."""
    own, other = tmp_path / "lib", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    monkeypatch.setattr(kernel_library, "FOLDER", str(own))
    monkeypatch.setenv("TSM_EDGE_KERNELS", str(other))
    return own, other


def test_nothing_built_is_none(folders, monkeypatch):
    assert [kernel_library.find(name) for name in kernel_library.NAMES] == [None] * len(kernel_library.NAMES)
    monkeypatch.delenv("TSM_EDGE_KERNELS")
    monkeypatch.setattr(kernel_library, "FOLDER", str(folders[0] / "absent"))
    assert kernel_library.find("onnxruntime") is None


def test_the_named_folder_comes_first_and_the_package_s_own_next(folders, monkeypatch):
    own, other = (make_library(folder, "onnxruntime") for folder in folders)
    kernels = make_library(folders[0], "kernels")
    assert kernel_library.find("onnxruntime") == other
    assert kernel_library.find("kernels") == kernels
    for value in ("", None):
        if value is None:
            monkeypatch.delenv("TSM_EDGE_KERNELS")
        else:
            monkeypatch.setenv("TSM_EDGE_KERNELS", value)
        assert kernel_library.find("onnxruntime") == own


def test_a_folder_that_is_none_is_refused(folders, monkeypatch):
    monkeypatch.setenv("TSM_EDGE_KERNELS", str(folders[0] / "absent"))
    with pytest.raises(InputError, match="TSM_EDGE_KERNELS"):
        kernel_library.find("kernels")


def test_a_library_of_another_machine_is_refused_by_name(folders):
    foreign = next(machine for machine in MACHINES if machine != platform.machine())
    path = make_library(folders[1], "kernels", foreign)
    with pytest.raises(InputError) as caught:
        kernel_library.find("kernels")
    assert path in str(caught.value) and foreign in str(caught.value) and platform.machine() in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"#!/bin/sh\nexit 0\nand more than twenty bytes"])
def test_a_file_that_is_no_library_is_refused(folders, data):
    make_library(folders[1], "kernels", data=data)
    with pytest.raises(InputError, match="no shared library"):
        kernel_library.find("kernels")


def test_a_name_that_is_none_is_an_error(folders):
    with pytest.raises(ValueError, match="expected one of kernels, onnxruntime, cuda, tensorrt"):
        kernel_library.find("../kernels")


def test_the_binding_says_what_to_do_where_there_is_no_library(folders):
    with pytest.raises(InputError, match="make kernels"):
        Kernels()
    make_library(folders[0], "kernels")  # the head of one, and no more
    with pytest.raises(InputError, match="make kernels"):
        Kernels()


def test_sha256_is_that_of_the_file(folders):
    path = make_library(folders[0], "kernels", data=b"x" * (3 << 20))
    assert kernel_library.sha256(path) == hashlib.sha256(b"x" * (3 << 20)).hexdigest()


@pytest.mark.parametrize(
    "version, dtypes, provider, can",
    [
        ("1.10.0", ["float32"], "CPUExecutionProvider", True),
        ("1.10.0", ["float16"], "CPUExecutionProvider", False),
        ("1.10.0", ["float32"], "CUDAExecutionProvider", False),
        ("1.15.1", ["float32", "float16"], "CPUExecutionProvider", False),
        ("1.16.0", ["float32", "float16"], "CPUExecutionProvider", True),
        ("1.31.1", ["float16"], "CUDAExecutionProvider", True),
        ("1.31.1+cu13", ["float32"], "CPUExecutionProvider", True),
        ("2.0", ["float32"], "CPUExecutionProvider", True),
        ("1.31.1", ["int8"], "CPUExecutionProvider", False),
    ],
)
def test_which_runtimes_can_use_the_onnxruntime_library(version, dtypes, provider, can):
    assert kernel_library.onnxruntime_can(version, dtypes, provider) is can
