"""What this machine has, and what is missing for what. Nothing here fails: what cannot be read is reported as such.

`inspect_machine` gathers facts (a dict that goes to JSON as it is), `features` judges them, `render` prints both.
"""

import ctypes.util
import glob
import importlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys

from tsm_edge import __version__
from tsm_edge.machine.board import problems, read_board
from tsm_edge.machine.install_hints import KERNELS, bring
from tsm_edge.machine.system_files import memory_mb, read_text, search

KERNEL_LIBRARIES = ("onnxruntime", "tensorrt")
COMMAND_TIMEOUT = 10  # seconds


def inspect_machine(root="/", find_kernel_library=None):
    """The facts about this machine, as a dict of plain JSON values; None stands for "not there".

    root: the folder that stands for "/" when system files are read (tests give a tree of their own).
    find_kernel_library: name -> path or None; by default `tsm_edge.native.library.find`.
    Packages of the device half are imported, for what they say of themselves; torch and onnx never are.
    """
    board = read_board(root)
    report = {
        "tsm_edge": __version__,
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "os": {"name": _os_name(root), "kernel": platform.release(), "machine": platform.machine()},
        "cpus": os.cpu_count(),
        "memory_mb": memory_mb(root),
        "power_mode": search(r"NV Power Mode:\s*(\S+)", _output("nvpmodel", "-q")) or _recorded_power_mode(board),
        "jetpack": None if board is None else {key: board[key] for key in ("l4t", "model", "package")},
        "board": board,
        "packages": {
            "numpy": _package("numpy"),
            "opencv": _package("cv2", _opencv),
            "onnxruntime": _package("onnxruntime", _onnxruntime),
            "tensorrt": _package("tensorrt"),
            "pycuda": _package("pycuda", _pycuda),
            "pillow": _package("PIL"),
            "tqdm": _package("tqdm"),
        },
        "cuda": _cuda(root),
        "kernel_libraries": {name: _kernel_library(name, find_kernel_library) for name in KERNEL_LIBRARIES},
        "cameras": _cameras(root),
        "display": os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"),
        "host_half": _host_half(),
    }
    report["features"] = features(report)
    return report


# ---------------------------------------------------------------- packages


def _package(name, details=None):
    """{"version", "error"} of an importable package, and what `details(module)` adds. Broken ones give an error."""
    try:
        module = importlib.import_module(name)
        found = {"version": str(getattr(module, "__version__", "unknown")), "error": None}
        if details is not None:
            found.update(details(module))
    except (Exception, SystemExit) as error:  # a broken package may raise anything at all while it loads
        missing = isinstance(error, ImportError) and getattr(error, "name", None) == name
        found = {"version": None, "error": "not installed" if missing else "broken: " + _one_line(error)}
    return found


def _opencv(cv2):
    return parse_opencv_build(cv2.getBuildInformation())


def parse_opencv_build(text):
    """GStreamer and FFmpeg (bool) and the window system ("QT5", "GTK+", None) from OpenCV's build information.

    text: of `cv2.getBuildInformation()`, releases 3.4 to 5.0: "GUI:" carries the name from 4.5 on ("NONE" in headless
    builds); before, it stands alone and the lines below it say YES or NO.
    """
    gui = search(r"^[ ]+GUI:[ ]*(\S*)", text)
    if gui == "":
        gui = search(r"^[ ]+(QT|GTK\+|Win32 UI|Cocoa)[^:\n]*:[ ]+YES", text)
    return {
        "gstreamer": search(r"^[ ]+GStreamer:[ ]+(YES)", text) is not None,
        "ffmpeg": search(r"^[ ]+FFMPEG:[ ]+(YES)", text) is not None,
        "gui": None if gui in (None, "NONE") else gui,
    }


def _onnxruntime(onnxruntime):
    return {"providers": list(onnxruntime.get_available_providers())}


def _pycuda(pycuda):
    importlib.import_module("pycuda.driver")  # the part that needs CUDA's libraries; the package alone always imports
    return {"version": pycuda.VERSION_TEXT}


def _host_half():
    try:
        installed = importlib.util.find_spec("tsm_edge_export") is not None
    except (ImportError, ValueError):
        installed = False
    return {"installed": installed, "torch": _installed_version("torch"), "onnx": _installed_version("onnx")}


def _installed_version(distribution):
    """Version from the package's metadata, without importing it; None where it is not installed."""
    try:
        if sys.version_info >= (3, 8):
            from importlib.metadata import version  # novermin: not reached below 3.8

            return version(distribution)
        from pkg_resources import get_distribution

        return get_distribution(distribution).version
    except Exception:  # not installed, or metadata that no parser reads: either way no version is known
        return None


def _kernel_library(name, find):
    """{"path", "error"} of one kernel library."""
    try:
        path = (find or importlib.import_module("tsm_edge.native.library").find)(name)
        return {"path": None if path is None else str(path), "error": None}
    except Exception as error:  # a stale or damaged library must not hide the rest of the report
        return {"path": None, "error": _one_line(error)}


# ---------------------------------------------------------------- system


def _os_name(root):
    return search(r'^PRETTY_NAME="?([^"\n]+)', read_text(root, "etc/os-release")) or platform.system()


def _recorded_power_mode(board):
    mode = board and board["power_mode"]
    return mode and mode["name"]  # `nvpmodel -q` asks for root on some releases; its own record does not


def _cuda(root):
    nvcc = shutil.which("nvcc") or os.path.join(root, "usr/local/cuda/bin/nvcc")  # JetPack leaves it out of PATH
    return {
        "driver": ctypes.util.find_library("cuda"),
        "runtime": ctypes.util.find_library("cudart"),
        "nvcc": search(r"release [\d.]+, V([\d.]+)", _output(nvcc, "--version")),
    }


def _cameras(root):
    """The video devices, and whether this user may read each."""
    paths = glob.glob(os.path.join(root, "dev/video[0-9]*"))
    return [
        {"device": "/dev/" + os.path.basename(path), "readable": os.access(path, os.R_OK)}
        for path in sorted(paths, key=lambda path: (len(path), path))
    ]


def _output(*command):
    """What a command prints, "" where it is not there or fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_TIMEOUT,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _one_line(error):
    first = (str(error).strip().splitlines() or [""])[0]
    return "{}: {}".format(type(error).__name__, first) if first else type(error).__name__


# ---------------------------------------------------------------- judgement


def features(report):
    """A list of {"name", "ready", "missing", "do"}: for each feature what is missing, and what to type for it."""
    jetson = report["jetpack"] is not None
    packages = report["packages"]
    opencv = packages["opencv"]

    def lacks(name, do):
        error = packages[name]["error"]
        return [] if error is None else [("{} {}".format(name, error), do)]

    cv = lacks("opencv", bring("cv2", jetson))
    cpu = lacks("onnxruntime", bring("onnxruntime", jetson)) + cv
    board = [] if report["board"] is None else [_feature("board at its best", problems(report["board"]))]
    return board + [
        _feature("run on CPU", cpu),
        _feature("run from camera", cpu + _camera_problems(report["cameras"])),
        _feature("csi camera", cpu + _csi_problems(report, jetson, opencv)),
        _feature("TensorRT engine", _tensorrt_problems(report, jetson, lacks)),
        _feature("native kernels", _kernel_problems(report["kernel_libraries"])),
        _feature("export", _export_problems(report)),
        _feature("progress bar", lacks("tqdm", "pip install tqdm")),
        _feature("display", cv + _display_problems(report, opencv)),
    ]


def _feature(name, problems):
    """problems: (what is missing, what to type) pairs."""
    do = []
    for _, step in problems:
        if step not in do:
            do.append(step)
    return {"name": name, "ready": not problems, "missing": [missing for missing, _ in problems], "do": do}


def _camera_problems(cameras):
    if not cameras:
        return [("no /dev/video*", "plug in a camera, then: ls /dev/video*")]
    if not any(camera["readable"] for camera in cameras):
        return [("no right to read /dev/video*", "sudo usermod -aG video $USER, then log in again")]
    return []


def _csi_problems(report, jetson, opencv):
    problems = [] if jetson else [("not a Jetson", "run on a Jetson; use --camera N for a USB camera here")]
    if opencv["error"] is None and not opencv["gstreamer"]:
        do = "pip uninstall opencv-python, then: sudo apt install libopencv-python (JetPack's, with GStreamer)"
        problems.append(("OpenCV was built without GStreamer", do if jetson else "install an OpenCV with GStreamer"))
    return problems + _camera_problems(report["cameras"])


def _tensorrt_problems(report, jetson, lacks):
    install = "sudo apt install nvidia-jetpack" if jetson else "install NVIDIA's driver, CUDA and TensorRT"
    problems = lacks("tensorrt", install)
    if report["cuda"]["driver"] is None:
        problems.append(("no CUDA driver (libcuda)", install))
    return problems + lacks("pycuda", bring("pycuda", jetson))


def _kernel_problems(libraries):
    if any(library["path"] for library in libraries.values()):
        return []
    errors = sorted({library["error"] for library in libraries.values() if library["error"]})
    return [("; ".join(errors) or "no kernel library (models run without it, by standard operations)", KERNELS)]


def _export_problems(report):
    half = report["host_half"]
    version = report["python"]["version"]
    if tuple(int(part) for part in version.split(".")[:2]) < (3, 10):
        return [("Python {} is below 3.10".format(version), "export on another machine; copy the .onnx and .json here")]
    missing = [name for name in ("torch", "onnx") if half[name] is None]
    missing += [] if half["installed"] else ["tsm_edge_export"]
    return [("{} not installed".format(name), 'pip install "tsm-edge[export]"') for name in missing]


def _display_problems(report, opencv):
    problems = []
    if opencv["error"] is None and opencv["gui"] is None:
        problems.append(("OpenCV was built without windows", "pip install opencv-python in place of the headless one"))
    if report["display"] is None and sys.platform.startswith("linux"):
        problems.append(("no display", "log in on the machine's own screen, or use --save out.mp4"))
    return problems


# ---------------------------------------------------------------- text


def render(report):
    """The report as text for a terminal: the facts, then for each feature "ready" or what is missing and what to do."""
    lines = ["{:<17} {}".format(name, value) for name, value in _facts(report)]
    lines.append("")
    for feature in report["features"]:
        state = "ready" if feature["ready"] else "missing: " + "; ".join(feature["missing"])
        lines.append("{:<17} {}".format(feature["name"], state))
        lines += ["{:<17}   do: {}".format("", step) for step in feature["do"]]
    return "\n".join(lines) + "\n"


def _facts(report):
    """(name, value) rows of text for what the report found."""
    packages, cuda, half = report["packages"], report["cuda"], report["host_half"]
    system, memory = report["os"], report["memory_mb"]
    yield "tsm-edge", report["tsm_edge"]
    yield "Python", "{version} ({executable})".format(**report["python"])
    yield "system", "{name}, kernel {kernel}, {machine}".format(**system)
    yield "processor", "{} cores, memory {}".format(report["cpus"], "unknown" if memory is None else "%d MB" % memory)
    if report["board"] is not None:
        for row in _board_facts(report["board"]):
            yield row
    if report["power_mode"] is not None:
        yield "power mode", report["power_mode"]
    for name, found in packages.items():
        yield name, found["error"] or found["version"] + _details(found)
    yield "CUDA", "driver {}, runtime {}, nvcc {}".format(*(cuda[key] or "no" for key in ("driver", "runtime", "nvcc")))
    for name, library in report["kernel_libraries"].items():
        yield "kernels", "{}: {}".format(name, library["path"] or library["error"] or "not found")
    yield "cameras", ", ".join(camera["device"] for camera in report["cameras"]) or "none"
    yield (
        "host half",
        "{}, torch {}, onnx {}".format(
            "installed" if half["installed"] else "not installed", half["torch"] or "no", half["onnx"] or "no"
        ),
    )


def _board_facts(board):
    """Rows on the Jetson that this is."""
    yield (
        "Jetson",
        "{}, L4T {}, JetPack package {}".format(
            board["model"] or "unknown model", board["l4t"] or "unknown", board["package"] or "not installed"
        ),
    )
    support = board["support"]
    state = ", ".join([support["state"]] + [part for part in [support["why"]] if part])
    versions = ", ".join("{} {}".format(name, version) for name, version in support["versions"].items())
    yield "JetPack", "{} ({}){}".format(board["jetpack"] or "unknown", state, versions and ": it brings " + versions)
    if board["compute_capability"] is not None:
        yield (
            "GPU",
            "{chip}, compute capability {compute_capability}, ".format(**board) + ", ".join(board["precisions"]),
        )
    if board["swap_mb"] is not None:
        yield "swap", "{} MB".format(board["swap_mb"])
    sensors = board["sensors"]
    for name, unit, digits in (("temperatures", "C", 1), ("clocks", "MHz", 0), ("power", "mW", 0), ("voltage", "V", 2)):
        if sensors[name]:
            values = ("{} {:.{}f}".format(key, value, digits) for key, value in sensors[name].items())
            yield name, "{} {}".format(", ".join(values), unit)


def _details(found):
    if "providers" in found:
        return ", providers " + ", ".join(found["providers"])
    if "gstreamer" in found:
        return ", GStreamer {}, FFmpeg {}, windows {}".format(
            "yes" if found["gstreamer"] else "no", "yes" if found["ffmpeg"] else "no", found["gui"] or "no"
        )
    return ""
