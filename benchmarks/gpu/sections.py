"""Run all GPU checks and measurements, each section in its own process.

    python -m benchmarks.gpu.sections --out FOLDER --json FILE

If a section fails, hangs or lacks a package, the JSON names it with the reason and the other sections still run. The
exit code is 1 if a check failed. --dry runs the same scripts on a CPU with tiny sizes, to test that they run; its
figures mean nothing.
"""

import argparse
import datetime
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import NamedTuple, Tuple

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable
TOTAL_SECONDS = 570  # for all sections
DRY_RUN_FACTOR = 10  # a dry run has so many times the time, because its machine may be busy with other work
PACKAGES = ("torch", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "cupy-cuda12x", "cupy-cuda13x")


class Section(NamedTuple):
    """One check or measurement.

    Attributes:
        name: its key in the JSON.
        command: the program and its arguments.
        limit: its time limit in seconds.
        needs: the packages that it imports.
        after: a section that must have passed before, or "".
        json: whether the command accepts --json FILE.
        dry: additional arguments in a dry run.
    """

    name: str
    command: Tuple[str, ...]
    limit: int
    needs: Tuple[str, ...] = ()
    after: str = ""
    json: bool = False
    dry: Tuple[str, ...] = ()


def _module(name, *arguments):
    return (PYTHON, "-m", "benchmarks.gpu." + name, *arguments)


# The most useful first: if time runs out, the last ones do not run.
SECTIONS = (
    Section("build", ("sh", "benchmarks/gpu/build.sh"), 180),
    Section("kernels", _module("check"), 60, ("cupy",), "build"),
    Section("timings", _module("measure"), 60, ("cupy",), "build", True),
    Section("torch_float32", _module("streaming", "torch"), 120, ("torch", "onnx"), "", True, ("--dry",)),
    Section("torch_float16", _module("streaming", "torch", "--half"), 120, ("torch", "onnx"), "", True, ("--dry",)),
    Section("onnxruntime", _module("streaming", "onnxruntime"), 150, ("torch", "onnx", "onnxruntime"), "", True,
            ("--dry",)),
    Section("plugins", ("sh", "benchmarks/gpu/plugins.sh"), 60, (), "build"),
    Section("memcheck", ("sh", "benchmarks/gpu/sanitize.sh", "memcheck", PYTHON), 90, ("cupy",), "build"),
    Section("racecheck", ("sh", "benchmarks/gpu/sanitize.sh", "racecheck", PYTHON), 90, ("cupy",), "build"),
    Section("initcheck", ("sh", "benchmarks/gpu/sanitize.sh", "initcheck", PYTHON), 90, ("cupy",), "build"),
    Section("training", (PYTHON, "benchmarks/bench_training.py", "--batch", "16"), 120, ("torch", "onnx", "cv2"), "",
            True, ("--device", "cpu", "--batch", "1", "--rounds", "1")),
    Section("contract", (PYTHON, "-m", "pytest", "-q", "-k", "Cuda or cuda", "-p", "no:cacheprovider",
                         "tests/export/test_torch_engine.py", "tests/device/engines/onnxruntime/test_cuda.py"),
            150, ("torch", "onnx", "onnxruntime", "pytest", "hypothesis", "cv2"), "build"),
)  # fmt: skip
NOT_RUN = 77  # exit code of a script that cannot run here; its last line of output is the reason


def run_section(section, out, dry, results, left):
    """Run one section and return its record.

    Args:
        section: the Section.
        out: the folder of its log and JSON.
        dry: whether this is a dry run.
        results: {name: record} of the sections before it.
        left: the seconds left for all sections.

    Returns:
        {"status": "passed", "failed" or "not run", "seconds": …, "why": …, "said": the last lines of its output,
        "results": its JSON}, without the keys that have no value.
    """
    missing = [name for name in section.needs if importlib.util.find_spec(name) is None]
    if dry and "cupy" in missing:
        missing.remove("cupy")
    if missing:
        return {"status": "not run", "why": "no " + ", ".join(missing)}
    if section.after in results and results[section.after]["status"] != "passed":
        return {"status": "not run", "why": f"needs {section.after}, which has not passed"}
    limit = min(section.limit * (DRY_RUN_FACTOR if dry else 1), left)
    if limit < 5:
        return {"status": "not run", "why": "no time left"}
    written = out / f"{section.name}.json"
    written.unlink(missing_ok=True)
    command = [*section.command, *(section.dry if dry else ())]
    command += ["--json", str(written)] if section.json else []
    record = _run(command, out / f"{section.name}.log", limit)
    if written.exists():
        record["results"] = json.loads(written.read_text())
    return record


def _run(command, log, limit):
    began = time.monotonic()
    with open(log, "w") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
            os.killpg(process.pid, 9)
            process.wait()
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    record = {"status": {0: "passed", NOT_RUN: "not run"}.get(code, "failed")}
    record["seconds"] = round(time.monotonic() - began, 1)
    if code == NOT_RUN:
        record["why"] = lines[-1] if lines else "no reason given"
    elif code is None:
        record["why"] = f"not done after {limit:.0f} s"
    elif code:
        record["why"] = f"exit code {code}"
    record["said"] = lines[-12:]
    return record


def environment():
    """Return the device, driver, versions and date of this run."""

    def output(*command):
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() or None

    installed = {d.metadata["Name"]: d.version for d in metadata.distributions()}
    nvcc = output(os.environ.get("NVCC", "nvcc"), "--version")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "device": output("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"),
        "nvcc": nvcc.splitlines()[-1] if nvcc else None,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "versions": {name: installed[name] for name in PACKAGES if name in installed},
        "commit": output("git", "-C", str(ROOT), "rev-parse", "HEAD"),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="folder of the logs")
    parser.add_argument("--json", required=True, help="the file to write, again after each section")
    parser.add_argument("--only", nargs="*", choices=[s.name for s in SECTIONS], help="run only these sections")
    parser.add_argument("--dry", action="store_true", help="test the scripts on a CPU with tiny sizes")
    chosen = parser.parse_args()
    out, began, results = Path(chosen.out), time.monotonic(), {}
    out.mkdir(parents=True, exist_ok=True)
    report = {"dry_run": chosen.dry, **environment(), "sections": results}
    for section in SECTIONS:
        if chosen.only and section.name not in chosen.only:
            continue
        left = TOTAL_SECONDS * (DRY_RUN_FACTOR if chosen.dry else 1) - (time.monotonic() - began)
        results[section.name] = record = run_section(section, out, chosen.dry, results, left)
        report["passed"] = all(r["status"] != "failed" for r in results.values())
        Path(chosen.json).write_text(json.dumps(report, indent=1) + "\n")
        said = record.get("why") or (record["said"][-1] if record.get("said") else "")
        print(f"{section.name:<15} {record['status']:<8} {record.get('seconds', 0):>6} s  {said}", flush=True)
    raise SystemExit(not report["passed"])


if __name__ == "__main__":
    main()
