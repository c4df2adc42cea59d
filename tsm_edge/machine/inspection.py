"""Facts about this machine for `tsm-edge doctor`. Nothing here fails: a fact that cannot be read says so."""

import ctypes.util
import glob
import importlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from typing import Any, Callable, Dict, List, Optional, Sequence

from tsm_edge import __version__
from tsm_edge.machine.board import read_board
from tsm_edge.machine.system_files import memory_mb, read_text, search
from tsm_edge.native import library

KERNEL_LIBRARIES = ("onnxruntime", "tensorrt")
COMMAND_TIMEOUT = 10  # seconds
MAX_OUTPUT = 1 << 16  # bytes of what a command prints
# Names in the report of packages whose import name is different.
REPORT_NAMES = {"cv2": "opencv", "PIL": "pillow"}


def inspect_machine(
    packages: Sequence[str], root: str = "/", find_kernel_library: Callable[[str], Any] = library.find
) -> Dict[str, Any]:
    """Return the facts about this machine as JSON values, with None for what is not there.

    `packages` are import names of optional packages. Each is imported, for its version and features; torch and onnx
    never are. `root` is the folder that stands for "/" when system files are read.
    """
    board = read_board(root)
    mode = (board or {}).get("power_mode") or {}  # recorded in a file; `nvpmodel -q` asks for root on some releases
    return {
        "tsm_edge": __version__,
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "os": {
            "name": search(r'^PRETTY_NAME="?([^"\n]{1,100})', read_text(root, "etc/os-release")) or platform.system(),
            "kernel": platform.release(),
            "machine": platform.machine(),
        },
        "cpus": os.cpu_count(),
        "memory_mb": memory_mb(root),
        "power_mode": search(r"NV Power Mode:\s*(\S{1,100})", _output("nvpmodel", "-q")) or mode.get("name"),
        "jetpack": None if board is None else {key: board[key] for key in ("l4t", "model", "package")},
        "board": board,
        "packages": {REPORT_NAMES.get(name, name): _package(name) for name in dict.fromkeys(packages)},
        "cuda": _cuda(root),
        "kernel_libraries": {name: _kernel_library(name, find_kernel_library) for name in KERNEL_LIBRARIES},
        "cameras": _cameras(root),
        "display": os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"),
        "host_half": {
            "installed": importlib.util.find_spec("tsm_edge_export") is not None,
            "torch": _installed_version("torch"),
            "onnx": _installed_version("onnx"),
        },
    }


def _package(name: str) -> Dict[str, Any]:
    """Return "version", "error" and the features of an optional package. A broken package gives an error."""
    try:
        module = importlib.import_module(name)
        features = _FEATURES[name](module) if name in _FEATURES else {}
        return {"version": str(getattr(module, "__version__", "unknown")), "error": None, **features}
    except (Exception, SystemExit) as error:  # a broken package may raise anything at all while it loads
        absent = isinstance(error, ImportError) and getattr(error, "name", None) == name
        return {"version": None, "error": "not installed" if absent else "broken: " + _one_line(error)}


def parse_opencv_build(text: str) -> Dict[str, Any]:
    """Return "gstreamer", "ffmpeg" (bool) and "gui" ("QT5", "GTK+", None) from `cv2.getBuildInformation()`."""
    gui = search(r"^[ ]+GUI:[ ]*(\S*)", text)  # from 4.5 on the window system, "NONE" in headless builds
    if gui == "":  # before 4.5 the lines below it say YES or NO
        gui = search(r"^[ ]+(QT|GTK\+|Win32 UI|Cocoa)[^:\n]*:[ ]+YES", text)
    return {
        "gstreamer": search(r"^[ ]+GStreamer:[ ]+(YES)", text) is not None,
        "ffmpeg": search(r"^[ ]+FFMPEG:[ ]+(YES)", text) is not None,
        "gui": None if gui in (None, "NONE") else gui,
    }


def _pycuda(pycuda: Any) -> Dict[str, Any]:
    importlib.import_module("pycuda.driver")  # the part that needs CUDA's libraries; the package alone always imports
    return {"version": pycuda.VERSION_TEXT}


_FEATURES = {
    "cv2": lambda cv2: parse_opencv_build(cv2.getBuildInformation()),
    "onnxruntime": lambda onnxruntime: {"providers": list(onnxruntime.get_available_providers())},
    "pycuda": _pycuda,
}  # type: Dict[str, Callable[[Any], Dict[str, Any]]]


def _installed_version(distribution: str) -> Optional[str]:
    """Return the version in a package's metadata, without importing it; None where it is not known."""
    try:
        from importlib.metadata import version  # novermin: there from Python 3.8 on, and the host half needs 3.10

        return version(distribution)
    except Exception:  # not installed, or metadata that no parser reads
        return None


def _kernel_library(name: str, find: Callable[[str], Any]) -> Dict[str, Optional[str]]:
    try:
        path = find(name)
        return {"path": None if path is None else str(path), "error": None}
    except Exception as error:  # a stale or damaged library must not hide the rest of the report
        return {"path": None, "error": _one_line(error)}


def _cuda(root: str) -> Dict[str, Optional[str]]:
    nvcc = shutil.which("nvcc") or os.path.join(root, "usr/local/cuda/bin/nvcc")  # JetPack leaves it out of PATH
    return {
        "driver": ctypes.util.find_library("cuda"),
        "runtime": ctypes.util.find_library("cudart"),
        "nvcc": search(r"release [\d.]+, V([\d.]+)", _output(nvcc, "--version")),
    }


def _cameras(root: str) -> List[Dict[str, Any]]:
    """Return the video devices, and whether this user may read each."""
    paths = sorted(glob.glob(os.path.join(root, "dev/video[0-9]*")), key=lambda path: (len(path), path))
    return [{"device": "/dev/" + os.path.basename(path), "readable": os.access(path, os.R_OK)} for path in paths]


def _output(*command: str) -> str:
    """Return what a command prints, "" where the command is not there or fails."""
    pipes: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    try:
        done = subprocess.run(command, timeout=COMMAND_TIMEOUT, **pipes)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout[:MAX_OUTPUT].decode("utf-8", "replace")


def _one_line(error: BaseException) -> str:
    return ": ".join([type(error).__name__] + str(error).strip().splitlines()[:1])
