"""`make wheel`: the wheel for a device (Python 3.6 and later) and the wheel for a host."""

import re
import subprocess
import sys
import zipfile

import pytest

from tests.conftest import ROOT
from tests.wheels import build

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the wheels carry Linux libraries")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    return build(tmp_path_factory.mktemp("dist"))


def contents(wheel):
    with zipfile.ZipFile(wheel) as file:
        return file.namelist()


def test_the_device_wheel_has_the_library_and_no_modern_syntax(wheels):
    names = contents(wheels["device"])
    assert not [name for name in names if name.startswith("tsm_edge_export/")]
    libraries = [name for name in names if name.endswith(".so")]
    assert libraries == ["tsm_edge/native/lib/libtsm_edge_onnxruntime.so"]


def test_the_host_wheel_has_both_halves_and_the_recipes(wheels):
    names = contents(wheels["host"])
    assert {"tsm_edge/cli.py", "tsm_edge/native/lib/libtsm_edge_onnxruntime.so"} <= set(names)
    assert {"tsm_edge_export/verify.py", "tsm_edge_export/recipes/mobilenetv2_tsm.toml"} <= set(names)
    tracked = subprocess.check_output(["git", "ls-files", "export/tsm_edge_export", "tsm_edge"], cwd=ROOT, text=True)
    cards = re.compile(r"export/tsm_edge_export/weights/.*(?<!\.safetensors)")  # model cards and their figures stay out
    assert {name.removeprefix("export/") for name in tracked.split() if not cards.fullmatch(name)} <= set(names)


def test_an_installed_wheel_runs_and_finds_its_library(wheels, tmp_path):
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*pip, str(wheels["host"])], check=True)
    code = "import tsm_edge, tsm_edge.native.library as k; print(tsm_edge.__file__); print(k.find('onnxruntime'))"
    run = subprocess.run(
        [sys.executable, "-S", "-c", "import sys; sys.path[:0] = sys.argv[1:]; " + code, str(target), *sys.path[1:]],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert [line.startswith(str(target)) for line in run.stdout.split()] == [True, True], run.stdout
