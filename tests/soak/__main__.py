"""Soak test: python -m tests.soak [--frames N] [--seconds S] [--seed S] [--json FILE]. Exit code 1 if anything is off.

Half of the frames go through one run, the rest through runs that each end in another way, over and over; these runs
are accelerated. Then several live streams run together, on a real clock. A fault that the soak finds in an accelerated
run comes again with the same seed and number of frames.
"""

import argparse
import json
import os
import sys
import tempfile
import time

from tests.soak import several
from tests.soak.drive import Drive
from tests.soak.endings import ENDINGS, hours, with_video
from tsm_edge.machine.sampler import resident_now

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.path.join(ROOT, "build", "device", "tiny_custom.onnx")
FRAMES = 200000  # 1.9 hours at 30 frames/s
MIN_FRAMES = 2000
RUN_FRAMES = 2000  # of a run that ends in its own way; fewer where --frames asks for fewer
WARM_UP_FRAMES = 200
MAX_GROWTH = 8e6  # bytes that the process may gain from the second cycle of endings to the last


class Soak:
    """All runs, and what was found wrong in them.

    Args:
        model: an ONNX file.
        folder: for the files of the runs.
        seed: of the faults.
        show: called with each :class:`Drive` when it is done.

    Attributes:
        runs: the figures of each run.
        faults: {"run", "name", "fault"} of each fault.
        memory: resident bytes after each cycle of endings.
    """

    def __init__(self, model, folder, seed, show):
        self._model, self._folder, self._seed, self._show = model, folder, seed, show
        self.runs, self.faults, self.memory = [], [], []

    def drive(self, name, call, *arguments):
        """Call `call(drive, *arguments)` on a new Drive. Returns its figures."""
        done = Drive(name, self._model, self._folder, self._seed + len(self.runs))
        call(done, *arguments)
        left = sorted(set(os.listdir(self._folder)) - {"o.jsonl", "o.mp4"})
        done.need("other files", left, [])
        # Not the Drive itself: its pictures and queues, kept for every run, would pass for memory that a run lost.
        self.faults.extend({"run": len(self.runs), "name": name, "fault": fault} for fault in done.faults)
        self.runs.append(dict(done.figures, name=name, seed=done.seed))
        self._show(done)
        return done.figures

    def fault(self, name, text):
        """Take a fault of several runs together."""
        self.faults.append({"run": None, "name": name, "fault": text})

    def accelerated(self, frames):
        """Run hours of frames, and every kind of ending."""
        with_video(Drive("warm-up", self._model, self._folder, self._seed), WARM_UP_FRAMES)  # libraries start threads
        total = self._ending(hours, frames // 2)
        count = max(MIN_FRAMES // 8, min(RUN_FRAMES, frames // (2 * len(ENDINGS))))
        while total < frames:
            total += sum(self._ending(ending, count) for ending in ENDINGS)
            self.memory.append(resident_now())
        if len(self.memory) > 2 and self.memory[-1] - self.memory[1] > MAX_GROWTH:
            self.fault("all", "memory after each cycle of endings: {}".format(self.memory))

    def _ending(self, ending, frames):
        return self.drive(ending.__name__.replace("_", " "), ending, frames).get("frames", 0)

    def live(self, seconds):
        """Run several live streams, with and without faults, in turn. Returns the p99 of each side in milliseconds."""
        for _ in range(several.MAX_ROUNDS):
            found = {side: self.drive(side, several.run_side, side, seconds)["p99_ms"] for side in several.SIDES}
            if None in found.values():
                break  # which was reported
            if not several.slowed(found):
                return found
        self.fault(several.FAULTS, "p99 latency of the steady streams in ms: {}".format(found))
        return found


def soak(frames, seconds, seed, model, show=lambda drive: None):
    """Run it all. Returns the report, a dict; "ok" says how it went. See :class:`Soak` for the arguments."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="tsm-edge-soak-") as folder:
        runs = Soak(model, folder, seed, show)
        runs.accelerated(frames)
        p99 = runs.live(seconds)
    return {
        "frames": sum(run.get("frames") or 0 for run in runs.runs),
        "seed": seed,
        "hours": sum(run.get("hours") or 0 for run in runs.runs),
        "seconds": time.perf_counter() - began,
        "memory_after_each_cycle": runs.memory,
        "p99_ms_of_steady_streams": p99,
        "ok": not runs.faults,
        "faults": runs.faults,
        "runs": runs.runs,
    }


ROW = "{:<32} {:>8} {:>7} {:>7} {:>8} {:>8} {:>7} {:>10} {:>8} {:>7}"
HEAD = ("run", "frames", "hours", "faults", "dropped", "corrupt", "resets", "growth, KB", "p99, ms", "wrong")


def row(drive):
    """Return the line of the table for one run."""
    figures = drive.figures
    numbers = [
        (figures.get("hours"), "{:.2f}"),
        (sum(figures.get("injected", {}).values()), "{}"),
        (figures.get("dropped"), "{}"),
        (figures.get("corrupt"), "{}"),
        (figures.get("resets"), "{}"),
        (None if figures.get("growth_bytes") is None else figures["growth_bytes"] / 1e3, "{:.0f}"),
        (figures.get("p99_ms"), "{:.1f}"),
    ]
    cells = ["-" if number is None else form.format(number) for number, form in numbers]
    return ROW.format(drive.name, figures.get("frames", "-"), *(cells + [len(drive.faults) or ""]))


def show(drive):
    """Print one run."""
    print(row(drive).rstrip(), flush=True)
    for fault in drive.faults:
        print("    " + fault, flush=True)


def main(argv=None):
    """Run the soak of a command line. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    frames_help = "of all accelerated runs, at least {}".format(MIN_FRAMES)
    parser.add_argument("--frames", type=int, default=FRAMES, help=frames_help)
    seconds_help = "of each run of live streams, at least {:g}".format(several.MIN_SECONDS)
    parser.add_argument("--seconds", type=float, default=several.SECONDS, help=seconds_help)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default=MODEL, help="default: the tiny one of the tests")
    parser.add_argument("--json", metavar="FILE", help="write the report there")
    options = parser.parse_args(argv)
    for name, least in (("frames", MIN_FRAMES), ("seconds", several.MIN_SECONDS)):
        if getattr(options, name) < least:
            parser.error("--{}: got {}, expected at least {}".format(name, getattr(options, name), least))
    print(ROW.format(*HEAD).rstrip())
    report = soak(options.frames, options.seconds, options.seed, options.model, show)
    if options.json:
        with open(options.json + ".part", "w") as file:
            json.dump(report, file, indent=1)
            file.write("\n")
        os.replace(options.json + ".part", options.json)
    for fault in report["faults"]:
        if fault["run"] is None:
            print("{name}: {fault}".format(**fault))
    print(
        "{frames} frames, {hours:.1f} hours of video in {seconds:.0f} s, seed {seed}: ".format(**report)
        + ("all as it should be" if report["ok"] else "{} THINGS WRONG".format(len(report["faults"])))
    )
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
