"""Find our native kernel libraries. They are optional: without them every model runs by standard ONNX operations.

`make kernels` builds them into `tsm_edge/native/lib/`, and a platform wheel carries them there. The folder that the
environment variable TSM_EDGE_KERNELS names is searched first.
"""

import os
import platform
import struct
from typing import Iterable, Optional

from tsm_edge.errors import InputError

LIBRARIES = ("onnxruntime", "cuda", "tensorrt")
PACKAGE_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")
FOLDER_VARIABLE = "TSM_EDGE_KERNELS"

_ELF_MACHINES = {62: "x86_64", 183: "aarch64", 40: "armv7l"}


def find(name: str) -> Optional[str]:
    """Return the path of the library `name` (one of LIBRARIES), or None if it was not built.

    Raises InputError where the file is no library of this machine (copied from another, or cut short), or
    TSM_EDGE_KERNELS names no folder.
    """
    if name not in LIBRARIES:
        raise ValueError("name: got {!r}, expected one of {}".format(name, ", ".join(LIBRARIES)))
    named = os.environ.get(FOLDER_VARIABLE)
    if named and not os.path.isdir(named):
        do = "unset it, or name an existing folder"
        raise InputError(FOLDER_VARIABLE, named, "a folder of libtsm_edge_*.so", do)
    for folder in [os.path.abspath(named), PACKAGE_FOLDER] if named else [PACKAGE_FOLDER]:
        path = os.path.join(folder, "libtsm_edge_{}.so".format(name))
        if os.path.isfile(path):
            _check_machine(path)
            return path
    return None


def onnxruntime_can(version: str, dtypes: Iterable[str], provider: str = "CPUExecutionProvider") -> bool:
    """Return whether a session should register the "onnxruntime" library; if not, the function body is better.

    Before `version` 1.16 a runtime takes one kernel per op, and ours is then float32 on the CPU. Such a runtime refuses
    a float16 model, and on a GPU it would copy the input of every shift to the host and back. `dtypes` are the NumPy
    names of the types that the model shifts, `provider` is the session's first.
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    if (major, minor) >= (1, 16):
        return set(dtypes) <= {"float32", "float16"}
    return set(dtypes) <= {"float32"} and provider == "CPUExecutionProvider"


def _check_machine(path: str) -> None:
    """Raise InputError for a library of another processor. The loader's own message would not name the reason."""
    with open(path, "rb") as file:
        header = file.read(20)
    expected = platform.machine()
    if len(header) < 20 or header[:4] != b"\x7fELF":
        got = "no shared library"
    else:
        number = struct.unpack_from("<H", header, 18)[0]
        got = _ELF_MACHINES.get(number, "ELF machine {}".format(number))
    if got != expected:
        raise InputError(path, got, expected, "build it on this machine (make kernels), or delete it")
