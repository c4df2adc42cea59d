"""Time to the first label, time of an import, and memory over a long run, each in a separate process."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil

import common
import forms

EARLY, LATE = 1_000, 20_000  # frames at which memory is read
POLL_SECONDS = 0.002


def run_command(model, *more):
    """Return the command line of a run over the clip."""
    source = ("--source", str(common.SMALL_CLIP), "--fps", "1000")  # every frame of it
    return [sys.executable, "-m", "tsm_edge", "run", "--engine", str(model), *source, *map(str, more)]


def first_label_seconds(command, lines, **options):
    """Return the time from the start of a run to the first whole line of its JSONL.

    Args:
        command: of the run, without --jsonl.
        lines: the path of the JSONL.
        **options: of `subprocess.Popen`.
    """
    lines.unlink(missing_ok=True)
    start = time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*command, "--jsonl", str(lines)], **quiet, **options)
    while not (lines.exists() and b"\n" in lines.read_bytes()):
        if process.poll() is not None:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode} before its first label")
        time.sleep(POLL_SECONDS)
    seconds = time.perf_counter() - start
    process.terminate()
    process.wait()
    return seconds


def import_seconds():
    """Return what `import tsm_edge` takes in a fresh interpreter that has imported numpy."""
    code = "import time, numpy; t = time.perf_counter(); import tsm_edge; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE).stdout)


def memory(command, lines, early, late):
    """Return the resident megabytes of a looped run at two of its frames, and its peak."""
    more = ["--loop", "--max-frames", str(late + 10), "--jsonl", str(lines)]
    process = subprocess.Popen([*command, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    watched, readings, peak = psutil.Process(process.pid), {}, 0.0
    count, position = 0, 0
    while process.poll() is None and len(readings) < 2:
        time.sleep(0.05 if late == LATE else POLL_SECONDS)
        if lines.exists():
            with open(lines, "rb") as file:
                file.seek(position)
                new = file.read()
            position += len(new)
            count += new.count(b"\n")
        resident = watched.memory_info().rss / 1e6
        peak = max(peak, resident)
        for mark in (early, late):
            if count >= mark and mark not in readings:
                readings[mark] = resident
    process.terminate()
    process.wait()
    return readings[early], readings[late], peak


def main():
    chosen = common.options(__doc__, rounds=9)
    early, late = (20, 200) if chosen.quick else (EARLY, LATE)
    os.environ["PYTHONPATH"] = str(common.ROOT)
    with tempfile.TemporaryDirectory() as folder:
        model, lines = forms.Maker(folder, forms.network_of(chosen)).path(forms.BEST), Path(folder) / "out.jsonl"
        imports = [import_seconds() for _ in range(chosen.rounds)]
        firsts = [first_label_seconds(run_command(model), lines) for _ in range(chosen.rounds)]
        lines.unlink()
        at_early, at_late, peak = memory(run_command(model, "--threads", chosen.threads), lines, early, late)
    rows = {
        "tsm-edge run, start to first label, s": median(firsts),
        "import tsm_edge, added to numpy, ms": 1e3 * median(imports),
        f"memory at frame {early}, MB": at_early,
        f"memory at frame {late}, MB": at_late,
        "memory, peak, MB": peak,
    }
    common.finish("startup", rows, chosen)


if __name__ == "__main__":
    main()
