"""Recipes: one TOML file a model. It says everything that a checkpoint does not say of itself."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional, Tuple

from tsm_edge import manifest as manifests
from tsm_edge.errors import InputError
from tsm_edge.heads import open_head
from tsm_edge.manifest import LOWERINGS, MODES, ArchSpec, CacheSpec, FrameSpec, Manifest, ShiftSpec, WeightsSpec
from tsm_edge.schema import decode
from tsm_edge.toml_file import read_toml

if TYPE_CHECKING:
    from tsm_edge_export.models import Network

FOLDER = Path(__file__).parent / "recipes"
# Of the tables whose defaults the manifest does not share: there everything is stated.
_SIZES = {"layout": "NCHW", "colour": "RGB", "height": 224, "width": 224, "short_side": 256, "crop": "center"}
_FRAME = {**_SIZES, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
ONLINE_DIRECTIONS = ("causal", "none")
DEFAULTS: Dict[str, Any] = {"arch": {"width": 1.0}, "frame": _FRAME}


class RecipeShift(NamedTuple):
    """The shift, see tsm_edge.manifest.ShiftSpec."""

    dialect: str = "mit"  # whose convention the weights follow
    offline_direction: str = "bidirectional"  # or "causal", "none"
    fold_div: int = 8  # one fold is 1/fold_div of the channels
    n_segment: int = 8  # frames of a training clip
    online_direction: str = "causal"  # or "none": no shift, the 2D network


class RecipeWeights(NamedTuple):
    """Where weights come from when the user gives none: `file`, `url`, or a random start from `seed`."""

    file: Optional[str] = None  # in TOML a path from the recipe's folder, here an absolute one
    url: Optional[str] = None  # downloaded once
    seed: int = 0  # of the random start
    start: bool = False  # whether a checkpoint of another class count may be a start, with a random classifier


class Recipe(NamedTuple):
    """A recipe file."""

    name: str  # the file's, without .toml
    arch: ArchSpec  # the network
    frame: FrameSpec  # the input tensor
    labels: Tuple[str, ...]  # num_classes names in the order of the classifier's rows
    description: str = ""  # what it recognises, and what it was trained on
    mode: str = "online"  # or "offline"
    fps: Optional[float] = None  # frames/s that the model expects
    shift: RecipeShift = RecipeShift()  # the temporal shift
    decision: Dict[str, Any] = {}  # options of the task's head
    weights: RecipeWeights = RecipeWeights()  # where weights come from when none are given


def names() -> list[str]:
    """Return the recipes that `make export MODEL=name` knows, sorted. template.toml is for copying, not for export."""
    return sorted(path.stem for path in FOLDER.glob("*.toml") if path.stem != "template")


def load(model: str) -> Recipe:
    """Read the recipe called `model`, or the recipe file of that path.

    Left-out keys take the published defaults: shift of 1/8 and 8 segments, 256 / 224 with ImageNet's mean and std.
    Left-out labels become class_000, class_001, and so on.
    Raises InputError for an unknown name, damaged TOML, unknown keys, wrong types, and values that contradict others.
    """
    path = Path(model) if model.endswith(".toml") else FOLDER / (model + ".toml")
    if not os.path.isfile(path) or model == "template":
        known = "one of " + ", ".join(names()) + ", or a recipe file ending in .toml"
        raise InputError(f"MODEL {model}", "no such recipe", known, "copy recipes/template.toml for one of your own")
    data = read_toml(path, "a recipe")
    recipe = decode(Recipe, {"name": path.stem, "labels": [], **merge(DEFAULTS, data)}, str(path))
    if recipe.mode not in MODES:
        raise InputError(f"{path}: mode", repr(recipe.mode), " or ".join(MODES), "choose one of them")
    online = recipe.shift.online_direction
    if online not in ONLINE_DIRECTIONS:
        expected = " or ".join(ONLINE_DIRECTIONS) + ": a live stream has no next frame"
        raise InputError(f"{path}: shift.online_direction", repr(online), expected, "choose one of them")
    if recipe.weights.seed < 0:
        raise InputError(f"{path}: weights.seed", recipe.weights.seed, "0 to 2**63 - 1", "correct it")
    given = [name for name in ("file", "url", "start") if getattr(recipe.weights, name)]
    if len(given) > 1:
        raise InputError(f"{path}: weights", "both {} and {}".format(*given[-2:]), "one of them", "remove one")
    if recipe.weights.file is not None:
        file = str(path.parent.absolute() / recipe.weights.file)
        recipe = recipe._replace(weights=recipe.weights._replace(file=file))
    from tsm_edge_export import models  # here, so that the command line can list the recipes without torch

    manifests.check_limits(recipe, str(path))
    try:
        network = models.outline(recipe.arch, recipe.shift.fold_div)
    except InputError as error:
        raise InputError(f"{path}: {error.where}", error.got, error.expected, error.do) from None
    if "labels" not in data:
        recipe = recipe._replace(labels=default_labels(recipe.arch.num_classes))
    manifest_of(recipe, "offline", LOWERINGS[0], network, WeightsSpec("", "", False), str(path))
    return recipe


def direction_of(recipe: Recipe, mode: str) -> str:
    """Return the direction of the shift of a model that this recipe exports in `mode`."""
    return recipe.shift.online_direction if mode == "online" else recipe.shift.offline_direction


def default_labels(num_classes: int) -> tuple[str, ...]:
    """Return the labels of a recipe that names none: class_000, class_001, and so on."""
    return tuple(f"class_{index:03d}" for index in range(num_classes))


def manifest_of(
    recipe: Recipe, mode: str, lowering: str, network: "Network", weights: WeightsSpec, where: str
) -> Manifest:
    """Return the checked manifest of a network exported by this recipe; its parity is still empty.

    Raises InputError, which names the recipe `where`, for values that contradict each other or the network's task.
    """
    shift, size = recipe.shift, (recipe.frame.height, recipe.frame.width)
    direction, places = direction_of(recipe, mode), network.places
    if mode == "online":
        places = network.step_places(direction)
    shapes = enumerate(network.cache_shapes(*size) if mode == "online" and places else [])
    try:
        outputs = network.outputs(*size)
    except InputError as error:
        raise InputError(f"{where}: {error.where}", error.got, error.expected, error.do) from None
    manifest = Manifest(
        format_version=manifests.FORMAT_VERSION,
        task=network.task,
        recipe=recipe.name,
        arch=recipe.arch,
        mode=mode,
        shift=ShiftSpec(shift.dialect, direction, shift.fold_div, shift.n_segment, places),
        frame=recipe.frame,
        caches=tuple(CacheSpec(f"cache_{i:02d}", f"cache_{i:02d}_next", shape, "float32") for i, shape in shapes),
        outputs=outputs,
        labels=recipe.labels,
        fps=recipe.fps,
        decision=recipe.decision,
        lowering=lowering,
        precision="float32",
        weights=weights,
        parity={},
    )
    manifests.check(manifest, where)
    open_head(manifest, where)
    return manifest


def merge(defaults: Dict[str, Any], data: Dict[str, Any]) -> Dict[str, Any]:
    """Return `data` with what it leaves out taken from `defaults`, in nested tables too."""
    merged = dict(defaults)
    for key, value in data.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged
