"""The commands that install what is missing. Several places find that out; all of them say the same."""

import sys
from typing import Tuple

from tsm_edge.errors import InputError


def pip_install(packages: str, python: Tuple[int, ...] = tuple(sys.version_info[:2])) -> str:
    """Return the command that installs packages beside this Python (tests: another one), outside of a Jetson."""
    # The pip of Python 3.6 knows no current wheels. OpenCV after 4.6.0.66 has none for Python 3.6, yet pip takes it and
    # would compile it.
    if python < (3, 7):
        known = packages.replace("opencv-python", '"opencv-python<4.6.0.67"')
        return 'pip install {} (first: pip install -U "pip<22")'.format(known)
    return "pip install " + packages


KERNELS = "run `make kernels`; for a board, `make deploy` from the host"
SET_UP = "run this board's devices/*/setup.sh"
# tsm-edge is on no package index, so the packages of its extra are named: pip finds those everywhere.
EXPORT_EXTRA = ('"torch>=2.4"', '"onnx>=1.16"', '"onnxruntime>=1.17"', "pillow", "safetensors", "jinja2", "matplotlib")
HOST_HALF = (
    "run this command on a host; a board needs the exported model alone",
    "pip install {} (torch without CUDA: docs/install.md)".format(" ".join(EXPORT_EXTRA)),
)
HOST_PACKAGE = 'in the folder of the tsm-edge checkout: pip install ".[export]"'
PACKAGES = {  # import name -> (the command on a Jetson, the command elsewhere)
    "onnxruntime": (SET_UP, pip_install("onnxruntime")),
    "cv2": ("sudo apt install libopencv-python", pip_install("opencv-python")),
    "pycuda": (SET_UP, "pip install pycuda (with nvcc in PATH)"),
    "tensorrt": ("sudo apt install nvidia-jetpack", "install NVIDIA's driver, CUDA and TensorRT"),
    "tomli": ("pip3 install tomli", pip_install("tomli")),
    "argcomplete": ("pip3 install argcomplete", pip_install("argcomplete")),
    "tqdm": ("pip3 install tqdm", pip_install("tqdm")),
    "torch": HOST_HALF,
    "onnx": HOST_HALF,
    "PIL": ("pip3 install pillow", pip_install("pillow")),
    "safetensors": HOST_HALF,
    "jinja2": HOST_HALF,
    "markupsafe": HOST_HALF,
    "matplotlib": HOST_HALF,
}


def hint_for(package: str, jetson: bool) -> str:
    """Return the command that installs an optional package, by its import name."""
    on_jetson, elsewhere = PACKAGES.get(package, ("pip3 install " + package, pip_install(package)))
    return on_jetson if jetson else elsewhere


def missing(package: str, error: ImportError) -> InputError:
    """Return the error for an optional package whose import failed with `error`."""
    do = "{}; on a Jetson: {}".format(hint_for(package, False), hint_for(package, True))
    return InputError("Python package " + package, str(error), "one that can be imported", do)
