"""Accuracy of TSN, offline and online TSM by grouped cross-validation over recordings, on any list of clips.

There are two tasks. "plain" takes the list's own labels. "order" takes the clips of the labels that --pair gives, each
forwards with its label and backwards with the other one, so a network that ignores order scores 50 %. Clips of one
recording are never in training and test at once. The network of the last epoch counts, never the best on the test
clips. The result of each run is written to --json at once, and runs that stand there are not repeated.
"""

import argparse
import json
import os
import re
import tempfile
from collections import Counter
from itertools import product
from pathlib import Path
from statistics import mean, stdev

import torch

import common
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge_export.training import journal
from tsm_edge_export.training.loop import LOG
from tsm_edge_export.training.train import train

HERE = Path(__file__).resolve().parent
DATA = common.CLIPS.parent / "fall_actions"
DIRECTIONS = common.DIRECTIONS


def main():
    chosen = options()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    rows, labels = read(chosen.list), Path(chosen.labels).read_text().split("\n")
    labels = [label.strip() for label in labels if label.strip()]
    record = {"benchmark": "cross_validation", "machine": common.machine(), "list": Path(chosen.list).name, "runs": {}}
    if Path(chosen.json).exists():
        record["runs"] = json.loads(Path(chosen.json).read_text(encoding="utf-8"))["runs"]
    for task, seed, direction in product(chosen.task, chosen.seed, chosen.direction):
        kept = [row for row in rows if task == "plain" or labels[row[2]] in chosen.pair]
        for fold, test in enumerate(folds(kept, chosen.folds, chosen.group, len(labels))):
            name = f"{task} {direction} seed {seed} fold {fold}"
            if name not in record["runs"]:
                record["runs"][name] = once(chosen, kept, test, labels, task, seed, direction)
                print(f"{name}: {record['runs'][name]}", flush=True)
            record["results"] = summary(record["runs"])
            common.write_json(chosen.json, record)
    for name, value in record["results"].items():
        print(f"{name}: {value}")


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", default=DATA / "dev_videofolder.txt", help='lines "path frames label"')
    parser.add_argument("--labels", default=DATA / "category.txt", help="a label a line")
    parser.add_argument("--root", help="what the list's paths start from (default: its folder)")
    parser.add_argument("--config", default=HERE / "cross_validation.toml", help="how to train; see docs/training.md")
    parser.add_argument("--task", nargs="+", default=["order", "plain"], choices=("order", "plain"))
    parser.add_argument("--pair", nargs=2, default=["sitdown", "standup"], metavar="LABEL", help="of the order task")
    parser.add_argument("--group", default="^.{15}", help="regular expression: the recording, in a clip's folder name")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--direction", nargs="+", default=list(DIRECTIONS), choices=DIRECTIONS)
    parser.add_argument("--start", help="a checkpoint to start from (default: the configuration's)")
    parser.add_argument("--threads", type=int, help="of torch")
    parser.add_argument("--json", default=common.RESULTS / "cross_validation.json", metavar="FILE")
    return parser.parse_args()


def read(path):
    """Return (path, frames, label) of each line."""
    lines = [line.strip().rsplit(None, 2) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [(line[0], int(line[1]), int(line[2])) for line in lines if line]


def folds(rows, count, group, classes):
    """Return `count` sets of test paths, of whole recordings.

    The largest recordings are placed first, each into the fold whose counts of each class are then nearest to an equal
    share.
    """
    found = {path: re.search(group, path.rstrip("/").rsplit("/", 1)[-1]) for path, _, _ in rows}
    if not all(found.values()):
        path = next(path for path, match in found.items() if not match)
        raise InputError("--group", f"{group!r} is not in {path}", "a pattern of every clip's name", "correct it")
    counts = {}
    for path, _, label in rows:
        counts.setdefault(found[path].group(), Counter())[label] += 1
    share = {label: total / count for label, total in Counter(row[2] for row in rows).items()}
    sums, members = [Counter() for _ in range(count)], [set() for _ in range(count)]
    for name in sorted(counts, key=lambda name: (-counts[name].total(), name)):
        cost = [
            sum(((sums[fold] + counts[name])[label] / share[label]) ** 2 - (sums[fold][label] / share[label]) ** 2
                for label in share)
            for fold in range(count)
        ]  # fmt: skip
        best = cost.index(min(cost))
        sums[best] += counts[name]
        members[best].add(name)
    return [{path for path, match in found.items() if match.group() in names} for names in members]


def once(chosen, rows, test, labels, task, seed, direction):
    """Train and test once. Returns {"top1": share of the test clips, "clips": how many}."""
    used = chosen.pair if task == "order" else labels
    with tempfile.TemporaryDirectory() as folder:
        for name, inside in (("train", False), ("test", True)):
            lines = [
                f"{path} {frames} {used.index(labels[label])}"
                for path, frames, label in rows
                if (path in test) == inside
            ]
            (Path(folder) / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        root = os.path.abspath(chosen.root or Path(chosen.list).parent)
        data = {"kind": "frames", "root": root, "train": f"{folder}/train", "test": f"{folder}/test"}
        if task == "order":
            data["reversed"] = dict([chosen.pair, chosen.pair[::-1]])
        changes = {"direction": direction, "seed": seed, "labels": list(used), "data": data}
        changes["run"] = {"output": f"{folder}/out"}
        if chosen.start:
            changes["start"] = {"weights": chosen.start}
        train(chosen.config, changes)
        last = [line for line in journal.read(Path(folder) / "out" / LOG) if line["kind"] == "test"][-1]
        return {"top1": last["top1"], "clips": len(test) * (2 if task == "order" else 1)}


def summary(runs):
    """Return per cent for each task and direction: the mean over seeds, of all folds together, and the spreads."""
    results = {}
    for task, direction in product(("order", "plain"), DIRECTIONS):
        seeds = {}
        for name, run in runs.items():
            seed = name.removeprefix(f"{task} {direction} seed ").split()[0]
            if name.startswith(f"{task} {direction} seed "):
                seeds.setdefault(seed, []).append(run)
        if not seeds:
            continue
        by_seed = [
            100 * sum(run["top1"] * run["clips"] for run in part) / sum(run["clips"] for run in part)
            for part in seeds.values()
        ]
        every = [100 * run["top1"] for part in seeds.values() for run in part]
        title = f"{task}: {DIRECTIONS[direction]}"
        results[f"{title}, top-1 of {len(seeds)} seeds, %"] = round(mean(by_seed), 2)
        results[f"{title}, of each seed, %"] = [round(value, 2) for value in by_seed]
        results[f"{title}, deviation over {len(every)} runs, %"] = round(stdev(every), 2) if len(every) > 1 else None
    return results


if __name__ == "__main__":
    try:
        main()
    except TsmEdgeError as error:
        raise SystemExit(f"{error}") from None
