"""Annotated video of any form: COCO JSON, MOTChallenge folders, and a CSV file of videos with MOT text."""

import os
from collections.abc import Sequence
from pathlib import Path

from tsm_edge.errors import InputError
from tsm_edge_export.training.clips import StrPath

from .coco import read_coco
from .mot import is_sequence, read_sequences, read_videos
from .truth import BoxData

FORMS = "a COCO file *.json, a MOTChallenge folder, or a CSV file path,truth"


def is_annotated(path: StrPath) -> bool:
    """Return whether a list can only be one of true boxes: a *.json, or a MOTChallenge folder or one of several."""
    if not os.path.isdir(path):
        return Path(path).suffix.lower() == ".json"
    try:
        return is_sequence(path) or any(is_sequence(entry) for entry in Path(path).iterdir())
    except OSError:
        return False


def read_boxes(path: StrPath, labels: Sequence[str] | None = None, root: StrPath | None = None) -> BoxData:
    """Read the clips with boxes of one list.

    Args:
        path: *.json is COCO (`coco.read_coco`), *.csv a list of videos with MOT text (`mot.read_videos`), and a folder
            one of MOTChallenge or of several (`mot.read_sequences`).
        labels: of the model; None takes those of the list. A CSV list has none of its own.
        root: what the paths of a *.json or *.csv are relative to; None for its folder.

    Raises:
        InputError: a list of another form, a damaged one, and more than 1 % broken annotations.
        SourceError: frames that cannot be read.
    """
    suffix = Path(path).suffix.lower()
    if os.path.isdir(path):
        return read_sequences(path, labels)
    if not os.path.isfile(path):
        raise InputError(path, "no such file", FORMS, "check the path")
    if suffix == ".json":
        return read_coco(path, labels, root)
    if suffix == ".csv" and labels is not None:
        return read_videos(path, labels, root)
    got, do = "a list of another form", "convert it; a list of labelled clips is for a classifier"
    if suffix == ".csv":
        got, do = "a CSV list, which names no classes", "name the labels in the configuration"
    raise InputError(path, got, FORMS, do)
