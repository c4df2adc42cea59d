"""The decision of a model that a training left: the recipe's where it states one, else the one its clips choose."""

import json
import os
from pathlib import Path
from typing import Callable, Optional

from tsm_edge.engines import load_engine, load_manifest
from tsm_edge.errors import InputError
from tsm_edge.heads.classification import ClassificationHead, measured_text, parse_decision
from tsm_edge.manifest import Manifest
from tsm_edge_export.trained import TrainedFolder

from .clip_streams import validation_clips
from .tuning import TUNED, Choice, choose, options_of

FORMAT, KIND = 1, "decision"

Say = Callable[[str], object]


def decide(model: Path, trained: TrainedFolder, threads: int, say: Say) -> Optional[Choice]:
    """Choose the decision of an exported model on its validation clips; None where the recipe's stays.

    The recipe's stays where it states window, threshold, hysteresis or energy, where the model is no online classifier,
    and where the clips are too few or gone. The reason goes to `say`, as does the choice.

    model: a model file whose manifest has the recipe's decision. threads: of a step.
    """
    manifest = load_manifest(model)
    if manifest.task != "classification" or manifest.mode != "online":
        return None
    stated = [name for name in TUNED if name in manifest.decision]
    if stated:
        say(f"decision: {_words(manifest)} (the recipe states {', '.join(stated)})")
        return None
    try:
        if not os.path.isfile(trained.config):
            raise InputError(trained.config, "no such file", "the configuration of the training", "train it again")
        ignored = parse_decision(manifest.decision, manifest.labels, str(trained.recipe)).ignored
        material = validation_clips(trained.config, manifest, ignored)
        with load_engine(model, threads=threads) as engine:
            choice = choose(engine, material, progress=say)
    except InputError as reason:
        say(f"decision: {_words(manifest)} (the recipe's; none was chosen. {reason.where}: {reason.got})")
        return None
    chosen = manifest._replace(decision=options_of(choice.decision._replace(measured=None)))
    say(f"decision: {_words(chosen)}")
    if choice.decision.measured is not None:
        say(f"measured: {measured_text(choice.decision.measured)}")
    return choice


def to_json(choice: Choice) -> str:
    """Return a choice with all its figures as the text of decision.json."""
    values = {
        "kind": KIND,
        "format": FORMAT,
        "decision": options_of(choice.decision),
        "tried": choice.tried,
        "clips": choice.clips,
        "chosen_on": choice.chosen.figures,
        "checked_on": choice.checked.figures if choice.held_out else None,
    }
    return json.dumps(values, indent=1) + "\n"


def _words(manifest: Manifest) -> str:
    return ClassificationHead.describe(manifest)
