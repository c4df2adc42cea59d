"""Windows of streams: which label each of their frames has."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsm_edge.errors import InputError
from tsm_edge_export.synthetic import LABELS, NO_GESTURE, Stream, windows
from tsm_edge_export.synthetic import stream as stream_module
from tsm_edge_export.synthetic.labels import UNLABELLED

SIZE = (32, 32)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 50), st.integers(0, 160))
def test_frames_have_the_label_that_can_be_known_by_then(seed, first):
    stream = Stream(seed, 12.0, size=SIZE)
    labels = stream_module.frame_labels(stream, first, range(16))
    for index, label in enumerate(labels):
        time = (first + index + 0.5) / stream.fps
        near = [event for event in stream.events if event.start <= time <= event.end + 0.35]
        if not near:
            assert label == NO_GESTURE
            continue
        length = near[0].end - near[0].start
        seen = first / stream.fps <= near[0].start + 0.25 * length
        known = seen and time >= near[0].start + 0.5 * length
        assert label == (LABELS.index(near[0].label) if known else UNLABELLED)


def test_a_list_of_windows_is_reproducible_and_holds_every_label():
    ours, again = (windows("train", 120, 3, 8, 7.5, SIZE) for _ in range(2))
    assert [w.name for w in ours] == [w.name for w in again] and len({w.name for w in ours}) == 120
    assert {w.label for w in ours} == set(range(len(LABELS)))
    assert ours[0].count == 16
    assert 50 < sum(w.label != NO_GESTURE for w in ours) < 80
    np.testing.assert_array_equal(ours[5].read([0, 9]), again[5].read([0, 9]))
    np.testing.assert_array_equal(ours[5].frame_labels([0, 9]), again[5].frame_labels([0, 9]))


@pytest.mark.parametrize("fps", [15.0, 5.0, 3.75])
def test_frames_stand_apart_as_the_rate_says(fps):
    assert windows("train", 1, 0, 4, fps, SIZE)[0].count == 4 * 15 / fps


@pytest.mark.parametrize("n_segment, fps", [(8, 7.0), (8, 30.0), (8, 0.5), (200, 15.0)])
def test_impossible_windows_are_refused(n_segment, fps):
    with pytest.raises(InputError):
        windows("train", 1, 0, n_segment, fps, SIZE)


def test_a_window_reads_as_a_clip():
    window = windows("train", 3, 1, 8, 7.5, SIZE)[2]
    stream, first = stream_module._placed(window.seed, "train", SIZE, window.count)
    assert window.name.startswith("synthetic/train/window/")
    assert np.array_equal(window.read([7, 0]), stream.read([first + 7, first]))
    for index in (-1, window.count):
        with pytest.raises(IndexError):
            window.read([index])


def test_short_windows_are_found():
    """Half a second fits none of the gestures in the stream of the fifth window."""
    assert all(0 <= window.label < len(LABELS) for window in windows("train", 10, 0, 4, 7.5, SIZE))
