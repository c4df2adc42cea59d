"""TSN, offline and online TSM trained alike on the synthetic gestures, and an offline network run online.

Each network is trained by training_configs/synthetic_112.toml with its own direction, from the same start. The offline
one is then fine-tuned to run online by synthetic_112_online.toml. All are measured on the same clips of the test split;
the offline one also runs online without fine-tuning. A training that is complete in --folder is not repeated, and one
that was interrupted continues.

Order pairs are clips of two labels that are each other played backwards. Of these two labels the one with the higher
score counts, so chance is 50 %.
"""

import argparse
import os
from pathlib import Path

import torch

import common
from tsm_edge_export.evaluation import data
from tsm_edge_export.evaluation.clips import evaluate_clips
from tsm_edge_export.evaluation.engines import open_engine
from tsm_edge_export.synthetic.labels import LABELS, ORDER_PAIRS
from tsm_edge_export.training import journal, state
from tsm_edge_export.training.loop import LAST, LOG
from tsm_edge_export.training.train import train

CONFIGS = common.ROOT / "export" / "tsm_edge_export" / "training_configs"
ALIKE, ONLINE = CONFIGS / "synthetic_112.toml", CONFIGS / "synthetic_112_online.toml"


def main():
    chosen = options()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    folder = Path(chosen.folder)
    weights = {name: trained(ALIKE, folder / way, way, chosen.start) for way, name in common.DIRECTIONS.items()}
    weights["offline, run online"] = weights["TSM offline"]
    weights["offline, made online"] = trained(ONLINE, folder / "made_online", "causal", weights["TSM offline"])
    record = {"benchmark": "directions", "machine": common.machine(), "clips": chosen.clips, "seed": chosen.seed}
    record["results"] = {}
    for name, path in weights.items():
        forced = name == "offline, run online"
        with open_engine(path, direction="causal" if forced else None, force=forced, threads=chosen.threads) as engine:
            report = evaluate_clips(engine, data.rendered(chosen.clips, chosen.seed, (128, 128)), progress=True)
        record["results"].update({f"{name}: {what}": value for what, value in figures(report).items()})
    for name, value in record["results"].items():
        print(f"{name}: {value}")
    common.write_json(chosen.json, record)


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", required=True, help="MobileNetV2 weights with torchvision's keys")
    parser.add_argument("--folder", default=common.ROOT / "build" / "training" / "directions")
    parser.add_argument("--clips", type=int, default=1200, help="of the test split")
    parser.add_argument("--seed", type=int, default=0, help="of those clips")
    parser.add_argument("--threads", type=int, help="of torch")
    parser.add_argument("--json", default=common.RESULTS / "directions.json", metavar="FILE")
    return parser.parse_args()


def trained(config, folder, direction, start):
    """Return the path of the weights after the last step of a training; train now where it is not complete."""
    log = folder / LOG
    if not (log.exists() and journal.read(log)[-1]["kind"] == "end"):
        changes = {"direction": direction, "start": {"weights": os.path.abspath(start)}, "run": {"output": str(folder)}}
        train(config, changes, resume=(folder / state.NAME).exists(), report=print)
    return folder / LAST


def figures(report):
    """Return per cent: top-1 of all clips, and of the clips of order pairs by the two scores of the pair."""
    right, count = 0, 0
    for pair in ORDER_PAIRS:
        numbers = [LABELS.index(label) for label in pair]
        for row in report.rows:
            if row.label in numbers:
                other = numbers[1 - numbers.index(row.label)]
                right, count = right + (row.logits[row.label] > row.logits[other]), count + 1
    top1 = sum(row.predicted == row.label for row in report.rows)
    return {
        "top-1, %": round(100 * top1 / len(report.rows), 2),
        "right of order pairs, %": round(100 * right / count, 2),
    }


if __name__ == "__main__":
    main()
