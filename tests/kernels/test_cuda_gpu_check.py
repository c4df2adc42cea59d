"""The scripts of benchmarks/gpu_check.sh, dry: their kernels on the CPU. It cannot run here; it must not rot either."""

import json
import os
import subprocess
import sys

from tests.kernels.cuda_driver import KERNELS

ROOT = os.path.dirname(KERNELS)


def test_dry_run(tmp_path):
    library = tmp_path / "libtsm_edge_cuda.so"
    sources = [os.path.join(KERNELS, "cuda", name) for name in ("temporal_shift.cu", "preprocess.cu", "c_api.cpp")]
    flags = ["-std=c++14", "-O2", "-w", "-fno-strict-aliasing", "-fPIC", "-shared", "-x", "c++"]
    shim = "-I" + os.path.join(KERNELS, "tests", "cuda_shim")
    subprocess.run(["g++", *flags, shim, *sources, "-o", str(library)], check=True)
    environment = dict(os.environ, TSM_EDGE_CUDA_LIBRARY=str(library), TSM_EDGE_CUDA_SHIM="1", PYTHONPATH=ROOT)
    run = {"check": True, "cwd": ROOT, "env": environment, "stdout": subprocess.PIPE, "universal_newlines": True}
    checked = subprocess.run([sys.executable, "-m", "benchmarks.gpu.check"], **run)
    assert "75 of 75 cases equal the reference" in checked.stdout
    report = tmp_path / "report.json"
    subprocess.run([sys.executable, "-m", "benchmarks.gpu.measure", "--json", str(report)], **run)
    data = json.loads(report.read_text())
    assert len(data["bandwidth"]) == 14 and len(data["latency"]["step"]) == 10 and len(data["preprocess"]) == 2
    assert "no measurement" in data["device"]
    subprocess.run(["sh", "-n", os.path.join(ROOT, "benchmarks", "gpu_check.sh")], check=True)
