"""What to do about what is missing. Several places find that out; they should say the same."""

from tsm_edge.errors import InputError

KERNELS = "run `make kernels`; for a board, `make deploy` from the host"
SET_UP = "run this board's devices/*/setup.sh"
PACKAGES = {  # by the name they are imported by: what brings them, on a Jetson and elsewhere
    "onnxruntime": (SET_UP, "pip install onnxruntime"),
    "cv2": ("sudo apt install libopencv-python", "pip install opencv-python"),
    "pycuda": (SET_UP, "pip install pycuda (with nvcc in PATH)"),
}


def bring(name, jetson):
    """What brings one of PACKAGES to a Jetson, or to another machine."""
    return PACKAGES[name][0 if jetson else 1]


def missing(name, error):
    """The :class:`InputError` that says so where importing one of PACKAGES failed with `error`."""
    do = "{}; on a Jetson: {}".format(bring(name, False), bring(name, True))
    return InputError("Python package " + name, str(error), "one that can be imported", do)
