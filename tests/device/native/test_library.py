"""`tsm_edge.native.library`: the folders it searches and the files it refuses. Needs no built library."""

import os
import platform
import struct

import pytest

from tsm_edge.errors import InputError
from tsm_edge.native import library as kernel_library

MACHINES = {"x86_64": 62, "aarch64": 183}


def make_library(folder, name, machine=None, data=None):
    """Write a file with the header of an ELF library of `machine`, by default this one. Returns its path."""
    path = os.path.join(str(folder), "libtsm_edge_{}.so".format(name))
    header = b"\x7fELF" + bytes(14) + struct.pack("<H", MACHINES[machine or platform.machine()]) + bytes(40)
    with open(path, "wb") as file:
        file.write(header if data is None else data)
    return path


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Return (the folder in the package, the folder that TSM_EDGE_KERNELS names), both empty."""
    own, other = tmp_path / "lib", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    monkeypatch.setattr(kernel_library, "PACKAGE_FOLDER", str(own))
    monkeypatch.setenv("TSM_EDGE_KERNELS", str(other))
    return own, other


def test_nothing_built_is_none(folders, monkeypatch):
    assert [kernel_library.find(name) for name in kernel_library.LIBRARIES] == [None, None, None]
    monkeypatch.delenv("TSM_EDGE_KERNELS")
    monkeypatch.setattr(kernel_library, "PACKAGE_FOLDER", str(folders[0] / "absent"))
    assert kernel_library.find("onnxruntime") is None


def test_the_named_folder_comes_before_the_folder_in_the_package(folders, monkeypatch):
    own, other = (make_library(folder, "onnxruntime") for folder in folders)
    cuda = make_library(folders[0], "cuda")
    assert kernel_library.find("onnxruntime") == other
    assert kernel_library.find("cuda") == cuda
    for value in ("", None):
        if value is None:
            monkeypatch.delenv("TSM_EDGE_KERNELS")
        else:
            monkeypatch.setenv("TSM_EDGE_KERNELS", value)
        assert kernel_library.find("onnxruntime") == own


def test_a_missing_folder_is_refused(folders, monkeypatch):
    monkeypatch.setenv("TSM_EDGE_KERNELS", str(folders[0] / "absent"))
    with pytest.raises(InputError, match="TSM_EDGE_KERNELS"):
        kernel_library.find("cuda")


def test_a_library_of_another_machine_is_refused_by_name(folders):
    foreign = next(machine for machine in MACHINES if machine != platform.machine())
    path = make_library(folders[1], "cuda", foreign)
    with pytest.raises(InputError) as caught:
        kernel_library.find("cuda")
    assert path in str(caught.value) and foreign in str(caught.value) and platform.machine() in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"#!/bin/sh\nexit 0\nand more than twenty bytes"])
def test_a_file_that_is_no_library_is_refused(folders, data):
    make_library(folders[1], "cuda", data=data)
    with pytest.raises(InputError, match="no shared library"):
        kernel_library.find("cuda")


def test_an_unknown_name_is_an_error(folders):
    with pytest.raises(ValueError, match="expected one of onnxruntime, cuda, tensorrt"):
        kernel_library.find("../cuda")


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
