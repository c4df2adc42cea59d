"""Where the native libraries are. They are optional: without them every model still runs, by standard operations.

`make kernels` builds them into `tsm_edge/native/lib/`, a platform wheel ships them there, and the folder that the
environment variable TSM_EDGE_KERNELS names is searched first.
"""

import hashlib
import os
import platform
import struct

from tsm_edge.errors import InputError

NAMES = ("kernels", "onnxruntime", "cuda", "tensorrt")
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")
OVERRIDE = "TSM_EDGE_KERNELS"

_ELF_MACHINES = {62: "x86_64", 183: "aarch64", 40: "armv7l"}


def find(name):
    """Path of the library `name` (one of NAMES), or None where it was not built.

    Raises InputError for a file that is no library of this machine (copied from another, or cut short), and for a
    TSM_EDGE_KERNELS that names no folder; ValueError for another name.
    """
    if name not in NAMES:
        raise ValueError("name: got {!r}, expected one of {}".format(name, ", ".join(NAMES)))
    for folder in _folders():
        path = os.path.join(folder, "libtsm_edge_{}.so".format(name))
        if os.path.isfile(path):
            _check_machine(path)
            return path
    return None


def sha256(path):
    """SHA-256 of a library as 64 hexadecimal digits: what reports and engine manifests record of it."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def onnxruntime_can(version, dtypes, provider="CPUExecutionProvider"):
    """Whether to register the "onnxruntime" library with ONNX Runtime `version` ("1.10.0") for a model.

    dtypes: the NumPy names of the types that the model shifts. provider: the first execution provider of the session.
    Before 1.16 a runtime takes one kernel a name, and that one is float32 on the CPU: a float16 model is refused,
    and on a GPU every shift would copy its frame to the host and back. There the function body is the better choice.
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    if (major, minor) >= (1, 16):
        return set(dtypes) <= {"float32", "float16"}
    return set(dtypes) <= {"float32"} and provider == "CPUExecutionProvider"


def _folders():
    override = os.environ.get(OVERRIDE)
    if not override:
        return [FOLDER]
    if not os.path.isdir(override):
        raise InputError(OVERRIDE, override, "a folder of libtsm_edge_*.so", "unset it, or name an existing folder")
    return [os.path.abspath(override), FOLDER]


def _check_machine(path):
    """The ELF header names the processor; the loader's own message for a foreign one explains nothing."""
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
