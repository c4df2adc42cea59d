"""Matches detected events with true ones, and counts."""

from collections import Counter
from typing import Any, NamedTuple, Optional, Sequence

import numpy as np

from tsm_edge.records import Event

TOLERANCE = 1.0  # seconds after a true event's end in which its detection may still start


class Truth(NamedTuple):
    """A true event. Times are seconds of the stream."""

    label: str
    start: float
    end: float


class Detection(NamedTuple):
    """An event of tsm_edge.heads.classification. Times are seconds of the stream."""

    label: str
    start: float  # before `shown` by the votes that the hysteresis asks for
    end: float
    confidence: float
    shown: float  # when the stream first showed the label


class Match(NamedTuple):
    """The true event of a detection.

    outcome: "right"; "wrong" (another label); "fragment" (the event's own detection has this label too); "false".
    """

    truth: Optional[int]  # place of the true event, None for none
    outcome: str


class DetectionLog:
    """Makes detections of what a head tells of its events. `detections` holds those that ended, in their order."""

    def __init__(self) -> None:
        self.detections: list[Detection] = []
        self._shown: dict[str, float] = {}  # the id of an event -> when its label was first shown

    def add(self, event: Event, now: float) -> None:
        """Take what was told with the frame of time `now`, in seconds of the stream."""
        if event.type == "new":
            self._shown[event.id] = now
        elif event.type == "end":
            times = event.start, event.end, event.confidence
            self.detections.append(Detection(event.label, *times, shown=self._shown.pop(event.id)))


def match(truth: Sequence[Truth], detections: Sequence[Detection], tolerance: float) -> list[Match]:
    """Return one Match for each detection. Both lists are in the order of their starts; tolerance is in seconds.

    A detection belongs to the last true event that starts before it or with it, if it starts within that event or up
    to `tolerance` after its end, whatever the labels are. Of those that belong to one event, its detection is the first
    with the right label, or, where none has it, the first. Others are fragments if they repeat its label, else false.
    """
    groups: dict[int, list[int]] = {}
    found = [Match(None, "false")] * len(detections)
    for place, detection in enumerate(detections):
        before = [number for number, event in enumerate(truth) if event.start <= detection.start]
        if before and detection.start <= truth[before[-1]].end + tolerance:
            groups.setdefault(before[-1], []).append(place)
    for number, places in groups.items():
        label = truth[number].label
        right = [place for place in places if detections[place].label == label]
        chosen = (right or places)[0]
        for place in places:
            if place == chosen:
                found[place] = Match(number, "right" if right else "wrong")
            elif detections[place].label == detections[chosen].label:
                found[place] = Match(number, "fragment")
    return found


def figures(
    truth: Sequence[Truth], detections: Sequence[Detection], matches: Sequence[Match], seconds: float
) -> dict[str, Any]:
    """Return counts and delays. seconds: length of the stream.

    Delays are those of the right detections, from a true event's start and end to the moment when its label is shown.
    Per cent and medians of nothing are None.
    """
    outcomes = [m.outcome for m in matches]
    pairs = [(m, d) for m, d in zip(matches, detections, strict=True) if m.outcome == "right"]
    right = [(truth[m.truth], d) for m, d in pairs if m.truth is not None]
    wrong, false = outcomes.count("wrong"), outcomes.count("false")
    return {
        "events": len(truth),
        "right": len(right),
        "wrong": wrong,
        "missed": len(truth) - len(right) - wrong,
        "right_share": len(right) / len(truth) if truth else None,
        "fragments": outcomes.count("fragment"),
        "false": false,
        "false_per_minute": 60 * false / seconds,
        "delay_from_start": _spread([d.shown - event.start for event, d in right]),
        "delay_from_end": _spread([d.shown - event.end for event, d in right]),
        "per_label": _per_label(truth, detections, matches),
    }


def _spread(delays: Sequence[float]) -> Optional[dict[str, float]]:
    if not delays:
        return None
    return {"median": float(np.median(delays)), "p90": float(np.percentile(delays, 90))}


def _per_label(
    truth: Sequence[Truth], detections: Sequence[Detection], matches: Sequence[Match]
) -> list[dict[str, Any]]:
    counts = Counter((event.label, "events") for event in truth)
    for m, detection in zip(matches, detections, strict=True):
        if m.truth is None:
            counts[detection.label, "false"] += 1
        elif m.outcome in ("right", "wrong"):
            counts[truth[m.truth].label, m.outcome] += 1
    labels = sorted({label for label, _ in counts})
    kinds = ("events", "right", "wrong", "false")
    return [{"label": label, **{kind: counts[label, kind] for kind in kinds}} for label in labels]
