"""The sdist and the wheels, installed as docs/install.md says, in empty environments of every Python here.

pip downloads the packages of the extras, so these tests need a package index.
"""

import glob
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.device.media import write_video
from tests.wheels import build

VERSIONS = ("3.6", "3.8", "3.11", "3.13")


def pythons():
    """{version: path} of the interpreters of VERSIONS that this machine has, and of the one that runs this test."""
    here = Path(sysconfig.get_config_var("BINDIR"), f"python{sys.version_info[0]}.{sys.version_info[1]}")
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": str(here)}
    for version in VERSIONS:
        places = sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python")))
        places += [f"{folder}/python{version}" for folder in ("/usr/local/bin", "/usr/bin")]
        for place in places:
            if os.path.exists(place):
                found.setdefault(version, place)
    return found


# `make test` tries the oldest Python alone, to stay short; `make install-check` tries all, and the export half.
SHORT = bool(os.environ.get("TSM_EDGE_SHORT_INSTALL"))
PYTHONS = dict(sorted(pythons().items(), key=lambda item: int(item[0][2:]))[: 1 if SHORT else None])


def run(*command, **options):
    """Run a program; what it printed is the message of a failure. Returns its standard output and error."""
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, **options)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """{"sdist", "device", "host"} -> path, of `make wheel`."""
    return build(tmp_path_factory.mktemp("dist"))


def environment(folder, python):
    """Make an empty environment. Returns its folder of programs."""
    run(python, "-m", "venv", folder)
    if run(python, "--version").startswith("Python 3.6."):  # as docs/install.md says: its pip 18 knows no new wheels
        run(folder / "bin/python", "-m", "pip", "install", "-q", "-U", "pip<22")
    return folder / "bin"


def check_commands(programs, folder, models):
    """Run the commands that a user runs first."""
    command = programs / "tsm-edge"
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    assert run(command, "--version", cwd=folder, env=clean).startswith("tsm-edge ")
    doctor = run(command, "doctor", cwd=folder, env=clean)
    assert any(line.split() == ["run", "on", "CPU", "ready"] for line in doctor.splitlines()), doctor
    model, video = os.path.join(models, "tiny_custom.onnx"), write_video(folder / "clip.avi", 6)
    told = run(command, "run", "--engine", model, "--source", video, "--jsonl", "o.jsonl", cwd=folder, env=clean)
    assert (folder / "o.jsonl").read_text().count('"kind": "frame"') == 6, told
    assert "complete" in run(command, "completion", "bash", cwd=folder, env=clean)


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_the_run_extra_installs_from_the_sdist_and_the_wheel(built, models, tmp_path, version):
    programs = environment(tmp_path / "venv", PYTHONS[version])
    pip = [programs / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    run(*pip, f"{built['sdist']}[run]", cwd=tmp_path)
    check_commands(programs, tmp_path, models)
    wheel = built["host" if tuple(map(int, version.split("."))) >= (3, 10) else "device"]
    run(*pip, "--force-reinstall", "--no-deps", f"{wheel}[run]", cwd=tmp_path)
    check_commands(programs, tmp_path, models)
    # What an installed tsm-edge needs no index for: its extra, and its removal.
    run(programs / "python", "-m", "pip", "uninstall", "-q", "-y", "tsm-edge")
    assert not (programs / "tsm-edge").exists()


@pytest.mark.skipif(SHORT, reason="downloads torch: make install-check")
def test_the_export_extra_installs_and_the_demo_runs(built, tmp_path):
    """With this environment's versions (constraints.txt), whose torch is the CPU build."""
    programs = environment(tmp_path / "venv", PYTHONS[f"{sys.version_info[0]}.{sys.version_info[1]}"])
    pip = [programs / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    run(*pip, "-c", Path(ROOT, "constraints.txt"), f"{built['host']}[export]", cwd=tmp_path)
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    told = run(programs / "tsm-edge", "demo", "-o", "demo", "--seconds", "20", cwd=tmp_path, env=clean)
    assert "0 false: good" in told and "shift by kernel library" in told
    assert (tmp_path / "demo/gestures_annotated.mp4").exists()


def test_the_sdist_holds_all_files_of_the_sources(built):
    """The sdist holds every file that git knows in the folders of the sources."""
    listed = run("git", "ls-files", "--", "tsm_edge", "export", "kernels", cwd=ROOT).splitlines()
    with tarfile.open(built["sdist"]) as file:
        held = {name.split("/", 1)[1] for name in file.getnames() if "/" in name}
    assert {name for name in listed if os.path.exists(os.path.join(ROOT, name))} - held == set()
    assert {"README.md", "LICENSE", "setup.py", "setup.cfg", "constraints-device.txt", "MANIFEST.in"} <= held
    assert not [name for name in held if name.endswith((".so", ".pyc"))]


def contents(wheel):
    """{name: bytes} of what a wheel installs, without its record and kernel libraries."""
    with zipfile.ZipFile(wheel) as file:
        names = [name for name in file.namelist() if ".dist-info/" not in name and not name.endswith(".so")]
        return {name: file.read(name) for name in names}


@pytest.mark.parametrize("source", ["sdist", "checkout"])
def test_pip_builds_the_same_wheel(built, tmp_path, source):
    """`pip install .` and an install of the sdist give what `make wheel` builds, but for the kernel library."""
    place = built["sdist"]
    if source == "checkout":  # a copy: pip writes folders beside setup.py
        place = tmp_path / "checkout"
        for name in ("tsm_edge", "export"):
            shutil.copytree(Path(ROOT, name), place / name, ignore=shutil.ignore_patterns("__pycache__", "lib"))
        for name in ("setup.py", "setup.cfg", "README.md", "LICENSE"):
            shutil.copy(Path(ROOT, name), place)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--use-pep517"]
    run(*pip, "-w", tmp_path, place, cwd=tmp_path)
    assert contents(next(tmp_path.glob("*.whl"))) == contents(built["host"])
