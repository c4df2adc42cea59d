"""Random colours: one choice for all frames, within what the strength allows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tsm_edge_export.training.colour import random_colour


def pictures(seed, count=3):
    return np.random.default_rng(seed).integers(0, 256, (count, 12, 10, 3), np.uint8)


@given(st.integers(0, 2**32 - 1))
def test_no_strength_changes_nothing(seed):
    frames = pictures(seed)
    np.testing.assert_array_equal(random_colour(frames, 0.0, np.random.default_rng(seed)), frames)


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.99))
def test_a_colour_is_one_rising_table_for_all_frames(seed, strength):
    frames = pictures(seed)
    made = random_colour(frames, strength, np.random.default_rng(seed))
    assert (made.shape, made.dtype) == (frames.shape, np.uint8)
    for channel in range(3):
        before, after = frames[..., channel].ravel(), made[..., channel].ravel()
        order = np.argsort(before, kind="stable")
        assert (np.diff(after[order].astype(int)) >= 0).all()
        assert all(len(set(after[before == level])) == 1 for level in set(before))


def test_colours_differ_from_clip_to_clip():
    frames = pictures(0)
    means = [random_colour(frames, 0.3, np.random.default_rng(seed)).mean() for seed in range(100)]
    assert max(means) - min(means) > 60
    assert 0.8 < np.mean(means) / frames.mean() < 1.2
