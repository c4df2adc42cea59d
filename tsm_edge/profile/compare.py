"""Compares profiles, or models that take turns on this machine: ratios of times with 95 % intervals."""

import contextlib
import functools
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from tsm_edge.engines import load_manifest
from tsm_edge.errors import InputError
from tsm_edge.profile import record, stats
from tsm_edge.profile.interleaved import time_interleaved
from tsm_edge.session import Session, SessionRequest, open_session
from tsm_edge.sources.request import StreamRequest
from tsm_edge.sources.synthetic import SyntheticSource
from tsm_edge.timing import StageTimes

METRICS = ("infer", "frame", "latency")
RUN_METRICS = METRICS[:2]  # of models that run in turn: noise has no latency
FRAMES = 10  # of each model, a turn


class CompareRequest(NamedTuple):
    """What `compare_models` runs: models, each against the first, in at least 5 rounds.

    threads, device, preprocess: as in :class:`tsm_edge.session.SessionRequest`.
    """

    models: Tuple[str, ...]
    rounds: int = 30
    threads: Optional[int] = None
    device: str = "cpu"
    preprocess: str = "fast"


class Row(NamedTuple):
    """One metric of one of the compared. base, other: medians in ms. ratio: other / base; low, high: its interval."""

    name: str
    metric: str
    base: float
    other: float
    ratio: float
    low: float
    high: float


class Comparison(NamedTuple):
    """A comparison. base: what the others were compared with. how: the intervals were found. notes: what to know."""

    base: str
    how: str
    rows: Tuple[Row, ...]
    notes: Tuple[str, ...]


def compare_profiles(paths: Sequence[str], allow_different: bool = False) -> Comparison:
    """Compare files of `tsm-edge profile --json`, each with the first.

    Raises InputError for a file that is no profile, for a run that was too short, and for other machines or sources
    unless `allow_different` is set: then a note says how they differ.
    """
    profiles = [record.load(path) for path in paths]
    base, notes = profiles[0], ["Measured at different times: changes of the machine are part of the ratio."]
    for path, profile in zip(paths, profiles):
        different = differences(base, profile)
        if different and not allow_different:
            what, first, this = different[0]
            do = "profile both on one machine from one source, or say --allow-different"
            raise InputError("{}: {}".format(path, what), this, "{}, as in {}".format(first, paths[0]), do)
        notes += ["{}: another {}: {} against {}.".format(path, what, this, first) for what, first, this in different]
        notes += ["{}: {}".format(path, note) for note in profile.notes]
    rows = [
        _row(path, metric, stats.unpaired_ratio, _blocks(base, metric, paths[0]), _blocks(profile, metric, path))
        for path, profile in zip(paths[1:], profiles[1:])
        for metric in METRICS
    ]
    how = "unpaired bootstrap over blocks of {} and {} frames".format(base.blocks.frames, profiles[-1].blocks.frames)
    return Comparison(paths[0], how, tuple(rows), tuple(notes))


def differences(a: record.Profile, b: record.Profile) -> List[Tuple[str, Any, Any]]:
    """Return (what, in a, in b) for all that keeps the times of two profiles from being compared."""
    parts: Any = (("machine", a.machine, b.machine), ("source", a.source, b.source))
    found = [(what + " " + name, getattr(x, name), getattr(y, name)) for what, x, y in parts for name in x._fields]
    return [(what, first, other) for what, first, other in found if first != other]


def _blocks(profile: record.Profile, metric: str, where: str) -> List[float]:
    columns = profile.blocks.columns
    values = [row[columns.index(metric) + 1] for row in profile.blocks.rows if metric in columns]
    if len(values) < stats.MIN_TIMES or min(values) < record.MIN_MILLISECONDS:
        expected = "at least {} with times above 0".format(stats.MIN_TIMES)
        got = "{} blocks".format(len(values))
        raise InputError("{}: {}".format(where, metric), got, expected, "profile for longer: --seconds")
    return values


def _row(name: str, metric: str, ratio: Callable[..., stats.Ratio], base: List[float], other: List[float]) -> Row:
    return Row(name, metric, float(np.median(base)), float(np.median(other)), *ratio(base, other))


def compare_models(request: CompareRequest) -> Comparison:
    """Compare models that take turns in this process, each with the first, on noise of each model's own size.

    A turn is FRAMES frames through a session, from the picture to the decision. Raises InputError where a model cannot
    be opened.
    """
    times: List[Dict[str, List[float]]] = [{metric: [] for metric in RUN_METRICS} for _ in request.models]
    with contextlib.ExitStack() as stack:
        turns = []
        for path, of_model in zip(request.models, times):
            stream = StreamRequest(SyntheticSource(load_manifest(path)), name="synthetic")
            session = SessionRequest(path, (stream,), request.threads, request.device, request.preprocess)
            turns.append(functools.partial(_take_turn, stack.enter_context(open_session(session)), of_model))
        time_interleaved(turns, seconds=0, rounds=request.rounds, calls=1)
    numbered = ["{} ({})".format(path, number) for number, path in enumerate(request.models, 1)]
    names = [name if request.models.count(path) > 1 else path for name, path in zip(numbered, request.models)]
    rows = [
        _row(name, metric, stats.paired_ratio, *(one[metric][-request.rounds :] for one in (times[0], of_model)))
        for name, of_model in zip(names[1:], times[1:])
        for metric in RUN_METRICS
    ]
    how = "{} rounds of {} frames in turn; paired bootstrap over the rounds' ratios".format(request.rounds, FRAMES)
    same = len(set(request.models)) < len(request.models)
    return Comparison(names[0], how, tuple(rows), ("The same file: what differs from 1 is noise.",) * same)


def _take_turn(session: Session, times: Dict[str, List[float]]) -> None:
    """Serve FRAMES frames; add the mean of each metric in ms to `times`."""
    stream = session.streams[0]
    stream.times = StageTimes()
    for _ in range(FRAMES):
        session.serve(session.wait())
    summary = stream.times.summary()
    for metric, values in times.items():
        values.append(summary[metric]["mean"])


def slower(comparison: Comparison, metric: str, threshold: Optional[float]) -> List[str]:
    """Return the names of those that are certainly slower: the whole interval of `metric` lies above `threshold`."""
    rows = [row for row in comparison.rows if row.metric == metric]
    return [row.name for row in rows if threshold is not None and row.low > threshold]
