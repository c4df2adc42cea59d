"""The configuration that a data folder and the time allowed ask for, and the files that hold it."""

import csv
import io
import math
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from tsm_edge.manifest import ArchSpec
from tsm_edge.toml_file import read_toml
from tsm_edge_export import models, recipe
from tsm_edge_export.trained import CONFIG
from tsm_edge_export.training import state
from tsm_edge_export.training.clips import Clip
from tsm_edge_export.training.lists import COLUMNS
from tsm_edge_export.training.optimiser import train_mode
from tsm_edge_export.training.predict import device_of
from tsm_edge_export.training.train import make_output, toml_tables

from .scan import MAX_BROKEN, Contents

TRAIN, VALIDATION = "train.csv", "validation.csv"
START = "mobilenetv2_tsm_strokes"  # recipe whose weights a training starts from
SEGMENTS = 8
BATCH = 8
SIZE = 112  # of the network's input in pixels: the whole height of a frame, and the middle of its width
HOLD = 128  # short side of the frames that are kept in memory
FROZEN = 6  # blocks of the start that keep their weights: they see edges and motion, whatever the gestures are
FALLBACK_SECONDS = 2.0  # length of a clip where no clip states its rate
FEWEST_EPOCHS, USEFUL_EPOCHS, MOST_EPOCHS = 3, 12, 60
USEFUL_PASSES = 1320  # training clips seen in all epochs together, at least USEFUL_EPOCHS times each
SHARE_OF_TIME = 0.8  # of the minutes for training; the rest reads clips, validates and saves
VALIDATION_COST = 0.35  # of a validation clip, in training clips
_NAME = re.compile(r"[^A-Za-z0-9_-]+")


class Request(NamedTuple):
    """What the user asks for. Paths are as given.

    folder: the data folder. validation: another data folder whose clips validate, None to split `folder`. minutes:
    allowed for the training. fps: frames/s of folders of pictures. still: a label for held frames. flip: False for no
    mirrored clips, None where the labels allow them. override: a TOML file whose values win. device, workers: as in the
    configuration's [run], None for its defaults.
    """

    folder: str
    output: str | None = None
    validation: str | None = None
    minutes: float = 10.0
    fps: float | None = None
    still: str | None = None
    flip: bool | None = None
    start: str | None = None
    override: str | None = None
    device: str | None = None
    workers: int | None = None


def name_of(folder: str) -> str:
    """Return the name of a data folder in a form that fits a file name: the name of its recipe and of its output."""
    return _NAME.sub("-", Path(os.path.realpath(folder)).name).strip("-") or "model"


def model_fps(clips: Sequence[Clip], segments: int) -> float:
    """Return the frames/s of the model: a clip of middle length then has `segments` frames. Two significant digits."""
    seconds = [clip.count / clip.fps for clip in clips if clip.fps]
    return float(f"{segments / (median(seconds) if seconds else FALLBACK_SECONDS):.2g}")


def settings(contents: Contents, train: Sequence[Clip], request: Request) -> dict[str, Any]:
    """Return the configuration but for its epochs and lists, as nested values.

    train: the training clips. Raises InputError for an override that cannot be read.
    """
    counts = Counter(clip.label for clip in train)
    nothing = contents.nothing or request.still
    labels = [*contents.labels, *([request.still] if request.still and request.still not in contents.labels else [])]
    values: dict[str, Any] = {
        "name": name_of(request.folder),
        "description": f"trained on {len(train)} clips of {contents.folder.name}",
        "direction": "causal",
        "batch": min(BATCH, len(train)),
        "labels": labels,
        "shift": {"n_segment": SEGMENTS},
        "frame": {"height": SIZE, "width": SIZE, "short_side": SIZE},
        "decision": {"ignored": [nothing]} if nothing else {},
        "data": {"kind": "segments", "train": TRAIN, "test": VALIDATION, "hold": HOLD, "most_broken": MAX_BROKEN},
        "sampling": {"kind": "whole"},
        "augment": {"crop": "view", "zoom": 0.2, "stretch": 0.1, "move": 0.1, "colour": 0.3},
        "start": {"weights": START if request.start is None else request.start},
        "optimiser": {"name": "adamw", "rate": 0.001, "head_rate": 5.0, "weight_decay": 0.02, "clip_gradient": 5.0},
        "schedule": {"choose": "last"},
        "loss": {"balanced": max(counts.values()) > 2 * min(counts.values()), "label_smoothing": 0.1},
        "regular": {"dropout": 0.2, "frozen": FROZEN},
        "run": {"workers": 1 if request.workers is None else request.workers},
    }
    for section, key, value in (
        ("data", "fps", request.fps),
        ("data", "still", request.still),
        ("augment", "flip", request.flip),
        ("run", "device", request.device),
    ):
        if value is not None:
            values[section][key] = value
    if request.override is not None:
        given = read_toml(Path(request.override), "a training configuration")
        if request.start is None and ("arch" in given or "start" in given):
            without_start(values)  # the weights are of another network, or none are wanted
        values = recipe.merge(values, given)
    return {"fps": model_fps(contents.clips, values["shift"]["n_segment"]), **values}


def without_start(values: dict[str, Any]) -> None:
    """Change the configuration to one that starts from random weights: all of them are then trained."""
    del values["start"], values["regular"]["frozen"]


def epochs_for(clips: int, validation: int, seconds: float | None, minutes: float) -> int:
    """Return how many epochs are useful and fit into the time.

    Args:
        clips: training clips.
        validation: validation clips, which each epoch ends with.
        seconds: measured time of one training clip; None where it was not measured.
        minutes: allowed.
    """
    useful = min(MOST_EPOCHS, max(USEFUL_EPOCHS, math.ceil(USEFUL_PASSES / clips)))
    if seconds is None:
        return useful
    epoch = seconds * (clips + VALIDATION_COST * validation)
    return max(FEWEST_EPOCHS, min(useful, int(SHARE_OF_TIME * 60 * minutes / epoch)))


def seconds_per_clip(values: dict[str, Any]) -> float:
    """Return the measured seconds of a training step on this machine, for one clip. values: of `settings`."""
    frame, batch = values["frame"], values["batch"]
    arch = ArchSpec(values.get("arch", {}).get("name", "mobilenetv2"), values.get("arch", {}).get("width", 1.0), 2)
    device = device_of(values["run"].get("device", "auto"))
    network = models.init_(models.build(arch, values["shift"].get("fold_div", 8)), 0).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    train_mode(network, values["regular"].get("batch_norm", "train"), values["regular"].get("frozen", 0))
    shape = batch, values["shift"]["n_segment"], frame["height"], frame["width"], 3
    x = torch.from_numpy(np.zeros(shape, np.float32)).movedim(-1, -3).to(device)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        (logits,) = network.clip(x, values["direction"])
        cross_entropy(logits.mean(1), torch.zeros(batch, dtype=torch.int64, device=device)).backward()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times[1:]) / batch


def write(
    output: Path, values: dict[str, Any], root: Path, labels: Sequence[str], sides: dict[str, list[Clip]]
) -> Path:
    """Write the configuration and its lists into the output folder. Returns the configuration's path.

    root: the folder that the clips' paths start from. sides: name of a list -> its clips.
    Raises InputError where the folder cannot be written.
    """
    make_output(output)
    for name, clips in sides.items():
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows([os.path.relpath(clip.place, root), "", "", labels[clip.label]] for clip in clips)
        state.replace(output / name, text.getvalue().encode())
    values = recipe.merge(values, {"data": {"root": os.path.relpath(root, output)}})
    lines = ["# Written by tsm-edge train. Train again by it: tsm-edge train config.toml -o OTHER_FOLDER"]
    lines += toml_tables({key: value for key, value in values.items() if value != {}})
    path = output / CONFIG
    state.replace(path, ("\n".join(lines) + "\n").encode())
    return path
