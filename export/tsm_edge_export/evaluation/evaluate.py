"""`evaluate`: what `tsm-edge eval` does, from the model to the tables and files."""

from pathlib import Path
from typing import Callable, NamedTuple, Optional, Sequence

from tsm_edge.engines.base import Engine
from tsm_edge.errors import InputError
from tsm_edge.files import check_apart, check_output
from tsm_edge.heads.classification import parse_decision
from tsm_edge.manifest import Manifest, files_of_model
from tsm_edge.sources import kind_of, open_source
from tsm_edge.sources.base import Source
from tsm_edge_export import synthetic
from tsm_edge_export.detection import evaluate as boxes
from tsm_edge_export.detection import report as box_report
from tsm_edge_export.trained import is_folder, trained_folder
from tsm_edge_export.training.config import Sampling
from tsm_edge_export.training.state import replace

from . import clip_streams, draw, matching, merge, report, stream, table, truth
from . import data as sets
from .clips import UNIFORM, Settings, evaluate_clips
from .engines import open_engine

Say = Callable[[str], None]
CLIP_OPTIONS = ("kind", "root", "reversed", "split", "sampling", "span", "clips", "crops", "flips", "shard", "workers")
STREAM_OPTIONS = ("truth", "tolerance", "fps", "preprocess")
BOX_OPTIONS = ("list", "synthetic", "output", "root", "preprocess", "seed", "size", "against")
MODEL_OPTIONS = ("engine", "recipe", "direction", "force_direction", "device", "threads")


class EvaluationRequest(NamedTuple):
    """What to evaluate: the options of `tsm-edge eval` by their names. None and False stand for their defaults.

    One of the first seven is given. See docs/evaluation.md, and the functions of this package that take the values.
    """

    list: Optional[str] = None
    config: Optional[str] = None
    synthetic: Optional[int] = None
    stream: Optional[str] = None
    synthetic_stream: Optional[float] = None
    clip_stream: Optional[str] = None
    merge: Optional[Sequence[str]] = None
    output: Optional[str] = None
    engine: Optional[str] = None
    recipe: Optional[str] = None
    direction: Optional[str] = None
    force_direction: bool = False
    device: Optional[str] = None
    threads: Optional[int] = None
    kind: Optional[str] = None
    root: Optional[str] = None
    reversed: Optional[Sequence[tuple[str, str]]] = None
    split: Optional[str] = None
    sampling: Optional[str] = None
    span: Optional[int] = None
    clips: Optional[int] = None
    crops: Optional[int] = None
    flips: bool = False
    shard: Optional[tuple[int, int]] = None
    workers: Optional[int] = None
    truth: Optional[str] = None
    tolerance: Optional[float] = None
    fps: Optional[float] = None
    preprocess: Optional[str] = None
    against: Optional[str] = None
    seed: Optional[int] = None
    size: Optional[int] = None


def evaluate(request: EvaluationRequest, say: Say = print) -> None:
    """Evaluate, tell the tables as text to `say`, and write the files.

    Raises InputError for options that do not belong together, and for wrong input. No file is then written.
    """
    if request.merge:
        _merge(request, request.merge, say)
        return
    if request.engine is None:
        raise InputError("tsm-edge eval", "no --engine", "a model", "add --engine FILE")
    if request.shard is not None and request.output is None:
        raise InputError("--shard", "no output file", "a place for the shard's report", "add -o FILE.json")
    inputs = [request.engine, request.list, request.config, request.stream, request.truth, request.clip_stream]
    _check_output(request, [*inputs, request.against])
    model = request.engine, request.recipe, request.direction, request.force_direction, request.threads
    with open_engine(*model, request.device or "auto") as engine:
        if engine.manifest.task == "detection":
            _boxes(request, engine, say)
            return
        streamed = any(value is not None for value in (request.stream, request.synthetic_stream, request.clip_stream))
        _refuse(request, CLIP_OPTIONS if streamed else STREAM_OPTIONS, "with a stream" if streamed else "with clips")
        _refuse(request, ("against",), "with a classifier")
        (_stream if streamed else _clips)(request, engine, say)


def _boxes(request: EvaluationRequest, engine: Engine, say: Say) -> None:
    """Evaluate a detector on clips with true boxes."""
    others = [name for name in EvaluationRequest._fields if name not in BOX_OPTIONS + MODEL_OPTIONS]
    _refuse(request, others, "with a detector")
    labels = engine.manifest.labels
    if request.list is not None:
        _refuse(request, ("seed", "size"), "with --list")
        data = boxes.listed(request.list, labels, request.root)
    else:
        _refuse(request, ("root",), "without --list")
        data = boxes.rendered(request.synthetic or 0, request.seed or 0, request.size, labels)
    path = request.preprocess or "fast"
    done = boxes.evaluate_detector(engine, data, path, progress=True)
    against = None
    if request.against is not None:
        with open_engine(request.against, threads=request.threads, device=request.device or "auto") as other:
            against = boxes.evaluate_detector(other, data, path, progress=True).report
    values, pictures = boxes.finished(done, against)
    if request.output:  # before a standard output that fails
        for name, picture in pictures().items():
            replace(Path(request.output).with_suffix(f".{name}.png"), picture)
        replace(request.output, box_report.to_json(values).encode())  # last: where the report is, all of it is
    say(box_report.to_text(values))


def _clips(request: EvaluationRequest, engine: Engine, say: Say) -> None:
    data = _data(request, engine.manifest)
    sampling = data.sampling or UNIFORM
    sampling = Sampling(request.sampling or sampling.kind, request.span or sampling.span)
    settings = Settings(sampling, request.clips or 1, request.crops or 1, request.flips)
    workers = 2 if request.workers is None else request.workers
    made = evaluate_clips(engine, data, settings, request.shard or (1, 1), workers, progress=True)
    _finish_clips(made, request.output, say)


def _data(request: EvaluationRequest, manifest: Manifest) -> sets.EvalData:
    labels, backwards = manifest.labels, dict(request.reversed or ())
    if request.list is not None:
        _refuse(request, ("split", "seed", "size"), "with --list")
        if boxes.is_annotated(request.list):
            raise InputError(request.list, "a list of true boxes", "a list of clips and labels", "evaluate a detector")
        return sets.from_list(request.list, labels, request.kind, request.root, backwards)
    _refuse(request, ("kind", "root", "reversed"), "without --list")
    split = request.split or "test"
    if request.config is not None:
        _refuse(request, ("seed", "size"), "with --config")
        return sets.from_config(request.config, labels, split)
    side = request.size or manifest.frame.short_side
    return sets.rendered(request.synthetic or 0, request.seed or 0, (side, side), split, labels)


def _stream(request: EvaluationRequest, engine: Engine, say: Say) -> None:
    if request.stream is not None:
        source, events = _video(request, request.stream, engine)
    elif request.clip_stream is not None:
        source, events = _of_clips(request, request.clip_stream, engine)
    else:
        _refuse(request, ("truth",), "with --synthetic-stream")
        sets.need_gestures(engine.manifest.labels)
        side = request.size or engine.manifest.frame.short_side
        made = synthetic.Stream(request.seed or 0, request.synthetic_stream or 0.0, size=(side, side))
        events, source = truth.checked(made.events, synthetic.LABELS, made.name), stream.ClipSource(made, made.fps)
    tolerance, path = request.tolerance, request.preprocess or "fast"
    tolerance = matching.TOLERANCE if tolerance is None else tolerance
    result = stream.evaluate_stream(engine, source, events, tolerance, request.fps, path, progress=True)
    if request.output:  # before a standard output that fails
        replace(request.output, (stream.to_json(result) + "\n").encode())
    say(table.stream_text(result))


def _video(request: EvaluationRequest, video: str, engine: Engine) -> tuple[Source, Sequence[matching.Truth]]:
    _refuse(request, ("seed", "size"), "with --stream")
    if request.truth is None:
        raise InputError("--stream", "no --truth", "what happens in it: a CSV or JSON file", "add --truth FILE")
    if kind_of(video)[0] not in ("file", "folder"):
        raise InputError("--stream", video, "a video file or a folder of frames", "record it first")
    events = truth.read(request.truth, video, engine.manifest.labels)
    return open_source(video), events


def _of_clips(request: EvaluationRequest, config: str, engine: Engine) -> tuple[Source, Sequence[matching.Truth]]:
    """Return a stream made of the validation clips of a configuration, or of the one in a training's folder."""
    _refuse(request, ("truth", "size"), "with --clip-stream")
    manifest = engine.manifest
    ignored = parse_decision(manifest.decision, manifest.labels, engine.where).ignored
    path = trained_folder(config).config if is_folder(config) else config
    clips = clip_streams.validation_clips(path, manifest, ignored)
    made = clips.stream(clips.clips, request.seed or 0)
    return stream.ClipSource(made, made.fps), made.events


def _merge(request: EvaluationRequest, names: Sequence[str], say: Say) -> None:
    _refuse(request, CLIP_OPTIONS + STREAM_OPTIONS + MODEL_OPTIONS + ("seed", "size", "against"), "with --merge")
    _check_output(request, names)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError("--merge", f"{twice[0]} twice", "each shard once", "leave one out")
    _finish_clips(merge.merge({name: merge.read(name) for name in names}), request.output, say)


def _finish_clips(made: report.ClipReport, output: Optional[str], say: Say) -> None:
    if output:  # before a standard output that fails
        if made.rows:
            replace(Path(output).with_suffix(".confusion.png"), draw.confusion_png(made))
        if made.figures["seen"]:
            replace(Path(output).with_suffix(".seen.png"), draw.seen_png(made))
        replace(output, report.to_json(made).encode())  # last: where the report is, all of it is
    say(table.clips_text(made))


def _check_output(request: EvaluationRequest, inputs: Sequence[Optional[str]]) -> None:
    if request.output is None:
        return
    if Path(request.output).suffix != ".json":
        raise InputError("-o", request.output, "a name ending in .json", "name the report like build/eval.json")
    check_output(request.output)
    taken = [("an input", path) for path in inputs if path is not None]
    taken += [] if request.engine is None else files_of_model(request.engine)
    check_apart("-o", request.output, taken)


def _refuse(request: EvaluationRequest, names: Sequence[str], where: str) -> None:
    """Raise InputError where one of the options `names` was given."""
    for name in names:
        if getattr(request, name) is not None and getattr(request, name) is not False:  # 0 is given
            option = "--" + name.replace("_", "-")
            raise InputError(option, f"given {where}", "what belongs together", f"leave {option} out")
