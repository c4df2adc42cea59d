"""`evaluate_detector`: a detector on clips with true boxes, through a session as `tsm-edge run` has it."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from tsm_edge.engines.base import Engine
from tsm_edge.errors import InputError, SourceError
from tsm_edge.heads.detection import parse_decision
from tsm_edge.manifest import require_online
from tsm_edge.session import SessionRequest, open_session
from tsm_edge.sources.base import Source
from tsm_edge.sources.request import FASTEST_FPS, StreamRequest
from tsm_edge_export.evaluation.engines import environment, identity
from tsm_edge_export.evaluation.stream import ClipSource
from tsm_edge_export.torch_engine import TorchEngine
from tsm_edge_export.training.broken import Broken

from . import draw
from .annotated_clip import DEFAULT_FPS, AnnotatedClip
from .annotations import is_annotated, read_boxes
from .matching import MOST, Predicted
from .predict import LEAST_SCORE
from .report import DetectionReport, compared
from .scoring import ClipResult, Scores
from .truth import BoxClip, BoxData

__all__ = ["evaluate_detector", "find", "finished", "is_annotated", "listed", "rendered"]
RENDERED_SIZE = 192  # pixels
NOTHING = Predicted(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


class Evaluated(NamedTuple):
    """What a detector did on a list."""

    report: DetectionReport  # without figures of a comparison
    scores: Scores
    clips: list[BoxClip]  # those of `scores`, in the same order


class NamedData(NamedTuple):
    """Clips with boxes and the name of their list."""

    name: str
    data: BoxData


def listed(path: str, labels: tuple[str, ...], root: str | None = None) -> NamedData:
    """Read a list of annotated video for a detector of `labels`. Raises InputError as `annotations.read_boxes`."""
    return NamedData(Path(path).name, read_boxes(path, labels, root))


def rendered(count: int, seed: int, size: int | None, labels: tuple[str, ...]) -> NamedData:
    """Render clips with boxes that no training sees. Raises InputError for a detector of other labels."""
    from . import rendered as renderer

    side = RENDERED_SIZE if size is None else size
    data = renderer.clips(count, seed, side, split="test")
    if tuple(data.labels) != tuple(labels):
        got, expected = ", ".join(labels[:4]), "a detector of " + ", ".join(data.labels)
        raise InputError("--synthetic", f"a detector of {got}", expected, "give --list FILE with true boxes of its own")
    return NamedData(f"rendered objects, {count} clips of {side} x {side}, seed {seed}", data)


def evaluate_detector(
    engine: Engine, source: NamedData, preprocess: str = "fast", repeats: int = 1000, progress: bool = False
) -> Evaluated:
    """Run a detector over clips and measure it.

    Each clip is a stream of its own with a fresh state, at its own frame rate. Every frame counts, also the first ones,
    before which the network has seen nothing.

    Args:
        engine: of the task "detection". A checkpoint of a network without shifts runs frame by frame.
        source: the clips. Their labels are those of the engine.
        preprocess: "fast", as `tsm-edge run`, or "exact", as training.
        repeats: draws of the bootstrap.
        progress: show on standard error how far the run is.

    Raises:
        InputError: an engine that is no online detector, other labels, no true boxes, or more than 1 % of the clips
            that cannot be read.
    """
    manifest, data = engine.manifest, source.data
    engine = _frame_by_frame(engine)
    require_online(engine.manifest, engine.where)
    if tuple(data.labels) != tuple(manifest.labels):
        got, expected = ", ".join(data.labels[:8]), "the labels of the model: " + ", ".join(manifest.labels[:8])
        raise InputError(f"{source.name}: labels", got, expected, "give data of its labels")
    decision = parse_decision(manifest.decision, engine.where)
    broken, results, clips = Broken(len(data.clips)), [], []
    for clip in tqdm(data.clips, unit="clip", disable=None if progress else True):
        try:
            found = find(engine, clip, preprocess)
        except SourceError as error:
            broken.add(clip.name, error)
            continue
        truths = [clip.truth(index) for index in range(clip.count)]
        results.append(ClipResult(clip.name, clip.size, truths, found))
        clips.append(clip)
    if not any((~truth.ignored).any() for result in results for truth in result.truths):
        raise InputError(source.name, "no true box that counts", "clips with boxes", "give another list")
    scores = Scores(manifest.labels, results, decision.threshold)
    report = DetectionReport(
        model=identity(engine),
        list={"name": source.name, "sha256": _digest(results, manifest.labels), "clips": len(data.clips)},
        labels=manifest.labels,
        settings={"preprocess": preprocess, "least_score": LEAST_SCORE, "decision": decision._asdict()},
        environments=(environment(engine),),
        broken={**dict(data.broken), **broken.reasons},
        clipped=data.clipped,
        scores=scores,
        repeats=repeats,
    )
    return Evaluated(report, scores, clips)


def finished(
    done: Evaluated, against: DetectionReport | None = None
) -> tuple[dict[str, Any], Callable[[], dict[str, bytes]]]:
    """Return the values of the report, and what draws its pictures: name -> PNG.

    against: the report of another detector on the same clips. Raises InputError where it could not read all of them.
    """
    values = done.report.values()
    if against is not None:
        if [clip.name for clip in against.scores.clips] != [clip.name for clip in done.scores.clips]:
            raise InputError("--against", "a model that could not read all clips", "the same clips", "mend the list")
        rows = values.pop("rows")
        values.update(against=compared(done.report, against), rows=rows)

    def pictures() -> dict[str, bytes]:
        title = f"{values['model']['recipe']} on {values['list']['name']}"
        made = {"precision-recall": draw.precision_recall_png(done.scores, title)}
        worst = draw.worst_png(done.scores, done.clips, title)
        return made if worst is None else {**made, "worst": worst}

    return values, pictures


def find(engine: Engine, clip: BoxClip, preprocess: str = "fast") -> list[Predicted]:
    """Return the boxes that an online detector finds in each frame of a clip, from a confidence of 0.01 on.

    The clip goes through a session and the detector's head, so the boxes are those of `tsm-edge run`. Tracks are not
    made.

    Raises SourceError for frames that cannot be read, or that have another size than the clip says.
    """
    decision = {"threshold": LEAST_SCORE, "most": MOST, "track": False}
    # At this rate the session passes over no frame.
    asked = StreamRequest(_source(clip), "clip", fps=FASTEST_FPS, decision=decision)
    found = [NOTHING] * clip.count
    with open_session(SessionRequest(engine, (asked,), preprocess=preprocess)) as session:
        for result in session:
            frame, boxes = result.frame, result.prediction
            if tuple(frame.image.shape[:2]) != tuple(clip.size):
                got, expected = (f"frames of {size[1]} x {size[0]}" for size in (frame.image.shape, clip.size))
                raise SourceError(clip.name, got, f"{expected}, as the annotations say", "extract the frames again")
            if frame.index < clip.count:
                found[frame.index] = Predicted(boxes.xyxy, boxes.confidence, boxes.class_id)
    return found


def _source(clip: BoxClip) -> Source:
    return clip.source() if isinstance(clip, AnnotatedClip) else ClipSource(clip, clip.fps or DEFAULT_FPS)


def _frame_by_frame(engine: Engine) -> Engine:
    """Return a checkpoint of a network without shifts as an engine of streams; any other engine unchanged."""
    manifest = engine.manifest
    if not isinstance(engine, TorchEngine) or (manifest.mode, manifest.shift.direction) != ("offline", "none"):
        return engine
    made = TorchEngine(engine.network, manifest._replace(mode="online", caches=()), engine.where, str(engine.device))
    made.trained_direction = engine.trained_direction
    return made


def _digest(results: list[ClipResult], labels: tuple[str, ...]) -> str:
    """Return the SHA-256 over the names, sizes and true boxes of all clips, and the labels."""
    digest = hashlib.sha256(repr(labels).encode())
    for result in results:
        digest.update(repr((result.name, tuple(map(int, result.size)), len(result.truths))).encode())
        for truth in result.truths:
            values: list[Any] = [truth.boxes, truth.classes, truth.tracks, truth.ignored]
            digest.update(b"".join(np.ascontiguousarray(value).tobytes() for value in values))
    return digest.hexdigest()
