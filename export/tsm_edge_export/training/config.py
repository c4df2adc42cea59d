"""Training configurations: one TOML file states everything that decides the result of a training."""

import os
import re
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Tuple

from tsm_edge.engines import DEVICES
from tsm_edge.manifest import DIRECTIONS, FrameSpec, is_name
from tsm_edge.schema import encode
from tsm_edge.toml_file import read_toml
from tsm_edge_export import recipe, synthetic

from . import checks
from .broken import MOST_BROKEN

CHOICES = {
    "direction": DIRECTIONS,
    "frame.colour": ("RGB", "BGR"),
    "data.kind": ("frames", "folders", "segments", "synthetic"),
    "data.synthetic.family": tuple(synthetic.FAMILIES),
    "sampling.kind": ("uniform", "whole", "dense"),
    "optimiser.name": ("sgd", "adamw"),
    "schedule.kind": ("cosine", "step"),
    "schedule.choose": ("best", "last"),
    "augment.crop": ("multi-scale", "view"),
    "regular.batch_norm": ("train", "partial", "frozen"),
    "run.device": ("auto", *DEVICES),
}
# Name -> least and most. Numbers that a manifest has too are checked by tsm_edge.manifest.LIMITS.
_RANGES: dict[str, tuple[float, float]] = {
    **checks.RANGES,
    "sampling.span": (1, 1_000_000),
    "data.synthetic.train": (1, 1_000_000),
    "data.synthetic.test": (1, 1_000_000),
    "data.synthetic.windows": (0, 1_000_000),
    "data.synthetic.seed": (0, 2**63 - 1),
    "data.synthetic.size": (32, 2048),
    "augment.margin": (0, 10),
    "augment.zoom": (0, 1),
    "augment.stretch": (0, 1),
    "augment.move": (0, 1),
    "augment.rotate": (0, 180),
}
_BELOW_1 = (
    *("data.most_broken", "augment.colour", "optimiser.momentum"),
    *("loss.label_smoothing", "regular.dropout", "regular.ema"),
)
# What `[optimiser]` leaves out with name = "sgd". Source: opts.py of mit-han-lab/temporal-shift-module.
PUBLISHED_SGD = {"rate": 0.001, "momentum": 0.9, "weight_decay": 0.0005, "clip_gradient": 20.0}
_PATHS = {"data": ("root", "train", "test", "labels_file"), "start": ("weights",)}


class Network(NamedTuple):
    """The network, without its class count: the labels state that. See tsm_edge.manifest.ArchSpec."""

    name: str = "mobilenetv2"
    width: float = 1.0


class Shift(NamedTuple):
    """The shift."""

    fold_div: int = 8  # one fold is 1/fold_div of the channels
    n_segment: int = 8  # frames of a training clip


class Synthetic(NamedTuple):
    """The rendered gestures (see tsm_edge_export.synthetic)."""

    train: int = 2000  # clips
    test: int = 400
    seed: int = 0
    size: int = 224  # side of the square frames in pixels
    windows: int = 0  # pieces of streams, labelled frame by frame, that are trained on beside the clips
    family: str = "gestures"  # or "strokes"; see tsm_edge_export.synthetic.FAMILIES


class DataSpec(NamedTuple):
    """Where clips come from; see docs/training.md. Paths start from the configuration's own folder."""

    kind: str  # "frames", "folders", "segments" or "synthetic"
    root: str  # the folder that paths in the lists start from
    train: Optional[str] = None  # a list or folder
    test: Optional[str] = None
    template: Optional[str] = None  # names of frame files
    labels_file: Optional[str] = None  # one label a line, in place of `labels`
    fps: Optional[float] = None  # frames/s of folders of frames
    still: Optional[str] = None  # a label for clips made of held frames of the training clips
    hold: int = 0  # short side, in pixels, to which training frames are reduced and kept in memory; 0: not at all
    most_broken: float = MOST_BROKEN  # share of broken clips, 0 to 1, that stops the training
    reversed: Dict[str, Any] = {}  # label -> the label of such a clip played backwards; these clips are taken both ways
    synthetic: Synthetic = Synthetic()


class Sampling(NamedTuple):
    """Which frames of a clip are read; see sampling.py."""

    kind: str = "uniform"
    span: int = 64  # frames that a dense clip covers


class Augment(NamedTuple):
    """Random changes to training clips; see crops.py and colour.py."""

    crop: str = "multi-scale"  # as published; "view": near the crop that the device sees
    scales: Tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)  # of the multi-scale crop
    zoom: float = 0.2  # of a view: at most 1 + zoom times larger or smaller
    stretch: float = 0.1  # of a view: at most 1 + stretch times wider, and as much lower, or the reverse
    move: float = 0.1  # of a view: at most this share of its width and height
    rotate: float = 0.0  # of a view: at most so many degrees
    colour: float = 0.0  # strength of random brightness, contrast, gamma and tint
    margin: float = 0.0  # how long the ends of a clip may be held, in lengths of the clip; with sampling.kind "whole"
    flip: Optional[bool] = None  # None: where the labels allow it
    flip_map: Dict[str, Any] = {}  # label -> label of the flipped clip


class Start(NamedTuple):
    """The weights before training."""

    weights: Optional[str] = None  # a checkpoint of any dialect, or a recipe's name; None: random from the seed
    new_head: bool = False  # draw a new classifier even where the checkpoint's would fit


class Optimiser(NamedTuple):
    """How gradients change weights; see optimiser.py."""

    name: str = "adamw"  # for "sgd", what is left out is taken from PUBLISHED_SGD
    rate: float = 0.0005
    head_rate: float = 5.0  # the classifier's rate, in units of `rate`
    momentum: float = 0.9  # of SGD; AdamW takes torch's betas
    weight_decay: float = 0.02
    clip_gradient: Optional[float] = 5.0  # largest norm; None: any


class Schedule(NamedTuple):
    """The course of the learning rate."""

    kind: str = "cosine"  # "cosine" falls to 0; "step" falls to a tenth at each of `steps`
    epochs: int = 50
    warmup: float = 1.0  # epochs in which the rate rises from 0; by default at most a tenth of `epochs`
    steps: Tuple[float, ...] = ()
    choose: str = "best"  # the weights of the epoch with the best test accuracy; "last": of the last epoch


class Loss(NamedTuple):
    """The loss; see loss.py."""

    label_smoothing: float = 0.05
    class_weights: Tuple[float, ...] = ()  # one for each label; none: equal ones
    balanced: bool = False  # weights from the clip counts instead
    running: float = 0.0  # share, 0 to 1, that is taken on running means of the logits; for causal networks alone


class Regular(NamedTuple):
    """Regularisation."""

    dropout: float = 0.5  # before the classifier
    ema: float = 0.0  # decay of the averaged weights; 0: no average
    batch_norm: str = "train"  # "partial" freezes all but the first, as published; "frozen" freezes all
    frozen: int = 0  # first blocks, with the stem, that keep their weights; 0: nothing keeps them


class Speed(NamedTuple):
    """How the network is computed."""

    amp: bool = True  # float16 where it is safe, on a GPU alone
    channels_last: bool = True  # memory order of the feature maps


class Run(NamedTuple):
    """Settings that change no result."""

    output: Optional[str] = None  # the folder to write
    device: str = "auto"
    workers: int = 2  # processes that read clips
    save_steps: int = 0  # steps between two saves; 0: after each epoch


class Config(NamedTuple):
    """A configuration file.

    The defaults of optimiser, schedule and label smoothing suit the fine-tuning of a few clips. The other defaults are
    the published ones. Source: opts.py and README of mit-han-lab/temporal-shift-module.
    """

    name: str
    direction: str  # "causal" (online), "bidirectional" (offline) or "none" (a 2D network, TSN)
    frame: FrameSpec
    data: DataSpec
    description: str = ""
    seed: int = 0
    batch: int = 16  # clips of a step
    labels: Optional[Tuple[str, ...]] = None  # None: of labels_file, else the folders' names, else class_000, …
    fps: Optional[float] = None  # passed on to the recipe, as is `decision`
    decision: Dict[str, Any] = {}
    arch: Network = Network()
    shift: Shift = Shift()
    sampling: Sampling = Sampling()
    augment: Augment = Augment()
    start: Start = Start()
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    loss: Loss = Loss()
    regular: Regular = Regular()
    speed: Speed = Speed()
    run: Run = Run()


def load(path: str | os.PathLike[str], changes: dict[str, Any] | None = None) -> Config:
    """Read a configuration file. The paths of the result are absolute; in the file they start from its folder.

    changes: {section or key: value, or {key: value}} that replace the file's; paths start from the current folder.
    Raises InputError for a file that is missing or damaged, an unknown key and a wrong value.
    """
    path = Path(path)
    data = read_toml(path, "a training configuration")
    data = recipe.merge({"frame": recipe.DEFAULTS["frame"], "data": {"root": "."}}, data)
    data = completed(recipe.merge(anchored(data, path.parent, _PATHS), anchored(changes or {}, Path(), _PATHS)))
    config: Config = checks.decoded(Config, path, data)
    _check(config, path)
    return config


def anchored(data: dict[str, Any], folder: Path, paths: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return a copy of `data` in which relative paths are absolute, from `folder`. The name of a recipe is no path.

    paths: section -> its keys that are paths.
    """
    made = {section: dict(value) if isinstance(value, dict) else value for section, value in data.items()}
    for section, keys in paths.items():
        for key in keys if isinstance(made.get(section), dict) else ():
            value = made[section].get(key)
            if isinstance(value, str) and not (key == "weights" and value in recipe.names()):
                made[section][key] = os.path.abspath(folder / value)
    return made


def completed(data: dict[str, Any]) -> dict[str, Any]:
    """Return `data` with the defaults that depend on other values. Values of a wrong type are left to `decode`."""
    schedule, optimiser, defaults = data.get("schedule"), data.get("optimiser"), {}
    epochs = schedule.get("epochs") if isinstance(schedule, dict) else None
    if isinstance(epochs, int) and 0 < epochs < 10:
        defaults["schedule"] = {"warmup": epochs / 10}
    if isinstance(optimiser, dict) and optimiser.get("name") == "sgd":
        defaults["optimiser"] = dict(PUBLISHED_SGD)
    return recipe.merge(defaults, data)


def decided(config: Any) -> dict[str, Any]:
    """Return what decides the result, as plain values: all but `run`. A resume must agree on all of it."""
    return {key: value for key, value in encode(config).items() if key != "run"}


def _check(config: Config, where: Any) -> None:
    """Raise InputError for a value that no training can have. where: the file, for messages."""
    need = checks.need_of(config, where)
    checks.check_values(config, need, CHOICES, _RANGES, _BELOW_1)
    direction, data, frame = config.direction, config.data, config.frame
    loss, scales, span = config.loss, config.augment.scales, config.sampling.span

    frozen = config.regular.frozen
    need(not frozen or config.start.weights, "regular.frozen", "0 where start.weights names no trained weights")
    checks.check_optimiser(config, need)
    need(0 <= loss.running <= 1, "loss.running", "from 0 to 1")
    need(not loss.running or direction == "causal", "loss.running", f"0, since direction is {direction!r}, not causal")
    need(not (loss.balanced and loss.class_weights), "loss", "one of them", "balanced and class_weights")
    need(all(weight > 0 for weight in loss.class_weights), "loss.class_weights", "all above 0")

    need(min(frame.height, frame.width) >= 32, "frame", "a size of at least 32x32", (frame.height, frame.width))
    need(frame.short_side >= max(frame.height, frame.width), "frame.short_side", "at least the crop")
    need(all(value > 0 for value in frame.std), "frame.std", "all above 0")
    need(scales and all(0.1 <= scale <= 1 for scale in scales), "augment.scales", "one or more from 0.1 to 1")
    fits = config.sampling.kind != "dense" or config.shift.n_segment <= span
    need(fits, "shift.n_segment", f"at most {span} (sampling.span) for dense clips")
    whole = config.sampling.kind == "whole"
    need(whole or not config.augment.margin, "augment.margin", '0, or sampling.kind "whole"')

    windows = data.synthetic.windows
    need(not windows or direction == "causal", "data.synthetic.windows", "0, or direction causal")
    gestures = data.synthetic.family == "gestures"
    need(not windows or gestures, "data.synthetic.windows", '0, or data.synthetic.family "gestures"')
    need(not windows or config.fps, "fps", "the rate of the frames in data.synthetic.windows")
    for name, path in (("data.train", data.train), ("data.test", data.test)):
        need((path is None) == (data.kind == "synthetic"), name, f"what data.kind {data.kind!r} reads")
    need(data.still is None or data.kind != "synthetic", "data.still", 'none with data.kind "synthetic"')
    need(data.still is None or is_name(data.still), "data.still", "1 to 200 characters that can be printed")
    need(data.fps is None or 0.001 <= data.fps <= 1000, "data.fps", "0.001 to 1000")
    smallest = min(frame.short_side, max(frame.height, frame.width))
    need(not data.hold or data.kind != "synthetic", "data.hold", '0 with data.kind "synthetic"')
    need(not data.hold or data.hold >= smallest, "data.hold", f"0, or at least {smallest}, the network's crop")
    need(data.template is None or data.kind == "frames", "data.template", 'none, or data.kind "frames"')
    template = re.fullmatch(r"[^{}]*\{:0?\d*d\}[^{}]*", data.template or "")
    need(data.template is None or template, "data.template", 'one number, as in "img_{:05d}.jpg"')
    need(not (config.labels and data.labels_file), "labels", "one of them", "both labels and data.labels_file")
    labels = config.labels or ()
    need(len(set(labels)) == len(labels), "labels", "labels that differ", "a label twice")
    checks.check_memory(config, need)
    need(len(scales) <= 64, "augment.scales", "at most 64", f"{len(scales)} of them")
