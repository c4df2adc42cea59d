"""Each optional package missing in turn: every command works without it, or names it and what installs it."""

import ast
import json
import os
import re
import runpy
import subprocess
import sys

import pytest
import setuptools

from tests.conftest import ROOT
from tests.device import media, profiles
from tests.export.evaluation import toy as evaluated
from tests.export.training import toy
from tsm_edge.commands import COMMANDS
from tsm_edge.machine.install_hints import EXPORT_EXTRA, PACKAGES, hint_for
from tsm_edge_export.synthetic import LABELS

IMPORT_NAMES = {"opencv-python": "cv2", "pillow": "PIL", "onnxruntime-gpu": "onnxruntime"}
ELSEWHERE = ("tensorrt", "pycuda", "tomli")  # tested on stand-ins, and on the Python that needs it
NEEDED_BY = {  # package -> commands that cannot do without it
    "onnxruntime": {"run", "profile", "compare", "export", "verify", "demo"},
    "cv2": {"run", "eval", "train", "demo"},
    "torch": {"export", "verify", "eval", "train", "demo"},
    "onnx": {"export", "verify", "eval", "train", "demo"},
    "safetensors": {"export", "eval", "train", "demo"},
    "argcomplete": {"completion"},
    "PIL": {"eval", "train"},
    "tqdm": {"eval", "train"},
    "matplotlib": {"report", "train", "eval"},
    "jinja2": {"report", "train"},
    "markupsafe": {"report", "train"},
}
FIRST_OUTPUTS = (("export", "exported.onnx"), ("eval", "eval.json"), ("train", "trained"))
CHILD = """
import contextlib, io, json, sys
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] == sys.argv[1] else self.finder.find_spec(name, path, target)
sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
from tsm_edge.cli import main
told = {}
for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = ended.code
    told[arguments[0]] = code, err.getvalue()
json.dump(told, sys.stdout)
"""


def imported():
    """The names of all packages that the source of both halves imports, at load or inside a function."""
    found = set()
    for top in ("tsm_edge", "export/tsm_edge_export"):
        for folder, _, files in os.walk(os.path.join(ROOT, top)):
            for file in files:
                if file.endswith(".py"):
                    with open(os.path.join(folder, file), encoding="utf-8") as source:
                        tree = ast.parse(source.read())
                    for node in ast.walk(tree):
                        if isinstance(node, ast.Import):
                            found |= {alias.name for alias in node.names}
                        elif isinstance(node, ast.ImportFrom) and not node.level:
                            found.add(node.module)
    return {name.split(".")[0] for name in found}


def test_every_package_that_is_imported_has_a_hint():
    known = set(PACKAGES) | set(sys.stdlib_module_names) | {"numpy", "tsm_edge", "tsm_edge_export", "tomllib"}
    assert imported() - known == set()
    assert set(NEEDED_BY) | set(ELSEWHERE) == set(PACKAGES)


def test_every_package_of_an_extra_has_a_hint(monkeypatch):
    settings = {}
    monkeypatch.setattr(setuptools, "setup", lambda **given: settings.update(given))
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    extras = settings["extras_require"]
    names = {re.match(r"[A-Za-z0-9_-]+", text)[0] for extra in extras.values() for text in extra}
    assert {IMPORT_NAMES.get(name, name) for name in names} <= set(PACKAGES)
    host_only = [text.split(";")[0] for text in extras["export"] if "python_version >= '3.10'" in text]
    assert host_only == [word.strip('"') for word in EXPORT_EXTRA]  # what the hint of torch names


@pytest.fixture(scope="module")
def commands(tmp_path_factory, exported):
    """A small call of every command, and the folder in which to make it."""
    folder = tmp_path_factory.mktemp("missing")
    model, profile = str(exported("online", "custom")), profiles.written(profiles.sample(), folder / "p.json")
    video = media.write_video(folder / "in.mp4", 3)
    marked = media.write_video(folder / "marked.mp4", 30)
    config = toy.project(folder / "toy", train=1, test=1, schedule={"epochs": 1, "warmup": 0.0})
    evaluated.untrained(folder, LABELS)
    weights = str(folder / "weights.safetensors")
    calls = [
        ["run", "--engine", model, "--source", video, "--save", "o.mp4", "--preprocess", "exact"],
        ["record", "--source", marked, "--mark", "0-0.5", "--label", "wave", "-o", "clips"],
        ["profile", "--engine", model, "--seconds", "1", "--warm-up", "1", "--no-layers"],
        ["compare", "--run", model, str(exported("online", "standard")), "--rounds", "5"],
        ["build", model],
        ["info", model],
        ["doctor"],
        ["completion", "bash"],
        ["demo", "-o", video],  # no folder: refused once all packages are there
        ["export", str(folder / "recipe.toml"), "--weights", weights, "-o", "exported.onnx"],
        ["verify", model],
        ["train", str(config), "-o", "trained"],
        ["eval", "--synthetic", "1", "--engine", weights, "--size", "32", "--workers", "0", "-o", "eval.json"],
        ["report", str(profile)],
    ]
    assert {call[0] for call in calls} == {entry.key for entry in COMMANDS}
    return calls


@pytest.mark.parametrize("package", sorted(NEEDED_BY))
def test_a_missing_package_is_named_with_its_installation(tmp_path, commands, package):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, package],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/export"},
        check=True,
    )
    told = json.loads(done.stdout)
    assert set(told) == {call[0] for call in commands}
    named = set()
    for command, (code, text) in told.items():
        assert "Traceback" not in text, (command, text)
        if f"Python package {package}" in text:
            assert code == 2 and hint_for(package, jetson=False) in text, (command, text)
            named.add(command)
    assert named >= NEEDED_BY[package], {command: told[command] for command in NEEDED_BY[package] - named}
    for command, output in FIRST_OUTPUTS:
        assert os.path.exists(tmp_path / output) != (command in named), command  # no hours of work before it is noticed
