"""The tracker: its rules on boxes by hand, and its figures on moving boxes beside those of ByteTrack."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.heads.moving_boxes import SCENES, SEEDS, Figures, boxes_of, scene
from tsm_edge.heads.motion import Motion
from tsm_edge.heads.tracking import Tracker, TrackOptions

# (identity switches, share of the true boxes that a tracked box covers), of supervision 0.25.1's ByteTrack on the same
# detections: python -m tests.device.heads.bytetrack_reference
BYTETRACK = {
    "misses and false boxes": (17, 0.6911),
    "twice the misses": (26, 0.4987),
    "many objects": (45, 0.6865),
    "twice the noise": (36, 0.6602),
    "few misses": (7, 0.9157),
}


def step(tracker, *found):
    """Give boxes as `boxes_of` takes them; returns their numbers, 0 for a candidate, None for no track."""
    return [None if track is None else track.number or 0 for track in tracker.update(*boxes_of(found))]


@pytest.mark.parametrize("name", sorted(SCENES))
def test_no_more_switches_and_no_less_coverage_than_bytetrack(name):
    figures = Figures()
    for seed in SEEDS:
        tracker = Tracker(TrackOptions(appear=2, vanish=30))
        figures.begin_clip()
        for truth, objects, boxes, scores, class_ids in scene(seed, **SCENES[name]):
            tracks = tracker.update(boxes, scores, class_ids)
            kept = [index for index, track in enumerate(tracks) if track is not None and track.number is not None]
            figures.add(truth, objects, boxes[kept], [tracks[index].number for index in kept])
    switches, covered = BYTETRACK[name]
    assert figures.switches <= switches and figures.covered / figures.total >= covered
    assert figures.false <= 0.01 * figures.total


def test_an_object_has_a_number_after_some_frames():
    tracker = Tracker(TrackOptions(appear=3))
    assert [step(tracker, (0, 0, 0.9)) for _ in range(4)] == [[0], [0], [1], [1]]
    tracker = Tracker(TrackOptions(appear=1))
    assert step(tracker, (0, 0, 0.9), (100, 0, 0.9)) == [1, 2]


def test_a_candidate_that_is_missed_is_dropped():
    tracker = Tracker(TrackOptions(appear=2))
    assert [step(tracker, (0, 0, 0.9)), step(tracker), step(tracker, (0, 0, 0.9))] == [[0], [], [0]]
    assert step(tracker, (0, 0, 0.9)) == [1]


def test_an_unsure_box_begins_no_track_but_continues_one():
    tracker = Tracker(TrackOptions(appear=1))
    assert step(tracker, (0, 0, 0.4)) == [None]
    assert step(tracker, (0, 0, 0.6)) == [1]
    assert step(tracker, (1, 0, 0.4)) == [1]
    assert step(tracker, (13, 0, 0.4)) == [None]  # too far for an unsure one
    assert step(tracker, (2, 0, 0.4)) == [None]  # nor for a track that was missed before
    assert step(tracker, (10, 0, 0.6)) == [1]  # but a sure one may be as far


@pytest.mark.parametrize("vanish", [1, 2, 5])
def test_a_track_ends_after_its_misses_and_its_number_is_never_given_again(vanish):
    for missed in range(vanish + 1):
        tracker = Tracker(TrackOptions(appear=1, vanish=vanish))
        step(tracker, (0, 0, 0.9))
        for _ in range(missed):
            step(tracker)
        assert step(tracker, (0, 0, 0.9)) == ([1] if missed < vanish else [2])
    tracker.reset()
    assert tracker.tracks == [] and step(tracker, (0, 0, 0.9)) == [3]


def test_classes_are_told_apart():
    tracker = Tracker(TrackOptions(appear=1))
    assert step(tracker, (0, 0, 0.9, 0), (0, 0, 0.9, 1)) == [1, 2]
    assert step(tracker, (0, 0, 0.9, 1), (0, 0, 0.9, 0)) == [2, 1]
    assert step(tracker, (0, 0, 0.9, 2)) == [3]


def test_two_objects_that_cross_keep_their_numbers():
    tracker = Tracker(TrackOptions(appear=1))
    for frame in range(41):
        numbers = step(tracker, (5 * frame, 0, 0.9), (200 - 5 * frame, 6, 0.9))
        assert numbers == [1, 2]


def test_a_moving_object_is_found_again_where_it_should_be():
    tracker = Tracker(TrackOptions(appear=1))
    for frame in range(20):
        step(tracker, (6 * frame, 0, 0.9))
    for _ in range(8):
        step(tracker)
    assert step(tracker, (6 * 28, 0, 0.9)) == [1]  # 54 pixels from where it was seen last, which its size is far below


def test_the_motion_of_a_box_by_hand():
    motion = Motion(np.array([0, 0, 20, 10]))
    assert motion.box == (0, 0, 20, 10)
    motion.predict(seen=True)
    assert motion.box == (0, 0, 20, 10)  # it begins at rest
    for frame in range(1, 60):
        motion.correct(np.array([frame * 3, frame, frame * 3 + 20, frame + 10]))
        motion.predict(seen=True)
    np.testing.assert_allclose(motion.box, (180, 60, 200, 70), atol=0.05)
    motion.predict(seen=False)
    np.testing.assert_allclose(motion.box, (183, 61, 203, 71), atol=0.1)


edges = st.tuples(*[st.floats(-1e4, 1e4, width=32)] * 4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.tuples(edges, st.floats(0, 1), st.integers(0, 2)), max_size=5), max_size=8))
def test_any_boxes_in_any_order(frames):
    tracker, ever = Tracker(TrackOptions(appear=1, vanish=2)), 0
    for frame in frames:
        boxes = np.array([box for box, _, _ in frame], np.float32).reshape(-1, 4)
        scores, class_ids = np.array([s for _, s, _ in frame]), np.array([c for _, _, c in frame], np.int64)
        tracks = tracker.update(boxes, scores, class_ids)
        assert len(tracks) == len(frame)
        given_out = [track for track in tracks if track is not None]
        assert len(set(given_out)) == len(given_out)
        for track, score, class_id in zip(tracks, scores, class_ids):
            assert track is not None or score < 0.5
            assert track is None or (track.class_id == class_id and track in tracker.tracks and track.misses == 0)
        numbers = [track.number for track in tracker.tracks]
        assert len(set(numbers)) == len(numbers)
        new = [number for number in numbers if number > ever]
        assert new == list(range(ever + 1, ever + 1 + len(new)))
        ever += len(new)
