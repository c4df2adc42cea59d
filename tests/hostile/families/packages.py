"""Packages that are not installed, for real: the command runs with a folder of packages that lacks them."""

import os
import sys
import sysconfig

from tests.conftest import ROOT
from tests.hostile.bases import BASES
from tests.hostile.case import kind

# Import name -> what its folder in site-packages begins with, where that differs.
PACKAGES = ("cv2", "onnxruntime", "onnx", "torch", "safetensors", "PIL", "jinja2", "matplotlib", "tqdm")
KEYS = tuple(key for key in BASES if key not in ("export-weights", "eval-segments", "run-mkv", "info-json", "demo"))


def site_without(case, names):
    """Make a folder with links to every installed package but `names`. Returns its path."""
    installed = sysconfig.get_paths()["purelib"]
    site = case.root / "site"
    site.mkdir()
    for entry in os.listdir(installed):
        if entry.split(".")[0] not in names and not entry.startswith(("__editable__", "_tsm_edge")):
            os.symlink(os.path.join(installed, entry), str(site / entry))
    return str(site)


@kind(share=5)
def missing(case):
    """Run a command where one or two packages are missing: it works without them, or says how to install them."""
    base = BASES[case.random.choice(KEYS)]
    case.take(*base.takes)
    names = case.random.sample(PACKAGES, case.random.choice((1, 1, 2)))
    if case.random.random() < 0.15:
        names = list(PACKAGES)
    site = site_without(case, names)
    path = os.pathsep.join((site, ROOT, os.path.join(ROOT, "export")))
    case.say("{} without {}".format(base.key, ", ".join(names)))

    def check(outcome):
        said = outcome.err.decode("utf-8", "replace")
        helped = outcome.code != 2 or "pip install" in said or "install" in said
        return [] if helped else [("no message", "no install hint: " + said[-100:])]

    program = [sys.executable, "-S", "-m", "tsm_edge", *base.line()]
    allowed = (*base.codes, 2, 0)
    case.run_program(*program, allowed=allowed, environment={"PYTHONPATH": path}, check=check)
    case.outputs += base.patterns()
