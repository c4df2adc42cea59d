"""Both plugin generations in the real plugin registry of tensorrt-dispatch, which needs no GPU.

`make kernels-check` downloads it and sets TSM_EDGE_KERNELS_CHECK; without it these tests are skipped. The checks are in
kernels/tests/tensorrt_driver.cpp: finding the creators, attributes, shapes, formats, types, serialising, cloning, and
enqueue with the kernels compiled for the CPU (cuda_shim) under ASan and UBSan.
"""

import os
import shutil
import subprocess

import pytest

from tests.kernels.cuda_driver import FLAGS, KERNELS

CHECK = os.environ.get("TSM_EDGE_KERNELS_CHECK")
pytestmark = pytest.mark.skipif(not CHECK, reason="needs what `make kernels-check` fetches")


def compile_with_shim(program, sources, kernels=KERNELS, flags=()):
    headers = os.path.join(CHECK, "wheels", "kernel_lens", "include", "tensorrt")
    paths = [os.path.join(kernels, source) for source in sources]
    include = ["-isystem", headers, "-I" + os.path.join(kernels, "tests", "cuda_shim")]
    subprocess.run(["g++", *FLAGS, *flags, *include, "-x", "c++", *paths, "-o", str(program), "-ldl"], check=True)
    return str(program)


def compile_plugin(folder, generation, kernels=KERNELS):
    sources = ["tensorrt/plugin_{}.cpp".format(generation.lower()), "cuda/temporal_shift.cu"]
    flags = ["-fPIC", "-shared", "-fvisibility=hidden"]
    return compile_with_shim(folder / "lib{}.so".format(generation), sources, kernels, flags)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorrt")
    return compile_with_shim(folder / "driver", ["tests/tensorrt_driver.cpp"])


def run(driver, generation, library, how):
    dispatch = os.path.join(CHECK, "wheels", "tensorrt_dispatch_libs", "libnvinfer_dispatch.so.10")
    command = [driver, generation, library, dispatch, how]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)


@pytest.mark.parametrize("generation", ["V2", "V3"])
def test_plugin_passes_all_checks(driver, tmp_path, generation):
    result = run(driver, generation, compile_plugin(tmp_path, generation), "shim")
    assert result.returncode == 0 and "checks" in result.stdout, result.stdout


@pytest.mark.parametrize("generation", ["V2", "V3"])
def test_library_built_by_nvcc_passes_all_checks_but_enqueue(driver, generation):
    library = os.path.join(CHECK, "cuda11-" + generation.lower(), "lib", "libtsm_edge_tensorrt.so")
    result = run(driver, generation, library, "cuda")
    assert result.returncode == 0 and "checks" in result.stdout, result.stdout


# Faults planted in a copy of the sources, and the check that must report each. They prove that the driver can fail.
PLANTED = {
    "type": ("at.type == first.type &&", "", "two types"),
    "attribute": ("if (!seen[i])", "if (false)", "missing"),
    "format": ("Storage{2, Layout::kCHW2}", "Storage{2, Layout::kLinear}", "layout"),
    "shape": ("return inputs[index];", "return inputs[index * 0];", "next"),
}


@pytest.mark.parametrize("fault", sorted(PLANTED))
def test_planted_faults_are_caught(driver, tmp_path, fault):
    old, new, notice = PLANTED[fault]
    kernels = str(tmp_path / "kernels")
    shutil.copytree(KERNELS, kernels)
    path = os.path.join(kernels, "tensorrt", "plugin_common.h")
    with open(path) as file:
        text = file.read()
    assert old in text
    with open(path, "w") as file:
        file.write(text.replace(old, new))
    result = run(driver, "V3", compile_plugin(tmp_path, "V3", kernels), "shim")
    assert result.returncode != 0 and notice in result.stdout, result.stdout
