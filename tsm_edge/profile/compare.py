"""`tsm-edge compare`: how much slower is the other one, and is that certain? From profiles, or engines in turn."""

import json
from typing import NamedTuple, Tuple

import numpy as np

from tsm_edge import session as pipeline
from tsm_edge.commands.profile import METRICS
from tsm_edge.commands.run import online_manifest
from tsm_edge.engines import load_engine
from tsm_edge.errors import InputError
from tsm_edge.heads.classification import Decider
from tsm_edge.manifest import sidecar_path
from tsm_edge.preprocess import Preprocessor
from tsm_edge.profile import record, stats
from tsm_edge.profile.tables import grid
from tsm_edge.profile.turns import in_turn
from tsm_edge.profile.watch import SyntheticSource
from tsm_edge.sinks.files import check_apart, check_output
from tsm_edge.timing import StageTimes

REGRESSED = 3  # the exit code: 1 is a fault of ours, 2 wrong input
FRAMES = 10  # of each engine, a turn

Row = NamedTuple(
    "Row",
    [
        ("name", str),
        ("metric", str),
        ("base", float),  # ms
        ("other", float),  # ms
        ("ratio", float),  # other / base: above 1 is slower
        ("low", float),  # of its 95 % interval
        ("high", float),
    ],
)

Comparison = NamedTuple(
    "Comparison",
    [("base", str), ("how", str), ("rows", Tuple[Row, ...]), ("notes", Tuple[str, ...])],
)


def compare(options):
    """Compare as `options` say (the parsed command line). Returns (Comparison, the exit code)."""
    if options.json:
        given = options.run or options.files
        taken = [("a file to compare", path) for path in given]
        check_apart("--json", options.json, taken + [("a model's manifest", sidecar_path(path)) for path in given])
        check_output(options.json)
    found = compare_engines(options) if options.run else compare_files(options.files, options.allow_different)
    regressed = over(found, options.metric, options.threshold)
    if options.json:
        record.save(json.dumps(as_json(found, options, regressed), indent=1) + "\n", options.json)
    return found, REGRESSED if regressed else 0


def compare_files(paths, allow_different=False):
    """The :class:`Comparison` of profiles, each against the first. Raises InputError where they cannot be compared."""
    profiles = [record.load(path) for path in paths]
    base, notes = profiles[0], ["Two runs at two times: what changed on the machine meanwhile is in the ratio."]
    for path, profile in zip(paths, profiles):
        differing = differences(base, profile)
        if differing and not allow_different:
            what, ours, theirs = differing[0]
            raise InputError(
                "{}: {}".format(path, what),
                theirs,
                "{}, as in {}".format(ours, paths[0]),
                "profile both on one machine from one source, or say --allow-different",
            )
        notes += ["{}: another {}: {} against {}.".format(path, what, b, a) for what, a, b in differing]
        notes += ["{}: {}".format(path, note) for note in profile.notes]
    rows = [
        _row(path, metric, stats.unpaired_ratio, _blocks(base, metric, paths[0]), _blocks(profile, metric, path))
        for path, profile in zip(paths[1:], profiles[1:])
        for metric in METRICS
    ]
    how = "bootstrap over blocks of {} and {} frames, unpaired".format(base.blocks.frames, profiles[-1].blocks.frames)
    return Comparison(paths[0], how, tuple(rows), tuple(notes))


def differences(a, b):
    """(what, in a, in b) of what makes two profiles' times not comparable: another machine, another source."""
    parts = (("machine", a.machine, b.machine), ("source", a.source, b.source))
    found = [(what + " " + name, getattr(x, name), getattr(y, name)) for what, x, y in parts for name in x._fields]
    return [(what, ours, theirs) for what, ours, theirs in found if ours != theirs]


def _blocks(profile, metric, where):
    column = profile.blocks.columns.index(metric) + 1 if metric in profile.blocks.columns else None
    values = [row[column] for row in profile.blocks.rows] if column else []
    if len(values) < stats.LEAST or min(values) <= 0:
        raise InputError(
            "{}: {}".format(where, metric),
            "{} blocks".format(len(values)),
            "at least {} with times above 0".format(stats.LEAST),
            "profile for longer: --seconds",
        )
    return values


def _row(name, metric, method, base, other):
    return Row(name, metric, float(np.median(base)), float(np.median(other)), *method(base, other))


def compare_engines(options):
    """The :class:`Comparison` of engines that take turns in this process, each against the first, on synthetic frames.

    A turn is FRAMES frames through the loop of a run, from the picture to the decision, with no decoder beside it.
    """
    sides = []
    for path in options.run:
        manifest = online_manifest(path)
        engine = load_engine(path, threads=options.threads, device=options.device)
        sides.append(_Side(engine, manifest, options.preprocess))
    in_turn(sides, seconds=0, rounds=options.rounds, calls=1)
    names = _labels(options.run)
    rows = [
        _row(name, metric, stats.paired_ratio, *(s.times[metric][-options.rounds :] for s in (sides[0], side)))
        for name, side in zip(names[1:], sides[1:])
        for metric in METRICS[:2]
    ]
    how = "in turn, {} rounds of {} frames; bootstrap over the rounds' ratios, paired".format(options.rounds, FRAMES)
    notes = ["The same file: what differs from 1 is noise."] if len(set(options.run)) < len(options.run) else []
    return Comparison(names[0], how, tuple(rows), tuple(notes))


def _labels(paths):
    """The paths, numbered where one stands there twice."""
    return [path if paths.count(path) == 1 else "{} ({})".format(path, index + 1) for index, path in enumerate(paths)]


class _Side:
    """One engine; a call streams FRAMES frames through it and keeps their mean times in ms."""

    last_read_seconds = 0.0

    def __init__(self, engine, manifest, preprocess):
        self._source = SyntheticSource(manifest)
        self._stages = pipeline.Stages(
            Preprocessor(manifest.frame, preprocess), engine, Decider(manifest.decision, manifest.labels)
        )
        self.times = {metric: [] for metric in METRICS[:2]}

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._source)

    def __call__(self):
        times = StageTimes()
        pipeline.run(self, self._stages, (), times, pipeline.Counts(), FRAMES)
        summary = times.summary()
        for metric, values in self.times.items():
            values.append(summary[metric]["mean"])


def over(comparison, metric, threshold):
    """Names of those that are certainly slower: the whole interval of their `metric` lies above `threshold`.

    threshold: a ratio, None for no gate.
    """
    if threshold is None:
        return []
    return [row.name for row in comparison.rows if row.metric == metric and row.low > threshold]


def render(comparison):
    """The comparison as text."""
    rows = [
        [row.name, row.metric, "{:.3f}".format(row.base), "{:.3f}".format(row.other), "{:.3f}".format(row.ratio)]
        + ["{:.3f} to {:.3f}".format(row.low, row.high)]
        for row in comparison.rows
    ]
    table = grid(["against " + comparison.base, "ms", "base", "this", "ratio", "95 % interval"], rows)
    notes = "".join("note: {}\n".format(note) for note in comparison.notes)
    return "{}{}\n{}".format(table, comparison.how, notes)


def as_json(comparison, options, regressed):
    """The comparison as a dict for JSON."""
    return {
        "format": "tsm-edge comparison",
        "format_version": 1,
        "base": comparison.base,
        "how": comparison.how,
        "rows": [row._asdict() for row in comparison.rows],
        "notes": list(comparison.notes),
        "metric": options.metric,
        "threshold": options.threshold,
        "regressed": regressed,
    }
