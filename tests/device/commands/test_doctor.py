"""The doctor, on a fake Jetson Nano and on machines where packages are missing or broken."""

import json
import os
import sys
import types

import pytest

from tests.device import boards
from tests.device.running import tsm_edge
from tests.device.test_imports import python
from tsm_edge import __version__
from tsm_edge.commands import doctor
from tsm_edge.engines import ENGINES
from tsm_edge.machine import inspection
from tsm_edge.machine.install_hints import PACKAGES, hint_for
from tsm_edge.registry import Entry
from tsm_edge.sinks import SINKS
from tsm_edge.sources import SOURCES

NANO = {
    "etc/nv_tegra_release": "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64, DATE: x\n",
    "etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 18.04.6 LTS"\n',
    "proc/device-tree/model": "NVIDIA Jetson Nano Developer Kit\0",
    "proc/meminfo": "MemTotal:        4059216 kB\nMemFree:          123 kB\n",
    "var/lib/dpkg/status": (
        "Package: nano\nStatus: install ok installed\nVersion: 2.9.3\n\n"
        "Package: nvidia-jetpack\nStatus: install ok installed\nArchitecture: arm64\nVersion: 4.6.1-b110\n\n"
        "Package: zip\nVersion: 3.0\n"
    ),
    "dev/video0": "",
    "dev/video10": "",
    "dev/video2": "",
}
BUILD_4_1 = """
  GUI:
    GTK+:                        YES (ver 2.24.32)
      GThread :                  YES (ver 2.56.4)
    VTK support:                 NO

  Video I/O:
    FFMPEG:                      YES
      avcodec:                   YES (57.107.100)
    GStreamer:                   YES (1.14.5)
    v4l/v4l2:                    YES (linux/videodev2.h)
"""
BUILD_HEADLESS = """
  GUI:                           NONE

  Video I/O:
    FFMPEG:                      NO
    GStreamer:                   NO
"""
BUILD_OLD_HEADLESS = """
  GUI:
    GTK+:                        NO
    VTK support:                 NO

  Video I/O:
"""
BUILD_5 = """
  GUI:                           QT5
    QT:                          YES (ver 5.15.19 )
    GTK+:                        NO

  Video I/O:
    FFMPEG:                      YES
    GStreamer:                   NO
"""


def tree(folder, files):
    for path, text in files.items():
        full = os.path.join(str(folder), path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as file:
            file.write(text)
    return str(folder)


def fake(monkeypatch, name, **attributes):
    module = types.ModuleType(name)
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, name, module)


def no_library(name):
    return None


def examine(root, find=no_library):
    return doctor.examine(root=str(root), find_kernel_library=find)


def by_name(report):
    return {feature["name"]: feature for feature in report["features"]}


@pytest.fixture
def nano(tmp_path, monkeypatch):
    """Everything that a well set up Nano has, the commands included."""
    bin_folder = tree(tmp_path / "bin", {"nvpmodel": "#!/bin/sh\necho 'NV Power Mode: MAXN'\necho 0\n"})
    root = tree(
        tmp_path / "root",
        dict(
            NANO, **{"usr/local/cuda/bin/nvcc": "#!/bin/sh\necho 'Cuda compilation tools, release 10.2, V10.2.300'\n"}
        ),
    )
    for path in (os.path.join(bin_folder, "nvpmodel"), os.path.join(root, "usr/local/cuda/bin/nvcc")):
        os.chmod(path, 0o755)
    monkeypatch.setenv("PATH", bin_folder)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(inspection.ctypes.util, "find_library", lambda name: "lib{}.so".format(name))
    fake(monkeypatch, "cv2", __version__="4.1.1", getBuildInformation=lambda: BUILD_4_1)
    fake(
        monkeypatch,
        "onnxruntime",
        __version__="1.10.0",
        get_available_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    fake(monkeypatch, "tensorrt", __version__="8.2.1.8")
    fake(monkeypatch, "pycuda", VERSION_TEXT="2021.1")
    fake(monkeypatch, "pycuda.driver")
    fake(monkeypatch, "tqdm", __version__="4.64.1")
    return root


def test_a_jetson_nano(nano):
    report = examine(nano, lambda name: "/opt/lib{}.so".format(name))
    assert report["jetpack"] == {
        "l4t": "32.7.1",
        "model": "NVIDIA Jetson Nano Developer Kit",
        "package": "4.6.1-b110",
    }
    assert report["os"]["name"] == "Ubuntu 18.04.6 LTS" and report["memory_mb"] == 3964
    assert report["power_mode"] == "MAXN"
    assert report["cuda"] == {"driver": "libcuda.so", "runtime": "libcudart.so", "nvcc": "10.2.300"}
    assert [camera["device"] for camera in report["cameras"]] == ["/dev/video0", "/dev/video2", "/dev/video10"]
    assert report["packages"]["opencv"] == {
        "version": "4.1.1",
        "error": None,
        "gstreamer": True,
        "ffmpeg": True,
        "gui": "GTK+",
    }
    assert report["packages"]["pycuda"]["version"] == "2021.1"
    features = by_name(report)
    ready = {name for name, feature in features.items() if feature["ready"]}
    assert ready >= set(features) - {"export"}
    text = doctor.render(report)
    for part in ("Jetson Nano", "L4T 32.7.1", "4.6.1-b110", "MAXN", "GStreamer yes", "8.2.1.8", "/dev/video10"):
        assert part in text


@pytest.mark.parametrize(
    "board, mode, parts",
    [
        (
            boards.nano,
            "MAXN",
            ("JetPack           4.6.1 (supported): it brings TensorRT 8.2.1", "5.3, fp32, fp16\n", "4.99 V"),
        ),
        (boards.orin_nano, "MAXN_SUPER", ("6.2 (supported)", "8.7, fp32, fp16, int8\n", "gpu-thermal 51.1", "swap ")),
    ],
)
def test_the_board(tmp_path, monkeypatch, board, mode, parts):
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvpmodel here: its own record says the mode
    root = board(tmp_path)
    report = examine(root)
    assert report["power_mode"] == mode and by_name(report)["board at its best"]["ready"]
    text = doctor.render(report)
    for part in parts:
        assert part in text
    boards.write(root, {"var/lib/nvpmodel/status": "pmode:0001"})
    said = by_name(examine(root))["board at its best"]
    assert not said["ready"] and said["do"][0].startswith("sudo nvpmodel -m ")


def test_a_board_of_which_little_is_known(tmp_path):
    report = examine(boards.write(tmp_path, {"proc/device-tree/model": "NVIDIA Jetson X"}))
    text = doctor.render(report)
    assert "Jetson            NVIDIA Jetson X, L4T unknown" in text and "None" not in text
    assert not by_name(report)["board at its best"]["ready"]


def test_a_nano_whose_opencv_came_from_pip(nano, monkeypatch):
    fake(monkeypatch, "cv2", __version__="4.6.0", getBuildInformation=lambda: BUILD_5)
    features = by_name(examine(nano))
    csi = features["csi camera"]
    assert csi["missing"] == ["OpenCV was built without GStreamer"] and "pip uninstall" in csi["do"][0]
    assert features["run from camera"]["ready"] and not features["native kernels"]["ready"]


def test_a_bare_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(inspection.importlib, "import_module", missing)
    monkeypatch.setattr(inspection, "_installed_version", lambda name: None)
    monkeypatch.setattr(inspection.ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    report = examine(tmp_path)
    assert report["jetpack"] is None and report["power_mode"] is None and report["memory_mb"] is None
    assert report["cameras"] == [] and report["cuda"] == {"driver": None, "runtime": None, "nvcc": None}
    assert report["packages"]["onnxruntime"]["error"] == "not installed"
    features = by_name(report)
    assert not any(feature["ready"] for feature in features.values())
    assert all(feature["missing"] and feature["do"] for feature in features.values())
    assert features["run on CPU"]["do"] == [hint_for("onnxruntime", False), hint_for("cv2", False)]
    assert features["display"]["missing"] == ["opencv not installed", "no display"]
    text = doctor.render(report)
    assert "do: pip install onnxruntime" in text and "Traceback" not in text and "None" not in text


def missing(name):
    error = ImportError("No module named " + name)
    error.name = name
    raise error


@pytest.mark.parametrize(
    "error,said",
    [
        (OSError("libcudart.so.10.2: cannot open shared object file"), "broken: OSError: libcudart.so.10.2: cannot"),
        (ImportError("numpy.core.multiarray failed to import\nmore"), "broken: ImportError: numpy.core.multiarray"),
        (RuntimeError(), "broken: RuntimeError"),
        (SystemExit(1), "broken: SystemExit: 1"),
        (AttributeError("_ARRAY_API not found"), "broken: AttributeError"),
    ],
)
def test_a_broken_package_is_reported(tmp_path, monkeypatch, error, said):
    def load(name):
        raise error

    monkeypatch.setattr(inspection.importlib, "import_module", load)
    report = examine(tmp_path)
    assert report["packages"]["opencv"]["error"].startswith(said)
    assert "\n" not in report["packages"]["opencv"]["error"]
    assert not by_name(report)["run on CPU"]["ready"] and said in doctor.render(report)


def test_a_package_that_breaks_when_it_is_asked(tmp_path, monkeypatch):
    def broken():
        raise RuntimeError("no CUDA")

    fake(monkeypatch, "onnxruntime", __version__="1.10.0", get_available_providers=broken)
    found = examine(tmp_path)["packages"]["onnxruntime"]
    assert found == {"version": None, "error": "broken: RuntimeError: no CUDA"}


def test_kernel_libraries_that_are_found_missing_or_damaged(tmp_path):
    def find(name):
        if name == "tensorrt":
            raise OSError("wrong ELF class")
        return "/opt/libtsm.so"

    report = examine(tmp_path, find)
    assert report["kernel_libraries"]["onnxruntime"] == {"path": "/opt/libtsm.so", "error": None}
    assert report["kernel_libraries"]["tensorrt"] == {"path": None, "error": "OSError: wrong ELF class"}
    assert by_name(report)["native kernels"]["ready"]


@pytest.mark.parametrize(
    "build,gstreamer,ffmpeg,gui",
    [
        (BUILD_4_1, True, True, "GTK+"),
        (BUILD_5, False, True, "QT5"),
        (BUILD_HEADLESS, False, False, None),
        (BUILD_OLD_HEADLESS, False, False, None),
        ("", False, False, None),
    ],
)
def test_opencv_builds(build, gstreamer, ffmpeg, gui):
    assert inspection.parse_opencv_build(build) == {"gstreamer": gstreamer, "ffmpeg": ffmpeg, "gui": gui}


def test_a_camera_that_this_user_may_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root, who may read all, runs this too
    report = examine(tree(tmp_path, NANO))
    assert "sudo usermod -aG video $USER, then log in again" in by_name(report)["run from camera"]["do"]


@pytest.mark.parametrize(
    "change,l4t,package",
    [
        ({"etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 1\n"}, "36.4.3", "4.6.1-b110"),
        ({"etc/nv_tegra_release": "", "var/lib/dpkg/status": "Package: nano\nVersion: 1\n"}, None, None),
        ({"etc/nv_tegra_release": "damaged", "var/lib/dpkg/status": ""}, None, None),
    ],
)
def test_other_jetpacks(tmp_path, change, l4t, package):
    jetpack = examine(tree(tmp_path, dict(NANO, **change)))["jetpack"]
    assert jetpack == {"l4t": l4t, "model": "NVIDIA Jetson Nano Developer Kit", "package": package}


def test_this_machine_for_real_without_importing_torch():
    code = (
        "import json, sys\n"
        "from tsm_edge.commands import doctor\n"
        "assert not {'cv2', 'onnxruntime'} & set(sys.modules)\n"
        "report = doctor.examine()\n"
        "assert json.loads(json.dumps(report, allow_nan=False)) == report\n"
        "assert not {'torch', 'onnx'} & set(sys.modules)\n"
        "doctor.render(report).encode('ascii')\n"
        "print(json.dumps(report))\n"
    )
    report = json.loads(python(code))
    assert report["packages"]["numpy"]["version"] == sys.modules["numpy"].__version__
    assert report["python"]["version"].split(".")[0] == "3" and report["cpus"] >= 1


def test_doctor(capsys):
    done = tsm_edge(capsys, "doctor")
    assert done.code == 0
    for fact in ("Python", "onnxruntime", "opencv", "run on CPU", "TensorRT", "CUDA"):
        assert fact in done.out
    report = json.loads(tsm_edge(capsys, "doctor", "--json").out)
    assert report["tsm_edge"] == __version__
    assert {feature["name"]: feature["ready"] for feature in report["features"]}["run on CPU"] is True


def test_every_entry_that_needs_something_has_a_row_and_every_package_a_hint():
    rows = {feature["name"] for feature in examine("/")["features"]}
    for registry in (ENGINES, SOURCES, SINKS):
        for entry in registry:
            name = "{} {}".format(registry.kind, entry.key)
            assert doctor.FEATURE_NAMES.get(name, name) in rows or not entry.packages
            assert set(entry.packages) <= set(PACKAGES)
    assert set(doctor.FEATURE_NAMES.values()) <= rows


def test_an_engine_of_another_package_gets_its_rows(tmp_path):
    ENGINES.add(Entry("npu", "toy", "a toy", packages=("toy_runtime",), device="npu"))
    try:
        report = examine(tmp_path)
    finally:
        ENGINES.remove("npu")
    assert report["packages"]["toy_runtime"] == {"version": None, "error": "not installed"}
    row = by_name(report)["engine npu"]
    assert (row["missing"], row["do"]) == (["toy_runtime not installed"], [hint_for("toy_runtime", False)])
