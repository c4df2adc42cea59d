"""The clips to evaluate on: of a list, of a training configuration, or rendered ones."""

import hashlib
import json
import os
from pathlib import Path
from typing import Iterable, NamedTuple, Sequence

from tsm_edge.errors import InputError
from tsm_edge_export import synthetic
from tsm_edge_export.training import config as configs
from tsm_edge_export.training import lists
from tsm_edge_export.training.broken import Broken
from tsm_edge_export.training.clips import Clip, StrPath
from tsm_edge_export.training.crops import flip_table


class EvalData(NamedTuple):
    """Clips and their labels."""

    clips: list[Clip]
    labels: tuple[str, ...]  # one name a class
    name: str  # of the list, for people
    broken: Broken  # what was left out
    flips: list[int] | None = None  # class -> class of the mirrored clip; None: mirrored clips have no known label
    sampling: configs.Sampling | None = None  # of the configuration

    @property
    def sha256(self) -> str:
        """The SHA-256 over name, label and frame count of every clip, the labels, and the broken clips."""
        rows = [(clip.name, clip.label, clip.count) for clip in self.clips]
        return hashlib.sha256(json.dumps([rows, self.labels, sorted(self.broken.reasons)]).encode()).hexdigest()


def from_clips(
    clips: Iterable[Clip], labels: Iterable[str], name: str = "clips", flips: dict[str, str] | None = None
) -> EvalData:
    """Take clips that are there already. flips: label -> label of the mirrored clip, None for no flips."""
    clips, labels = list(clips), tuple(labels)
    if not clips:
        raise InputError(name, "no clips", "at least one", "give another list")
    table = None if flips is None else [labels.index(flips.get(label, label)) for label in labels]
    return EvalData(clips, labels, name, Broken(len(clips)), table)


def from_list(
    path: StrPath,
    labels: Sequence[str],
    kind: str | None = None,
    root: StrPath | None = None,
    backwards: dict[str, str] | None = None,
) -> EvalData:
    """Read the clips of a list file, of class folders, or of a CSV file of segments. Classes may have no clip.

    labels: of the model. kind: "frames", "folders" or "segments"; None: a folder holds class folders, *.csv segments,
    any other file "path frames label". root: what the list's paths start from, by default the list's folder.
    backwards: label -> label of such a clip played backwards; each of these clips is then taken both ways.
    Raises InputError for a list that is missing, empty or damaged, unknown labels, and more than 1 % of broken clips.
    """
    path = Path(path)
    kind = kind or ("folders" if os.path.isdir(path) else "segments" if path.suffix.lower() == ".csv" else "frames")
    root = Path(root or path.parent)
    if not os.path.isdir(root):
        raise InputError(root, "no such folder", "the folder that the paths in the list start from", "correct --root")
    return _read(configs.DataSpec(kind, str(root), test=str(path), reversed=backwards or {}), path, labels, path)


def from_config(path: StrPath, labels: Sequence[str], split: str = "test") -> EvalData:
    """Read the clips that a training configuration names, for a model of `labels`.

    split: "test" or "train", its lists. A synthetic configuration has "validation" as well, on which it chose its best
    weights, and as "test" the same number of clips that no training sees.
    Raises InputError as from_list, for a configuration that is wrong, and for labels other than the model's.
    """
    config = configs.load(path)
    named = lists.named_labels(config)
    if named is not None and tuple(named) != tuple(labels):
        raise InputError(f"{path}: labels", _shown(named), "the model's: " + _shown(labels), "give the model its own")
    if config.data.kind == "synthetic":
        spec = config.data.synthetic
        count, size = spec.train if split == "train" else spec.test, (spec.size, spec.size)
        data = rendered(count, spec.seed, size, split, labels, spec.family)
        clips = lists.both_ways(data.clips, data.labels, config.data.reversed, data.broken, path)
        data = data._replace(clips=clips)
    elif split == "validation":
        raise InputError(path, f"no validation split of kind {config.data.kind!r}", "train or test", "correct --split")
    else:
        data = _read(config.data, (config.data.train if split == "train" else config.data.test) or "", labels, path)
    is_named = named is not None or config.data.kind != "frames"
    flips = flip_table(data.labels, config.augment.flip, config.augment.flip_map, is_named, path)
    return data._replace(flips=flips, sampling=config.sampling)


def rendered(
    count: int,
    seed: int,
    size: tuple[int, int],
    split: str = "test",
    labels: Sequence[str] | None = None,
    family: str = "gestures",
) -> EvalData:
    """Render `count` clips of size (height, width). Raises InputError where `labels`, a model's, are others."""
    made = synthetic.FAMILIES[family]
    if labels is not None:
        need_gestures(labels, family)
    prefix = "synthetic" if family == "gestures" else family
    clips, name = made.clips(split, count, seed, size), f"{prefix}/{split}, {count} clips, seed {seed}"
    return from_clips(clips, made.labels, name, dict(made.flips))


def need_gestures(labels: Sequence[str], family: str = "gestures") -> None:
    """Raise InputError where the labels of a model are not those of a family of rendered clips."""
    if tuple(labels) != synthetic.FAMILIES[family].labels:
        raise InputError("labels", _shown(labels), f"those of the synthetic {family}", "give a model trained on them")


def _read(spec: configs.DataSpec, path: StrPath, labels: Sequence[str], where: StrPath) -> EvalData:
    clips, broken = lists.load_list(spec, path, labels, where)
    return EvalData(clips, tuple(labels), Path(path).name, broken)


def _shown(labels: Sequence[str]) -> str:
    return f"{len(labels)} labels ({', '.join(labels[:4])}{', …' if len(labels) > 4 else ''})"
