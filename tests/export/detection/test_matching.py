"""Which found box is which true box: the order, ties, and boxes that do not count."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.detection import box_sets
from tsm_edge.heads.boxes import iou
from tsm_edge_export.detection.matching import THRESHOLDS, Predicted, match_frame, overlaps
from tsm_edge_export.detection.truth import Truth

BOX = (10, 10, 30, 30)


def predicted(*boxes, scores=None, classes=None):
    scores = np.linspace(0.9, 0.5, len(boxes)) if scores is None else np.array(scores)
    classes = np.zeros(len(boxes), int) if classes is None else np.array(classes)
    return Predicted(np.array(boxes, np.float32).reshape(-1, 4), scores, classes)


def truth(*boxes, ignored=None, classes=None):
    count = len(boxes)
    return Truth(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.zeros(count, np.int64) if classes is None else np.array(classes),
        np.arange(count),
        np.zeros(count, bool) if ignored is None else np.array(ignored),
        (frozenset(),) * count,
    )


def test_the_best_score_goes_first():
    """The second box lies better, but the first one has the higher score and takes the truth."""
    match = match_frame(predicted((12, 10, 32, 30), BOX), truth(BOX), 0)
    assert match.found.tolist() == [0, 1] and match.truth[0].tolist() == [0, -1]
    assert match.truth[-1].tolist() == [-1, 0]  # at 0.95 the first lies too far off


def test_a_threshold_is_reached_by_an_equal_overlap():
    match = match_frame(predicted((10, 10, 30, 20)), truth(BOX), 0)
    assert match.truth[:, 0].tolist() == [0] + [-1] * 9


def test_other_classes_do_not_match():
    match = match_frame(predicted(BOX, BOX, classes=[1, 0]), truth(BOX, classes=[1]), 0)
    assert match.found.tolist() == [1] and match.truth[0].tolist() == [-1]


def test_a_crowd_takes_any_number_of_boxes_that_lie_in_it():
    found = predicted((0, 0, 10, 10), (20, 20, 30, 30), (90, 90, 110, 110))
    match = match_frame(found, truth((0, 0, 100, 100), ignored=[True]), 0)
    assert match.truth[0].tolist() == [0, 0, -1] and match.ignored[0].tolist() == [True, True, False]


def test_a_box_outside_of_the_group_is_taken_once():
    found, true = predicted(BOX, BOX), truth(BOX)
    match = match_frame(found, true, 0, np.array([True]))
    assert match.truth[0].tolist() == [0, -1] and match.ignored[0].tolist() == [True, False]


def test_a_box_that_counts_goes_before_one_that_does_not():
    true = truth(BOX, (12, 10, 32, 30))
    match = match_frame(predicted(BOX), true, 0, np.array([True, False]))
    assert match.truth[0].tolist() == [1] and not match.ignored[0].any()


def test_the_hundred_best_boxes_count():
    found = predicted(*[BOX] * 150, scores=np.arange(150) / 150)
    match = match_frame(found, truth(BOX), 0)
    assert match.found.tolist() == list(range(149, 49, -1))


def test_nothing_found_or_nothing_true():
    assert match_frame(predicted(), truth(BOX), 0).truth.shape == (10, 0)
    assert match_frame(predicted(BOX), truth(), 0).truth.tolist() == [[-1]] * 10


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_what_holds_for_any_boxes(seed, whole, grouped):
    rng = np.random.default_rng(seed)
    clip = box_sets.clip(rng, "clip", 1, 2, 8, whole, 0.3)
    found, true = clip.found[0], clip.truths[0]
    outside = rng.random(len(true.tracks)) < 0.4 if grouped else None
    for class_id in (0, 1):
        match = match_frame(found, true, class_id, outside)
        scores = found.scores[match.found]
        assert (np.diff(scores) <= 0).all()
        assert sorted(match.found.tolist()) == np.flatnonzero(found.classes == class_id).tolist()
        for level, threshold in enumerate(THRESHOLDS):
            pairs = [(int(f), int(t)) for f, t in zip(match.found, match.truth[level], strict=True) if t >= 0]
            taken = [t for _, t in pairs if not true.ignored[t]]
            assert len(set(taken)) == len(taken)
            for f, t in pairs:
                assert true.classes[t] == class_id
                table = overlaps(found.boxes[[f]], true.boxes[[t]], true.ignored[[t]])
                assert table[0, 0] >= threshold - 1e-9
            # A true box that is free and counts leaves no found box beside it that overlaps it enough.
            free = set(np.flatnonzero((true.classes == class_id) & ~true.ignored).tolist()) - set(taken)
            free -= set() if outside is None else set(np.flatnonzero(outside).tolist())
            unmatched = match.found[match.truth[level] < 0]
            if free and len(unmatched):
                assert iou(found.boxes[unmatched], true.boxes[sorted(free)]).max() < threshold


def test_overlaps_of_boxes_and_crowds():
    found, true = np.array([[0, 0, 10, 10]], np.float32), np.array([[0, 0, 10, 20], [5, 0, 105, 100]], np.float32)
    values = overlaps(found, true, np.array([False, True]))
    assert values.tolist() == [[0.5, 0.5]]
    assert overlaps(found, true, np.array([False, False]))[0, 1] < 0.01
