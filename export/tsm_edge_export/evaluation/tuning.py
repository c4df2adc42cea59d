"""Chooses the decision of a trained classifier: window, threshold, hysteresis and energy, on streams of its clips.

The network runs over a stream once, and its logits are kept. Then the decisions are tried on the logits, by the code
of the head.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Optional

import cv2
import numpy as np

from tsm_edge.engines.base import Engine
from tsm_edge.heads import open_head
from tsm_edge.heads.classification import MAX_ENERGY, Decision, Measured, softmax_and_energy
from tsm_edge.heads.votes import Votes
from tsm_edge.manifest import Manifest
from tsm_edge.preprocess import Preprocessor
from tsm_edge.records import Frame
from tsm_edge.schema import encode

from .clip_streams import ClipStream, ValidationClips, halves
from .matching import TOLERANCE, Detection, DetectionLog, Truth, figures, match

WINDOWS = (1, 2, 3, 4, 5, 6, 8, 10, 12)  # at most two training clips of frames
HYSTERESES = (1, 2, 3, 4, 5, 6)
THRESHOLDS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
ENERGY_SHARE = 0.01  # of the frames that show a true label have less energy than the gate,
ENERGY_SLACK = 0.1  # which then goes so much of the way from their median to there further down, for unseen scenes
FREE_FALSE = 1.0  # false events a minute that cost nothing
FALSE_COST = 0.05  # of each further one a minute, in shares of right events
DELAY_STEP = 0.1  # seconds; smaller differences between delays decide nothing
TUNED = ("window", "threshold", "hysteresis", "energy")  # options that are chosen where the recipe states none of them
_ROUNDED = 3  # decimals of figures in the manifest


class Recording(NamedTuple):
    """A stream as the network saw it."""

    logits: np.ndarray  # (frames, classes) float64
    frames: list[Frame]  # without pictures
    events: tuple[Truth, ...]
    seconds: float


class Leader(NamedTuple):
    """What the mean of the last logits says of a frame."""

    label: Optional[str]  # None for an ignored label, which gets no vote
    confidence: float
    energy: float


class Trial(NamedTuple):
    """A decision and what it does on a recording."""

    decision: Decision
    figures: dict[str, Any]  # matching.figures

    @property
    def right(self) -> float:
        """The share of right events."""
        return self.figures["right_share"] or 0.0

    @property
    def false_per_minute(self) -> float:
        """Events a minute that did not happen, or were told once more."""
        false = self.figures["false"] + self.figures["fragments"]
        return 60 * false / self.figures["seconds"]

    @property
    def score(self) -> float:
        """The share of right events, less what the false ones cost."""
        return self.right - FALSE_COST * max(0.0, self.false_per_minute - FREE_FALSE)

    @property
    def delay(self) -> float:
        """The median delay from an event's end in seconds; infinite without a right event."""
        spread = self.figures["delay_from_end"]
        return math.inf if spread is None else spread["median"]


class Choice(NamedTuple):
    """The decision that was chosen."""

    decision: Decision  # with the figures of `checked`
    chosen: Trial  # on the stream that chose it
    checked: Trial  # on a stream of other clips; where there are too few clips, the same as `chosen`
    held_out: bool  # whether the clips of `checked` are others
    tried: int  # decisions
    clips: int  # that were there


def choose(
    engine: Engine, material: ValidationClips, seed: int = 0, progress: Callable[[str], object] = lambda _text: None
) -> Choice:
    """Choose the decision of a model by streams of its validation clips.

    The decision with the largest share of right events is taken. One false event a minute is free; each further one a
    minute costs as much as 5 % of the events, and an event that is told twice counts as false here. Of equal decisions
    the fastest is taken, then the one with the fewest false events, then the simplest. Then an energy just below that
    of the right events is added, so that scenes unlike all clips show no label.

    Where each label has four clips or more, one half of the clips chooses, and the other half gives the figures.

    engine: online. seed: of the streams. progress: called with lines of text for the user.
    Raises InputError where a label has too few clips, and for clips that cannot be read.
    """
    parts = halves(material.clips)
    first = material.stream(parts[0] if parts else material.clips, seed)
    second = material.stream(parts[1], seed + 1) if parts else None
    seconds = first.seconds + (second.seconds if second else 0.0)
    events = len(first.events) + (len(second.events) if second else 0)
    progress(f"choosing the decision on streams of {len(material.clips)} clips: {events} events in {seconds:.0f} s")
    recording = record(engine, first)
    found, tried = search(recording, engine.manifest, material.ignored)
    chosen = trial(recording, engine.manifest, found)
    checked = trial(record(engine, second), engine.manifest, found) if second else chosen
    spread = checked.figures["delay_from_end"]
    measured = Measured(
        events=checked.figures["events"],
        seconds=round(checked.figures["seconds"], _ROUNDED),
        right=round(checked.right, _ROUNDED),
        false_per_minute=round(checked.figures["false_per_minute"], _ROUNDED),
        delay=None if spread is None else round(spread["median"], _ROUNDED),
        held_out=second is not None,
    )
    return Choice(found._replace(measured=measured), chosen, checked, second is not None, tried, len(material.clips))


def options_of(decision: Decision) -> dict[str, Any]:
    """Return a decision as a manifest has it: without the options that are None."""
    return {name: value for name, value in encode(decision).items() if value is not None}


def record(engine: Engine, stream: ClipStream) -> Recording:
    """Run an online engine over a stream, one frame after the other. The preprocessing is that of `tsm-edge run`."""
    preprocess, state = Preprocessor(engine.manifest.frame), engine.new_state()
    logits, frames = [], []
    for index in range(stream.count):
        picture = cv2.cvtColor(stream.read([index])[0], cv2.COLOR_RGB2BGR)
        logits.append(engine.step(preprocess(picture), state)["logits"][0].astype(np.float64))
        frames.append(Frame(index, index / stream.fps, np.empty(0, np.uint8), stream=stream.name))
    return Recording(np.array(logits), frames, tuple(stream.events), stream.count / stream.fps)


def trial(recording: Recording, manifest: Manifest, decision: Decision) -> Trial:
    """Return what the model's head does with a recording under a decision."""
    head, log = open_head(manifest._replace(decision={}), manifest.recipe, options_of(decision)), DetectionLog()
    for logits, frame in zip(recording.logits, recording.frames, strict=True):
        head.update({"logits": logits}, frame)
        for event in head.take_events():
            log.add(event, frame.time)
    head.reset()
    for event in head.take_events():
        log.add(event, recording.frames[-1].time)
    return _judged(decision, recording, log.detections)


def search(recording: Recording, manifest: Manifest, ignored: Sequence[str]) -> tuple[Decision, int]:
    """Return the best decision on a recording, see `choose`, and how many were tried."""
    trials: list[Trial] = []
    leaders: dict[int, list[Leader]] = {}
    for window in WINDOWS:
        if window > 2 * manifest.shift.n_segment:
            break
        leaders[window] = leaders_of(recording, manifest.labels, window, ignored)
        voted: set[tuple[bool, ...]] = set()  # thresholds that let the same frames vote are tried once
        for threshold in THRESHOLDS:
            votes = tuple(leader.confidence >= threshold for leader in leaders[window])
            if votes not in voted:
                voted.add(votes)
                options = (Decision(window, threshold, hysteresis, tuple(ignored)) for hysteresis in HYSTERESES)
                trials += [_replayed(recording, leaders[window], decision) for decision in options]
    best = best_of(trials)
    gated = _gated(recording, leaders[best.decision.window], best)
    return gated.decision, len(trials)


def best_of(trials: Sequence[Trial]) -> Trial:
    """Return the best of several trials, see `choose`."""
    return min(trials, key=_rank)


def _rank(trial: Trial) -> tuple[float, ...]:
    decision, steps = trial.decision, trial.delay if math.isinf(trial.delay) else round(trial.delay / DELAY_STEP)
    simple = decision.window + decision.hysteresis, decision.hysteresis, decision.threshold
    return (-round(trial.score, 6), steps, trial.false_per_minute, *simple)


def leaders_of(recording: Recording, labels: Sequence[str], window: int, ignored: Sequence[str]) -> list[Leader]:
    """Return the leading label of each frame, by the formulas of `ClassificationHead.update`, to the bit."""
    leaders = []
    for index in range(len(recording.logits)):
        recent = list(recording.logits[max(0, index + 1 - window) : index + 1])
        probabilities, energy = softmax_and_energy(np.sum(recent, axis=0) / len(recent))
        place = int(probabilities.argmax())
        label = labels[place]
        leaders.append(Leader(None if label in ignored else label, float(probabilities[place]), energy))
    return leaders


def _replayed(recording: Recording, leaders: Sequence[Leader], decision: Decision) -> Trial:
    """Return the trial of a decision from the leaders of its window: as `trial` does, in a fraction of the time."""
    votes, log = Votes(decision.hysteresis), DetectionLog()
    least = -math.inf if decision.energy is None else decision.energy
    for leader, frame in zip(leaders, recording.frames, strict=True):
        shown = leader.confidence >= decision.threshold and leader.energy >= least
        for event in votes.vote(leader.label if shown else None, leader.confidence, frame):
            log.add(event, frame.time)
    for event in votes.reset():
        log.add(event, recording.frames[-1].time)
    return _judged(decision, recording, log.detections)


def _gated(recording: Recording, leaders: Sequence[Leader], best: Trial) -> Trial:
    """Return the trial with an energy just below that of the right events, where this loses and delays none of them."""
    energies = [
        leader.energy
        for leader, frame in zip(leaders, recording.frames, strict=True)
        if leader.confidence >= best.decision.threshold and _is_true(leader.label, frame.time, recording.events)
    ]
    if not energies:
        return best
    low, middle = float(np.quantile(energies, ENERGY_SHARE)), float(np.median(energies))
    energy = math.floor(100 * (low - ENERGY_SLACK * (middle - low))) / 100
    gated = _replayed(recording, leaders, best.decision._replace(energy=energy))
    slower = gated.delay - best.delay > 1 / _rate(recording)
    worse = gated.right < best.right or gated.false_per_minute > best.false_per_minute
    return best if worse or slower or abs(energy) > MAX_ENERGY else gated


def _is_true(label: Optional[str], time: float, events: Iterable[Truth]) -> bool:
    return any(event.label == label and event.start <= time <= event.end + TOLERANCE for event in events)


def _rate(recording: Recording) -> float:
    return len(recording.frames) / recording.seconds


def _judged(decision: Decision, recording: Recording, detections: Sequence[Detection]) -> Trial:
    ordered = sorted(detections, key=lambda detection: detection.start)
    matches = match(recording.events, ordered, TOLERANCE)
    found = figures(recording.events, ordered, matches, recording.seconds)
    return Trial(decision, {**found, "seconds": recording.seconds})
