"""`tsm-edge train`: train a TSM, or fine-tune a checkpoint, by a configuration file."""

import argparse
from typing import Any

from tsm_edge.commands.arguments import file_name, whole_number
from tsm_edge.commands.output import print_text
from tsm_edge.engines import DEVICES
from tsm_edge.manifest import DIRECTIONS
from tsm_edge_export.commands import interruptible
from tsm_edge_export.training.config import MAX_WORKERS


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("config", metavar="CONFIG.toml", type=file_name, help="the configuration; see docs/training.md")
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", type=file_name, help="default: run.output, else build/training/NAME"
    )
    parser.add_argument("--resume", action="store_true", help="go on with a run that was interrupted")
    parser.add_argument("--start", metavar="FILE", type=file_name, help="start from a checkpoint, or a recipe's")
    parser.add_argument("--direction", choices=DIRECTIONS, help="causal (online), bidirectional (offline), none (TSN)")
    parser.add_argument("--device", choices=("auto", *DEVICES), help="default: a GPU where there is one")
    parser.add_argument("--workers", metavar="N", type=whole_number(0, MAX_WORKERS), help="processes that read clips")


def run(options: argparse.Namespace) -> int:
    """Train, and print how to export the best weights."""
    given = {key: getattr(options, key) for key in ("output", "device", "workers")}
    changes: dict[str, Any] = {"run": {key: value for key, value in given.items() if value is not None}}
    if options.direction is not None:
        changes["direction"] = options.direction
    if options.start is not None:
        changes["start"] = {"weights": options.start}
    with interruptible("torch"):
        from tsm_edge_export.threads import free_threads
        from tsm_edge_export.training.train import train

        with free_threads():
            trained = train(options.config, changes, options.resume, report=print_text)
    best = trained.best
    top5 = f", top-5 {best['top5']:.1%}" if len(trained.labels) > 5 else ""  # of fewer labels all are among five
    text = f"best: epoch {best['epoch']}, top-1 {best['top1']:.1%}{top5}; "
    print_text(text + f"{len(trained.broken)} broken clips left out")
    print_text(f"export it: tsm-edge export {trained.recipe} --weights {trained.weights}")
    return 0
