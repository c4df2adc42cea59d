"""Accuracy of `tsm-edge train FOLDER` on recordings that were never trained on, against the clips of each label.

The clips of --list are split by recording into three folds. A run trains on a few clips of each label from two folds,
with the settings that `tsm-edge train FOLDER` chooses, and tests on all clips of the third. The network of the last
epoch counts. --json gets the result of each run at once, and runs that stand there are not repeated. --draw draws it.

Starts: "rendered" is the shipped network of rendered strokes, "gestures" that of the demo, "still" one that knows still
pictures (--still FILE), "scratch" random weights, "tsn" is "rendered" without the shift.
"""

import argparse
import json
import random
import tempfile
import time
from collections import defaultdict
from itertools import product
from pathlib import Path
from statistics import mean

import torch

import common
from bench_cross_validation import folds, read
from tsm_edge.errors import TsmEdgeError
from tsm_edge_export.autotrain import plan
from tsm_edge_export.autotrain.scan import Contents
from tsm_edge_export.autotrain.summary import interval, summarise
from tsm_edge_export.training.clips import PictureFolder
from tsm_edge_export.training.train import train

DATA = common.CLIPS.parent
EGO = DATA / "ego_gestures"
STILL = DATA / "weights" / "mobilenetv2_labdog19_from_keras.pth"
STARTS = {"rendered": plan.START, "gestures": "mobilenetv2_tsm", "still": None, "scratch": "", "tsn": plan.START}
PAIRS = (("left", "right"), ("up", "down"))
FOLDS = 3


def main():
    chosen = options()
    rows, labels = (
        read(chosen.list),
        [line.strip() for line in Path(chosen.labels).read_text().splitlines() if line.strip()],
    )
    record = {"benchmark": "few_clips", "list": f"{Path(chosen.list).parent.name}/{Path(chosen.list).name}", "runs": {}}
    if Path(chosen.json).exists():
        record["runs"] = json.loads(Path(chosen.json).read_text(encoding="utf-8"))["runs"]
    record["machine"] = common.machine()
    tests = folds(rows, FOLDS, chosen.group, len(labels))
    for start, clips, seed, fold in product(chosen.start, chosen.clips, chosen.seed, chosen.fold):
        name = f"{start}, {clips or 'all'} clips, seed {seed}, fold {fold}"
        if name in record["runs"]:
            continue
        record["runs"][name] = once(chosen, rows, labels, tests[fold], start, clips, seed * FOLDS + fold)
        print(f"{name}: {record['runs'][name]}", flush=True)
        record["results"] = summary(record["runs"])
        common.write_json(chosen.json, record)
    for name, value in summary(record["runs"]).items():
        print(f"{name}: {value}")
    if chosen.draw:
        draw(record["runs"], chosen.draw, len(labels))


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", default=EGO / "train_videofolder.txt", help='lines "path frames label"')
    parser.add_argument("--labels", default=EGO / "category.txt", help="a label a line")
    parser.add_argument("--group", default="^[^_]*", help="regular expression: the recording, in a clip's folder name")
    parser.add_argument("--clip-fps", type=float, default=10.0, help="frames/s of the clips")
    parser.add_argument("--start", nargs="+", default=["rendered"], choices=STARTS)
    parser.add_argument("--clips", nargs="+", type=int, default=[10, 0], help="of each label; 0: all")
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    parser.add_argument("--fold", nargs="+", type=int, default=list(range(FOLDS)), choices=range(FOLDS))
    parser.add_argument("--still", default=STILL, metavar="FILE", help="a checkpoint that knows still pictures")
    parser.add_argument("--minutes", type=float, help="allowed for a training (default: as long as is useful)")
    parser.add_argument("--threads", type=int, help="of torch")
    parser.add_argument("--json", default=common.RESULTS / "few_clips.json", metavar="FILE")
    parser.add_argument("--draw", metavar="FILE.svg", help="draw accuracy against clips")
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    return chosen


def once(chosen, rows, labels, test, start, clips, seed):
    """Train and test once. Returns the counts, the seconds, and the epochs."""
    root = Path(chosen.list).parent
    opened = {path: PictureFolder(path, root / path, label, chosen.clip_fps) for path, _, label in rows}
    sides = {
        plan.TRAIN: some(rows, test, clips, seed, opened),
        plan.VALIDATION: [opened[path] for path, *_ in rows if path in test],
    }
    sessions = [""] * len(rows)
    contents = Contents(root, tuple(labels), list(opened.values()), sessions, {})
    weights = str(chosen.still) if start == "still" else STARTS[start]
    values = plan.settings(contents, sides[plan.TRAIN], plan.Request(root.name, fps=chosen.clip_fps, start=weights))
    values["seed"] = seed
    if start == "tsn":
        values["direction"] = "none"
    if start == "scratch":
        plan.without_start(values)
    seconds = plan.seconds_per_clip(values) if chosen.minutes else None
    values["schedule"].setdefault(
        "epochs", plan.epochs_for(*(len(side) for side in sides.values()), seconds, chosen.minutes or 0)
    )
    values["schedule"]["warmup"] = values["schedule"]["epochs"] / 10
    with tempfile.TemporaryDirectory() as folder:
        path = plan.write(Path(folder), values, root, labels, sides)
        began, cpu = time.perf_counter(), time.process_time()
        trained = train(path, {"run": {"output": folder, "workers": 0}})
        took = time.perf_counter() - began, time.process_time() - cpu
        confusion = summarise(trained).report.confusion.tolist()
    pairs = [(labels.index(a), labels.index(b)) for a, b in PAIRS if a in labels and b in labels]
    confused = sum(confusion[a][b] + confusion[b][a] for a, b in pairs)
    return {
        "right": sum(confusion[index][index] for index in range(len(labels))),
        "clips": len(sides[plan.VALIDATION]),
        "pair_clips": sum(sum(confusion[a]) + sum(confusion[b]) for a, b in pairs),
        "pairs_confused": confused,
        "trained_clips": len(sides[plan.TRAIN]),
        "epochs": trained.config.schedule.epochs,
        "seconds": round(took[0], 1),
        "cpu_seconds": round(took[1], 1),
        "threads": torch.get_num_threads(),
    }


def some(rows, test, clips, seed, opened):
    """Return `clips` training clips of each label, 0 for all."""
    of_label = defaultdict(list)
    for path, _, label in rows:
        if path not in test:
            of_label[label].append(opened[path])
    rng = random.Random(seed)
    return [
        clip
        for label in sorted(of_label)
        for clip in rng.sample(of_label[label], min(clips, len(of_label[label])) or len(of_label[label]))
    ]


def summary(runs):
    """Return for each start and number of clips: accuracy over all folds and seeds, and what it took, by name."""
    cells = defaultdict(list)
    for name, run in runs.items():
        cells[", ".join(name.split(", ")[:2])].append(run)
    results = {}
    for cell, own in cells.items():
        right, clips = (sum(run[key] for run in own) for key in ("right", "clips"))
        low, high = interval(right, clips)
        pairs, confused = (sum(run[key] for run in own) for key in ("pair_clips", "pairs_confused"))
        figures = {
            "accuracy, %": round(100 * right / clips, 1),
            "95 % interval, %": [round(100 * low, 1), round(100 * high, 1)],
            "tested clips": clips,
            "runs": len(own),
            "pairs by order, %": round(100 * (1 - confused / pairs), 1) if pairs else None,
            "training, mean CPU seconds": round(mean(run["cpu_seconds"] for run in own), 1),
        }
        results.update({f"{cell}: {name}": value for name, value in figures.items()})
    return results


def draw(runs, path, labels):
    """Draw accuracy against clips of a label."""
    from matplotlib.figure import Figure

    lines = defaultdict(list)
    results = summary(runs)
    for cell in dict.fromkeys(name.split(": ")[0] for name in results):
        start, clips = cell.split(", ")
        own = [run["trained_clips"] for name, run in runs.items() if name.startswith(cell)]
        count = mean(own) / labels if clips.startswith("all") else int(clips.split()[0])
        lines[start].append((count, results[f"{cell}: accuracy, %"], *results[f"{cell}: 95 % interval, %"]))
    names = {
        "rendered": "TSM, from rendered strokes",
        "gestures": "TSM, from rendered gestures",
        "still": "TSM, from still pictures",
        "scratch": "TSM, from scratch",
    }
    names["tsn"] = "without the shift (TSN)"
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for start in STARTS:
        if start in lines:
            x, y, low, high = zip(*sorted(lines[start]), strict=True)
            errors = [[a - b for a, b in zip(y, low, strict=True)], [b - a for a, b in zip(y, high, strict=True)]]
            axes.errorbar(x, y, yerr=errors, marker="o", capsize=3, label=names[start])
    axes.set(xlabel="training clips of each label", ylabel="accuracy on new recordings, %", ylim=(0, 101))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    try:
        main()
    except TsmEdgeError as error:
        raise SystemExit(f"{error}") from None
