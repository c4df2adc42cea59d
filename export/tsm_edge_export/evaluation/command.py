"""`tsm-edge eval`: what the command line asks for, from the model to the files."""

import os
import sys
from pathlib import Path

from tsm_edge.errors import InputError
from tsm_edge.sinks.console import ProgressSink
from tsm_edge.sinks.files import check_output
from tsm_edge.sources import kind_of, open_source
from tsm_edge_export import synthetic
from tsm_edge_export.training.config import Sampling
from tsm_edge_export.training.state import replace

from . import data as sets
from . import draw, merge, report, stream, table, truth
from .clips import UNIFORM, Settings, evaluate_clips
from .engines import open_engine

CLIP_OPTIONS = ("kind", "root", "reversed", "split", "sampling", "span", "clips", "crops", "flips", "shard", "workers")
STREAM_OPTIONS = ("truth", "tolerance", "fps", "preprocess")
MODEL_OPTIONS = ("engine", "recipe", "direction", "force_direction", "device", "threads")


def run(options):
    """Evaluate as `options` (the parsed command line) say, print the tables, write the files. Returns the exit code."""
    if options.merge:
        return _merge(options)
    streamed = options.stream is not None or options.synthetic_stream is not None
    _refuse(options, CLIP_OPTIONS if streamed else STREAM_OPTIONS, "with a stream" if streamed else "with clips")
    if options.engine is None:
        raise InputError("tsm-edge eval", "no --engine", "a model", "add --engine FILE")
    if options.shard is not None and options.output is None:
        raise InputError("--shard", "no output file", "a place for the shard's report", "add -o FILE.json")
    _check_output(options, [options.engine, options.list, options.config, options.stream, options.truth])
    engine = open_engine(
        options.engine,
        options.recipe,
        options.direction,
        options.force_direction,
        options.threads,
        options.device or "auto",
    )
    with engine:
        (_stream if streamed else _clips)(options, engine)
    return 0


def _clips(options, engine):
    data = _data(options, engine.manifest)
    sampling = data.sampling or UNIFORM
    sampling = Sampling(options.sampling or sampling.kind, options.span or sampling.span)
    settings = Settings(sampling, options.clips or 1, options.crops or 1, bool(options.flips))
    workers = 2 if options.workers is None else options.workers
    made = evaluate_clips(engine, data, settings, options.shard or (1, 1), workers, progress=True)
    _finish_clips(made, options.output)


def _data(options, manifest):
    labels, backwards = manifest.labels, dict(options.reversed or ())
    if options.list is not None:
        _refuse(options, ("split", "seed", "size"), "with --list")
        return sets.from_list(options.list, labels, options.kind, options.root, backwards)
    _refuse(options, ("kind", "root", "reversed"), "without --list")
    if options.config is not None:
        _refuse(options, ("seed", "size"), "with --config")
        return sets.from_config(options.config, labels, options.split or "test")
    split = options.split or "test"
    return sets.rendered(options.synthetic, options.seed or 0, _size(options, manifest), split, labels)


def _stream(options, engine):
    if options.stream is not None:
        _refuse(options, ("seed", "size"), "with --stream")
        if options.truth is None:
            raise InputError("--stream", "no --truth", "what happens in it: a CSV or JSON file", "add --truth FILE")
        if kind_of(options.stream)[0] not in ("file", "folder"):
            raise InputError("--stream", options.stream, "a video file or a folder of frames", "record it first")
        events = truth.read(options.truth, options.stream, engine.manifest.labels)
        source = open_source(options.stream)
    else:
        _refuse(options, ("truth",), "with --synthetic-stream")
        sets.need_gestures(engine.manifest.labels)
        made = synthetic.Stream(options.seed or 0, options.synthetic_stream, size=_size(options, engine.manifest))
        events, source = made.events, stream.ClipSource(made, made.fps)
    tolerance = stream.TOLERANCE if options.tolerance is None else options.tolerance
    with ProgressSink(source.frame_count, sys.stderr) as progress:
        result = stream.evaluate_stream(
            engine, source, events, tolerance, options.fps, options.preprocess or "fast", progress=progress
        )
    table.print_stream(result, sys.stdout)
    if options.output:
        _write(options.output, stream.to_json(result) + "\n", {})


def _merge(options):
    _refuse(options, CLIP_OPTIONS + STREAM_OPTIONS + MODEL_OPTIONS + ("seed", "size"), "with --merge")
    _check_output(options, options.merge)
    names = [str(path) for path in options.merge]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError("--merge", f"{twice[0]} twice", "each shard once", "leave one out")
    _finish_clips(merge.merge({name: merge.read(name) for name in names}), options.output)
    return 0


def _finish_clips(made, output):
    table.print_clips(made, sys.stdout)
    if output:
        pictures = {"confusion": draw.confusion_png(made)} if made.rows else {}
        if made.rows and made.rows[0].seen is not None:
            pictures["seen"] = draw.seen_png(made)
        _write(output, report.to_json(made), pictures)


def _write(output, text, pictures):
    """Pictures first: where the report is, all of it is."""
    try:
        for name, picture in pictures.items():
            replace(picture_path(output, name), picture)
        replace(output, text.encode())
    except InputError as error:
        raise InputError(error.where, error.got, error.expected, "make room, or give another -o") from None


def picture_path(output, name):
    """Where a picture of the report `output` lies: all.json -> all.confusion.png."""
    return Path(output).with_suffix(f".{name}.png")


def _check_output(options, inputs):
    if options.output is None:
        return
    if Path(options.output).suffix != ".json":
        raise InputError("-o", options.output, "a name ending in .json", "name the report like build/eval.json")
    check_output(str(options.output))
    for path in inputs:
        if path is not None and os.path.realpath(path) == os.path.realpath(options.output):
            raise InputError(f"-o {options.output}", "a file that is read", "a file of its own", "name another file")


def _size(options, manifest):
    side = options.size or manifest.frame.short_side
    return side, side


def _refuse(options, names, where):
    given = [name for name in names if getattr(options, name) is not None and getattr(options, name) is not False]
    if given:
        option = "--" + given[0].replace("_", "-")
        raise InputError(option, f"given {where}", "what belongs together", f"leave {option} out")
