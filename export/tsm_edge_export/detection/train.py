"""`tsm-edge train` with task = "detection": a configuration in; trained weights, recipe, log, curves, figures out."""

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tsm_edge.errors import InputError
from tsm_edge.files import locked_folder
from tsm_edge.heads import open_head
from tsm_edge.manifest import ArchSpec
from tsm_edge_export import models, recipe
from tsm_edge_export.heap import keep_freed_memory
from tsm_edge_export.trained import RECIPE
from tsm_edge_export.trained import WEIGHTS as BEST
from tsm_edge_export.training import journal, state
from tsm_edge_export.training.loop import LOG, Trainer
from tsm_edge_export.training.predict import device_of
from tsm_edge_export.training.train import output_folder, write_recipe

from . import config as configs
from .clip_sets import Sets, load_sets
from .config import Config
from .start import make_start, measure_statistics
from .task import Detection
from .teacher import Teacher, name_of

VALIDATION = "validation.json"
STATISTICS_CLIPS = 16  # training clips whose statistics a BatchNorm without any gets


class Trained(NamedTuple):
    """What a training left."""

    output: Path  # the folder
    weights: Path  # the best weights, for `tsm-edge export`
    recipe: Path  # of the weights
    best: dict[str, Any]  # {"epoch", "loss", "ap50", "ap50_95"} of the best weights on the test clips
    broken: dict[str, str]  # name of a clip that was left out -> reason
    labels: tuple[str, ...]
    config: Config  # the configuration used
    sets: Sets  # the clips


def train(
    path: str | os.PathLike[str],
    changes: dict[str, Any] | None = None,
    resume: bool = False,
    report: Callable[[str], object] = lambda _text: None,
) -> Trained:
    """Train a detector by a configuration file. The output folder is its run.output, else build/training/<name>.

    changes: values that replace the file's, see config.load. resume: go on with the training in the output folder.
    report: called with lines of text for the user, one of them after each epoch.
    Raises InputError where the configuration, a list, too many clips, the start or the output folder is wrong.
    """
    config = configs.load(path, changes)
    keep_freed_memory()
    device = device_of(config.run.device)
    sets = load_sets(config, path)
    spec = recipe_of(config, sets.labels)
    _check_recipe(spec, path)
    network, start = make_start(config, sets.labels)
    teacher = Teacher(config, len(sets.labels), device) if config.teacher.weights is not None else None
    output = output_folder(config, resume)
    network = network.to(device)
    task = Detection(config, sets, teacher, device)
    if start.get("dialect") == "centerface" and not resume and config.regular.batch_norm in ("train", "partial"):
        measure_statistics(network, task.first_clips(STATISTICS_CLIPS), config.direction)
    trainer = Trainer(config, network, task, output, device, report)
    report(f"{len(sets.train)} clips to train, {len(sets.test)} to test, {len(sets.labels)} labels; {start['text']}")
    if teacher is not None:
        report(f"taught by {name_of(config)} on the frames before they are degraded")
    for where, why in sets.annotations[:5]:
        report(f"left out: {where}: {why}")
    if len(sets.annotations) > 5:
        report(f"left out: {len(sets.annotations) - 5} more annotations")
    with locked_folder(str(output)):
        if resume:
            trainer.resume()
            report(f"going on after epoch {trainer.epoch}, step {trainer.step}")
        else:
            (output / VALIDATION).unlink(missing_ok=True)
            trainer.begin({**start, "teacher": teacher and teacher.sha256, "annotations": len(sets.annotations)})
            write_recipe(output / RECIPE, spec)
        trainer.run()
        _write_validation(output, trainer.best)
    files = output, output / BEST, output / RECIPE
    return Trained(*files, trainer.best, trainer.broken.reasons, sets.labels, config, sets)


def recipe_of(config: Config, labels: tuple[str, ...]) -> recipe.Recipe:
    """Return the recipe that exports the trained weights as an online model."""
    shift = recipe.RecipeShift(
        online_direction=config.direction, fold_div=config.shift.fold_div, n_segment=config.shift.n_segment
    )
    return recipe.Recipe(
        name=config.name,
        description=config.description,
        mode="online",
        arch=ArchSpec(config.arch.name, config.arch.width, len(labels)),
        shift=shift,
        frame=config.frame,
        fps=config.fps,
        labels=labels,
        decision=config.decision,
        weights=recipe.RecipeWeights(None, None, config.seed, False),
    )


def _check_recipe(spec: recipe.Recipe, where: Any) -> None:
    """Raise InputError where the trained weights could not be exported, for example for an unknown decision."""
    network = models.outline(spec.arch, spec.shift.fold_div)
    if network.task != configs.TASK:
        got, expected = f"{spec.arch.name}, a network for {network.task}", f"a detector, such as {configs.ARCH}"
        raise InputError(f"{where}: arch.name", got, expected, "correct the configuration")
    unknown = recipe.WeightsSpec("", "", False)
    open_head(recipe.manifest_of(spec, "online", "standard", network, unknown, str(where)), str(where))


def _write_validation(output: Path, best: dict[str, Any]) -> None:
    """Write the figures of the best weights on the test clips, those of each group of boxes too."""
    rows = [row for row in journal.read(output / LOG) if row["kind"] == "test" and row["epoch"] == best["epoch"]]
    figures = {**best, "groups": rows[-1].get("groups", {}) if rows else {}}
    state.replace(output / VALIDATION, (json.dumps(figures, indent=1) + "\n").encode())


def show(trained: Trained, say: Callable[[str], object]) -> None:
    """Tell the figures and the next command. say: called with a line of text."""
    best = trained.best
    text = f"{trained.config.schedule.choose}: epoch {best['epoch']}, AP50 {best['ap50']:.1%}, "
    text += f"AP50:95 {best['ap50_95']:.1%}; {len(trained.broken)} broken clips left out"
    say(text)
    say(f"figures by group: {trained.output / VALIDATION}")
    say("next: tsm-edge export " + shlex.quote(str(trained.output)))
