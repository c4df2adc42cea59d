"""The output folder of `tsm-edge train`: which files in it are the recipe, the weights and the configuration."""

import os
from pathlib import Path
from typing import NamedTuple, Optional, Union

from tsm_edge.errors import InputError
from tsm_edge.recording.folder import VIDEOS
from tsm_edge_export import recipe

RECIPE, WEIGHTS, CONFIG = "recipe.toml", "best.safetensors", "config.toml"
DECISION = "decision.json"  # which `tsm-edge export` adds
_EXPECTED = f"a recipe, or an output folder of tsm-edge train with {RECIPE} and {WEIGHTS}"
MAX_LISTED = 10_000  # entries of a folder that are looked at to say what it is


class TrainedFolder(NamedTuple):
    """What a training left. weights and config may be missing: see `trained_folder`."""

    path: Path
    recipe: Path
    weights: Path
    config: Path


def is_folder(model: Union[str, "os.PathLike[str]"]) -> bool:
    """Return whether `model` names a folder, and not one of the recipes that come with tsm-edge."""
    return os.fspath(model) not in recipe.names() and os.path.isdir(model)


def trained_folder(path: Union[str, "os.PathLike[str]"], weights: Optional[object] = None) -> TrainedFolder:
    """Return the files of a training's output folder. `config` may be missing in it, as earlier releases wrote none.

    weights: a checkpoint that replaces the folder's own weights; these may then be missing.
    Raises InputError where the folder holds something else, or a training that has no weights yet.
    """
    folder = Path(path)
    found = TrainedFolder(folder, folder / RECIPE, folder / WEIGHTS, folder / CONFIG)
    if not os.path.isfile(found.recipe):
        if _is_data(folder):
            do = f"train a model on it first: tsm-edge train {folder}; then export the folder that it writes"
            raise InputError(folder, "a data folder: clips, but no model", _EXPECTED, do)
        raise InputError(folder, f"no {RECIPE} in this folder", _EXPECTED, "check the path, or train a model first")
    if weights is None and not os.path.isfile(found.weights):
        got, do = f"a training without {WEIGHTS}", "let it finish an epoch, or go on with it: tsm-edge train … --resume"
        raise InputError(folder, got, _EXPECTED, do)
    return found


def _is_data(folder: Path) -> bool:
    """Return whether a folder has folders with videos or pictures, as `tsm-edge record` writes them."""
    for label in _entries(folder):
        if os.path.isdir(label) and any(
            entry.suffix.lower() in VIDEOS or os.path.isdir(entry) for entry in _entries(label)
        ):
            return True
    return False


def _entries(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for _, entry in zip(range(MAX_LISTED), entries, strict=False)]
    except OSError:  # a folder that this user may not list is no data folder to them
        return []
