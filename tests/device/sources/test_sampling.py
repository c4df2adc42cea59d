"""Sampling to a lower rate: even, without drift, by the time of the source."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsm_edge.records import Gap
from tsm_edge.sources.base import Source, Stamp
from tsm_edge.sources.sampling import sample

GAP = Gap("lost", 0.5)


class Times(Source):
    """Gives frames at the listed times; counts the pictures it had to make."""

    name = "times"

    def __init__(self, times, fps=None, gaps=()):
        self.times, self.fps, self.gaps = times, fps, gaps
        self.frame_count = len(times)
        self.index = -1
        self.made = 0
        self.closed = False

    def grab(self):
        self.index += 1
        if self.index >= len(self.times):
            return None
        return Stamp(self.index, self.times[self.index], (GAP,) * (self.index in self.gaps))

    def retrieve(self, into=None):
        self.made += 1
        return np.zeros((1, 1, 3), np.uint8)

    def close(self):
        self.closed = True


def steady(fps, count, milliseconds=False):
    times = [index / fps for index in range(count)]
    return Times([round(time, 3) for time in times] if milliseconds else times, fps)


def indices(source):
    return [frame.index for frame in source]


def test_no_rate_gives_the_source_itself():
    source = steady(30, 3)
    assert sample(source, None) is source


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_impossible_rates_are_refused(fps):
    with pytest.raises(ValueError, match="above 0"):
        sample(steady(30, 3), fps)


def test_30_at_12_gives_12_in_each_second():
    source = steady(30, 900)
    kept = indices(sample(source, 12))
    assert np.bincount(np.array(kept) // 30).tolist() == [12] * 30
    assert kept[:7] == [0, 3, 5, 8, 10, 13, 15]
    assert source.made == len(kept)  # the others were passed over without making their pixels


@pytest.mark.parametrize("rate", [30, 30.5, 60])
@pytest.mark.parametrize("milliseconds", [False, True])
def test_slower_source_passes_whole(rate, milliseconds):
    assert len(indices(sample(steady(30, 300, milliseconds), rate))) == 300


@settings(deadline=None, max_examples=200)
@given(
    fps=st.floats(1, 120),
    rate=st.floats(0.2, 200),
    seconds=st.floats(0.5, 20),
    milliseconds=st.booleans(),
)
def test_rate_holds_for_any_constant_rate(fps, rate, seconds, milliseconds):
    count = max(1, int(seconds * fps))
    kept = indices(sample(steady(fps, count, milliseconds), rate))
    assert kept[0] == 0
    assert kept == sorted(set(kept))
    expected = count * min(1.0, rate / fps)
    assert abs(len(kept) - expected) <= 1.5
    if rate < fps and len(kept) > 1:
        steps = np.diff(kept)
        # Even: consecutive strides differ by one frame, or two where a rounded time stamp shifts one of them.
        assert steps.max() - steps.min() <= 2
        assert steps.min() >= max(1, math.floor(fps / rate) - 1)


@settings(deadline=None, max_examples=200)
@given(fps=st.floats(0.5, 400), rate=st.floats(0.2, 500), count=st.integers(1, 400))
def test_the_number_of_frames_is_stated_exactly(fps, rate, count):
    """What a progress bar counts to."""
    thinned = sample(steady(fps, count), rate)
    assert len(indices(thinned)) == thinned.frame_count


@settings(deadline=None, max_examples=200)
@given(fps=st.floats(1, 120), faster=st.floats(1.0, 3.0), milliseconds=st.booleans())
def test_any_slower_source_passes_whole(fps, faster, milliseconds):
    assert len(indices(sample(steady(fps, 700, milliseconds), fps * faster))) == 700


def test_jittering_camera_keeps_the_rate():
    noise = np.random.RandomState(0).uniform(-0.004, 0.004, 3000)
    times = (np.arange(3000) / 30.0 + noise).tolist()
    for rate in (7.0, 12.0, 24.0, 29.0, 30.0, 31.0):
        assert abs(len(indices(sample(Times(times, 30), rate))) - 100 * min(rate, 30)) <= 1


def test_pause_is_not_caught_up():
    times = [index / 30 for index in range(30)] + [10 + index / 30 for index in range(30)]
    kept = indices(sample(Times(times, 30), 10))
    assert len([index for index in kept if index < 30]) == 10
    assert 10 <= len([index for index in kept if index >= 30]) <= 11


@settings(deadline=None, max_examples=200)
@given(steps=st.lists(st.floats(0.001, 2.0), min_size=1, max_size=200), rate=st.floats(0.5, 60))
def test_never_more_than_the_rate_whatever_the_times(steps, rate):
    times = np.cumsum([0.0] + steps).tolist()
    kept = indices(sample(Times(times), rate))
    for frames, index in enumerate(kept):
        assert frames <= (times[index] + 0.001) * rate + 1e-6


def test_repeatable():
    assert indices(sample(steady(29.97, 500), 7)) == indices(sample(steady(29.97, 500), 7))


def test_times_and_names_are_the_sources_own():
    source = steady(30, 60)
    thinned = sample(source, 10)
    assert (thinned.name, thinned.live, thinned.fps, thinned.frame_count) == ("times", False, 10, 20)
    assert [frame.time for frame in thinned] == [index / 30 for index in range(0, 60, 3)]
    thinned.close()
    assert source.closed


def test_gap_of_a_frame_passed_over_moves_to_the_next_one():
    source = Times([index / 30 for index in range(30)], 30, gaps=(4,))
    assert [(frame.index, frame.gap) for frame in sample(source, 10)][:4] == [
        (0, False),
        (3, False),
        (6, True),
        (9, False),
    ]


def test_grab_moves_on_by_one_sampled_frame():
    thinned = sample(steady(30, 30), 10)
    assert thinned.grab() == Stamp(0, 0.0)
    assert next(thinned).index == 3


def test_resets_and_corrupt_are_those_of_the_source():
    source = steady(30, 30)
    source.resets, source.corrupt = 2, 3
    thinned = sample(source, 10)
    assert (thinned.resets, thinned.corrupt) == (2, 3)
