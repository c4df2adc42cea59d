"""`tsm-edge train`: a configuration in; trained weights, their recipe, a log and curves out."""

import json
from pathlib import Path
from typing import NamedTuple

import torch

from tsm_edge.errors import InputError
from tsm_edge.manifest import ArchSpec
from tsm_edge.schema import encode
from tsm_edge_export import checkpoints, models, recipe

from . import config as configs
from . import state
from .crops import flip_table
from .lists import load_data
from .loop import BEST, Trainer

RECIPE = "recipe.toml"


class Trained(NamedTuple):
    """output: the folder. best: {"epoch", "loss", "top1", "top5"} of best.safetensors. broken: clip -> reason."""

    output: Path
    best: dict
    broken: dict[str, str]

    @property
    def weights(self):
        """The best weights, for `tsm-edge export`."""
        return self.output / BEST

    @property
    def recipe(self):
        """Their recipe."""
        return self.output / RECIPE


def train(path, changes=None, resume=False, report=lambda text: None) -> Trained:
    """Train by the configuration file `path`.

    changes: values that stand above the file's, see config.load. resume: go on in the output folder. report: called
    with lines of text worth showing. The folder is run.output, else build/training/<name>.
    Raises InputError for anything wrong with configuration, lists, clips, start or output; see docs/training.md.
    """
    config = configs.load(path, changes)
    device = _device(config.run.device)
    data = load_data(config, path)
    _check_labels(config, data, path)
    flips = flip_table(data.labels, config.augment.flip, config.augment.flip_map, data.named, path)
    output = _output(config, resume)
    network, start = make_start(config, data.labels)
    trainer = Trainer(config, network.to(device), data, flips, output, device)
    report(f"{len(data.train)} clips to train, {len(data.test)} to test, {len(data.labels)} labels; {start['text']}")
    short = sum(clip.count < config.shift.n_segment for clip in data.train)
    if short and config.sampling.kind == "uniform":
        report(f"{short} training clips have fewer than {config.shift.n_segment} frames: only their first is used")
    if resume:
        trainer.resume()
        report(f"going on after epoch {trainer.epoch}, step {trainer.step}")
    else:
        trainer.begin(start)
        write_recipe(output / RECIPE, recipe_of(config, data.labels))
    trainer.run()
    return Trained(output, trainer.best, trainer.broken.reasons)


def make_start(config, labels):
    """The network before training, on the CPU, and what to say of it (dict: text, weights, dialect, direction, head).

    A classifier is new ("head": "new") where the checkpoint has none that fits: another count, or other labels.
    """
    arch = ArchSpec(config.arch.name, config.arch.width, len(labels))
    network = models.build(arch, config.shift.fold_div)
    path = config.start.weights
    if path is None:
        models.init_(network, config.seed)
        _new_head(network, config.seed)
        return network, {"text": f"a random start from seed {config.seed}", "weights": None, "head": "new"}
    checkpoint = checkpoints.load(path, arch, True, config.seed, config.shift.fold_div)
    network.load_state_dict(checkpoint.state, strict=True)
    kept = checkpoint.head_loaded and checkpoint.metadata.get("labels", tuple(labels)) == tuple(labels)
    if config.start.new_head or not kept:
        kept = False
        _new_head(network, config.seed)
    head = "kept" if kept else "new"
    text = f"started from {Path(path).name} ({checkpoint.dialect}, {checkpoint.direction}), {head} classifier"
    if checkpoint.direction not in ("none", config.direction):
        text += f", fine-tuned from {checkpoint.direction} to {config.direction}"
    return network, {
        "text": text,
        "weights": checkpoint.sha256,
        "dialect": checkpoint.dialect,
        "direction": checkpoint.direction,
        "head": head,
    }


def _new_head(network, seed):
    """Source: _prepare_tsn in ops/models.py of the TSM code (normal, deviation 0.001)."""
    head = next(module for module in network.modules() if isinstance(module, torch.nn.Linear))
    with torch.no_grad():
        head.weight.normal_(0, 0.001, generator=torch.Generator().manual_seed(seed))
        head.bias.zero_()


def recipe_of(config, labels) -> recipe.Recipe:
    """The recipe that exports the trained weights: online for a causal network, offline for any other."""
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


def write_recipe(path, spec):
    """Write a Recipe as TOML, which recipe.load reads back as the same."""
    values = encode(spec)
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    lines = toml_lines({key: value for key, value in values.items() if key not in tables})
    for name, table in tables.items():
        lines += ["", f"[{name}]", *toml_lines(table)]
    state.replace(path, ("\n".join(lines) + "\n").encode())


def toml_lines(values):
    """Plain values as lines of TOML. values: {key: str, number, bool or list of these}; None is left out.

    JSON's strings, numbers and lists are TOML's, but for DEL, which TOML wants escaped.
    """
    shown = {key: json.dumps(value, ensure_ascii=False) for key, value in values.items() if value is not None}
    return [f"{key} = {text}".replace("\x7f", "\\u007f") for key, text in shown.items()]


def _device(name):
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError("run.device", "cuda", "a GPU that torch can use; there is none", 'set device = "auto"')
    return "cuda" if name != "cpu" and available else "cpu"


def _check_labels(config, data, where):
    weights = config.loss.class_weights
    if weights and len(weights) != len(data.labels):
        raise InputError(
            f"{where}: loss.class_weights", f"{len(weights)} values", f"{len(data.labels)}, one a label", "complete it"
        )
    unknown = sorted(set(config.decision.ignored) - set(data.labels))
    if unknown:
        raise InputError(f"{where}: decision.ignored", ", ".join(unknown), "labels of the data", "correct them")


def _output(config, resume):
    output = Path(config.run.output or Path("build") / "training" / config.name)
    if not resume and (output / state.NAME).exists():
        raise InputError(
            output, "another training", "a new folder", "go on with --resume, or give another -o, or remove the folder"
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(output, error.strerror, "a folder that can be made", "give another -o") from None
    return output
