"""Soak test: python -m tests.soak [--frames N] [--seed S] [--json FILE]. Exit code 1 if anything is off.

Half of the frames go through one run, the rest through runs that each end in another way, over and over. A fault that
it finds comes again with the same seed and number of frames.
"""

import argparse
import json
import os
import sys
import tempfile
import time

from tests.soak.drive import Drive
from tests.soak.endings import ENDINGS, hours, with_video
from tsm_edge.machine.sampler import resident_now

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(ROOT, "build", "device", "tiny_custom.onnx")
FRAMES = 200000  # 1.9 hours at 30 frames/s
A_RUN = 2000  # frames of one that ends in its own way; fewer where there are not so many
LEAST = 2000
WARM_UP = 200
CYCLES_GROWTH = 8e6  # bytes that the process may gain from the second cycle of endings to the last


def soak(frames, seed, model, show=lambda drive: None):
    """Run it all. Returns the report, a dict; "ok" says how it went. show: called with each Drive when it is done."""
    began, runs, faults, memory = time.perf_counter(), [], [], []

    def drive(ending, count):
        done = Drive(ending.__name__.replace("_", " "), model, folder, seed + len(runs))
        ending(done, count)
        left = sorted(set(os.listdir(folder)) - {"o.jsonl", "o.mp4"})
        done.need("other files", left, [])
        # Not the Drive itself: its pictures and queues, kept for every run, would pass for memory that a run lost.
        faults.extend({"run": len(runs), "name": done.name, "fault": fault} for fault in done.faults)
        runs.append(dict(done.figures, name=done.name, seed=done.seed))
        show(done)
        return done.figures.get("frames", 0)

    with tempfile.TemporaryDirectory(prefix="tsm-edge-soak-") as folder:
        with_video(Drive("warm-up", model, folder, seed), WARM_UP)  # libraries start threads of their own, once
        total = drive(hours, frames // 2)
        a_run = max(LEAST // 8, min(A_RUN, frames // (2 * len(ENDINGS))))
        while total < frames:
            total += sum(drive(ending, a_run) for ending in ENDINGS)
            memory.append(resident_now())
    if len(memory) > 2 and memory[-1] - memory[1] > CYCLES_GROWTH:
        faults.append({"run": None, "name": "all", "fault": "memory after each cycle of endings: {}".format(memory)})
    return {
        "frames": total,
        "seed": seed,
        "hours": sum(run.get("hours") or 0 for run in runs),
        "seconds": time.perf_counter() - began,
        "memory_after_each_cycle": memory,
        "ok": not faults,
        "faults": faults,
        "runs": runs,
    }


ROW = "{:<24} {:>8} {:>7} {:>7} {:>8} {:>8} {:>7} {:>10} {:>7}"
HEAD = ("run", "frames", "hours", "faults", "dropped", "corrupt", "resets", "growth, KB", "wrong")


def row(drive):
    figures = drive.figures
    growth, hours_ = figures.get("growth_bytes"), figures.get("hours")
    cells = [figures.get(name) for name in ("dropped", "corrupt", "resets")]
    return ROW.format(
        drive.name,
        figures.get("frames", "-"),
        "-" if hours_ is None else "{:.2f}".format(hours_),
        sum(figures.get("injected", {}).values()),
        *["-" if cell is None else cell for cell in cells],
        "-" if growth is None else "{:.0f}".format(growth / 1e3),
        len(drive.faults) or "",
    )


def show(drive):
    print(row(drive).rstrip(), flush=True)
    for fault in drive.faults:
        print("    " + fault, flush=True)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=FRAMES, help="all in all, at least {}".format(LEAST))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default=MODEL, help="default: the tiny one of the tests")
    parser.add_argument("--json", metavar="FILE", help="write the report there")
    options = parser.parse_args(argv)
    if options.frames < LEAST:
        parser.error("--frames: got {}, expected at least {}".format(options.frames, LEAST))
    print(ROW.format(*HEAD).rstrip())
    report = soak(options.frames, options.seed, options.model, show)
    if options.json:
        with open(options.json + ".part", "w") as file:
            json.dump(report, file, indent=1)
            file.write("\n")
        os.replace(options.json + ".part", options.json)
    for fault in report["faults"]:
        if fault["run"] is None:
            print(fault["fault"])
    print(
        "{frames} frames, {hours:.1f} hours at 30 frames/s in {seconds:.0f} s, seed {seed}: ".format(**report)
        + ("all as it should be" if report["ok"] else "{} THINGS WRONG".format(len(report["faults"])))
    )
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
