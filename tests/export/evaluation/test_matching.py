"""Matching detected events with true ones: by hand, and what must hold for any streams."""

from hypothesis import given
from hypothesis import strategies as st

from tsm_edge_export.evaluation.matching import Detection, Match, Truth, figures, match


def seen(label, start, shown=None):
    return Detection(label, start, start + 0.3, 0.9, start if shown is None else shown)


TRUTH = [Truth("a", 1.0, 2.0), Truth("b", 4.0, 5.0), Truth("a", 7.0, 8.0)]


def outcomes(detections, tolerance=1.0):
    return [(m.truth, m.outcome) for m in match(TRUTH, detections, tolerance)]


def test_a_detection_belongs_to_the_event_that_it_starts_in_or_soon_after():
    starts = (0.99, 1.0, 2.0, 3.0, 3.01)
    expected = [(None, "false"), (0, "right"), (0, "right"), (0, "right"), (None, "false")]
    assert [outcomes([seen("a", start)])[0] for start in starts] == expected
    assert outcomes([seen("a", 2.01)], tolerance=0.0) == [(None, "false")]


def test_another_label_is_wrong_not_false():
    assert outcomes([seen("b", 1.5)]) == [(0, "wrong")]


def test_the_right_label_is_the_events_detection_whenever_it_comes():
    assert outcomes([seen("b", 1.2), seen("a", 1.6)]) == [(None, "false"), (0, "right")]
    assert outcomes([seen("a", 1.2), seen("b", 1.6)]) == [(0, "right"), (None, "false")]


def test_the_same_label_again_is_a_fragment():
    assert outcomes([seen("a", 1.2), seen("a", 1.9), seen("a", 2.8)]) == [(0, "right"), *[(0, "fragment")] * 2]
    assert outcomes([seen("b", 1.2), seen("b", 1.9)]) == [(0, "wrong"), (0, "fragment")]


def test_in_the_tolerance_of_one_event_and_inside_the_next():
    near = [Truth("a", 1.0, 2.0), Truth("b", 2.5, 3.0)]
    found = match(near, [seen("a", 2.4), seen("a", 2.6)], 1.0)
    assert found == [Match(0, "right"), Match(1, "wrong")]


def test_figures_by_hand():
    detections = [seen("a", 0.5), seen("a", 1.5, shown=1.7), seen("a", 1.9), seen("b", 5.2, shown=5.4), seen("b", 7.5)]
    got = figures(TRUTH, detections, match(TRUTH, detections, 1.0), seconds=30.0)
    assert (got["events"], got["right"], got["wrong"], got["missed"]) == (3, 2, 1, 0)
    assert (got["false"], got["false_per_minute"], got["fragments"]) == (1, 2.0, 1)
    assert got["right_share"] == 2 / 3
    assert {key: round(value, 9) for key, value in got["delay_from_start"].items()} == {"median": 1.05, "p90": 1.33}
    assert {key: round(value, 9) for key, value in got["delay_from_end"].items()} == {"median": 0.05, "p90": 0.33}
    assert got["per_label"] == [
        {"label": "a", "events": 2, "right": 1, "wrong": 1, "false": 1},
        {"label": "b", "events": 1, "right": 1, "wrong": 0, "false": 0},
    ]


def test_figures_of_nothing():
    got = figures([], [], [], seconds=10.0)
    assert (got["events"], got["right_share"], got["delay_from_end"], got["false_per_minute"]) == (0, None, None, 0.0)
    assert figures(TRUTH, [], [], seconds=10.0)["missed"] == 3


@st.composite
def streams(draw):
    """True events that do not overlap, and any detections; times are tenths of seconds."""
    edges = sorted(draw(st.lists(st.integers(0, 300), unique=True, max_size=20)))
    truth = [Truth(draw(st.sampled_from("abc")), s / 10, e / 10) for s, e in zip(edges[::2], edges[1::2], strict=False)]
    starts = sorted(draw(st.lists(st.integers(0, 320), unique=True, max_size=30)))
    return truth, [seen(draw(st.sampled_from("abc")), start / 10) for start in starts]


@given(streams(), st.integers(0, 20))
def test_every_detection_and_every_event_counts_once(made, tenths):
    truth, detections = made
    found = match(truth, detections, tenths / 10)
    got = figures(truth, detections, found, 60.0)
    assert len(found) == len(detections)
    assert got["right"] + got["wrong"] + got["fragments"] + got["false"] == len(detections)
    assert got["right"] + got["wrong"] + got["missed"] == len(truth)
    taken = [m.truth for m in found if m.outcome in ("right", "wrong")]
    assert len(set(taken)) == len(taken)
    for m, detection in zip(found, detections, strict=True):
        assert (m.truth is None) == (m.outcome == "false")
        if m.outcome in ("right", "wrong"):
            assert (truth[m.truth].label == detection.label) == (m.outcome == "right")
        if m.truth is not None:
            assert truth[m.truth].start <= detection.start <= truth[m.truth].end + tenths / 10
    assert got["missed"] >= 0
    assert sum(row["events"] for row in got["per_label"]) == len(truth)


@given(streams())
def test_a_perfect_detector_is_right(made):
    truth, _ = made
    detections = [seen(event.label, event.start) for event in truth]
    got = figures(truth, detections, match(truth, detections, 1.0), 60.0)
    assert (got["right"], got["false"], got["missed"]) == (len(truth), 0, 0)
