"""One stream: this version compared with the commit before the rebuild on sessions. Processes take turns.

Each tree exports the model itself, from the same weights, and runs it by its own `tsm-edge run`. Both trees use this
tree's kernel library where it is built, else none: the shift is computed alike on both sides, which is checked. Peak
memory is the process's own (VmHWM); CPU time is the user and system time of all its threads, with start and imports.
"""

import contextlib
import functools
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from statistics import median

import common
from bench_startup import first_label_seconds
from tsm_edge.native import library

COMMIT = "6119222"
CASES = {"340x256": (common.SMALL_CLIP, None), "720p": (common.LARGE_CLIP, (1280, 720))}
FRAMES = 300  # of each clip, a turn
RUN = """
import re, sys, time
from tsm_edge.cli import main
code = main(sys.argv[1:])
with open("/proc/self/status") as file:
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", file.read()).group(1))
print(peak, time.process_time())
sys.exit(code)
"""
TINY_RECIPE = """
[arch]
name = "mobilenetv2"
width = 0.25
num_classes = 5
[frame]
height = 64
width = 64
short_side = 64
"""


def before_tree(folder, commit=COMMIT):
    """Return the path of a copy of the tree at `commit`, made in `folder`.

    Raises:
        SystemExit: this copy of the repository has no such commit (a shallow clone).
    """
    done = subprocess.run(["git", "-C", str(common.ROOT), "archive", commit], capture_output=True)
    if done.returncode:
        raise SystemExit(f"git archive {commit}: {done.stderr.decode().strip()}\ngive the tree: --before FOLDER")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return Path(folder)


def environment(tree):
    """Return the environment of a process that takes tsm_edge from `tree`."""
    found = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tree), str(tree / "export")]))
    found.pop(library.FOLDER_VARIABLE, None)
    path = library.find("onnxruntime")
    return found if path is None else {**found, library.FOLDER_VARIABLE: os.path.dirname(path)}


def exported(tree, name, folder, quick):
    """Return the path of the model that a tree exports."""
    recipe = "mobilenetv2_tsm"
    if quick:
        recipe = str(Path(folder) / "tiny.toml")
        Path(recipe).write_text(TINY_RECIPE, encoding="utf-8")
    path = Path(folder) / f"{name}.onnx"
    command = [sys.executable, "-m", "tsm_edge", "export", recipe, "-o", str(path)]
    subprocess.run(command, check=True, env=environment(tree), cwd=folder, stdout=subprocess.DEVNULL)
    return path


def arguments(model, clip, threads):
    """Return the arguments of a run that takes every frame of a clip."""
    return ["run", "--engine", str(model), "--source", str(clip), "--fps", "1000", "--threads", str(threads)]


def run(tree, model, clip, threads, frames, folder):
    """Return {figure: value} of one run to the end, and how it computed the shift."""
    lines = Path(folder) / "run.jsonl"
    more = ["--loop", "--max-frames", str(frames), "--jsonl", str(lines)]
    command = [sys.executable, "-c", RUN, *arguments(model, clip, threads), *more]
    done = subprocess.run(command, env=environment(tree), cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    summary = json.loads(lines.read_text(encoding="ascii").splitlines()[-1])
    if summary["kind"] != "summary" or summary["frames"] != frames:
        raise RuntimeError(f"{tree}: {summary}")
    peak, seconds = done.stdout.split("\n")[-2].split()
    return {
        "frames/s": summary["fps"],
        "CPU ms a frame, with start": 1e3 * float(seconds) / frames,
        "peak memory, MB": int(peak) * 1024 / 1e6,
        "shift by": summary["shift_by"],
    }


def first_label(tree, model, threads, folder):
    """Return the seconds from start to first label."""
    command = [sys.executable, "-m", "tsm_edge", *arguments(model, common.SMALL_CLIP.resolve(), threads)]
    return first_label_seconds(command, Path(folder) / "first.jsonl", env=environment(tree), cwd=folder)


def main():
    parser = common.parser(__doc__, rounds=30)
    parser.add_argument("--before", type=Path, metavar="FOLDER", help=f"the other tree (default: commit {COMMIT})")
    chosen = common.parsed(parser)
    cases = dict(list(CASES.items())[:1]) if chosen.quick else CASES
    frames = 20 if chosen.quick else FRAMES
    with contextlib.ExitStack() as stack:
        folder, other = (stack.enter_context(tempfile.TemporaryDirectory()) for _ in range(2))
        trees = {"now": common.ROOT, "before": (chosen.before or before_tree(other)).resolve()}
        models = {name: exported(tree, name, folder, chosen.quick) for name, tree in trees.items()}
        same_weights(models)
        rows = {"before": chosen.before.resolve().name if chosen.before else COMMIT}
        for case, (clip, size) in cases.items():
            path = common.scaled_clip(clip.resolve(), size, folder)
            calls = {
                name: functools.partial(run, tree, models[name], path, chosen.threads, frames, folder)
                for name, tree in trees.items()
            }
            compare(rows, f"{case}: ", common.rates_in_turn(calls, chosen.rounds))
        calls = {
            name: functools.partial(first_label, tree, models[name], chosen.threads, folder)
            for name, tree in trees.items()
        }
        seconds = common.rates_in_turn(calls, chosen.rounds)
        compare(rows, "", {name: [{"start to first label, s": v} for v in values] for name, values in seconds.items()})
    common.finish("before", rows, chosen)


def same_weights(models):
    """Raise RuntimeError where the trees exported other weights."""
    found = {
        json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["weights"]["sha256"]
        for path in models.values()
    }
    if len(found) != 1:
        raise RuntimeError(f"the trees exported other weights: {', '.join(sorted(found))}")


def compare(rows, where, found):
    """Add the medians of both sides and their ratios to `rows`. found: {side: [figures of a round]}."""
    shifts = {value.get("shift by") for values in found.values() for value in values}
    if len(shifts) != 1:
        raise RuntimeError(f"the sides compute the shift in other ways: {shifts}")
    for shift in shifts - {None}:
        rows["shift by"] = shift
    for figure in [figure for figure in found["now"][0] if figure != "shift by"]:
        values = {name: [value[figure] for value in values] for name, values in found.items()}
        for name, some in values.items():
            rows[f"{where}{name}, {figure}"] = median(some)
        rows[f"{where}{figure}, now / before"] = common.ratio(values, "now", "before")
        bounds = common.interval(values, "now", "before").values()
        rows.update(zip((f"{where}{figure}, now / before, 95 % {end}" for end in ("from", "to")), bounds, strict=False))


if __name__ == "__main__":
    main()
