"""From logits to a label and to events. Stateful: it resets with the stream."""

from collections import deque
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

Event = NamedTuple(
    "Event",
    [
        ("label", str),
        ("start", float),  # seconds of the source
        ("end", float),
        ("confidence", float),  # the highest that the label reached, 0 to 1
    ],
)

Decision = NamedTuple(
    "Decision",
    [
        ("label", Optional[str]),  # None: nothing passed the confidence gate, or an ignored label leads
        ("confidence", float),  # of the leading label, shown or not
        ("top", List[Tuple[str, float]]),  # up to five (label, probability), best first
        ("event", Optional[Event]),  # an event that ended with this frame
    ],
)


class Decider:
    """Turns the logits of one stream into what is shown and into events with a start and an end.

    spec: the manifest's :class:`tsm_edge.manifest.DecisionSpec`. labels: one name a class, in the order of the logits.
    Raises ValueError for an ignored label that is not among them.

    On each update:
    1. The mean of the last `window` logits (of fewer at the start of a stream), then softmax. The most probable class
       leads; of equals the first in the order of the labels.
    2. The leader gets a *vote* if its probability is at least `threshold` and its label is not one of `ignored`.
       Otherwise nobody does.
    3. A label that gets `hysteresis` votes in a row becomes the current one, which is what `Decision.label` shows.
    4. A current label that gets no vote `hysteresis` times in a row stops being the current one, whoever led
       meanwhile. A shorter drop below the gate, or a shorter lead of another label, changes nothing that is shown.

    A label that becomes current opens an event. It starts at the first of the votes that made it so and ends at the
    last vote for its label; it is given once it is over, that is with the update of rule 3 or 4 that replaced it.
    Its confidence is the highest probability among its votes. Events never overlap: the next one starts after the
    last vote for this one.

    The published demo (`online_demo/main.py` of mit-han-lab/temporal-shift-module) sums the last 12 logits, which
    leads to the same class as their mean, but not to a probability: a gate needs the mean. It replaces an ignored
    label by the one before, so a gesture seems to last until the next; here it counts as nothing. It refuses a change
    where the last two entries of the history differ, which can delay a change by one frame at most; here the number of
    frames is given, and it holds for the end of a gesture as well. It knows no events.
    """

    def __init__(self, spec, labels):
        unknown = sorted(set(spec.ignored) - set(labels))
        if unknown:
            raise ValueError("ignored: got {}, expected labels of the model".format(", ".join(unknown)))
        self.spec = spec
        self.labels = tuple(labels)
        self._ignored = frozenset(spec.ignored)
        self._start()

    def update(self, logits, time):
        """Take one step's logits.

        logits: (classes,) float32, finite (`Engine.step` sees to that); copied. time: seconds of the source, of this
        frame, not before the last one's.
        Returns a :class:`Decision`. Raises ValueError for another shape.
        """
        logits = np.asarray(logits)
        if logits.shape != (len(self.labels),):
            raise ValueError("logits: got shape {}, expected {}".format(logits.shape, (len(self.labels),)))
        # Summed anew each time: a running sum would gather rounding errors, and the window is short.
        self._window.append(logits.astype(np.float64))
        probabilities = softmax(sum(self._window) / len(self._window))
        order = np.argsort(-probabilities, kind="stable")
        top = [(self.labels[i], float(probabilities[i])) for i in order[:5]]
        label, confidence = top[0]
        shown = confidence >= self.spec.threshold and label not in self._ignored
        event = self._vote(label if shown else None, confidence, time)
        return Decision(self._open.label if self._open else None, confidence, top, event)

    def reset(self):
        """Begin a new stream, as after construction: on a gap in the source, together with the engine's state.

        Returns the :class:`Event` that was open, ended at its last vote (it did happen before the gap), or None.
        """
        ended = self._open
        self._start()
        return ended

    def finish(self):
        """The end of the stream. The same as `reset`: returns the event that was still open, or None."""
        return self.reset()

    def _start(self):
        self._window = deque(maxlen=self.spec.window)
        self._open = None  # the current label's event so far
        self._absent = 0  # updates in a row without a vote for the current label
        self._rival = None  # an event so far of the label that got the last votes in a row, if not the current one
        self._votes = 0  # how many those were

    def _vote(self, label, confidence, time):
        """Count one vote (None: for nobody). Returns the event that it ended, or None."""
        if self._open is not None and self._open.label == label:
            self._open = _longer(self._open, confidence, time)
            self._absent, self._rival, self._votes = 0, None, 0
            return None
        self._absent += 1
        if label is None:
            self._rival, self._votes = None, 0
        elif self._rival is not None and self._rival.label == label:
            self._rival, self._votes = _longer(self._rival, confidence, time), self._votes + 1
        else:
            self._rival, self._votes = Event(label, time, time, confidence), 1
        if max(self._absent, self._votes) < self.spec.hysteresis:
            return None
        ended, self._open = self._open, None
        if self._votes >= self.spec.hysteresis:
            self._open, self._absent, self._rival, self._votes = self._rival, 0, None, 0
        return ended


def softmax(logits):
    """Probabilities of one step. logits: (classes,) finite. Returns (classes,) float64 that sums to 1."""
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def _longer(event, confidence, time):
    return event._replace(end=time, confidence=max(event.confidence, confidence))
