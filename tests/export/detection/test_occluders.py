"""Occluders hide an object for about as many frames as they are planned for; paths have the speed that is asked for."""

import numpy as np
import pytest

from tsm_edge_export.detection import occluders
from tsm_edge_export.detection.scenes_paths import SPEEDS, Path, moment_times, path

FRAMES, SIDE, SIZE = 24, 128, 30.0


def hidden_share(actor, index):
    """Return the share of a square at the middle of the frame that an occluder covers."""
    import cv2

    cover = cv2.warpAffine(actor.thing.layer[..., 3], actor.matrix(index), (SIDE, SIDE)) / 255
    first, last = round(SIDE / 2 - SIZE / 2), round(SIDE / 2 + SIZE / 2)
    return cover[first:last, first:last].mean()


def test_an_occluder_hides_a_resting_object_for_a_planned_time():
    time = moment_times(FRAMES)
    rest = Path(*(np.full_like(time, value) for value in (SIDE / 2, SIDE / 2, 1.0, 0.0)))
    lengths = []
    for seed in range(120):
        actor = occluders.passing(np.random.default_rng(seed), "train", rest, SIZE, SIDE, SIDE, FRAMES)
        assert actor.label == -1
        shares = np.array([hidden_share(actor, index) for index in range(FRAMES)])
        assert shares[0] < 0.5, "the object has to be seen before it is hidden"
        hidden = np.flatnonzero(shares >= 0.5)
        if len(hidden):
            assert np.ptp(hidden) + 1 - len(hidden) <= 2, "one run"
            lengths.append(len(hidden))
    limits = {"short": (1, 4), "middle": (5, 8), "long": (13, 24)}
    counts = {word: sum(a <= n <= b for n in lengths) for word, (a, b) in limits.items()}
    assert min(counts.values()) >= 12, counts


def test_a_post_stands_still():
    actor = occluders.post(np.random.default_rng(3), "train", SIDE, SIDE, FRAMES)
    assert np.array_equal(actor.matrix(0), actor.matrix(FRAMES - 1))


@pytest.mark.parametrize("speed", SPEEDS)
def test_paths_have_the_speed_that_is_asked_for(speed):
    least, most = SPEEDS[speed]
    means = []
    for seed in range(60):
        way = path(np.random.default_rng(seed), speed, SIZE, 0.0, SIDE, SIDE, FRAMES)
        assert all(values.shape == (FRAMES + 2,) and np.isfinite(values).all() for values in way)
        steps = np.hypot(np.diff(way.x), np.diff(way.y)) / SIZE
        assert steps.max() < 1.5 * most
        means.append(steps.mean())
        inside = (way.x > 0) & (way.x < SIDE) & (way.y > 0) & (way.y < SIDE)
        assert inside.any()
    assert 0.6 * least <= np.median(means) <= most


def test_a_path_between_two_frames_is_between_their_places():
    way = path(np.random.default_rng(1), "fast", SIZE, 0.2, SIDE, SIDE, FRAMES)
    assert way.at(3.0) == pytest.approx([values[4] for values in way])
    assert way.at(3.5) == pytest.approx([(values[4] + values[5]) / 2 for values in way])
    assert np.isfinite(way.at(-5)).all() and np.isfinite(way.at(99)).all()
