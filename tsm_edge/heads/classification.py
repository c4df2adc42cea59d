"""From logits to a label and to events that have a start and an end."""

from collections import deque
from typing import Any, Deque, Dict, NamedTuple, Optional, Tuple

import numpy as np

from tsm_edge.errors import InputError
from tsm_edge.heads.base import Head
from tsm_edge.manifest import Manifest
from tsm_edge.records import Classification, Event, Frame
from tsm_edge.schema import decode, shortened

MAX_FRAMES = 10000  # of window and of hysteresis; at 30 frames/s, five minutes
MAX_WINDOW_LOGITS = 5000000  # that the window keeps, which take 40 MB
UPDATE_STEP = 0.1  # an open event whose confidence rose by this much is told again


class Decision(NamedTuple):
    """How logits become labels and events.

    window: steps in the running mean of the logits. threshold: the least confidence, 0 to 1, of a label that is shown.
    hysteresis: steps in a row that a new label must lead before it replaces the old one.
    ignored: labels that mean "nothing is happening"; they never make an event.
    """

    window: int = 1
    threshold: float = 0.0
    hysteresis: int = 1
    ignored: Tuple[str, ...] = ()


class ClassificationHead(Head):
    """Turns the logits of one stream into what is shown and into events.

    On each update:

    1. The mean of the last `window` logits (of fewer at the start of a stream), then softmax. The most probable class
       leads; of equals the first in the order of the labels.
    2. The leader gets a *vote* if its probability is at least `threshold` and its label is not one of `ignored`.
       Otherwise nobody gets one.
    3. A label that gets `hysteresis` votes in a row becomes the current one, which is what `Classification.label`
       shows.
    4. A current label that gets no vote `hysteresis` times in a row stops being the current one, whichever label led
       meanwhile. A shorter drop below the gate, or a shorter lead of another label, changes nothing that is shown.

    A label that becomes current opens an event ("new"). The event starts at the first of the votes that made it so and
    ends at the last vote for its label; "end" is told with the update of rule 3 or 4 that replaced it. Its confidence
    is the highest probability among its votes. Events never overlap: the next one starts after the last vote for this
    one. "update" is told where the confidence rose by UPDATE_STEP since it was last told, where the label got no vote
    for half of `hysteresis` (`leading` is then False), and where it got one again.

    The published demo (`online_demo/main.py` of mit-han-lab/temporal-shift-module) sums the last 12 logits, which
    leads to the same class as their mean, but not to a probability: a gate needs the mean. It replaces an ignored
    label by the one before, so a gesture seems to last until the next; here it counts as nothing. It refuses a change
    where the last two entries of the history differ, which can delay a change by one frame at most; here the number of
    frames is given, and it holds for the end of a gesture as well. It has no events.
    """

    def __init__(self, manifest: Manifest, decision: Dict[str, Any], where: str) -> None:
        super(ClassificationHead, self).__init__(manifest, decision, where)
        self.decision = parse_decision(decision, manifest.labels, where)
        shapes = {output.name: tuple(output.shape) for output in manifest.outputs}
        if shapes.get("logits") != (len(manifest.labels),):
            expected = "logits of {} labels".format(len(manifest.labels))
            raise InputError("{}: outputs".format(where), str(shapes), expected, "export the model again")
        self.labels = manifest.labels
        self._ignored = frozenset(self.decision.ignored)
        self._count = 0  # of events so far, for their ids
        self._begin()

    def update(self, outputs: Dict[str, np.ndarray], frame: Frame) -> Classification:
        """Take the logits of one frame.

        Args:
            outputs: "logits": (classes,) float, finite (`Engine.step` sees to that).
            frame: its `time` and `wall_time` date the events.

        Raises:
            ValueError: logits of another shape.
        """
        logits = np.asarray(outputs["logits"])
        if logits.shape != (len(self.labels),):
            raise ValueError("logits: got shape {}, expected {}".format(logits.shape, (len(self.labels),)))
        # Summed anew each time: a running sum would gather rounding errors, and the window is short.
        self._window.append(logits.astype(np.float64))
        probabilities = softmax(np.sum(self._window, axis=0) / len(self._window))
        order = np.argsort(-probabilities, kind="stable")
        top = [(self.labels[i], float(probabilities[i])) for i in order[:5]]
        label, confidence = top[0]
        shown = confidence >= self.decision.threshold and label not in self._ignored
        self._vote(label if shown else None, confidence, frame)
        return Classification(self._open.label if self._open else None, confidence, top)

    def reset(self) -> None:
        if self._open is not None:
            self._told.append(self._open._replace(type="end"))
        self._begin()

    @classmethod
    def describe(cls, manifest: Manifest) -> str:
        decision = parse_decision(manifest.decision, manifest.labels, "")
        text = "mean of {} frames, shown from {:.0%} on, after {} in a row".format(
            decision.window, decision.threshold, decision.hysteresis
        )
        return text + ("; never: " + ", ".join(decision.ignored) if decision.ignored else "")

    def _begin(self) -> None:
        self._window: Deque[np.ndarray] = deque(maxlen=self.decision.window)
        self._open: Optional[Event] = None  # the current label's event
        self._absent = 0  # updates in a row without a vote for the current label
        self._rival: Optional[Event] = None  # of the label that got the last votes in a row, if not the current
        self._votes = 0  # how many those were
        self._confidence_told = 0.0

    def _vote(self, label: Optional[str], confidence: float, frame: Frame) -> None:
        """Count one vote (None: for nobody), and tell what came of it."""
        if self._open is not None and self._open.label == label:
            returned = not self._open.leading
            self._open = _longer(self._open, confidence, frame)
            self._absent, self._rival, self._votes = 0, None, 0
            if returned or self._open.confidence >= self._confidence_told + UPDATE_STEP:
                self._tell("update")
            return
        self._absent += 1
        if label is None:
            self._rival, self._votes = None, 0
        elif self._rival is not None and self._rival.label == label:
            self._rival, self._votes = _longer(self._rival, confidence, frame), self._votes + 1
        else:
            self._rival, self._votes = self._new_event(label, confidence, frame), 1
        if self._open is not None:
            self._open = self._open._replace(wall_time=frame.wall_time)
            if max(self._absent, self._votes) >= self.decision.hysteresis:
                self._tell("end")
                self._open = None
            elif self._open.leading and 2 * self._absent >= self.decision.hysteresis:
                self._open = self._open._replace(leading=False)
                self._tell("update")
        if self._rival is not None and self._votes >= self.decision.hysteresis:
            self._open, self._absent, self._rival, self._votes = self._rival, 0, None, 0
            self._tell("new")

    def _new_event(self, label: str, confidence: float, frame: Frame) -> Event:
        self._count += 1
        identity = "{}-{:.0f}-{}".format(frame.stream or "stream", 1e3 * frame.wall_time, self._count)
        return Event(identity, "new", frame.stream, label, frame.time, frame.time, confidence, True, frame.wall_time)

    def _tell(self, kind: str) -> None:
        assert self._open is not None
        self._told.append(self._open._replace(type=kind))
        self._confidence_told = self._open.confidence


HEAD = ClassificationHead


def parse_decision(decision: Dict[str, Any], labels: Tuple[str, ...], where: str) -> Decision:
    """Check a classifier's options.

    Args:
        decision: of the manifest.
        labels: of the model.
        where: the model's name, for messages.

    Raises:
        InputError: an unknown or impossible option.
    """
    parsed = decode(Decision, decision, "{}: decision".format(where))
    unknown = sorted(set(parsed.ignored) - set(labels))
    frames = "1 to {} frames".format(MAX_FRAMES)
    for holds, name, got, expected in (
        (1 <= parsed.window <= MAX_FRAMES, "window", parsed.window, frames),
        (
            parsed.window * len(labels) <= MAX_WINDOW_LOGITS,
            "window",
            "{} frames of {} logits".format(parsed.window, len(labels)),
            "at most {} for so many labels".format(max(1, MAX_WINDOW_LOGITS // max(1, len(labels)))),
        ),
        (1 <= parsed.hysteresis <= MAX_FRAMES, "hysteresis", parsed.hysteresis, frames),
        (0 <= parsed.threshold <= 1, "threshold", parsed.threshold, "0 to 1"),
        (not unknown, "ignored", shortened(", ".join(unknown)), "labels of the model"),
    ):
        if not holds:
            raise InputError("{}: decision.{}".format(where, name), got, expected, "correct it")
    return parsed


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities of one step: (classes,) float64 that sum to 1, from (classes,) finite logits."""
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def _longer(event: Event, confidence: float, frame: Frame) -> Event:
    best = max(event.confidence, confidence)
    return event._replace(end=frame.time, confidence=best, leading=True, wall_time=frame.wall_time)
