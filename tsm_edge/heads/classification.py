"""From logits to a label and to events that have a start and an end."""

from collections import deque
from typing import Any, Deque, Dict, NamedTuple, Optional, Tuple

import numpy as np

from tsm_edge.errors import InputError
from tsm_edge.heads.base import Head
from tsm_edge.heads.votes import Votes
from tsm_edge.manifest import Manifest
from tsm_edge.records import Classification, Frame
from tsm_edge.schema import decode, shortened

MAX_FRAMES = 10000  # of window and of hysteresis; at 30 frames/s, five minutes
MAX_WINDOW_LOGITS = 5000000  # that the window keeps, which take 40 MB
MAX_ENERGY = 1e6  # of the option; logits are a few tens


class Measured(NamedTuple):
    """What a decision was measured to do, on streams made of validation clips.

    events: true ones. seconds: of the streams. right: share of the events, 0 to 1. false_per_minute: events that did
    not happen. delay: median seconds from the end of an event to the moment when its label is shown; None where no
    event was right. held_out: whether other clips chose the decision; if not, the figures are a little too good.
    """

    events: int
    seconds: float
    right: float
    false_per_minute: float
    delay: Optional[float]
    held_out: bool


class Decision(NamedTuple):
    """How logits become labels and events.

    window: steps in the running mean of the logits. threshold: the least confidence, 0 to 1, of a label that is shown.
    hysteresis: steps in a row that a new label must lead before it replaces the old one.
    ignored: labels that mean "nothing is happening"; they never make an event.
    energy: the least energy of a frame whose label is shown; None shows labels at any energy. The energy is the
    logarithm of the sum of the exponentials of the mean logits. It is low on what the network was not trained on, where
    softmax, which compares the labels alone, may still be sure of one. Source: Liu et al., "Energy-based
    Out-of-distribution Detection", NeurIPS 2020.
    measured: what `tsm-edge export` measured of this decision; changes nothing.
    """

    window: int = 1
    threshold: float = 0.0
    hysteresis: int = 1
    ignored: Tuple[str, ...] = ()
    energy: Optional[float] = None
    measured: Optional[Measured] = None


class ClassificationHead(Head):
    """Turns the logits of one stream into what is shown and into events.

    On each update:

    1. The mean of the last `window` logits (of fewer at the start of a stream), then softmax. The most probable class
       leads; of equals the first in the order of the labels.
    2. The leader gets a *vote* if its probability is at least `threshold`, the energy of the mean is at least `energy`
       and its label is not one of `ignored`. Otherwise nobody gets one.
    3. A label that gets `hysteresis` votes in a row becomes the current one, which is what `Classification.label`
       shows.
    4. A current label that gets no vote `hysteresis` times in a row stops being the current one, whichever label led
       meanwhile. A shorter drop below the gate, or a shorter lead of another label, changes nothing that is shown.

    A label that becomes current opens an event ("new"). The event starts at the first of the votes that made it so and
    ends at the last vote for its label; "end" is told with the update of rule 3 or 4 that replaced it. Its confidence
    is the highest probability among its votes. Events never overlap: the next one starts after the last vote for this
    one. "update" is told where the confidence rose by votes.UPDATE_STEP since it was last told, where the label got no
    vote for half of `hysteresis` (`leading` is then False), and where it got one again.

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
        self._window: Deque[np.ndarray] = deque(maxlen=self.decision.window)
        self._votes = Votes(self.decision.hysteresis)

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
        probabilities, energy = softmax_and_energy(np.sum(self._window, axis=0) / len(self._window))
        order = np.argsort(-probabilities, kind="stable")
        top = [(self.labels[i], float(probabilities[i])) for i in order[:5]]
        label, confidence = top[0]
        shown = confidence >= self.decision.threshold and label not in self._ignored
        shown = shown and (self.decision.energy is None or energy >= self.decision.energy)
        self._told += self._votes.vote(label if shown else None, confidence, frame)
        return Classification(self._votes.current, confidence, top)

    def reset(self) -> None:
        self._told += self._votes.reset()
        self._window.clear()

    @classmethod
    def describe(cls, manifest: Manifest) -> str:
        decision = parse_decision(manifest.decision, manifest.labels, "")
        text = "mean of {} frames, shown from {:.0%} on, after {} in a row".format(
            decision.window, decision.threshold, decision.hysteresis
        )
        if decision.energy is not None:
            text += ", at an energy of at least {:g}".format(decision.energy)
        text += "; never: " + ", ".join(decision.ignored) if decision.ignored else ""
        return text + ("; " + measured_text(decision.measured) if decision.measured else "")


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
        (abs(parsed.energy or 0.0) <= MAX_ENERGY, "energy", parsed.energy, "a number from -1e6 to 1e6"),
        (_possible(parsed.measured), "measured", shortened(parsed.measured), "a share from 0 to 1, counts from 0 on"),
        (not unknown, "ignored", shortened(", ".join(unknown)), "labels of the model"),
    ):
        if not holds:
            raise InputError("{}: decision.{}".format(where, name), got, expected, "correct it")
    return parsed


def measured_text(measured: Measured) -> str:
    """Return the figures of a decision in words."""
    text = "{:.0%} of {} events right, {:.1f} false a minute".format(
        measured.right, measured.events, measured.false_per_minute
    )
    if measured.delay is not None:
        text += ", shown {:.1f} s {} the end".format(abs(measured.delay), "before" if measured.delay < 0 else "after")
    clips = (
        "other clips than those that chose it" if measured.held_out else "the clips that chose it, so a little too good"
    )
    return "{} (on {})".format(text, clips)


def _possible(measured: Optional[Measured]) -> bool:
    if measured is None:
        return True
    return 0 <= measured.right <= 1 and min(measured.events, measured.seconds, measured.false_per_minute) >= 0


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities of one step: (classes,) float64 that sum to 1, from (classes,) finite logits."""
    return softmax_and_energy(logits)[0]


def softmax_and_energy(logits: np.ndarray) -> Tuple[np.ndarray, float]:
    """Return the probabilities of one step, (classes,) float64, and its energy log(sum(exp(logits)))."""
    highest = logits.max()
    powers = np.exp(logits - highest)
    total = powers.sum()
    return powers / total, float(highest + np.log(total))
