"""Training configurations: one TOML file that says all that decides a training's result."""

import os
import sys
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Tuple

from tsm_edge.errors import InputError
from tsm_edge.manifest import DecisionSpec, FrameSpec
from tsm_edge.schema import decode, encode
from tsm_edge_export import recipe

from .config_checks import check

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEMPLATE = Path(__file__).parent.parent / "training_configs" / "template.toml"
_PATHS = {"data": ("root", "train", "test", "labels_file"), "start": ("weights",)}
UNDECIDED = ("run",)  # sections that no result depends on: a resume may change them


class Network(NamedTuple):
    """The network, without its class count: the labels say that. See tsm_edge.manifest.ArchSpec."""

    name: str
    width: float


class Shift(NamedTuple):
    """fold_div: one fold is 1/fold_div of the channels. n_segment: T, the frames of a training clip."""

    fold_div: int
    n_segment: int


class Synthetic(NamedTuple):
    """The rendered gestures: clips of each split, their seed, and the side of their square frames in pixels.

    windows: pieces of streams to train on beside the clips, labelled frame by frame (see .synthetic.windows).
    """

    train: int
    test: int
    seed: int
    size: int
    windows: int


class DataSpec(NamedTuple):
    """Where clips come from. kind: "frames", "folders", "segments" or "synthetic"; see docs/training.md.

    root: what the paths in the lists start from. train, test: the lists (or folders). template: names of frame files.
    labels_file: one label a line; it stands in for `labels`. Paths start from the configuration's own folder.
    reversed: label -> the label of such a clip played backwards; each of these clips is then taken both ways.
    """

    kind: str
    root: str
    train: Optional[str]
    test: Optional[str]
    template: Optional[str]
    labels_file: Optional[str]
    reversed: Dict[str, Any]
    synthetic: Synthetic


class Sampling(NamedTuple):
    """Which frames of a clip are read (see .sampling). span: frames that a dense clip covers."""

    kind: str
    span: int


class Augment(NamedTuple):
    """scales: of the multi-scale crop. flip: None flips where the labels allow it. flip_map: label -> flipped label."""

    scales: Tuple[float, ...]
    flip: Optional[bool]
    flip_map: Dict[str, Any]


class Start(NamedTuple):
    """weights: a checkpoint of any dialect, None for random weights from the seed.

    new_head: draw a new classifier even where the checkpoint's would fit.
    """

    weights: Optional[str]
    new_head: bool


class Optimiser(NamedTuple):
    """rate: of the learning; the classifier's is head_rate times that. clip_gradient: largest norm, None for any.

    momentum: SGD's; AdamW takes torch's betas.
    """

    name: str
    rate: float
    head_rate: float
    momentum: float
    weight_decay: float
    clip_gradient: Optional[float]


class Schedule(NamedTuple):
    """warmup: epochs in which the rate rises from 0. kind: "cosine" down to 0; "step": a tenth from each of steps."""

    kind: str
    epochs: int
    warmup: float
    steps: Tuple[float, ...]


class Loss(NamedTuple):
    """class_weights: one for each label, none for equal ones; balanced: weights from the clip counts instead.

    running: share, 0 to 1, of the loss that is taken on the running means of the logits (causal networks alone).
    """

    label_smoothing: float
    class_weights: Tuple[float, ...]
    balanced: bool
    running: float


class Regular(NamedTuple):
    """dropout: before the classifier. ema: decay of the averaged weights, 0 for none.

    batch_norm: "train"; "partial": all but the first keep their statistics and scales (published); "frozen": all do.
    """

    dropout: float
    ema: float
    batch_norm: str


class Speed(NamedTuple):
    """amp: float16 where it is safe, on a GPU alone. channels_last: memory order of the feature maps."""

    amp: bool
    channels_last: bool


class Run(NamedTuple):
    """What changes no result. output: the folder to write. save_steps: steps between two saves, 0 for each epoch."""

    output: Optional[str]
    device: str
    workers: int
    save_steps: int


class Config(NamedTuple):
    """A configuration file. labels: None takes those of labels_file, of the folders' names, or class_000, class_001, …

    direction: "causal" (online), "bidirectional" (offline) or "none" (a 2D network, TSN). batch: clips of a step.
    fps and decision only pass on to the recipe.
    """

    name: str
    description: str
    direction: str
    seed: int
    batch: int
    labels: Optional[Tuple[str, ...]]
    fps: Optional[float]
    arch: Network
    shift: Shift
    frame: FrameSpec
    decision: DecisionSpec
    data: DataSpec
    sampling: Sampling
    augment: Augment
    start: Start
    optimiser: Optimiser
    schedule: Schedule
    loss: Loss
    regular: Regular
    speed: Speed
    run: Run


_DEFAULTS = {
    "description": "",
    "seed": 0,
    "batch": 16,
    "labels": None,
    "fps": None,
    "arch": {"name": "mobilenetv2", "width": 1.0},
    "shift": {"fold_div": 8, "n_segment": 8},
    "frame": recipe.DEFAULTS["frame"],
    "decision": recipe.DEFAULTS["decision"],
    "data": {
        "root": ".",
        "train": None,
        "test": None,
        "template": None,
        "labels_file": None,
        "reversed": {},
        "synthetic": {"train": 2000, "test": 400, "seed": 0, "size": 224, "windows": 0},
    },
    "sampling": {"kind": "uniform", "span": 64},
    "augment": {"scales": [1.0, 0.875, 0.75, 0.66], "flip": None, "flip_map": {}},
    "start": {"weights": None, "new_head": False},
    "optimiser": {
        "name": "sgd",
        "rate": 0.001,
        "head_rate": 5.0,
        "momentum": 0.9,
        "weight_decay": 0.0005,
        "clip_gradient": 20.0,
    },
    "schedule": {"kind": "cosine", "epochs": 50, "warmup": 1.0, "steps": []},
    "loss": {"label_smoothing": 0.0, "class_weights": [], "balanced": False, "running": 0.0},
    "regular": {"dropout": 0.5, "ema": 0.0, "batch_norm": "train"},
    "speed": {"amp": True, "channels_last": True},
    "run": {"output": None, "device": "auto", "workers": 2, "save_steps": 0},
}


def load(path, changes=None) -> Config:
    """The configuration file `path`. changes: {section or key: value, or {key: value}} that stand above the file's.

    Paths in the file start from its folder, those in `changes` from the current one; they come back absolute.
    Left-out keys take the published defaults (opts.py and README of mit-han-lab/temporal-shift-module), but for cosine
    and warm-up.
    Raises InputError for a file that is missing or damaged, unknown keys, values of another type, or impossible ones.
    """
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(path, error.strerror, "a training configuration", "check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(path, f"damaged TOML: {error}", "a training configuration", "mend that line") from None
    data = recipe.merge(_anchored(_DEFAULTS, path.parent), _anchored(data, path.parent))
    data = recipe.merge(data, _anchored(changes or {}, Path()))
    try:
        config = decode(Config, {"name": path.stem, **data}, str(path))
    except InputError as error:
        raise InputError(error.where, error.got, error.expected, "correct the configuration") from None
    check(config, path)
    return config


def _anchored(data, folder):
    """A copy of `data` whose paths are absolute; those that are not start from `folder`."""
    made = {section: dict(value) if isinstance(value, dict) else value for section, value in data.items()}
    for section, keys in _PATHS.items():
        for key in keys if isinstance(made.get(section), dict) else ():
            if isinstance(made[section].get(key), str):
                made[section][key] = os.path.abspath(folder / made[section][key])
    return made


def decided(config) -> dict:
    """What of the configuration decides the result, as plain values: a resume must agree on all of it."""
    return {key: value for key, value in encode(config).items() if key not in UNDECIDED}
