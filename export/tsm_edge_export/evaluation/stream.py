"""`evaluate_stream`: a model on a long stream whose events are known, through the very loop of `tsm-edge run`."""

import json
from typing import Any, NamedTuple

import cv2

from tsm_edge import session as pipeline
from tsm_edge.errors import InputError
from tsm_edge.heads.classification import Decider
from tsm_edge.manifest import require_online
from tsm_edge.preprocess import Preprocessor
from tsm_edge.schema import encode
from tsm_edge.sinks.base import Sink
from tsm_edge.sinks.jsonl import plain
from tsm_edge.sources.base import Source, Stamp
from tsm_edge.sources.capture import Capture
from tsm_edge.sources.sampling import sample
from tsm_edge.timing import StageTimes

from .engines import environment, identity
from .matching import Detection, Match, Truth, figures, match
from .truth import checked

FORMAT, KIND = 1, "stream"
TOLERANCE = 1.0  # seconds after a true event's end in which its detection may still start


class StreamReport(NamedTuple):
    """A stream evaluation. truth: the events that count. matches: one a detection. figures: see matching.figures.

    frames: that the model saw. seconds: what they cover. settings: rates, preprocessing, decision and tolerance.
    """

    model: dict[str, Any]
    stream: str
    settings: dict[str, Any]
    environments: tuple[dict[str, Any], ...]
    frames: int
    seconds: float
    truth: tuple[Truth, ...]
    detections: tuple[Detection, ...]
    matches: tuple[Match, ...]

    @property
    def figures(self) -> dict:
        """Counts, rates and delays, see matching.figures."""
        return figures(self.truth, self.detections, self.matches, self.seconds)


def evaluate_stream(
    engine, source, truth, tolerance=TOLERANCE, fps=None, preprocess="fast", decision=None, progress=None
) -> StreamReport:
    """Run the online `engine` over `source` (a tsm_edge Source, such as open_source's or a ClipSource; closed here).

    truth: events with label, start and end in seconds of the source; those of the decision's ignored labels do not
    count. tolerance: see matching.match. fps: frames/s to run, None the model's own. preprocess: "fast", as `run`, or
    "exact", as training. decision: a DecisionSpec in place of the model's. progress: a sink that shows how far it is.
    Events, times and labels are those that `tsm-edge run` reports of the same frames. Raises InputError for an offline
    engine, labels that the model does not have, and a source that gives no frames; SourceError where it breaks.
    """
    manifest = engine.manifest
    decision = decision or manifest.decision
    with source:
        require_online(manifest, engine.where)
        if not tolerance >= 0:
            raise InputError("--tolerance", tolerance, "at least 0 seconds", "correct it")
        events = [e for e in checked(truth, manifest.labels, source.name) if e.label not in decision.ignored]
        sampled = sample(source, manifest.fps if fps is None else fps)
        stages = pipeline.Stages(Preprocessor(manifest.frame, preprocess), engine, Decider(decision, manifest.labels))
        sink, name, rate = _Collector(), source.name, sampled.fps
        with Capture(sampled) as capture:
            pipeline.run(capture, stages, [sink] + ([progress] if progress else []), StageTimes(), pipeline.Counts())
        sink.event(stages.decider.finish())
    if not sink.frames:
        raise InputError(name, "no frames", "a stream", "give another one")
    matches = match(events, sink.detections, tolerance)
    settings = {
        "fps": rate,
        "preprocess": preprocess,
        "tolerance": float(tolerance),
        "decision": encode(decision),
    }
    return StreamReport(
        identity(engine),
        name,
        settings,
        (environment(engine),),
        sink.frames,
        sink.seconds(rate),
        tuple(events),
        tuple(sink.detections),
        tuple(matches),
    )


def to_json(report) -> str:
    """The report with its figures: every true event and every detection with what became of it."""
    found = {m.truth: (m.outcome, place) for place, m in enumerate(report.matches) if m.outcome in ("right", "wrong")}
    truth = []
    for number, event in enumerate(report.truth):
        outcome, place = found.get(number, ("missed", None))
        truth.append({**event._asdict(), "outcome": outcome, "detection": place})
    detections = [{**d._asdict(), **m._asdict()} for d, m in zip(report.detections, report.matches, strict=True)]
    head = {
        "kind": KIND,
        "format": FORMAT,
        "model": report.model,
        "stream": report.stream,
        "settings": report.settings,
        "environments": report.environments,
        "frames": report.frames,
        "seconds": report.seconds,
    }
    return json.dumps(plain({**head, "figures": report.figures, "truth": truth, "detections": detections}), indent=1)


class ClipSource(Source):
    """A rendered Stream, or any clip, as a source. clip: name, count, read(indices) -> RGB. fps: its frames/s.

    Frame i has the time i / fps, as in a video file.
    """

    def __init__(self, clip, fps):
        self._clip, self._index = clip, -1
        self.name, self.fps, self.frame_count = clip.name, fps, clip.count

    def grab(self):
        if self._index + 1 >= self._clip.count:
            return None
        self._index += 1
        return Stamp(self._index, self._index / self.fps, False)

    def retrieve(self, into=None):
        return cv2.cvtColor(self._clip.read([self._index])[0], cv2.COLOR_RGB2BGR, dst=into)

    def close(self):
        self._index = self._clip.count


class _Collector(Sink):
    """Keeps every event, and when its label was first shown."""

    def __init__(self):
        self.detections, self.frames = [], 0
        self._first = self._last = None
        self._label = self._shown = None

    def write(self, result):
        time, decision = result.frame.time, result.decision
        self._first, self._last = time if self._first is None else self._first, time
        self.frames += 1
        self.event(decision.event)
        if decision.label != self._label or decision.event is not None:
            self._label, self._shown = decision.label, time

    def event(self, event):
        if event is not None:
            self.detections.append(Detection(*event, shown=self._shown))

    def seconds(self, fps):
        """What the frames cover: from the first to the end of the last."""
        span = self._last - self._first
        if fps is None:
            fps = (self.frames - 1) / span if span else 1.0
        return span + 1 / fps
