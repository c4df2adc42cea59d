"""The library of ONNX Runtime custom ops, built once per test session, and the device's Python 3.6."""

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
    """Build libtsm_edge_onnxruntime.so from the sources as they are now.

    Returns {"onnxruntime": path of the library, "headers": folder of the ONNX Runtime headers that the build found}.
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
    output = ""
    with locked(build):
        for command in (["cmake", KERNELS] + parts, ["cmake", "--build", "."]):
            done = subprocess.run(command, cwd=build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            assert done.returncode == 0, done.stdout
            output += done.stdout
    headers = re.search(r"headers of API version \d+ \((.+)\)", output).group(1)
    return {"onnxruntime": os.path.join(folder, "libtsm_edge_onnxruntime.so"), "headers": headers}


def python36():
    """Return the path of Python 3.6 with NumPy 1.19 and ONNX Runtime 1.10, as on a Nano. Skips the test without it."""
    path = os.environ.get("TSM_EDGE_PYTHON36") or os.path.join(ROOT, ".venv36", "bin", "python")
    if not os.path.exists(path):
        pytest.skip("no Python 3.6 at {} (set TSM_EDGE_PYTHON36)".format(path))
    return path
