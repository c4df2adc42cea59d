"""What is evaluated on: clips of a list, of a training configuration, or rendered ones."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from tsm_edge.errors import InputError
from tsm_edge_export import synthetic
from tsm_edge_export.training import config as configs
from tsm_edge_export.training import lists
from tsm_edge_export.training.broken import Broken
from tsm_edge_export.training.crops import flip_table


class EvalData(NamedTuple):
    """clips: see training.clips. labels: one name a class. name: of the list, for people. broken: what was left out.

    flips: class -> class of the mirrored clip, None where mirrored clips have no known label. sampling: how the
    configuration samples, None where there is none.
    """

    clips: list[Any]
    labels: tuple[str, ...]
    name: str
    broken: Broken
    flips: list[int] | None = None
    sampling: Any = None

    @property
    def sha256(self):
        """Over name, label and frame count of every clip, the labels, and what was broken: one number for the list."""
        rows = [(clip.name, clip.label, clip.count) for clip in self.clips]
        return hashlib.sha256(json.dumps([rows, self.labels, sorted(self.broken.reasons)]).encode()).hexdigest()


def from_clips(clips, labels, name="clips", flips=None) -> EvalData:
    """Clips that are there already. flips: label -> label of the mirrored clip, None for no flips."""
    clips, labels = list(clips), tuple(labels)
    if not clips:
        raise InputError(name, "no clips", "at least one", "give another list")
    table = None if flips is None else [labels.index(flips.get(label, label)) for label in labels]
    return EvalData(clips, labels, name, Broken(len(clips)), table)


def from_list(path, labels, kind=None, root=None, backwards=None) -> EvalData:
    """The clips of a list file, of class folders, or of a CSV file of segments.

    labels: of the model. kind: "frames", "folders" or "segments"; None: a folder holds class folders, *.csv segments,
    any other file "path frames label". root: what the list's paths start from, by itself the list's folder.
    backwards: label -> label of such a clip played backwards; each of these clips is then taken both ways.
    Raises InputError for a list that is missing, empty or damaged, labels that the model does not have, and more than
    1 % of clips that cannot be used. Classes without a clip are allowed here.
    """
    path = Path(path)
    kind = kind or ("folders" if path.is_dir() else "segments" if path.suffix.lower() == ".csv" else "frames")
    root = Path(root or path.parent)
    if not root.is_dir():
        raise InputError(root, "no such folder", "the folder that the paths in the list start from", "correct --root")
    return _read(_spec(kind, root, path, backwards or {}), path, labels, path)


def from_config(path, labels, split="test") -> EvalData:
    """The clips that a training configuration names. path: of the configuration. labels: of the model.

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
        data = rendered(spec.train if split == "train" else spec.test, spec.seed, (spec.size, spec.size), split, labels)
        clips = lists.both_ways(data.clips, data.labels, config.data.reversed, data.broken, path)
        data = data._replace(clips=clips)
    elif split == "validation":
        raise InputError(path, f"no validation split of kind {config.data.kind!r}", "train or test", "correct --split")
    else:
        data = _read(config.data, config.data.train if split == "train" else config.data.test, labels, path)
    is_named = named is not None or config.data.kind != "frames"
    flips = flip_table(data.labels, config.augment.flip, config.augment.flip_map, is_named, path)
    return data._replace(flips=flips, sampling=config.sampling)


def rendered(count, seed, size, split="test", labels=None) -> EvalData:
    """`count` rendered gestures. size: (height, width). labels: of the model, None asks nothing.

    Raises InputError for bad arguments, and for a model of other labels.
    """
    if labels is not None:
        need_gestures(labels)
    clips = synthetic.clips(split, count, seed, size)
    name = f"synthetic/{split}, {count} clips, seed {seed}"
    return from_clips(clips, synthetic.LABELS, name, synthetic.FLIPS)


def need_gestures(labels):
    """Raise InputError where `labels` (of a model) are not those of the rendered gestures."""
    if tuple(labels) != synthetic.LABELS:
        raise InputError("labels", _shown(labels), "those of the synthetic gestures", "give a model trained on them")


def _read(spec, path, labels, where):
    clips, broken = lists.load_list(spec, path, labels, where)
    return EvalData(clips, tuple(labels), Path(path).name, broken)


def _spec(kind, root, path, backwards):
    return configs.DataSpec(kind, str(root), None, str(path), None, None, backwards, None)


def _shown(labels):
    return f"{len(labels)} labels ({', '.join(labels[:4])}{', …' if len(labels) > 4 else ''})"
