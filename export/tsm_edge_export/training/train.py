"""`tsm-edge train`: a configuration in; trained weights, their recipe, a log and curves out."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tsm_edge.errors import InputError
from tsm_edge.files import locked_folder
from tsm_edge.heads.classification import parse_decision
from tsm_edge.manifest import ArchSpec
from tsm_edge.schema import encode
from tsm_edge_export import checkpoints, models, recipe
from tsm_edge_export.download import download
from tsm_edge_export.heap import keep_freed_memory
from tsm_edge_export.models import Network
from tsm_edge_export.trained import RECIPE
from tsm_edge_export.trained import WEIGHTS as BEST

from . import config as configs
from . import state
from .classification import Classification
from .config import Config
from .crops import flip_table
from .lists import Data, load_data
from .loop import Trainer
from .optimiser import head_of
from .overlap import check_overlap, overlap_text
from .predict import device_of

OUTPUTS = Path("build") / "training"  # of a training without run.output


class Trained(NamedTuple):
    """What a training left."""

    output: Path  # the folder
    weights: Path  # the best weights, for `tsm-edge export`
    recipe: Path  # of the weights
    best: dict[str, Any]  # {"epoch", "loss", "top1", "top5"} of the best weights
    broken: dict[str, str]  # name of a clip that was left out -> reason
    labels: tuple[str, ...]  # in the order of the classifier's rows
    config: Config  # the configuration used
    data: Data  # the clips


def train(
    path: str | os.PathLike[str],
    changes: dict[str, Any] | None = None,
    resume: bool = False,
    report: Callable[[str], object] = lambda _text: None,
) -> Trained:
    """Train by a configuration file. The output folder is its run.output, else build/training/<name>.

    changes: values that replace the file's, see config.load. resume: go on with the training in the output folder.
    report: called with lines of text for the user, one of them after each epoch.
    Raises InputError where the configuration, a list, too many clips, the start or the output folder is wrong.
    Raises InputError where both lists hold the same clips.
    """
    config = configs.load(path, changes)
    keep_freed_memory()
    device = device_of(config.run.device)
    data = load_data(config, path)
    overlap = check_overlap(data.train, data.test, path)
    weights, wanted = len(config.loss.class_weights), len(data.labels)
    if weights not in (0, wanted):
        raise InputError(f"{path}: loss.class_weights", f"{weights} values", f"{wanted}, one a label", "complete it")
    parse_decision(config.decision, data.labels, str(path))
    flips = flip_table(data.labels, config.augment.flip, config.augment.flip_map, data.named, path)
    output = output_folder(config, resume)
    network, start = make_start(config, data.labels)
    task = Classification(config, network.to(device), data, flips, device)
    trainer = Trainer(config, network, task, output, device, report)
    report(f"{len(data.train)} clips to train, {len(data.test)} to test, {len(data.labels)} labels; {start['text']}")
    if overlap:
        report(overlap_text(overlap, data.test))
    short = sum(clip.count < config.shift.n_segment for clip in data.train)
    if short and config.sampling.kind == "uniform":
        report(f"{short} training clips have fewer than {config.shift.n_segment} frames: only their first is used")
    with locked_folder(str(output)):
        if resume:
            trainer.resume()
            report(f"going on after epoch {trainer.epoch}, step {trainer.step}")
        else:
            trainer.begin({**start, "shared_clips": len(overlap)})
            write_recipe(output / RECIPE, recipe_of(config, data.labels))
        trainer.run()
    files = output, output / BEST, output / RECIPE
    return Trained(*files, trainer.best, trainer.broken.reasons, data.labels, config, data)


def make_start(config: Config, labels: Sequence[str]) -> tuple[Network, dict[str, Any]]:
    """Return the network before training, on the CPU, and its origin for the log (text, weights, …, head).

    The classifier is new where the checkpoint's has another class count or other labels.
    """
    arch = ArchSpec(config.arch.name, config.arch.width, len(labels))
    network = models.build(arch, config.shift.fold_div)
    if config.start.weights is None:
        _draw_head(models.init_(network, config.seed), config.seed)
        return network, {"text": f"a random start from seed {config.seed}", "weights": None, "head": "new"}
    path = start_file(config.start.weights)
    checkpoint = checkpoints.load(path, arch, True, config.seed, config.shift.fold_div)
    network.load_state_dict(checkpoint.state, strict=True)
    same_labels = checkpoint.metadata.get("labels", tuple(labels)) == tuple(labels)
    head = "kept" if checkpoint.head_loaded and same_labels and not config.start.new_head else "new"
    if head == "new":
        _draw_head(network, config.seed)
    text = f"started from {Path(path).name} ({checkpoint.dialect}, {checkpoint.direction}), {head} classifier"
    if checkpoint.direction not in ("none", config.direction):
        text += f", fine-tuned from {checkpoint.direction} to {config.direction}"
    origin = {"weights": checkpoint.sha256, "dialect": checkpoint.dialect, "direction": checkpoint.direction}
    return network, {"text": text, **origin, "head": head}


def start_file(start: str) -> Path:
    """Return the checkpoint file of `start.weights`: a path, or the name of a recipe that has weights.

    Raises InputError for a file that does not exist and for a recipe without weights.
    """
    if start in recipe.names():
        weights = recipe.load(start).weights
        if weights.url is not None:
            return download(weights.url)
        if weights.file is None:
            do = "give a checkpoint file, or leave start.weights out for random weights"
            raise InputError(f"start.weights {start}", "a recipe without weights", "one that has weights", do)
        return Path(weights.file)
    if not os.path.exists(start):
        expected = "a checkpoint file, or one of the recipes " + ", ".join(recipe.names())
        raise InputError(start, "no such file", expected, "correct start.weights or --start")
    return Path(start)


def _draw_head(network: Network, seed: int) -> None:
    """Draw a new classifier. Source: _prepare_tsn in ops/models.py of mit-han-lab/temporal-shift-module."""
    head = head_of(network)
    with torch.no_grad():
        head.weight.normal_(0, 0.001, generator=torch.Generator().manual_seed(seed))
        head.bias.zero_()


def recipe_of(config: Config, labels: Sequence[str]) -> recipe.Recipe:
    """Return the recipe that exports the trained weights: online for a causal network, offline for any other."""
    return recipe.Recipe(
        name=config.name,
        description=config.description,
        mode="online" if config.direction == "causal" else "offline",
        arch=ArchSpec(config.arch.name, config.arch.width, len(labels)),
        shift=recipe.RecipeShift("mit", config.direction, config.shift.fold_div, config.shift.n_segment),
        frame=config.frame,
        fps=config.fps,
        labels=tuple(labels),
        decision=config.decision,
        weights=recipe.RecipeWeights(None, None, config.seed, False),
    )


def write_recipe(path: Path, spec: recipe.Recipe) -> None:
    """Write a recipe as TOML, which recipe.load reads back as the same."""
    state.replace(path, ("\n".join(toml_tables(encode(spec))) + "\n").encode())


def toml_tables(values: dict[str, Any]) -> list[str]:
    """Return plain values, and dicts of them as tables, as lines of TOML."""
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    lines = toml_lines({key: value for key, value in values.items() if key not in tables})
    for name, table in tables.items():
        lines += ["", f"[{name}]", *toml_lines(table)]
    return lines


def toml_lines(values: dict[str, Any]) -> list[str]:
    """Return plain values (strings, numbers, booleans, lists and dicts of them) as lines of TOML. None is left out."""
    return [f"{key} = {_toml_value(value)}" for key, value in values.items() if value is not None]


def _toml_value(value: Any) -> str:
    """Return a value as TOML. JSON's strings, numbers and lists are TOML's, except DEL, which TOML wants escaped."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml_value(key)} = {_toml_value(item)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def output_folder(config: Any, resume: bool) -> Path:
    """Return the output folder of a configuration, made where there is none.

    Raises InputError where it cannot be made, and where it holds another training that is not to be resumed.
    """
    output = Path(config.run.output or OUTPUTS / config.name)
    if not resume:
        refuse_other_training(output)
    make_output(output)
    return output


def refuse_other_training(output: Path) -> None:
    """Raise InputError where a folder holds the state of a training already."""
    if os.path.exists(output / state.NAME):
        do = "go on with --resume, or give another -o, or remove the folder"
        raise InputError(output, "another training", "a new folder", do)


def make_output(output: Path) -> None:
    """Make the output folder where there is none. Raises InputError where that cannot be."""
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(output, error.strerror, "a folder that can be made", "give another -o") from None
