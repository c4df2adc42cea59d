"""`train_folder`: scans a data folder, splits it, chooses the settings, trains, and reports."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tsm_edge.errors import InputError
from tsm_edge.files import check_apart
from tsm_edge_export.training.clips import Clip
from tsm_edge_export.training.crops import flip_table
from tsm_edge_export.training.journal import duration
from tsm_edge_export.training.overlap import check_overlap
from tsm_edge_export.training.train import OUTPUTS, Trained, refuse_other_training, train

from . import plan
from .likeness import like_clips
from .scan import Contents, scan, warnings_of
from .split import Split, split

SHOWN_SESSIONS = 6

Say = Callable[[str], object]


def train_folder(request: plan.Request, report: Say) -> Trained:
    """Train on a data folder, without a configuration. The output folder then holds one, and training/train.py's files.

    report: called with lines of text for the user.
    Raises InputError for anything wrong with the folder, the options, or the output folder.
    """
    folder = Path(request.folder)
    contents = scan(folder, request.fps)
    sides, said = _sides(contents, request)
    report(said)
    for text in [*warnings_of(contents, sides[plan.TRAIN]), *like_clips(sides[plan.TRAIN], contents.labels)]:
        report("warning: " + text)
    output = _output(request)
    values = plan.settings(contents, sides[plan.TRAIN], request)
    report(_flips_text(values, request))
    if "epochs" not in values["schedule"]:
        values["schedule"]["epochs"] = _epochs(values, sides, request, report)
    values["schedule"].setdefault("warmup", values["schedule"]["epochs"] / 10)
    path = plan.write(output, values, _root(sides), contents.labels, sides)
    return train(path, {"run": {"output": str(output)}}, report=report)


def resume_folder(request: plan.Request, report: Say) -> Trained:
    """Go on with an interrupted `train_folder`. Raises InputError where its output folder holds none."""
    output = Path(request.output) if request.output is not None else OUTPUTS / plan.name_of(request.folder)
    path = output / plan.CONFIG
    if not os.path.isfile(path):
        raise InputError(output, f"no {plan.CONFIG}", "the folder of an interrupted training", "give it with -o")
    return train(path, {"run": {"output": str(output)}}, True, report)


def _sides(contents: Contents, request: plan.Request) -> tuple[dict[str, list[Clip]], str]:
    """Return name of a list -> its clips, and a line that says how they were split."""
    if request.validation is not None:
        return _given_sides(contents, Path(request.validation), request.fps)
    found = split([clip.label for clip in contents.clips], contents.sessions)
    train, validation = ([contents.clips[place] for place in places] for places in (found.train, found.validation))
    return {plan.TRAIN: train, plan.VALIDATION: validation}, _split_text(contents, found)


def _given_sides(contents: Contents, folder: Path, fps: float | None) -> tuple[dict[str, list[Clip]], str]:
    other = scan(folder, fps)
    unknown = [label for label in other.labels if label not in contents.labels]
    if unknown:
        raise InputError(folder, f"the label {unknown[0]!r}", f"labels of {contents.folder}", "rename the folder")
    validation = other.clips
    for clip in validation:
        clip.label = contents.labels.index(other.labels[clip.label])
    check_overlap(contents.clips, validation, folder)
    text = f"{_counted(contents)}; {len(validation)} clips of {folder} validate"
    return {plan.TRAIN: contents.clips, plan.VALIDATION: validation}, text


def _split_text(contents: Contents, found: Split) -> str:
    counts = f"{len(found.train)} clips train, {len(found.validation)} validate"
    if found.is_by_session:
        names = ", ".join(found.sessions[:SHOWN_SESSIONS])
        more = f" and {len(found.sessions) - SHOWN_SESSIONS} more" if len(found.sessions) > SHOWN_SESSIONS else ""
        return f"{_counted(contents)}; {counts}, from recordings that are not trained on: {names}{more}"
    text = f"{_counted(contents)}; {counts}, from the same recordings, so the accuracy is that of a known room and day."
    return text + " For other rooms, record a second session of each label"


def _counted(contents: Contents) -> str:
    sessions = len(set(contents.sessions))
    recordings = f"{sessions} recording" + ("s" if sessions > 1 else "")
    return f"{len(contents.clips)} clips of {len(contents.labels)} labels in {recordings}"


def _output(request: plan.Request) -> Path:
    """Return the output folder: a new one where the user names none."""
    if request.output is not None:
        output = Path(request.output)
        refuse_other_training(output)
    else:
        base, number = OUTPUTS / plan.name_of(request.folder), 1
        output = base
        while os.path.exists(output):
            number += 1
            output = base.with_name(f"{base.name}-{number}")
    inputs = [("the data folder", request.folder), ("--validation", request.validation)]
    check_apart("-o", str(output), [(what, path) for what, path in inputs if path is not None])
    if Path(os.path.realpath(request.folder)) in Path(os.path.realpath(output)).parents:
        got = f"a folder in the data folder {request.folder}, where it would be a label"
        raise InputError(f"-o {output}", got, "a folder elsewhere", "leave -o away, or give another")
    return output


def _root(sides: dict[str, list[Clip]]) -> Path:
    places = [os.path.dirname(os.path.abspath(clip.place)) for clips in sides.values() for clip in clips]
    return Path(os.path.commonpath(places))


def _flips_text(values: dict[str, Any], request: plan.Request) -> str:
    augment = values["augment"]
    table = flip_table(values["labels"], augment.get("flip"), augment.get("flip_map", {}), True, request.folder)
    if table is None:
        return "no mirrored clips: " + ("--no-flip" if augment.get("flip") is False else "labels name a side")
    return "mirrored clips are trained on too, since no label names a side; --no-flip if a gesture has one"


def _epochs(values: dict[str, Any], sides: dict[str, list[Clip]], request: plan.Request, report: Say) -> int:
    train, validation = len(sides[plan.TRAIN]), len(sides[plan.VALIDATION])
    seconds = plan.seconds_per_clip(values)
    epochs = plan.epochs_for(train, validation, seconds, request.minutes)
    useful = plan.epochs_for(train, validation, None, request.minutes)
    frame, epoch = values["frame"], seconds * (train + plan.VALIDATION_COST * validation)
    text = f"{epochs} epochs at {frame['width']}x{frame['height']} pixels and {values['fps']:g} frames/s"
    report(f"{text}: about {duration(epochs * epoch)} on this machine, of {request.minutes:g} min allowed")
    if epochs < useful:
        enough = useful * epoch / 60 / plan.SHARE_OF_TIME
        report(f"warning: {useful} epochs would be better: --minutes {enough:.0f}")
    return epochs
