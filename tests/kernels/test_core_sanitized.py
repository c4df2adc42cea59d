"""The CPU kernels under ASan and UBSan (kernels/tests/core_driver.cpp), and a planted fault that ASan must report."""

import os
import subprocess

import pytest

from tests.kernels.native import KERNELS

FLAGS = ["-std=c++14", "-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"]
FLAGS += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def run_driver(folder, seed, *defines):
    program = os.path.join(str(folder), "core_driver")
    source = os.path.join(KERNELS, "tests", "core_driver.cpp")
    subprocess.run(["g++", *FLAGS, *defines, source, "-o", program], check=True)
    return subprocess.run([program, str(seed), "1500"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_shapes_are_right_and_in_bounds(tmp_path, seed):
    done = run_driver(tmp_path, seed)
    assert done.returncode == 0, done.stdout


def test_a_planted_off_by_one_is_caught(tmp_path):
    done = run_driver(tmp_path, 1, "-DTSM_EDGE_PLANT_OFF_BY_ONE")
    assert done.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in done.stdout
    assert "tsm_edge::cpu::" in done.stdout  # in the kernel, not in the driver
