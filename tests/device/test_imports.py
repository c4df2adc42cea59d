"""What the device half imports at load: NumPy and the standard library. Each check runs in a separate process."""

import os
import pkgutil
import subprocess
import sys

import pytest

import tsm_edge
from tsm_edge.commands import COMMANDS

HEAVY = ("torch", "onnx", "onnxruntime", "cv2", "tensorrt", "pycuda", "PIL", "tqdm", "tabulate", "tomli")
HEAVY += ("tsm_edge_export",)
# The files that own a heavy library and import it at load; each is loaded when such a thing is opened.
OWNERS = (
    "tsm_edge.engines.onnxruntime.cpu",
    "tsm_edge.engines.onnxruntime.cuda",
    "tsm_edge.recording.window",
    "tsm_edge.sinks.display",
    "tsm_edge.sinks.encoders",
    "tsm_edge.sinks.overlay",
    "tsm_edge.sinks.video",
    "tsm_edge.sources.camera",
    "tsm_edge.sources.csi",
    "tsm_edge.sources.images",
    "tsm_edge.sources.live",  # of camera, csi and network
    "tsm_edge.sources.network",
    "tsm_edge.sources.opencv",
    "tsm_edge.sources.picture",
    "tsm_edge.sources.rotation",
    "tsm_edge.sources.video",
)
BLOCK = """
import importlib, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {heavy!r}:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
""".format(heavy=HEAVY)


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
    return ["tsm_edge"] + sorted(module.name for module in found if module.name != "tsm_edge.__main__")


def test_every_module_but_the_owners_loads_without_a_heavy_library():
    names = modules()
    assert {"tsm_edge.commands.run", "tsm_edge.sources.capture"} <= set(names)
    code = (
        "for name in {!r}:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ImportError as error:\n"
        "        assert 'blocked: ' in str(error), (name, error)\n"
        "        print(name)\n"
    )
    assert python(BLOCK + code.format(names)).split() == sorted(OWNERS)


def test_importing_the_package_loads_numpy_at_most():
    code = "import sys, typing, numpy; before = set(sys.modules); import tsm_edge; print(set(sys.modules) - before)"
    assert python(code).strip() == "{'tsm_edge'}"


DEVICE_COMMANDS = [entry.key for entry in COMMANDS if entry.module.startswith("tsm_edge.")]


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["info"], ["info", "--json"]] + [[key, "--help"] for key in DEVICE_COMMANDS],
)
def test_commands_that_need_nothing_heavy(models, arguments):
    if arguments[0] == "info" and "--help" not in arguments:
        arguments = arguments + [os.path.join(models, "tiny_custom.onnx")]
    assert python(BLOCK + "from tsm_edge.cli import main\nmain({!r})".format(arguments))


def test_a_run_imports_neither_torch_nor_onnx(models, tmp_path):
    from tests.device import media

    video = media.write_video(tmp_path / "in.mp4", 5)
    arguments = ["run", "--engine", os.path.join(models, "tiny_custom.onnx"), "--source", video]
    arguments += ["--save", str(tmp_path / "o.mp4"), "--jsonl", str(tmp_path / "o.jsonl")]
    code = "import sys\nfrom tsm_edge.cli import main\nassert main({!r}) == 0\nprint('loaded', *sys.modules)"
    loaded = set(python(code.format(arguments)).split("loaded ")[-1].split())
    assert {"onnxruntime", "cv2", "numpy"} <= loaded
    assert not {"torch", "onnx", "PIL", "tensorrt", "scipy"} & loaded
