"""Stream a network on the GPU: parity with the causal clip, overhead of the shift, host time, batches, memory.

    python -m benchmarks.gpu.streaming torch [--half] --json FILE
    python -m benchmarks.gpu.streaming onnxruntime --json FILE

The network is MobileNetV2-TSM at 224x224 with the seeded weights of its recipe. All engines take turns, and a ratio is
the median over the rounds. The exit code is 1 if a check (parity, allocations) failed; a missed target is reported, not
an error. --dry runs tiny sizes on a CPU, to test the script; its figures mean nothing.
"""

import argparse
import json
import sys
import tempfile
import traceback
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.gpu import variants
from common import in_turn, ratio
from tsm_edge.machine.sampler import resident_now
from tsm_edge.tolerances import allowed

TARGETS = {"ratio, 1": 1.10, "ratio, 64": 1.03, "host ms": 0.3, "batch gain": 10.0}
FRAME_COUNT = 97  # different frames, from which each stream takes its own


class Sizes:
    """The sizes of a run.

    Attributes:
        rounds: turns of each engine.
        chain: steps of the parity check of the main engine.
        short: steps of the parity check of the other engines.
        chunk: frames of a clip of the reference.
        settle: steps before memory is read for the first time.
        streams: numbers of streams whose speed is measured.
    """

    def __init__(self, dry):
        self.rounds, self.chain, self.short, self.chunk = (2, 12, 8, 6) if dry else (300, 10000, 200, 100)
        self.settle = 4 if dry else 100
        self.streams = (1, 2) if dry else (1, 64)


def reference(network, bank, order, chunk, device):
    """Return the logits (T, classes) float32 of the causal clip of the frames bank[order].

    The clip is computed in chunks: the logits of a frame depend only on as many frames before it as the network has
    shifts.
    """
    past, pieces = len(network.places), []
    bank = torch.from_numpy(bank).to(device)
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for start in range(0, len(order), chunk):
            first = max(0, start - past)
            clip = bank[torch.from_numpy(order[first : start + chunk]).to(device)]
            (logits,) = network.clip(clip[None], "causal", "standard")
            pieces.append(logits[0, start - first :].cpu().numpy())
    return np.concatenate(pieces)


def on_gpu():
    """Return (allocations so far, bytes in use on the whole GPU)."""
    if not torch.cuda.is_available():
        return 0, 0
    free, total = torch.cuda.mem_get_info()
    return torch.cuda.memory_stats().get("allocation.all.allocated", 0), total - free


def chain(engine, expected, bank, order, tolerance, sizes):
    """Step one stream through bank[order]. Return its parity, and its memory growth after `sizes.settle` steps."""
    state, got = engine.new_state(), np.empty_like(expected)
    for t, index in enumerate(order):
        if t == sizes.settle:
            before = (resident_now(), *on_gpu())
        (logits,) = engine.step(bank[index][None], state).values()
        got[t] = logits[0]
    after = (resident_now(), *on_gpu())
    error, short = np.abs(got - expected).max(), np.abs(got - expected)[: sizes.short].max()
    rss, allocations, gpu = (b - a for a, b in zip(before, after, strict=True))
    # Without CUDA graphs torch counts an allocation even if it reuses memory.
    flat_memory = gpu <= 0 and rss < 4 << 20 and not (allocations and engine.graphs)
    return {
        "steps": len(order),
        "error": float(error),
        f"error of the first {sizes.short}": float(short),
        "allowed": float(allowed(expected, tolerance)),
        "gpu allocations": allocations,
        "gpu bytes grown": gpu,
        "host bytes grown": rss,
        "passed": bool(error <= allowed(expected, tolerance) and flat_memory),
    }


def stepper(engine, state, frames):
    """Return a function that runs one step. The frames are in the state's staging array if it has one."""
    staging = getattr(state, "staging", None)
    if staging is None:
        return lambda: engine.step(frames, state)
    staging[...] = frames
    return lambda: engine.step(staging, state)


def launch_seconds(engine, launch, launches=50):
    """Return the median seconds of `launch`, queued back to back on the engine's stream; without a GPU, of a call."""
    if engine.stream is None:
        return median(in_turn({"": launch}, 2, warm_up=1, turn=0)[""])
    times = []
    with torch.cuda.stream(engine.stream):
        for _ in range(12):
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            first.record()
            for _ in range(launches):
                launch()
            last.record()
            last.synchronize()
            times.append(first.elapsed_time(last) / 1e3 / launches)
    return median(times[2:])


def gpu_seconds(engine, state):
    """Return the median seconds of a step on the GPU alone, or None if the engine has no CUDA stream."""
    if getattr(engine, "stream", None) is None:
        return None
    return launch_seconds(engine, lambda: state.launch(0))


def flat(name, engines):
    """Return the name of the 2D network that engine `name` is compared with: the one that runs in the same way."""
    alike = "2D, " + name.partition(", ")[2]
    return alike if alike in engines else "2D"


def speed(engines, sizes):
    """Return rows with the time of a step of each engine, per number of streams, and its ratio to the 2D network."""
    rows, once = [], {}
    for streams in sizes.streams:
        calls, gpu = {}, {}
        for name, engine in engines.items():
            frame, state = engine.manifest.frame, engine.new_state(streams)
            frames = np.random.RandomState(0).randn(streams, 3, frame.height, frame.width).astype(np.float32)
            calls[name], gpu[name] = stepper(engine, state, frames), gpu_seconds(engine, state)
        seconds = in_turn(calls, max(2, sizes.rounds // (1 if streams == 1 else 4)), warm_up=5, turn=0)
        for name in engines:
            wall = median(seconds[name])
            row = {"engine": name, "streams": streams, "ms": 1e3 * wall, "frames/s": streams / wall}
            row["over 2D, whole step"] = ratio(seconds, name, flat(name, engines))
            if gpu[name] is not None:
                row.update({"gpu ms": 1e3 * gpu[name], "host ms": 1e3 * (wall - gpu[name])})
                row["over 2D, GPU"] = gpu[name] / gpu[flat(name, engines)]
            once.setdefault(name, streams / wall)
            if streams != 1:
                row["frames/s over one stream's"] = row["frames/s"] / once[name]
            rows.append(row)
    return rows


def targets(rows, streaming):
    """Return [{target, value, limit, met}] for the engine named `streaming`."""
    found = []
    for row in (r for r in rows if r["engine"] == streaming):
        cost = row.get("over 2D, GPU", row["over 2D, whole step"])
        limit = TARGETS["ratio, 1" if row["streams"] == 1 else "ratio, 64"]
        found.append(("shift over 2D, {} stream(s)".format(row["streams"]), cost, limit, cost <= limit))
        if row["streams"] == 1 and "host ms" in row:
            found.append(("host ms a frame", row["host ms"], TARGETS["host ms"], row["host ms"] <= TARGETS["host ms"]))
        gain = row.get("frames/s over one stream's")
        if gain is not None:
            found.append(("frames/s of the batch over one stream's", gain, TARGETS["batch gain"], gain >= 10.0))
    return [dict(zip(("target", "value", "limit", "met"), row, strict=True)) for row in found]


def measure(kind, half, dry, folder):
    """Return the report of one back end. If a variant fails, the report names its error and the others still run."""
    device, sizes = "cpu" if dry else "cuda", Sizes(dry)
    network, made = variants.build(kind, half, device, folder, tiny=dry)
    random = np.random.RandomState(1)
    frame = next(iter(made.values())).manifest.frame if made else None
    bank = random.randn(9 if dry else FRAME_COUNT, 3, frame.height, frame.width).astype(np.float32)
    order = random.randint(0, len(bank), sizes.chain)
    expected = reference(network.to(device), bank, order, sizes.chunk, device)
    report = {"shift_by": {name: engine.shift_by for name, engine in made.items()}, "parity": {}, "failed": {}}
    tolerance = "float16" if half else "float32"
    first = next(name for name in ("streaming", "library", "function body") if name in made)
    for name in [name for name in made if not name.startswith("2D")]:
        count = len(order) if name == first else sizes.short
        try:
            report["parity"][name] = chain(made[name], expected[:count], bank, order[:count], tolerance, sizes)
        except Exception as error:  # a back end may raise anything, and the others must still be measured
            traceback.print_exc()
            report["failed"][name] = "{}: {}".format(type(error).__name__, error)
            made[name].close()
            del made[name]
    report["speed"] = speed(made, sizes)
    names = [name for name in made if not name.startswith("2D")]
    report["targets"] = {name: targets(report["speed"], name) for name in names}
    if kind == "torch":
        engine = made["streaming"]
        report["shifts"] = variants.shifts_alone(engine, engine.new_state(), partial(launch_seconds, engine))
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("torch", "onnxruntime"))
    parser.add_argument("--half", action="store_true", help="float16 (torch only)")
    parser.add_argument("--dry", action="store_true", help="tiny sizes on a CPU, to test this script")
    parser.add_argument("--json", required=True, metavar="FILE")
    chosen = parser.parse_args()
    why = variants.why_not(chosen.kind, chosen.dry)
    if why:
        print(why)
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        report = measure(chosen.kind, chosen.half, chosen.dry, Path(folder))
    Path(chosen.json).write_text(json.dumps(report, indent=1) + "\n")
    for name, row in report["parity"].items():
        print(name, json.dumps(row))
    for row in report["speed"]:
        print(json.dumps(row))
    for name, rows in report["targets"].items():
        for row in rows:
            print("{}: {target}: {value:.3g}, limit {limit}: {}".format(name, "met" if row["met"] else "MISSED", **row))
    for name, error in report["failed"].items():
        print(f"FAILED {name}: {error}")
    sys.exit(bool(report["failed"]) or not all(row["passed"] for row in report["parity"].values()))


if __name__ == "__main__":
    main()
