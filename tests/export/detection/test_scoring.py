"""Groups, flicker, operating points, the bootstrap, and the difference of two detectors."""

import numpy as np
import pytest

from tests.export.detection import box_sets
from tests.export.detection.test_matching import truth
from tsm_edge_export.detection.bootstrap import difference, draws, estimate
from tsm_edge_export.detection.flicker import Flicker, of_track, total
from tsm_edge_export.detection.groups import (
    HARD,
    MOTION_GROUPS,
    SIZE_GROUPS,
    SLOW_AND_CLEAN,
    groups_in,
    members,
    motion,
    tag_group,
)
from tsm_edge_export.detection.matching import Predicted
from tsm_edge_export.detection.scoring import ClipResult, Scores, ap50, differences, figures

SIZE = (100, 200)


def moving(step, frames=30, start=0):
    """A box of 20 x 20 that moves by `step` pixels a frame."""
    return [truth((start + step * f, 10, start + 20 + step * f, 30)) for f in range(frames)]


def result(truths, found, name="clip"):
    return ClipResult(name, SIZE, truths, found)


def exactly(truth, score=0.9, off=0.0):
    """Find the true boxes, `off` pixels to the right."""
    boxes = truth.boxes + np.array([off, 0, off, 0], np.float32)
    return Predicted(boxes, np.full(len(boxes), score), truth.classes)


NOTHING = Predicted(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))


def test_motion_is_the_mean_overlap_with_frames_up_to_ten_away():
    """At one pixel a frame, the box k frames away overlaps by (20 - k) / (20 + k)."""
    values = motion(moving(1))
    expected = np.mean([(20 - k) / (20 + k) for k in range(1, 11)])
    assert values[15][0] == pytest.approx(expected) and values[0][0] == pytest.approx(expected)
    assert expected < 0.7
    names = [[g.name for g in MOTION_GROUPS if members(moving(s), SIZE).of(g, 15)[0]] for s in (0, 0.05, 0.4, 1)]
    assert names == [["slow"], ["slow"], ["medium"], ["fast"]]


def test_motion_is_unknown_without_a_track_or_a_second_frame():
    lost = [t._replace(tracks=np.array([-1])) for t in moving(0, 3)]
    single = [truth((0, 0, 5, 5)), truth()]
    assert all(np.isnan(value).all() for value in motion(lost) + motion(single))
    for truths in (lost, single):
        assert not any(group.kind == "motion" for group in groups_in([members(truths, SIZE)]))


def test_an_object_that_was_away_moves_by_the_frames_where_it_is():
    truths = moving(0, 40)
    truths[5:35] = [truth()] * 30
    assert motion(truths)[4][0] == 1.0


def test_sizes_are_shares_of_the_picture():
    """COCO's 32 and 96 pixels are 1/300 and 3/100 of a picture of 640 x 480."""
    sides = [(0, 0, s, s) for s in (31, 33, 95, 97)]
    of = members([truth(*sides)], (480, 640))
    assert [of.of(group, 0).tolist() for group in SIZE_GROUPS] == [
        [True, False, False, False],
        [False, True, True, False],
        [False, False, False, True],
    ]


def test_a_tag_counts_in_the_frames_that_show_it():
    """Frames without a dark box do not count for dark; in the others, boxes that are not dark are no errors."""
    dark, light = (0, 0, 20, 20), (50, 50, 70, 70)
    both = truth(dark, light)._replace(tags=(frozenset({"dark"}), frozenset()))
    plain = truth(light)
    wrong = Predicted(np.array([(150, 50, 170, 70)], np.float32), np.array([0.95]), np.array([0]))
    scores = Scores(["x"], [result([both, plain], [exactly(both), wrong])], 0.3)
    group = tag_group("dark")
    assert group in scores.groups and scores.boxes(group) == 1
    assert ap50(scores, group) == pytest.approx(1)
    assert ap50(scores) < 0.7
    noisy = Predicted(*(np.concatenate(parts) for parts in zip(exactly(both), wrong, strict=True)))
    assert ap50(Scores(["x"], [result([both, plain], [noisy, wrong])], 0.3), group) == pytest.approx(0.5)


def test_words_that_are_computed_are_no_tags():
    tags = frozenset({"fast", "small", "middle", "dark"})
    found = groups_in([members([t._replace(tags=(tags,)) for t in moving(0, 3)], SIZE)])
    assert [group.name for group in found if group.kind == "tag"] == ["dark"]


def test_groups_of_several_tags():
    every = {"slow", "clean", "fast", "dark", "occluded 1-4", "occluded 5-8"}
    boxes = [(0, 0, 20, 20)] * 4
    tags = tuple(map(frozenset, ({"slow", "clean"}, {"slow", "dark"}, {"clean", "fast"}, every)))
    of = members([truth(*boxes)._replace(tags=tags)], SIZE)
    assert of.of(SLOW_AND_CLEAN, 0).tolist() == [True, False, False, True]
    assert of.of(HARD, 0).tolist() == [False, True, True, True]
    assert {SLOW_AND_CLEAN, HARD} <= set(groups_in([of]))
    some = members([truth(*boxes[:3])._replace(tags=tags[:3])], SIZE)
    assert SLOW_AND_CLEAN in groups_in([some]) and HARD not in groups_in([some])


@pytest.mark.parametrize(
    ("matched", "dropouts"),
    [("", 0), ("1111", 0), ("0000", 0), ("0110", 0), ("1011", 1), ("1001", 1), ("10101", 2), ("0100100", 1)],
)
def test_dropouts_of_a_track(matched, dropouts):
    found = of_track(letter == "1" for letter in matched)
    assert found == Flicker(1, len(matched), matched.count("1"), dropouts)
    if matched:
        assert found.per_100_frames == 100 * dropouts / len(matched)
    assert total([found, found]).dropouts == 2 * dropouts
    assert total([]).per_100_frames is None


def test_flicker_of_a_detector():
    """Boxes below the threshold are not shown, and frames where the object is hidden do not count."""
    truths = moving(0, 8)
    truths[3] = truths[3]._replace(ignored=np.array([True]))
    found = [exactly(t) for t in truths]
    found[1] = exactly(truths[1], score=0.2)
    found[3] = NOTHING
    found[5] = exactly(truths[5], off=15)
    scores = Scores(["x"], [result(truths, found)], 0.3)
    assert scores.flicker() == Flicker(1, 7, 5, 2)
    assert [(error.frame, error.missed, error.false) for error in scores.errors() if error.missed or error.false] == [
        (1, 1, 0),
        (5, 1, 1),
    ]


def test_the_figures_of_a_perfect_and_of_a_blind_detector():
    clips = box_sets.clips(1, count=3, ignored=0.0)
    perfect = [clip._replace(found=[exactly(t) for t in clip.truths]) for clip in clips]
    blind = [clip._replace(found=[NOTHING] * len(clip.truths)) for clip in clips]
    good, bad = (figures(Scores("abc", found, 0.3), 50) for found in (perfect, blind))
    assert good["ap50"] == pytest.approx({"value": 1, "low": 1, "high": 1}) and bad["ap50"]["value"] == 0
    assert good["at_threshold"] == pytest.approx(
        {"threshold": 0.3, "recall": 1, "precision": 1, "false_per_frame": 0}, rel=1e-12
    )
    assert (bad["at_threshold"]["recall"], bad["at_threshold"]["precision"]) == (0, None)
    assert [at["recall"]["value"] for at in good["at_false_rates"]] == [1, 1, 1]
    assert (
        sum(row["boxes"] for row in good["per_class"])
        == good["boxes"]
        == sum(len(t.tracks) for clip in clips for t in clip.truths)
    )
    assert sum(g["boxes"] for g in good["groups"] if g["kind"] == "size") == good["boxes"]


def test_an_interval_covers_what_it_says():
    """The interval of a mean over clips is about 1.96 standard errors to either side."""
    values = np.random.default_rng(3).normal(5, 2, 80)
    found = estimate(lambda weights: float(weights @ values / weights.sum()), draws(80, 4000))
    error = values.std() / np.sqrt(80)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    assert estimate(lambda weights: 1.0, draws(1)).low is None
    assert estimate(lambda weights: np.nan, draws(5)).value is None


def test_a_paired_difference_is_narrower_than_two_intervals():
    """Both figures follow the clips, so the difference stays where each of them varies widely."""
    values = np.random.default_rng(4).normal(5, 2, 40)

    def mean(shift):
        return lambda weights: float(weights @ values / weights.sum()) + shift

    weights = draws(40)
    found, single = difference(mean(0.1), mean(0), weights), estimate(mean(0), weights)
    assert found.value == pytest.approx(0.1) and found.high - found.low < 1e-9 < single.high - single.low


def test_differences_of_two_detectors():
    clips = box_sets.clips(2, count=6, ignored=0.0)
    better = [clip._replace(found=[exactly(t) for t in clip.truths]) for clip in clips]
    first, second = Scores("abc", better, 0.3), Scores("abc", clips, 0.3)
    found, back = differences(first, second, 60), differences(second, first, 60)
    assert found["ap50"]["value"] == pytest.approx(ap50(first) - ap50(second))
    assert found["ap50"]["low"] > 0 and back["ap50"]["high"] < 0
    assert found["ap50"]["low"] == pytest.approx(-back["ap50"]["high"])
    assert all(group["ap50"]["value"] > 0 for group in found["groups"])
    same = differences(second, second, 20)
    assert same["ap50"] == same["recall"] == {"value": 0, "low": 0, "high": 0}
    with pytest.raises(ValueError, match="other clips"):
        differences(first, Scores("abc", clips[:5], 0.3), 10)
