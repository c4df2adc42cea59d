"""From one vote a frame, for a label or for nobody, to events that have a start and an end."""

from typing import List, Optional

from tsm_edge.records import Event, Frame

UPDATE_STEP = 0.1  # an open event whose confidence rose by this much is told again


class Votes:
    """Counts the votes of one stream. The rules are those of `ClassificationHead`, from its rule 3 on.

    hysteresis: votes in a row that a label needs to become the current one, and may miss before it stops being that.
    """

    def __init__(self, hysteresis: int) -> None:
        self._hysteresis = hysteresis
        self._count = 0  # of events so far, for their ids
        self._told: List[Event] = []
        self._begin()

    def _begin(self) -> None:
        self._open: Optional[Event] = None  # the current label's event
        self._absent = 0  # votes in a row that were not for the current label
        self._rival: Optional[Event] = None  # of the label that got the last votes in a row, if not the current
        self._votes = 0  # how many those were
        self._confidence_told = 0.0

    @property
    def current(self) -> Optional[str]:
        """The current label; None where there is none."""
        return self._open.label if self._open else None

    def vote(self, label: Optional[str], confidence: float, frame: Frame) -> List[Event]:
        """Count the vote of a frame, and return what it tells of events, in order.

        Args:
            label: None for a vote for nobody.
            confidence: of the label, 0 to 1.
            frame: its `time` and `wall_time` date the events; its time is not before that of the frame before.
        """
        if self._open is not None and self._open.label == label:
            returned = not self._open.leading
            self._open = _longer(self._open, confidence, frame)
            self._absent, self._rival, self._votes = 0, None, 0
            if returned or self._open.confidence >= self._confidence_told + UPDATE_STEP:
                self._tell("update")
            return self._take()
        self._absent += 1
        if label is None:
            self._rival, self._votes = None, 0
        elif self._rival is not None and self._rival.label == label:
            self._rival, self._votes = _longer(self._rival, confidence, frame), self._votes + 1
        else:
            self._rival, self._votes = self._new_event(label, confidence, frame), 1
        if self._open is not None:
            self._open = self._open._replace(wall_time=frame.wall_time)
            if max(self._absent, self._votes) >= self._hysteresis:
                self._tell("end")
                self._open = None
            elif self._open.leading and 2 * self._absent >= self._hysteresis:
                self._open = self._open._replace(leading=False)
                self._tell("update")
        if self._rival is not None and self._votes >= self._hysteresis:
            self._open, self._absent, self._rival, self._votes = self._rival, 0, None, 0
            self._tell("new")
        return self._take()

    def reset(self) -> List[Event]:
        """Forget all votes. Returns the end of the event that was open, if one was."""
        if self._open is not None:
            self._tell("end")
        self._begin()
        return self._take()

    def _new_event(self, label: str, confidence: float, frame: Frame) -> Event:
        self._count += 1
        identity = "{}-{:.0f}-{}".format(frame.stream or "stream", 1e3 * frame.wall_time, self._count)
        return Event(identity, "new", frame.stream, label, frame.time, frame.time, confidence, True, frame.wall_time)

    def _tell(self, kind: str) -> None:
        assert self._open is not None
        self._told.append(self._open._replace(type=kind))
        self._confidence_told = self._open.confidence

    def _take(self) -> List[Event]:
        told, self._told = self._told, []
        return told


def _longer(event: Event, confidence: float, frame: Frame) -> Event:
    best = max(event.confidence, confidence)
    return event._replace(end=frame.time, confidence=best, leading=True, wall_time=frame.wall_time)
