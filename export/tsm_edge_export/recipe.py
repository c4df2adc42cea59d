"""Recipes: one TOML file a model, which says everything that a checkpoint does not say of itself."""

import sys
from pathlib import Path
from typing import NamedTuple, Optional, Tuple

from tsm_edge.errors import InputError
from tsm_edge.manifest import (
    FORMAT_VERSION,
    LOWERINGS,
    MODES,
    ArchSpec,
    CacheSpec,
    DecisionSpec,
    FrameSpec,
    Manifest,
    ShiftSpec,
    WeightsSpec,
    check,
)
from tsm_edge.schema import decode

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent / "recipes"


class RecipeShift(NamedTuple):
    """direction: of the weights, by mode: an online model is always causal. See tsm_edge.manifest.ShiftSpec."""

    dialect: str
    offline_direction: str
    fold_div: int
    n_segment: int


class RecipeWeights(NamedTuple):
    """Where weights come from when the user gives none: `file`, `url` (downloaded once), or a random start from `seed`.

    file: a path from the recipe's folder; once loaded, an absolute one. start: True where a checkpoint of another class
    count may be used as a start (its head is then random).
    """

    file: Optional[str]
    url: Optional[str]
    seed: int
    start: bool


class Recipe(NamedTuple):
    """A recipe file. labels: num_classes names in the order of the classifier's rows."""

    name: str
    description: str
    mode: str
    arch: ArchSpec
    shift: RecipeShift
    frame: FrameSpec
    fps: Optional[float]
    labels: Tuple[str, ...]
    decision: DecisionSpec
    weights: RecipeWeights


DEFAULTS = {
    "description": "",
    "mode": "online",
    "fps": None,
    "arch": {"width": 1.0},
    "shift": {"dialect": "mit", "offline_direction": "bidirectional", "fold_div": 8, "n_segment": 8},
    "frame": {
        "layout": "NCHW",
        "colour": "RGB",
        "height": 224,
        "width": 224,
        "short_side": 256,
        "crop": "center",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    },
    "decision": {"window": 1, "threshold": 0.0, "hysteresis": 1, "ignored": []},
    "weights": {"file": None, "url": None, "seed": 0, "start": False},
}


def names():
    """The recipes that `make export MODEL=name` knows, sorted. template.toml is for copying, not for export."""
    return sorted(path.stem for path in FOLDER.glob("*.toml") if path.stem != "template")


def load(model: str) -> Recipe:
    """The recipe called `model`, or the recipe file of that path.

    Left-out keys take the published defaults: shift of 1/8 and 8 segments, 256 / 224 with ImageNet's mean and std.
    Left-out labels become class_000, class_001, …. Raises InputError for an unknown name, damaged TOML, an unknown
    key, a value of another type, labels of another length or one of them twice, values that contradict each other: all
    that can be told without the network.
    """
    path = Path(model) if model.endswith(".toml") else FOLDER / (model + ".toml")
    if not path.is_file() or model == "template":
        known = "one of " + ", ".join(names()) + ", or a recipe file ending in .toml"
        raise InputError(
            f"MODEL {model}", "no such recipe", known, "copy recipes/template.toml to make one of your own"
        )
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(path, error.strerror, "a file that can be read", "check its permissions") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(path, f"damaged TOML: {error}", "a recipe", "mend that line") from None
    recipe = decode(Recipe, {"name": path.stem, "labels": [], **merge(DEFAULTS, data)}, str(path))
    if "labels" not in data:
        recipe = recipe._replace(labels=default_labels(recipe.arch.num_classes))
    if recipe.mode not in MODES:
        raise InputError(f"{path}: mode", repr(recipe.mode), " or ".join(MODES), "choose one of them")
    given = [name for name in ("file", "url", "start") if getattr(recipe.weights, name)]
    if len(given) > 1:
        raise InputError(f"{path}: weights", "both {} and {}".format(*given[-2:]), "one of them", "remove one")
    if recipe.weights.file is not None:
        recipe = recipe._replace(
            weights=recipe.weights._replace(file=str(path.parent.absolute() / recipe.weights.file))
        )
    check(_manifest(recipe, "offline", LOWERINGS[0], (), (), WeightsSpec("", "", False)), path)
    return recipe


def default_labels(num_classes):
    """The labels of a recipe that names none: class_000, class_001, …"""
    return tuple(f"class_{index:03d}" for index in range(num_classes))


def manifest_of(recipe: Recipe, mode: str, lowering: str, network, weights: WeightsSpec, where: str) -> Manifest:
    """The manifest of `network` (tsm_edge_export.models.Network) exported by this recipe; its parity is still empty."""
    shapes = network.cache_shapes(recipe.frame.height, recipe.frame.width) if mode == "online" else []
    manifest = _manifest(recipe, mode, lowering, network.places, shapes, weights)
    check(manifest, where)
    return manifest


def _manifest(recipe, mode, lowering, places, shapes, weights):
    shift = recipe.shift
    direction = "causal" if mode == "online" else shift.offline_direction
    return Manifest(
        format_version=FORMAT_VERSION,
        recipe=recipe.name,
        arch=recipe.arch,
        mode=mode,
        shift=ShiftSpec(shift.dialect, direction, shift.fold_div, shift.n_segment, tuple(places)),
        frame=recipe.frame,
        caches=tuple(
            CacheSpec(f"cache_{i:02d}", f"cache_{i:02d}_next", tuple(shape), "float32")
            for i, shape in enumerate(shapes)
        ),
        labels=recipe.labels,
        fps=recipe.fps,
        decision=recipe.decision,
        lowering=lowering,
        precision="float32",
        weights=weights,
        parity={},
    )


def merge(defaults, data):
    merged = dict(defaults)
    for key, value in data.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged
