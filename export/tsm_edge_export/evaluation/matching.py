"""Which detected event belongs to which true one, and the figures that follow."""

from typing import NamedTuple, Optional

import numpy as np


class Truth(NamedTuple):
    """What really happens in a stream. Times are seconds of the stream."""

    label: str
    start: float
    end: float


class Detection(NamedTuple):
    """An event of tsm_edge.heads.classification, and when the stream first showed its label (seconds).

    start lies before `shown` by the votes that the hysteresis asks for.
    """

    label: str
    start: float
    end: float
    confidence: float
    shown: float


class Match(NamedTuple):
    """truth: place of the true event that a detection belongs to, None for none.

    outcome: "right"; "wrong" (another label than the event's); "fragment" (the event has its detection already, of the
    same label); "false" (no such event).
    """

    truth: Optional[int]
    outcome: str


def match(truth, detections, tolerance) -> list[Match]:
    """One Match for each detection.

    truth, detections: in the order of their starts. tolerance: seconds.
    A detection belongs to the last true event that starts before it or with it, if it starts within that event or up
    to `tolerance` after its end, whatever the labels are. Of those that belong to one event, its detection is the first
    with the right label, or, where none has it, the first. The others are fragments where they say the same label
    again, and false otherwise.
    """
    groups, found = {}, [Match(None, "false")] * len(detections)
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


def figures(truth, detections, matches, seconds) -> dict:
    """Counts and delays. seconds: length of the stream.

    Delays are those of the right detections, from a true event's start and end to the moment when its label is shown;
    a negative one means before the end. Per cent and medians of nothing are None.
    """
    outcomes = [m.outcome for m in matches]
    right = [(truth[m.truth], d) for m, d in zip(matches, detections, strict=True) if m.outcome == "right"]
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


def _spread(delays):
    if not delays:
        return None
    return {"median": float(np.median(delays)), "p90": float(np.percentile(delays, 90))}


def _per_label(truth, detections, matches):
    rows = {event.label: {"events": 0, "right": 0, "wrong": 0, "false": 0} for event in truth}
    for event in truth:
        rows[event.label]["events"] += 1
    for m, detection in zip(matches, detections, strict=True):
        if m.outcome in ("right", "wrong"):
            rows[truth[m.truth].label][m.outcome] += 1
        elif m.outcome == "false":
            rows.setdefault(detection.label, {"events": 0, "right": 0, "wrong": 0, "false": 0})["false"] += 1
    return [{"label": label, **counts} for label, counts in sorted(rows.items())]
