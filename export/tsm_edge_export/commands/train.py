"""`tsm-edge train`: train a TSM on a folder of clips, or by a configuration file."""

import argparse
import os
from typing import TYPE_CHECKING, Any

from tsm_edge.commands.arguments import file_name, number, whole_number
from tsm_edge.commands.output import print_text
from tsm_edge.engines import DEVICES
from tsm_edge.errors import InputError
from tsm_edge.manifest import DIRECTIONS
from tsm_edge_export.commands import interruptible
from tsm_edge_export.training.checks import MAX_WORKERS

if TYPE_CHECKING:
    from tsm_edge_export.autotrain.plan import Request
    from tsm_edge_export.training.train import Trained

MAX_MINUTES = 10_000  # a week
TASKS = ("classification", "detection")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "data",
        metavar="FOLDER|CONFIG.toml",
        type=file_name,
        help="a folder with a folder of clips for each label, or a configuration (docs/training.md)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=file_name,
        help="folder of the results (default: run.output, else build/training/NAME)",
    )
    parser.add_argument("--resume", action="store_true", help="go on with a run that was interrupted")
    parser.add_argument("--start", metavar="FILE", type=file_name, help="start from a checkpoint, or a recipe's")
    parser.add_argument("--device", choices=("auto", *DEVICES), help="where to train (default: a GPU if there is one)")
    parser.add_argument("--workers", metavar="N", type=whole_number(0, MAX_WORKERS), help="processes that read clips")
    parser.add_argument(
        "--override",
        metavar="FILE.toml",
        type=file_name,
        help="values that win over those of the configuration, or over those chosen; its paths start from this folder",
    )

    folder = parser.add_argument_group("with a folder of clips")
    folder.add_argument(
        "--minutes",
        metavar="M",
        type=number(0.1, maximum=MAX_MINUTES),
        help="time allowed for the training (default: 10)",
    )
    folder.add_argument(
        "--validation",
        metavar="FOLDER",
        type=file_name,
        help="clips that measure the accuracy (default: some of FOLDER)",
    )
    folder.add_argument(
        "--clip-fps",
        metavar="R",
        type=number(0.001, maximum=1000),
        help="frames/s of clips that are folders of pictures",
    )
    folder.add_argument(
        "--still", metavar="LABEL", type=file_name, help="make clips of this label, usually nothing, from held frames"
    )
    folder.add_argument("--no-flip", action="store_true", help="no mirrored clips, even where no label names a side")

    config = parser.add_argument_group("with a configuration")
    config.add_argument(
        "--direction", choices=DIRECTIONS, help="of the shift: causal (online), bidirectional (offline), none (TSN)"
    )


_OF_FOLDER = ("minutes", "validation", "clip_fps", "still", "no_flip")
_OF_CONFIG = ("direction",)


def run(options: argparse.Namespace) -> int:
    """Train, and print how good the weights are and how to export them."""
    is_folder = os.path.isdir(options.data)
    for name in _OF_CONFIG if is_folder else _OF_FOLDER:
        if getattr(options, name) not in (None, False):
            what, do = ("a folder", "leave it out") if is_folder else ("a configuration", "change the configuration")
            raise InputError("--" + name.replace("_", "-"), f"given with {what}", "what belongs together", do)
    lines: list[str] = []

    def say(text: str) -> None:
        lines.append(text)
        print_text(text)

    with interruptible("torch"):
        from tsm_edge_export.autotrain.result import show  # before the training: a package may be missing
        from tsm_edge_export.threads import free_threads

        with free_threads():
            if not is_folder and _task_of(options.data) == "detection":
                _train_detector(options, say)
                return 0
            trained = (_train_folder if is_folder else _train_by_config)(options, say)
            show(trained, lines, print_text)
    return 0


def _task_of(path: str) -> object:
    """Return the task that a configuration names. Raises InputError for one that cannot be trained."""
    from tsm_edge.toml_file import read_toml

    task = read_toml(path, "a training configuration").get("task", "classification")
    if task not in TASKS:
        raise InputError(f"{path}: task", repr(task), " or ".join(TASKS), "correct the configuration")
    return task


def _train_detector(options: argparse.Namespace, say: Any) -> None:
    from tsm_edge_export.detection.train import show, train

    show(train(options.data, _changes(options), options.resume, report=say), say)


def _train_by_config(options: argparse.Namespace, say: Any) -> "Trained":
    from tsm_edge_export.training.train import train

    return train(options.data, _changes(options), options.resume, report=say)


def _changes(options: argparse.Namespace) -> "dict[str, Any]":
    """Return the values of the command line that replace those of a configuration."""
    from tsm_edge.toml_file import read_toml
    from tsm_edge_export.recipe import merge

    given = {key: getattr(options, key) for key in ("output", "device", "workers")}
    changes: dict[str, Any] = {"run": {key: value for key, value in given.items() if value is not None}}
    if options.direction is not None:
        changes["direction"] = options.direction
    if options.start is not None:
        changes["start"] = {"weights": options.start}
    if options.override is not None:
        changes = merge(read_toml(options.override, "a training configuration"), changes)
    return changes


def _train_folder(options: argparse.Namespace, say: Any) -> "Trained":
    from tsm_edge_export.autotrain.run import resume_folder, train_folder

    return (resume_folder if options.resume else train_folder)(_request(options), say)


def _request(options: argparse.Namespace) -> "Request":
    from tsm_edge_export.autotrain.plan import Request

    return Request(
        folder=options.data,
        output=options.output,
        validation=options.validation,
        minutes=10.0 if options.minutes is None else options.minutes,
        fps=options.clip_fps,
        still=options.still,
        flip=False if options.no_flip else None,
        start=options.start,
        override=options.override,
        device=options.device,
        workers=options.workers,
    )
