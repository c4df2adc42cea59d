"""Builds the native CPU libraries once a test session, and finds the device's Python for tests that cross over."""

import functools
import os
import re
import subprocess

import pytest

from tests.lock import locked

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KERNELS = os.path.join(ROOT, "kernels")


@functools.lru_cache(maxsize=None)
def libraries():
    """{"kernels": path, "onnxruntime": path} of libraries built from the sources as they are now.

    "headers": the folder of the ONNX Runtime headers that the build found.
    """
    build = os.path.join(ROOT, "build", "kernels-test")
    folder = os.path.join(build, "lib")
    parts = [
        "-DONNXRUNTIME=ON",
        "-DCUDA=OFF",
        "-DTENSORRT=OFF",
        "-DTSM_EDGE_PORTABLE=ON",
        "-DTSM_EDGE_OUTPUT_DIR=" + folder,
    ]
    said = ""
    with locked(build):
        for command in (["cmake", KERNELS] + parts, ["cmake", "--build", "."]):
            done = subprocess.run(command, cwd=build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            assert done.returncode == 0, done.stdout
            said += done.stdout
    paths = {name: os.path.join(folder, "libtsm_edge_{}.so".format(name)) for name in ("kernels", "onnxruntime")}
    return dict(paths, headers=re.search(r"headers of API version \d+ \((.+)\)", said).group(1))


def python36():
    """The device floor: Python 3.6 with NumPy 1.19 and ONNX Runtime 1.10. Skips where it is absent."""
    path = os.environ.get("TSM_EDGE_PYTHON36") or os.path.join(ROOT, ".venv36", "bin", "python")
    if not os.path.exists(path):
        pytest.skip("no Python 3.6 at {} (set TSM_EDGE_PYTHON36)".format(path))
    return path
