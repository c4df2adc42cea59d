"""What the device half imports at load: NumPy and the standard library. Each check runs in a process of its own."""

import os
import pkgutil
import subprocess
import sys

import pytest

import tsm_edge

HEAVY = ("torch", "onnx", "onnxruntime", "cv2", "tensorrt", "pycuda", "PIL", "tqdm", "tsm_edge_export")
# The files that own a heavy library; each package imports them when such a thing is opened.
OWNERS = (
    "tsm_edge.__main__",  # runs a command
    "tsm_edge.engines.onnxruntime.cpu",
    "tsm_edge.engines.onnxruntime.cuda",
    "tsm_edge.engines.tensorrt.engine",
    "tsm_edge.sinks.display",
    "tsm_edge.sinks.overlay",
    "tsm_edge.sinks.video",
    "tsm_edge.sources.camera",
    "tsm_edge.sources.images",
    "tsm_edge.sources.live",  # of camera and network
    "tsm_edge.sources.network",
    "tsm_edge.sources.video",
)
BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {heavy!r}:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
"""


def python(code, **environment):
    done = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        env=dict(os.environ, PYTHONPATH=os.getcwd(), **environment),
    )
    out, err = done.communicate(timeout=120)
    assert done.returncode == 0, err
    return out


def modules():
    found = pkgutil.walk_packages(tsm_edge.__path__, "tsm_edge.", onerror=lambda name: None)
    return ["tsm_edge"] + sorted(module.name for module in found)


def test_every_module_loads_without_a_heavy_library():
    names = [name for name in modules() if name not in OWNERS]
    assert "tsm_edge.commands.run" in names
    assert "tsm_edge.sources.capture" in names
    block = BLOCK.format(heavy=HEAVY)
    python(block + "import importlib\nfor name in {!r}:\n    importlib.import_module(name)".format(names))


def test_the_owners_are_real_and_few():
    present = modules()
    assert [name for name in OWNERS if name not in present] in ([], ["tsm_edge.engines.tensorrt.engine"])


def test_importing_the_package_loads_numpy_at_most():
    code = "import sys, numpy; before = set(sys.modules); import tsm_edge; print(sorted(set(sys.modules) - before))"
    assert python(code).strip() == "['tsm_edge']"


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"], ["info"], ["info", "--json"]])
def test_commands_that_need_nothing_heavy(models, arguments):
    if arguments[0] == "info":
        arguments = arguments + [os.path.join(models, "tiny_custom.onnx")]
    block = BLOCK.format(heavy=tuple(name for name in HEAVY if name != "tsm_edge_export"))
    assert python(block + "from tsm_edge.cli import main\nmain({!r})".format(arguments))


def test_a_run_imports_neither_torch_nor_onnx(models, tmp_path):
    from tests.device import media

    video = media.write_video(tmp_path / "in.mp4", 5)
    arguments = ["run", "--engine", os.path.join(models, "tiny_custom.onnx"), "--source", video]
    arguments += ["--save", str(tmp_path / "o.mp4"), "--jsonl", str(tmp_path / "o.jsonl")]
    code = "import sys\nfrom tsm_edge.cli import main\nassert main({!r}) == 0\nprint('loaded', *sys.modules)"
    loaded = set(python(code.format(arguments)).split("loaded ")[-1].split())
    assert {"onnxruntime", "cv2", "numpy"} <= loaded
    assert not {"torch", "onnx", "PIL", "tensorrt", "scipy"} & loaded
