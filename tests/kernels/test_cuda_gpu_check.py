"""benchmarks/gpu_check.sh as a dry run: its scripts with tiny sizes on a CPU, so that they keep running."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks.gpu import sections
from benchmarks.gpu.sections import Section, run_section
from tests.kernels.cuda_driver import KERNELS

ROOT = os.path.dirname(KERNELS)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Return the JSON of gpu_check.sh for the sections that can run without a GPU."""
    out = tmp_path_factory.mktemp("gpu")
    library = out / "libtsm_edge_cuda.so"
    sources = [os.path.join(KERNELS, "cuda", name) for name in ("temporal_shift.cu", "preprocess.cu", "c_api.cpp")]
    flags = ["-std=c++14", "-O2", "-w", "-fno-strict-aliasing", "-fPIC", "-shared", "-x", "c++"]
    shim = "-I" + os.path.join(KERNELS, "tests", "cuda_shim")
    subprocess.run(["g++", *flags, shim, *sources, "-o", str(library)], check=True)
    (out / "none").mkdir()
    environment = dict(os.environ, TSM_EDGE_CUDA_LIBRARY=str(library), TSM_EDGE_CUDA_SHIM="1", PYTHON=sys.executable)
    environment.update(TSM_EDGE_KERNELS=str(out / "none"), OMP_NUM_THREADS="1")
    names = "kernels timings torch_float32 torch_float16 onnxruntime memcheck"
    environment["GPU_CHECK_ARGUMENTS"] = "--dry --only " + names
    command = ["sh", os.path.join(ROOT, "benchmarks", "gpu_check.sh"), str(out)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    written = json.loads((out / "gpu.json").read_text())
    assert done.returncode == 0, done.stdout + "".join(p.read_text() for p in out.glob("*.log"))
    assert list(written["sections"]) == names.split()
    return written


def test_the_record_is_marked_as_a_dry_run(report):
    assert report["dry_run"] is True
    assert report["date"] and "torch" in report["versions"]


def test_kernels_are_checked_and_timed(report):
    said = report["sections"]["kernels"]["said"]
    assert said[0] == "75 of 75 cases equal the reference bit for bit"
    assert said[1:] == ["preprocessing: within a level of the runtime", "10,000 chained steps: the causal clip"]
    data = report["sections"]["timings"]["results"]
    assert len(data["bandwidth"]) == 14 and len(data["latency"]["step"]) == 10 and len(data["preprocess"]) == 2
    assert "no measurement" in data["device"]


@pytest.mark.parametrize("name", ["torch_float32", "torch_float16", "onnxruntime"])
def test_engines_stream(report, name):
    data = report["sections"][name]["results"]
    first = "function body" if name == "onnxruntime" else "streaming"
    assert not data["failed"]
    assert data["parity"][first]["steps"] == 12
    assert all(row["passed"] and row["error"] > 0 for row in data["parity"].values())
    assert {row["streams"] for row in data["speed"]} == {1, 2}
    assert {row["engine"] for row in data["speed"]} >= {"2D", first}
    assert len(data["targets"][first]) == 3
    if name != "onnxruntime":
        assert data["shifts"]["share"] > 0 and data["shifts"]["shift_by"] == "torch copies"


def test_a_section_that_cannot_run_gives_the_reason(report):
    assert report["sections"]["memcheck"]["status"] in ("not run", "passed")
    if report["sections"]["memcheck"]["status"] == "not run":
        assert "compute-sanitizer" in report["sections"]["memcheck"]["why"]


def section(tmp_path, *command, **fields):
    return run_section(Section("x", command, 20, **fields), tmp_path, False, {"gone": {"status": "failed"}}, 100)


def test_a_failed_section_is_recorded_with_its_reason(tmp_path):
    failed = section(tmp_path, sys.executable, "-c", "print('why'); raise SystemExit(3)")
    assert (failed["status"], failed["why"], failed["said"]) == ("failed", "exit code 3", ["why"])
    assert section(tmp_path, "sh", "-c", "echo no GPU; exit 77")["why"] == "no GPU"
    assert section(tmp_path, "true", needs=("no_such_package",))["why"] == "no no_such_package"
    assert section(tmp_path, "true", after="gone")["status"] == "not run"
    assert section(tmp_path, "true")["status"] == "passed"
    hanging = run_section(Section("x", ("sleep", "600"), 600), tmp_path, False, {}, 5.5)
    assert hanging["status"] == "failed" and "not done" in hanging["why"]
    assert run_section(Section("x", ("true",), 60), tmp_path, False, {}, 1)["why"] == "no time left"


def test_a_failed_check_is_the_exit_code(tmp_path, monkeypatch):
    monkeypatch.setattr(sections, "SECTIONS", (Section("bad", ("false",), 20), Section("good", ("true",), 20)))
    monkeypatch.setattr(sys, "argv", ["sections", "--out", str(tmp_path), "--json", str(tmp_path / "gpu.json")])
    with pytest.raises(SystemExit) as ended:
        sections.main()
    assert ended.value.code
    statuses = {
        name: row["status"] for name, row in json.loads((tmp_path / "gpu.json").read_text())["sections"].items()
    }
    assert statuses == {"bad": "failed", "good": "passed"}


def test_every_section_is_complete():
    names = [s.name for s in sections.SECTIONS]
    assert len(set(names)) == len(names)
    assert all(s.after in ("", "build") for s in sections.SECTIONS)
    for one in sections.SECTIONS:
        files = [c for c in one.command if "/" in c and c != sys.executable and not os.path.isabs(c)]
        assert all(os.path.exists(os.path.join(ROOT, f)) for f in files), one.name
