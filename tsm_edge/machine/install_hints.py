"""The commands that install what is missing. Several places find that out; all of them say the same."""

from tsm_edge.errors import InputError

KERNELS = "run `make kernels`; for a board, `make deploy` from the host"
SET_UP = "run this board's devices/*/setup.sh"
HOST_HALF = "run this command on a host; a board needs the exported model alone", 'pip install "tsm-edge[export]"'
PACKAGES = {  # import name -> (the command on a Jetson, the command elsewhere)
    "onnxruntime": (SET_UP, "pip install onnxruntime"),
    "cv2": ("sudo apt install libopencv-python", "pip install opencv-python"),
    "pycuda": (SET_UP, "pip install pycuda (with nvcc in PATH)"),
    "tensorrt": ("sudo apt install nvidia-jetpack", "install NVIDIA's driver, CUDA and TensorRT"),
    "tomli": ("pip3 install tomli", "pip install tomli"),
    "tqdm": ("pip3 install tqdm", "pip install tqdm"),
    "torch": HOST_HALF,
    "onnx": HOST_HALF,
    "PIL": ("pip3 install pillow", "pip install pillow"),
    "safetensors": HOST_HALF,
    "jinja2": HOST_HALF,
    "markupsafe": HOST_HALF,
    "matplotlib": HOST_HALF,
}


def hint_for(package: str, jetson: bool) -> str:
    """Return the command that installs an optional package, by its import name."""
    on_jetson, elsewhere = PACKAGES.get(package, ("pip3 install " + package, "pip install " + package))
    return on_jetson if jetson else elsewhere


def missing(package: str, error: ImportError) -> InputError:
    """Return the error for an optional package whose import failed with `error`."""
    do = "{}; on a Jetson: {}".format(hint_for(package, False), hint_for(package, True))
    return InputError("Python package " + package, str(error), "one that can be imported", do)
