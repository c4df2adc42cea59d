"""Sampling against values computed by hand from the published formulas, and what holds for every video."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsm_edge_export.training.sampling import eval_indices, train_indices

CASES = [  # kind, frames, n_segment, clips, span, the frames chosen
    ("uniform", 20, 8, 1, 64, [[1, 3, 6, 8, 11, 13, 16, 18]]),  # tick 2.5: int(1.25 + 2.5 x)
    ("uniform", 8, 8, 1, 64, [[0, 1, 2, 3, 4, 5, 6, 7]]),
    ("uniform", 5, 8, 1, 64, [[0, 0, 1, 2, 2, 3, 4, 4]]),  # tick 0.625
    ("uniform", 1, 3, 1, 64, [[0, 0, 0]]),
    ("uniform", 20, 8, 2, 64, [[1, 3, 6, 8, 11, 13, 16, 18], [0, 2, 5, 7, 10, 12, 15, 17]]),
    ("dense", 30, 8, 1, 64, [[0, 8, 16, 24, 2, 10, 18, 26]]),  # shorter than the span: round the end
    ("dense", 100, 8, 1, 64, [[18, 26, 34, 42, 50, 58, 66, 74]]),  # starts 0 to 36, the middle one
    ("dense", 100, 4, 3, 64, [[0, 16, 32, 48], [18, 34, 50, 66], [36, 52, 68, 84]]),
    ("dense", 20, 4, 1, 12, [[4, 7, 10, 13]]),
]


@pytest.mark.parametrize("kind, count, n_segment, clips, span, expected", CASES)
def test_eval_clips_by_hand(kind, count, n_segment, clips, span, expected):
    assert eval_indices(kind, count, n_segment, clips, span).tolist() == expected


def test_ten_dense_clips_start_evenly():
    starts = eval_indices("dense", 101, 8, 10)[:, 0]
    assert starts.tolist() == [0, 4, 8, 12, 16, 20, 24, 28, 32, 37]  # int(linspace(0, 37, 10))


class Extremes:
    """A generator that always draws the least, or the greatest, of what it may."""

    def __init__(self, greatest):
        self.greatest = greatest

    def integers(self, high, size=None):
        value = high - 1 if self.greatest else 0
        return value if size is None else np.full(size, value)


@pytest.mark.parametrize(
    "kind, count, n_segment, least, greatest",
    [
        ("uniform", 20, 8, [0, 2, 4, 6, 8, 10, 12, 14], [1, 3, 5, 7, 9, 11, 13, 15]),  # parts of 20 // 8 = 2
        ("uniform", 9, 3, [0, 3, 6], [2, 5, 8]),
        ("uniform", 8, 8, list(range(8)), list(range(8))),
        ("uniform", 7, 8, [0] * 8, [0] * 8),  # as published
        ("dense", 64, 8, list(range(0, 64, 8)), list(range(0, 64, 8))),
        ("dense", 65, 8, list(range(0, 64, 8)), list(range(0, 64, 8))),  # randint(0, 1): one start
        ("dense", 70, 8, list(range(0, 64, 8)), list(range(5, 69, 8))),
        ("dense", 10, 4, [0, 6, 2, 8], [0, 6, 2, 8]),
    ],
)
def test_the_range_of_random_clips_by_hand(kind, count, n_segment, least, greatest):
    assert train_indices(kind, count, n_segment, Extremes(False)).tolist() == least
    assert train_indices(kind, count, n_segment, Extremes(True)).tolist() == greatest


def test_only_one_or_two_uniform_clips():
    with pytest.raises(ValueError, match="1 or 2"):
        eval_indices("uniform", 20, 8, clips=3)


VIDEOS = {"count": st.integers(1, 400), "n_segment": st.integers(1, 64), "seed": st.integers(0, 2**32 - 1)}


@given(**VIDEOS)
def test_uniform_clips_run_forward_through_all_parts(count, n_segment, seed):
    chosen = train_indices("uniform", count, n_segment, np.random.default_rng(seed))
    assert chosen.shape == (n_segment,)
    assert (np.diff(chosen) >= 0).all()
    part = count // n_segment
    if part:
        assert (chosen // part == np.arange(n_segment)).all()
    middle = eval_indices("uniform", count, n_segment)[0]
    assert (np.diff(middle) >= 0).all()
    assert 0 <= middle[0] <= middle[-1] < count


@given(span=st.integers(64, 128), clips=st.integers(1, 12), **VIDEOS)
def test_dense_clips_step_evenly(count, n_segment, seed, span, clips):
    rows = [train_indices("dense", count, n_segment, np.random.default_rng(seed), span)]
    rows += list(eval_indices("dense", count, n_segment, clips, span))
    for row in rows:
        assert row.shape == (n_segment,)
        assert ((row >= 0) & (row < count)).all()
        assert (np.diff(row) % count == (span // n_segment) % count).all()
        assert count < span or row[-1] == row[0] + (n_segment - 1) * (span // n_segment)


@given(**VIDEOS)
def test_the_same_generator_draws_the_same_clip(count, n_segment, seed):
    first, second = (train_indices("uniform", count, n_segment, np.random.default_rng(seed)) for _ in range(2))
    assert (first == second).all()


@given(st.integers(1, 500), st.integers(1, 32), st.integers(0, 99))
def test_whole_clips_are_drawn_from_their_first_to_their_last_part(count, n_segment, seed):
    chosen = train_indices("whole", count, n_segment, np.random.default_rng(seed))
    assert chosen.shape == (n_segment,) and (np.diff(chosen) >= 0).all()
    edges = np.arange(n_segment + 1) * count / n_segment
    assert (chosen >= np.floor(edges[:-1])).all() and (chosen <= np.minimum(np.ceil(edges[1:]), count - 1)).all()
    np.testing.assert_array_equal(eval_indices("whole", count, n_segment), eval_indices("uniform", count, n_segment))


@given(st.integers(1, 500), st.integers(1, 32), st.floats(0, 3), st.integers(0, 99))
def test_a_margin_holds_the_ends_of_a_clip(count, n_segment, margin, seed):
    chosen = train_indices("whole", count, n_segment, np.random.default_rng(seed), margin=margin)
    assert chosen.shape == (n_segment,) and (np.diff(chosen) >= 0).all()
    assert chosen.min() >= 0 and chosen.max() < count


def test_how_long_a_margin_holds_the_ends():
    rng = np.random.default_rng(0)
    drawn = np.array([train_indices("whole", 100, 50, rng, margin=1.0) for _ in range(400)])
    held = (drawn == 0).mean(), (drawn == 99).mean()  # each in the mean 1/2 of 1 + 1/2 + 1/2 lengths, and one frame
    assert held == pytest.approx((0.25, 0.25), abs=0.03)


def test_whole_clips_reach_the_frames_that_uniform_ones_never_draw():
    rng = np.random.default_rng(0)
    drawn = {
        kind: {int(i) for _ in range(200) for i in train_indices(kind, 20, 8, rng)} for kind in ("uniform", "whole")
    }
    assert drawn["uniform"] == set(range(16)) and drawn["whole"] == set(range(20))
