"""Eight cameras in one process against eight processes of one camera each: CPU time, memory, latency and lost frames.

The cameras are clips of 340x256 that are played at 15 frames/s, like a camera. The sides take turns, with the same
model and the same --threads in every process. A turn waits until all its processes are steady and then measures for
some seconds:

- CPU time: user and system time of all threads. Start and imports are a separate figure.
- PSS: the sum of the processes' proportional set sizes. A page that several processes share counts in parts.
- Latency: from when a frame was due to its label.
- Dropped: frames that were not taken before the next frame.
"""

import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import psutil

import common
import forms

CLIPS = ("mmaction2_demo.mp4", "mmaction2_test.mp4")
CAMERAS, FPS = 8, 15.0
TURN_SECONDS = 15.0
PROCESS = Path(__file__).resolve().parent / "cameras.py"
COMPARED = (
    "CPU, ms a frame",
    "CPU, processors busy",
    "CPU to start, s",
    "PSS, MB",
    "latency p50, ms",
    "latency p99, ms",
)


def start(model, threads, clips):
    """Start a process that serves these clips."""
    command = [sys.executable, str(PROCESS), model, str(FPS), str(threads), *clips]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def measure(model, threads, groups, seconds):
    """Return {figure: value} of one process for each of `groups`, lists of clips, all at the same time."""
    with contextlib.ExitStack() as stack:
        processes = [start(model, threads, clips) for clips in groups]
        for process in processes:
            stack.callback(process.wait)
            stack.callback(process.kill)
        for process in processes:
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"{PROCESS.name} ended with {process.wait()} before it was ready")
        watched = [psutil.Process(process.pid) for process in processes]
        begun, before = time.perf_counter(), cpu_seconds(watched)
        time.sleep(seconds)
        ended, after = time.perf_counter(), cpu_seconds(watched)
        memory = sum(one.memory_full_info().pss for one in watched)
        for process in processes:
            process.terminate()
        outputs = [process.communicate()[0] for process in processes]
    rows = [(group, *row) for group, output in enumerate(outputs) for row in json.loads(output)]
    found = served([row for row in rows if begun <= row[3] < ended])
    return {
        "CPU, ms a frame": 1e3 * (after - before) / found["frames"],
        "CPU, processors busy": (after - before) / (ended - begun),
        "CPU to start, s": before,
        "PSS, MB": memory / 1e6,
        **found,
    }


def cpu_seconds(processes):
    """Return the user and system time that the processes have taken so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def served(rows):
    """Return latencies, and counts of frames, from rows of results: (group, stream, index, clock, latency)."""
    indices = {}
    for group, stream, index, *_ in rows:
        indices.setdefault((group, stream), []).append(index)
    latencies = [1e3 * row[-1] for row in rows]
    return {
        "latency p50, ms": float(np.percentile(latencies, 50)),
        "latency p99, ms": float(np.percentile(latencies, 99)),
        "frames": len(rows),
        "dropped": sum(max(some) - min(some) + 1 - len(some) for some in indices.values()),
    }


def main():
    chosen = common.options(__doc__, rounds=7)
    cameras, seconds = (2, 1.0) if chosen.quick else (CAMERAS, TURN_SECONDS)
    clips = [str(common.CLIPS / CLIPS[number % len(CLIPS)]) for number in range(cameras)]
    one, several = "one process", f"{cameras} processes"
    os.environ["PYTHONPATH"] = str(common.ROOT)
    with tempfile.TemporaryDirectory() as folder:
        model = forms.Maker(folder, forms.network_of(chosen)).path(forms.BEST)
        sides = {
            side: functools.partial(measure, model, chosen.threads, groups, seconds)
            for side, groups in ((one, [clips]), (several, [[clip] for clip in clips]))
        }
        found = common.rates_in_turn(sides, chosen.rounds, warm_up=0 if chosen.quick else 1)
    rows = {"cameras": cameras, "frames/s of each": FPS}
    for side, values in found.items():
        rows.update({f"{side}: {figure}": median(value[figure] for value in values) for figure in values[0]})
    for figure in COMPARED:
        values = {side: [value[figure] for value in some] for side, some in found.items()}
        rows[f"{figure}: {one} / {several}"] = common.ratio(values, one, several)
        rows.update(common.interval(values, one, several, f"{figure}: "))
    common.finish("cameras", rows, chosen)


if __name__ == "__main__":
    main()
