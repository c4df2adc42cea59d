"""What `make wheel` builds, for the tests that look into it and those that install it."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT
from tests.lock import locked


def build(folder):
    """Build, and copy what was built to a folder: {"sdist", "device", "host"} -> path."""
    with locked(os.path.join(ROOT, "build", "wheel-for-tests")):
        subprocess.run(["make", "wheel"], cwd=ROOT, check=True, capture_output=True)
        dist = Path(ROOT, "dist")
        found = {
            "sdist": next(dist.glob("*.tar.gz")),
            "device": next(dist.glob("device/*.whl")),
            "host": next(dist.glob("*.whl")),
        }
        return {kind: Path(shutil.copy(path, folder)) for kind, path in found.items()}
