"""`tsm-edge doctor`: show what this machine has, and what is missing for what."""

import argparse
import json
import sys
from typing import Any, Dict, Iterable, Iterator, List, Tuple

from tsm_edge.commands.arguments import file_name
from tsm_edge.commands.output import print_text
from tsm_edge.engines import ENGINES
from tsm_edge.errors import InputError
from tsm_edge.machine.board import problems
from tsm_edge.machine.inspection import REPORT_NAMES, inspect_machine
from tsm_edge.machine.install_hints import HOST_PACKAGE, KERNELS, hint_for
from tsm_edge.registry import Entry
from tsm_edge.sinks import SINKS
from tsm_edge.sources import SOURCES
from tsm_edge.text import one_line

Problem = Tuple[str, str]  # what is missing, what to type

PACKAGES = ("numpy", "cv2", "onnxruntime", "tensorrt", "pycuda", "PIL", "tqdm")  # and those of the registries
FEATURE_NAMES = {  # others are called "source network"
    "source file": "run on CPU",
    "source camera": "run from camera",
    "source csi": "csi camera",
    "engine tensorrt": "TensorRT engine",
    "sink progress": "progress bar",
    "sink display": "display",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tsm-edge doctor`."""
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    text = "build and run a model on this new board by TensorRT, step by step, and write all that happened to a file"
    parser.add_argument("--first-run", metavar="MODEL.onnx", type=file_name, help=text)
    text = "the file of --first-run, *.txt or *.json (default: first-run.txt)"
    parser.add_argument("-o", "--output", metavar="FILE", type=file_name, help=text)


def run(options: argparse.Namespace) -> int:
    """Print the report on this machine, or make a first run."""
    if options.output and not options.first_run:
        raise InputError(
            "-o " + options.output, "no --first-run", "--first-run MODEL.onnx, whose file this is", "give it"
        )
    report = examine()
    if options.first_run:
        from tsm_edge.commands import first_run

        output = options.output or "first-run.txt"
        return first_run.perform(options.first_run, output, report, render(report), print_text)
    print_text(json.dumps(report, indent=1) if options.json else render(report))
    return 0


def examine(**options: Any) -> Dict[str, Any]:
    """Return the facts about this machine, and "features": what they mean. `options`: of :func:`inspect_machine`."""
    packages = PACKAGES + tuple(package for _, entry in _entries() for package in entry.packages)
    report = inspect_machine(packages, **options)
    report["features"] = features(report)
    return report


def features(report: Dict[str, Any]) -> List[Dict[str, Any]]:
    """Return {"name", "ready", "missing", "do"} for each feature: what is missing for it, and what to type."""
    rows = [] if report["board"] is None else [("board at its best", problems(report["board"]))]
    engine = _lacking(report, next(entry.packages for entry in ENGINES if entry.device == "cpu"))
    for kind, entry in _entries():
        name = "{} {}".format(kind, entry.key)
        found = (engine if kind == "source" else []) + _lacking(report, entry.packages)
        if name in _CHECKS:
            found += _CHECKS[name](report)
        if entry.packages or name in _CHECKS:  # what needs nothing is always ready
            rows.append((FEATURE_NAMES.get(name, name), found))
    rows += [("native kernels", _kernel_problems(report)), ("export", _export_problems(report))]
    return [_feature(name, found) for name, found in rows]


def _entries() -> Iterator[Tuple[str, Entry]]:
    for registry in (ENGINES, SOURCES, SINKS):
        for entry in registry:
            yield registry.kind, entry


def _lacking(report: Dict[str, Any], packages: Iterable[str]) -> List[Problem]:
    names = [(package, REPORT_NAMES.get(package, package)) for package in packages]
    errors = [(package, name, report["packages"][name]["error"]) for package, name in names]
    jetson = report["jetpack"] is not None
    return [("{} {}".format(name, error), hint_for(package, jetson)) for package, name, error in errors if error]


def _feature(name: str, found: List[Problem]) -> Dict[str, Any]:
    missing, do = (list(dict.fromkeys(texts)) for texts in zip(*found)) if found else ([], [])
    return {"name": name, "ready": not missing, "missing": missing, "do": do}


def _camera_problems(report: Dict[str, Any]) -> List[Problem]:
    if not sys.platform.startswith("linux"):  # cameras have no files there: opening one shows whether it is there
        return []
    if not report["cameras"]:
        return [("no /dev/video*", "plug in a camera, then: ls /dev/video*")]
    if not any(camera["readable"] for camera in report["cameras"]):
        return [("no right to read /dev/video*", "sudo usermod -aG video $USER, then log in again")]
    return []


def _csi_problems(report: Dict[str, Any]) -> List[Problem]:
    jetson, opencv = report["jetpack"] is not None, report["packages"]["opencv"]
    found = [] if jetson else [("not a Jetson", "run on a Jetson; use --camera N for a USB camera here")]
    if opencv["error"] is None and not opencv["gstreamer"]:
        do = "pip uninstall opencv-python, then: sudo apt install libopencv-python (JetPack's, with GStreamer)"
        found.append(("OpenCV was built without GStreamer", do if jetson else "install an OpenCV with GStreamer"))
    return found + _camera_problems(report)


def _driver_problems(report: Dict[str, Any]) -> List[Problem]:
    do = hint_for("tensorrt", report["jetpack"] is not None)
    return [("no CUDA driver (libcuda)", do)] if report["cuda"]["driver"] is None else []


def _display_problems(report: Dict[str, Any]) -> List[Problem]:
    found, opencv = [], report["packages"]["opencv"]
    if opencv["error"] is None and opencv["gui"] is None:
        found.append(("OpenCV was built without windows", "pip install opencv-python in place of the headless one"))
    if report["display"] is None and sys.platform.startswith("linux"):
        found.append(("no display", "log in on the machine's own screen, or use --save out.mp4"))
    return found


def _provider_problems(report: Dict[str, Any]) -> List[Problem]:
    found = "CUDAExecutionProvider" in report["packages"]["onnxruntime"].get("providers", ())
    return [] if found else [("no CUDA provider", "pip install onnxruntime-gpu in place of onnxruntime")]


_CHECKS = {  # what an entry needs beyond its packages
    "engine onnxruntime-cuda": _provider_problems,
    "engine tensorrt": _driver_problems,
    "source camera": _camera_problems,
    "source csi": _csi_problems,
    "sink display": _display_problems,
    "sink progress": lambda report: _lacking(report, ["tqdm"]),  # without it there is a line instead of a bar
}


def _kernel_problems(report: Dict[str, Any]) -> List[Problem]:
    libraries = report["kernel_libraries"].values()
    if any(library["path"] for library in libraries):
        return []
    errors = sorted({library["error"] for library in libraries if library["error"]})
    return [("; ".join(errors) or "no kernel library (models run without it, by standard operations)", KERNELS)]


def _export_problems(report: Dict[str, Any]) -> List[Problem]:
    half, version = report["host_half"], report["python"]["version"]
    if tuple(int(part) for part in version.split(".")[:2]) < (3, 10):
        return [("Python {} is below 3.10".format(version), "export on another machine; copy the .onnx and .json here")]
    missing = [(name, hint_for(name, jetson=False)) for name in ("torch", "onnx") if half[name] is None]
    if not half["installed"]:  # its extra installs the packages too
        missing = [(name, HOST_PACKAGE) for name, _ in missing] + [("tsm_edge_export", HOST_PACKAGE)]
    return [("{} not installed".format(name), do) for name, do in missing]


def render(report: Dict[str, Any]) -> str:
    """Return the report as text: the facts, then for each feature "ready" or what is missing and what to do."""
    lines = ["{:<17} {}".format(name, one_line(str(value))) for name, value in _facts(report)]
    lines.append("")
    width = max(len(feature["name"]) for feature in report["features"])
    for feature in report["features"]:
        state = "ready" if feature["ready"] else "missing: " + "; ".join(feature["missing"])
        lines.append("{:<{}} {}".format(feature["name"], width, one_line(state)))
        lines += ["{:<{}}   do: {}".format("", width, one_line(step)) for step in feature["do"]]
    return "\n".join(lines)


def _facts(report: Dict[str, Any]) -> Iterator[Tuple[str, Any]]:
    """Yield (name, value) for each fact."""
    packages, cuda, half = report["packages"], report["cuda"], report["host_half"]
    memory = "unknown" if report["memory_mb"] is None else "{} MB".format(report["memory_mb"])
    yield "tsm-edge", report["tsm_edge"]
    yield "Python", "{version} ({executable})".format(**report["python"])
    yield "system", "{name}, kernel {kernel}, {machine}".format(**report["os"])
    yield "processor", "{} cores, memory {}".format(report["cpus"], memory)
    if report["board"] is not None:
        yield from _board_facts(report["board"])
    if report["power_mode"] is not None:
        yield "power mode", report["power_mode"]
    for name, found in packages.items():
        yield name, found["error"] or found["version"] + _details(found)
    yield "CUDA", "driver {}, runtime {}, nvcc {}".format(*(cuda[key] or "no" for key in ("driver", "runtime", "nvcc")))
    for name, library in report["kernel_libraries"].items():
        yield "kernels", "{}: {}".format(name, library["path"] or library["error"] or "not found")
    yield "cameras", ", ".join(camera["device"] for camera in report["cameras"]) or "none"
    installed = "installed" if half["installed"] else "not installed"
    yield "host half", "{}, torch {}, onnx {}".format(installed, half["torch"] or "no", half["onnx"] or "no")


def _board_facts(board: Dict[str, Any]) -> Iterator[Tuple[str, str]]:
    """Yield the facts about the Jetson that this machine is."""
    names = (board["model"] or "unknown model", board["l4t"] or "unknown", board["package"] or "not installed")
    yield "Jetson", "{}, L4T {}, JetPack package {}".format(*names)
    support = board["support"]
    state = ", ".join(part for part in (support["state"], support["why"]) if part)
    versions = ", ".join("{} {}".format(name, version) for name, version in support["versions"].items())
    yield "JetPack", "{} ({}){}".format(board["jetpack"] or "unknown", state, versions and ": it brings " + versions)
    if board["compute_capability"] is not None:
        gpu = "{chip}, compute capability {compute_capability}, ".format(**board)
        yield "GPU", gpu + ", ".join(board["precisions"])
    if board["swap_mb"] is not None:
        yield "swap", "{} MB".format(board["swap_mb"])
    sensors = board["sensors"]
    for name, unit, digits in (("temperatures", "C", 1), ("clocks", "MHz", 0), ("power", "mW", 0), ("voltage", "V", 2)):
        if sensors[name]:
            values = ("{} {:.{}f}".format(key, value, digits) for key, value in sensors[name].items())
            yield name, "{} {}".format(", ".join(values), unit)


def _details(package: Dict[str, Any]) -> str:
    if "gstreamer" in package:
        gstreamer, ffmpeg = ("yes" if package[name] else "no" for name in ("gstreamer", "ffmpeg"))
        return ", GStreamer {}, FFmpeg {}, windows {}".format(gstreamer, ffmpeg, package["gui"] or "no")
    return ", providers " + ", ".join(package["providers"]) if "providers" in package else ""
