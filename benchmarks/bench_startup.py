"""Time to the first label, what an import costs, and memory over a long run: each in processes of their own."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil

import common
from tsm_edge_export.exporter import export

CLIP = common.CLIPS / "mmaction2_demo.mp4"
EARLY, LATE = 1_000, 20_000  # frames at which memory is read


def run_command(model, *more):
    """The command line of a run over the clip."""
    return [sys.executable, "-m", "tsm_edge", "run", "--engine", str(model), "--source", str(CLIP), *more]


def first_label_seconds(model, folder):
    """From the start of `tsm-edge run` to the first whole line of its JSONL."""
    lines = Path(folder) / "first.jsonl"
    lines.unlink(missing_ok=True)
    start = time.perf_counter()
    process = subprocess.Popen(
        run_command(model, "--jsonl", str(lines)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (lines.exists() and b"\n" in lines.read_bytes()):
        if process.poll() is not None:
            raise RuntimeError(f"tsm-edge run ended with {process.returncode} before its first label")
        time.sleep(0.002)
    seconds = time.perf_counter() - start
    process.terminate()
    process.wait()
    return seconds


def import_seconds():
    """What `import tsm_edge` takes in a fresh interpreter that has imported numpy."""
    code = "import time, numpy; t = time.perf_counter(); import tsm_edge; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE).stdout)


def memory(model, folder, threads):
    """Resident megabytes of a looped run at its frames EARLY and LATE, and its peak."""
    lines = Path(folder) / "memory.jsonl"
    process = subprocess.Popen(
        run_command(model, "--loop", "--max-frames", str(LATE + 10), "--jsonl", str(lines), "--threads", str(threads)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    watched, readings, peak = psutil.Process(process.pid), {}, 0.0
    count, position = 0, 0
    while process.poll() is None and len(readings) < 2:
        time.sleep(0.05)
        if lines.exists():
            with open(lines, "rb") as file:
                file.seek(position)
                new = file.read()
            position += len(new)
            count += new.count(b"\n")
        resident = watched.memory_info().rss / 1e6
        peak = max(peak, resident)
        for mark in (EARLY, LATE):
            if count >= mark and mark not in readings:
                readings[mark] = resident
    process.terminate()
    process.wait()
    return readings[EARLY], readings[LATE], peak


def main():
    chosen = common.options(__doc__, rounds=9)
    os.environ["PYTHONPATH"] = str(common.ROOT)
    with tempfile.TemporaryDirectory() as folder:
        model = export("mobilenetv2_tsm", output=Path(folder) / "m.onnx")
        imports = [import_seconds() for _ in range(chosen.rounds)]
        firsts = [first_label_seconds(model, folder) for _ in range(chosen.rounds)]
        early, late, peak = memory(model, folder, chosen.threads)
    rows = {
        "tsm-edge run, start to first label, s": median(firsts),
        "import tsm_edge, added to numpy, ms": 1e3 * median(imports),
        f"memory at frame {EARLY}, MB": early,
        f"memory at frame {LATE}, MB": late,
        "memory, peak, MB": peak,
    }
    common.finish("startup", rows, chosen)


if __name__ == "__main__":
    main()
