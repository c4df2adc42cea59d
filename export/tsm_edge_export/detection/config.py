"""Configurations of `tsm-edge train` with task = "detection": one TOML file states what decides the result."""

import os
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Tuple

from tsm_edge.engines import DEVICES
from tsm_edge.manifest import FrameSpec, is_name
from tsm_edge.toml_file import read_toml
from tsm_edge_export import recipe
from tsm_edge_export.training import checks
from tsm_edge_export.training.broken import MOST_BROKEN
from tsm_edge_export.training.config import (
    Run,
    Schedule,
    Shift,
    Speed,
    anchored,
    completed,
)

from .degrade import KINDS

TASK = "detection"
ARCH = "mobilenetv2_centernet"
DIRECTIONS = ("causal", "none")
CHOICES = {
    "task": (TASK,),
    "direction": DIRECTIONS,
    "frame.colour": ("RGB", "BGR"),
    "frame.crop": ("center", "letterbox"),
    "data.kind": ("rendered", "coco", "mot", "video"),
    "optimiser.name": ("adamw", "sgd"),
    "schedule.kind": ("cosine", "step"),
    "schedule.choose": ("best", "last"),
    "regular.batch_norm": ("train", "partial", "statistics", "frozen"),
    "run.device": ("auto", *DEVICES),
}
# Name -> least and most.
_RANGES: dict[str, tuple[float, float]] = {
    **checks.RANGES,
    "shift.n_segment": (1, 64),
    "data.stride": (1, 1000),
    "data.repeats": (1, 100_000),
    "data.test_frames": (1, 600),
    "data.rendered.train": (1, 1_000_000),
    "data.rendered.test": (1, 1_000_000),
    "data.rendered.seed": (0, 2**63 - 1),
    "data.rendered.size": (32, 2048),
    "data.rendered.frames": (1, 600),
    "augment.zoom": (0, 3),
    "augment.move": (0, 1),
    "augment.degraded": (0, 1),
    "loss.heat": (0, 1e6),
    "loss.size": (0, 1e6),
    "loss.offset": (0, 1e6),
    "teacher.weight": (0, 1e6),
    "teacher.threshold": (0.01, 0.99),
    "teacher.sure": (0.01, 0.99),
}
_BELOW_1 = ("data.most_broken", "augment.colour", "optimiser.momentum", "regular.ema")
_PATHS = {"data": ("root", "train", "test"), "start": ("weights",), "teacher": ("weights",)}


class Network(NamedTuple):
    """The network, without its class count: the labels state that."""

    name: str = ARCH
    width: float = 1.0


class RenderedSpec(NamedTuple):
    """Rendered clips, see rendered.py."""

    train: int = 2000  # clips
    test: int = 100
    seed: int = 0
    size: int = 192  # side of the square frames in pixels
    frames: int = 24


class DataSpec(NamedTuple):
    """Where clips come from. Paths start from the configuration's own folder.

    kind "coco" and "mot" read lists of annotated video (annotations.py). "video" reads videos without boxes, which need
    a teacher: a folder of videos and of folders of pictures.
    """

    kind: str  # "rendered", "coco", "mot" or "video"
    root: Optional[str] = None  # what the paths in a list are relative to; None: the list's folder
    train: Optional[str] = None
    test: Optional[str] = None
    stride: int = 1  # a training clip takes every frame, or every n-th one of at most this
    repeats: int = 1  # training clips that an epoch takes of each clip, at random places
    test_frames: int = 48  # at most so many of a test clip
    hold: int = 0  # short side, in pixels, to which training frames are reduced and kept in memory; 0: not at all
    most_broken: float = MOST_BROKEN  # share of broken clips, 0 to 1, that stops the training
    rendered: RenderedSpec = RenderedSpec()


class Augment(NamedTuple):
    """Random changes to training clips; see augment.py, training/colour.py and degrade.py."""

    zoom: float = 0.3  # a view is at most 1 + zoom times larger or smaller
    move: float = 0.15  # of the input's width and height
    flip: bool = True
    colour: float = 0.2  # strength of random brightness, contrast, gamma and tint
    degraded: float = 0.0  # share of the clips that are darkened, blurred or occluded
    kinds: Tuple[str, ...] = ("dark", "blurred", "occluded", "dark and blurred")  # of the degraded clips


class Start(NamedTuple):
    """The weights before training."""

    weights: Optional[str] = None  # a checkpoint, or a recipe's name; None: random from the seed
    new_head: bool = False  # draw the heat's layer anew even where the checkpoint's would fit


class Optimiser(NamedTuple):
    """How gradients change weights; see training/optimiser.py."""

    name: str = "adamw"
    rate: float = 0.001
    head_rate: float = 5.0  # the heads' rate, in units of `rate`
    momentum: float = 0.9  # of SGD; AdamW takes torch's betas
    weight_decay: float = 0.01
    clip_gradient: Optional[float] = 5.0  # largest norm; None: any


class Loss(NamedTuple):
    """Weights of the parts of the loss; see loss.py."""

    heat: float = 1.0
    size: float = 1.0
    offset: float = 1.0


class Teacher(NamedTuple):
    """A frozen network that sees each frame of a clip alone, before it is degraded."""

    weights: Optional[str] = None  # a checkpoint, or "start" for that of the start; None: no teacher
    weight: float = 1.0  # of the distance to the teacher, in the loss
    threshold: float = 0.3  # least heat of the cells whose sizes and offsets are compared
    sure: float = 0.5  # least heat of the teacher's boxes that label a clip without annotations


class Regular(NamedTuple):
    """Regularisation."""

    ema: float = 0.0  # decay of the averaged weights; 0: no average
    batch_norm: str = "train"  # "partial" freezes all but the first, "frozen" all; "statistics": scale and shift learn
    frozen: int = 0  # first blocks, with the stem, that keep their weights; 0: nothing keeps them


class Config(NamedTuple):
    """A configuration file."""

    name: str
    direction: str  # "causal" (online) or "none" (each frame alone)
    frame: FrameSpec
    data: DataSpec
    task: str = TASK
    description: str = ""
    seed: int = 0
    batch: int = 4  # clips of a step
    labels: Optional[Tuple[str, ...]] = None  # None: those of the data
    fps: Optional[float] = None  # passed on to the recipe, as is `decision`
    decision: Dict[str, Any] = {}
    half: bool = True  # store the best weights as float16
    arch: Network = Network()
    shift: Shift = Shift()
    augment: Augment = Augment()
    start: Start = Start()
    teacher: Teacher = Teacher()
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
    data = recipe.merge({"frame": recipe.DEFAULTS["frame"]}, read_toml(path, "a training configuration"))
    data = recipe.merge(_anchored(data, path.parent), _anchored(changes or {}, Path()))
    config: Config = checks.decoded(Config, path, completed(data))
    if config.teacher.weights == "start":
        config = config._replace(teacher=config.teacher._replace(weights=config.start.weights))
    _check(config, path)
    return config


def _anchored(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a copy of `data` with absolute paths. The teacher's "start" is no path."""
    made = anchored(data, folder, _PATHS)
    teacher = data.get("teacher")
    if isinstance(teacher, dict) and teacher.get("weights") == "start":
        made["teacher"]["weights"] = "start"
    return made


def _check(config: Config, where: Any) -> None:
    """Raise InputError for a value that no training can have. where: the file, for messages."""
    need = checks.need_of(config, where)
    checks.check_values(config, need, CHOICES, _RANGES, _BELOW_1)
    data, frame, teacher = config.data, config.frame, config.teacher

    checks.check_optimiser(config, need)
    need(
        not config.regular.frozen or config.start.weights, "regular.frozen", "0, or start.weights of a trained network"
    )
    need(any(config.loss) or teacher.weights, "loss", "a weight above 0, or a teacher")

    need(min(frame.height, frame.width) >= 32, "frame", "a size of at least 32x32", (frame.height, frame.width))
    need(all(value > 0 for value in frame.std), "frame.std", "all above 0")
    need(frame.crop != "center" or frame.short_side >= max(frame.height, frame.width), "frame.short_side", "the crop")
    for name, path in (("data.train", data.train), ("data.test", data.test)):
        need((path is None) == (data.kind == "rendered"), name, f"what data.kind {data.kind!r} reads")
    need(data.kind == "rendered" or not config.labels or all(map(is_name, config.labels)), "labels", "names of classes")
    need(len(set(config.labels or ())) == len(config.labels or ()), "labels", "labels that differ", "a label twice")
    need(data.kind != "video" or config.labels, "labels", "the names of the teacher's classes")
    need(data.kind != "video" or teacher.weights, "teacher.weights", "a checkpoint, since the videos have no boxes")
    need(not config.augment.degraded or config.augment.kinds, "augment.kinds", "one or more of " + ", ".join(KINDS))
    need(set(config.augment.kinds) <= set(KINDS), "augment.kinds", "some of " + ", ".join(KINDS))
    checks.check_memory(config, need)
