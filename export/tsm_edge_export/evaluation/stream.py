"""`evaluate_stream`: a model on a long stream whose events are known, through a session as `tsm-edge run` has it."""

import json
from typing import Any, Iterable, NamedTuple, Optional

import cv2
import numpy as np

from tsm_edge.engines.base import Engine
from tsm_edge.errors import InputError
from tsm_edge.heads.classification import parse_decision
from tsm_edge.manifest import require_online
from tsm_edge.records import Event, Result
from tsm_edge.schema import encode
from tsm_edge.session import SessionRequest, open_session
from tsm_edge.sinks.base import Sink
from tsm_edge.sinks.console import ProgressSink
from tsm_edge.sinks.jsonl import plain
from tsm_edge.sources.base import Source, Stamp
from tsm_edge.sources.request import StreamRequest
from tsm_edge_export.training.clips import Clip

from .engines import environment, identity, require_classifier
from .matching import TOLERANCE, Detection, DetectionLog, Match, Truth, figures, match
from .truth import checked

FORMAT, KIND = 1, "stream"


class StreamReport(NamedTuple):
    """A stream evaluation."""

    model: dict[str, Any]  # engines.identity
    stream: str  # the source's name
    settings: dict[str, Any]  # rate, preprocessing, decision and tolerance
    environments: tuple[dict[str, Any], ...]  # engines.environment
    frames: int  # that the model saw
    seconds: float  # that these frames cover
    truth: tuple[Truth, ...]  # the events that count
    detections: tuple[Detection, ...]  # in the order of their starts
    matches: tuple[Match, ...]  # one a detection

    @property
    def figures(self) -> dict[str, Any]:
        """Counts, rates and delays, see `matching.figures`."""
        return figures(self.truth, self.detections, self.matches, self.seconds)


def evaluate_stream(
    engine: Engine,
    source: Source,
    truth: Iterable[tuple[str, float, float]],
    tolerance: float = TOLERANCE,
    fps: Optional[float] = None,
    preprocess: str = "fast",
    decision: Optional[dict[str, Any]] = None,
    progress: bool = False,
) -> StreamReport:
    """Run an online engine over a source. Events and times are those that `tsm-edge run` reports of the same frames.

    source: closed here. truth: (label, start, end) of each event in seconds of the source; those of ignored labels do
    not count. tolerance: see `matching.match`. fps: frames/s to run, None for the model's own. preprocess: "fast", as
    `tsm-edge run`, or "exact", as training. decision: options of the model's decision to replace. progress: show on
    standard error how far the run is.
    Raises InputError for an offline engine, another task, unknown labels, and a source without frames or that breaks.
    """
    manifest = engine.manifest
    with source:
        require_online(manifest, engine.where)
        require_classifier(engine)
        if not tolerance >= 0:
            raise InputError("--tolerance", tolerance, "at least 0 seconds", "correct it")
        chosen = parse_decision({**manifest.decision, **(decision or {})}, manifest.labels, engine.where)
        events = [event for event in checked(truth, manifest.labels, source.name) if event.label not in chosen.ignored]
        asked = StreamRequest(source, fps=fps, decision=decision or {})
        with open_session(SessionRequest(engine, (asked,), preprocess=preprocess)) as session:
            collector = _Collector()
            session.sinks = [collector, *([ProgressSink(session.infos())] if progress else [])]
            rate = session.streams[0].source.fps
            for _ in session:
                pass
    if not collector.frames:
        raise InputError(source.name, "no frames", "a stream", "give another one")
    detections = tuple(collector.log.detections)
    options = {name: value for name, value in encode(chosen._replace(measured=None)).items() if value is not None}
    return StreamReport(
        model=identity(engine),
        stream=source.name,
        settings={"fps": rate, "preprocess": preprocess, "tolerance": float(tolerance), "decision": options},
        environments=(environment(engine),),
        frames=collector.frames,
        seconds=collector.seconds(rate),
        truth=tuple(events),
        detections=detections,
        matches=tuple(match(events, detections, tolerance)),
    )


def to_json(report: StreamReport) -> str:
    """Return the report as JSON with its figures: every true event, every detection, and how they were matched."""
    found = {m.truth: (m.outcome, place) for place, m in enumerate(report.matches) if m.outcome in ("right", "wrong")}
    truth = []
    for number, event in enumerate(report.truth):
        outcome, place = found.get(number, ("missed", None))
        truth.append({**event._asdict(), "outcome": outcome, "detection": place})
    detections = [{**d._asdict(), **m._asdict()} for d, m in zip(report.detections, report.matches, strict=True)]
    lists = {"truth": truth, "detections": detections}
    head = {key: value for key, value in report._asdict().items() if key not in (*lists, "matches")}
    values = {"kind": KIND, "format": FORMAT, **head, "figures": report.figures, **lists}
    return json.dumps(plain(values), indent=1)


class ClipSource(Source):
    """A clip as a source of `fps` frames/s. Frame i has the time i / fps, as in a video file."""

    def __init__(self, clip: Clip, fps: float) -> None:
        self._clip, self._index, self._rate = clip, -1, fps
        self.name, self.fps, self.frame_count = clip.name, fps, clip.count

    def grab(self) -> Optional[Stamp]:
        if self._index + 1 >= self._clip.count:
            return None
        self._index += 1
        return Stamp(self._index, self._index / self._rate)

    def retrieve(self, into: Optional[np.ndarray] = None) -> Optional[np.ndarray]:
        return cv2.cvtColor(self._clip.read([self._index])[0], cv2.COLOR_RGB2BGR, dst=into)

    def close(self) -> None:
        self._index = self._clip.count


class _Collector(Sink):
    """Keeps every event that ended, and the time of the frame at which its label was first shown."""

    def __init__(self) -> None:
        self.log = DetectionLog()
        self.frames = 0
        self._first = self._last = 0.0

    def write(self, result: Result) -> None:
        self._last = result.frame.time
        if not self.frames:
            self._first = self._last
        self.frames += 1

    def event(self, event: Event) -> None:
        self.log.add(event, self._last)

    def seconds(self, fps: Optional[float]) -> float:
        """What the frames cover: from the first to the end of the last."""
        span = self._last - self._first
        if fps is None:
            fps = (self.frames - 1) / span if span else 1.0
        return span + 1 / fps
