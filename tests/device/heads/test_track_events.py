"""The events of tracks: told late, ended late, and updated where something changes."""

import pytest

from tests.device.heads.moving_boxes import boxes_of
from tests.device.heads.test_classification import frame_at
from tsm_edge.heads.track_events import TrackEvents
from tsm_edge.heads.tracking import Tracker, TrackOptions


def play(script, appear=2, vanish=4, x=0):
    """Feed one character a second: a digit is a box of that confidence in tenths, "-" none. Returns what was told."""
    tracker, events, told = Tracker(TrackOptions(begin=0.5, appear=appear, vanish=vanish)), None, []
    events = TrackEvents(("ball", "cup"), vanish)
    for time, letter in enumerate(script):
        found = [] if letter == "-" else [(x, 0, int(letter) / 10)]
        boxes, scores, class_ids = boxes_of(found)
        tracks = tracker.update(boxes, scores, class_ids)
        pairs = {track: float(score) for track, score in zip(tracks, scores) if track is not None}
        told += [(time, event) for event in events.update(tracker.tracks, pairs, frame_at(time))]
    return told, events


def short(told):
    return [
        (time, event.type, event.start, event.end, round(event.confidence, 3), event.leading) for time, event in told
    ]


@pytest.mark.parametrize(
    "script, expected",
    [
        ("-9", []),
        ("-9-9-9", []),  # never twice in a row
        ("-59", [(2, "new", 1, 2, 0.9, True)]),
        ("-555-555", [(2, "new", 1, 2, 0.5, True)]),  # a miss shorter than half of `vanish` changes nothing
        ("-55--5", [(2, "new", 1, 2, 0.5, True), (4, "update", 1, 2, 0.5, False), (5, "update", 1, 5, 0.5, True)]),
        ("-55----5", [(2, "new", 1, 2, 0.5, True), (4, "update", 1, 2, 0.5, False), (6, "end", 1, 2, 0.5, False)]),
        (
            "55575579",  # told where it rose by a tenth since it was told last
            [(1, "new", 0, 1, 0.5, True), (3, "update", 0, 3, 0.7, True), (7, "update", 0, 7, 0.9, True)],
        ),
        ("9955", [(1, "new", 0, 1, 0.9, True)]),  # the confidence is the highest
    ],
)
def test_what_is_told(script, expected):
    told, _ = play(script)
    assert short(told) == expected


def test_with_one_frame_each():
    told, events = play("9-9", appear=1, vanish=1)
    assert short(told) == [
        (0, "new", 0, 0, 0.9, True),
        (1, "end", 0, 0, 0.9, True),
        (2, "new", 2, 2, 0.9, True),
    ]
    ended = events.reset()
    assert [(event.type, event.start, event.end) for event in ended] == [("end", 2, 2)]
    assert events.reset() == []


def test_an_id_belongs_to_one_track_and_ends_with_its_number():
    told, _ = play("9999----9999", appear=1, vanish=2)
    new = [event.id for _, event in told if event.type == "new"]
    assert len(set(new)) == 2 and [name.rsplit("-", 1)[1] for name in new] == ["1", "2"]
    assert all(name.startswith("door-") for name in new)
    ends = [event for _, event in told if event.type == "end"]
    assert ends[0].id == new[0] and ends[0].label == "ball" and ends[0].wall_time == 1.5e9 + 5


def test_a_candidate_has_no_end():
    _, events = play("9", appear=2)
    assert events.reset() == []
