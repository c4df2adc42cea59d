"""The tags of rendered boxes, computed a second time in a simple way."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsm_edge_export.detection import rendered
from tsm_edge_export.detection.scenes_tags import BEYOND_MEMORY, UNSEEN, Seen, occlusion_tags, tagged
from tsm_edge_export.detection.truth import Truth


def overlap(a, b):
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    common = max(0, wide) * max(0, high)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def test_motion_is_the_mean_overlap_with_the_own_boxes_up_to_ten_frames_away():
    seen = set()
    for clip in rendered.clips(12, 21, 64).clips:
        tracks = {}
        for index in range(clip.count):
            truth = clip.truth(index)
            for track, box, tags in zip(truth.tracks.tolist(), truth.boxes.tolist(), truth.tags, strict=True):
                tracks.setdefault(track, {})[index] = box, tags
        for of in tracks.values():
            for index, (box, tags) in of.items():
                near = [overlap(box, other) for at, (other, _) in of.items() if 0 < abs(at - index) <= 10]
                if not near:
                    continue
                mean = sum(near) / len(near)
                word = "slow" if mean > 0.9 else "fast" if mean < 0.7 else "medium"
                if min(abs(mean - 0.9), abs(mean - 0.7)) > 1e-4:
                    assert word in tags and not tags & ({"slow", "medium", "fast"} - {word})
                    seen.add(word)
    assert seen == {"slow", "medium", "fast"}


def truth_of(box):
    return Truth(np.array([box], np.float32), np.zeros(1, int), np.zeros(1, int), np.zeros(1, bool), (frozenset(),))


def tags_of(visible=1.0, blur=0.0, light=1.0, noise=2.0, box=(10, 10, 30, 30)):
    """Tags and `ignored` in the middle frame of three, of an object that rests."""
    seen = Seen(np.array([1, visible, 1.0]), np.array([0, blur, 0]), np.array([1, light, 1]), np.array([2, noise, 2.0]))
    truth = tagged([truth_of(box)] * 3, [seen], (100, 100))[1]
    return set(truth.tags[0]), bool(truth.ignored[0])


def test_conditions():
    assert tags_of() == ({"slow", "large", "clean"}, False)
    assert tags_of(light=0.3) == ({"slow", "large", "dark"}, False)
    assert tags_of(noise=6) == ({"slow", "large", "noisy"}, False)
    assert tags_of(blur=2.1) == ({"slow", "large", "blurred"}, False) and "blurred" not in tags_of(blur=1.9)[0]
    assert tags_of(visible=0.5) == ({"slow", "large", "occluded 1-4"}, False)
    assert tags_of(visible=0.51) == ({"slow", "large", "clean"}, False)
    assert tags_of(visible=0.02) == ({"slow", "large", "occluded 1-4"}, True)
    assert tags_of(light=0.1, noise=9) == ({"slow", "large", "dark", "noisy"}, False)


@pytest.mark.parametrize("side, word", [(5.7, "small"), (5.8, "middle"), (17.3, "middle"), (17.4, "large")])
def test_sizes_are_those_of_the_evaluation(side, word):
    assert word in tags_of(box=(10, 10, 10 + side, 10 + side))[0]


def test_occlusions():
    runs = [(5, 2), (5, 6), (5, 10), (5, 15)]
    occluded = list(itertools.chain.from_iterable([False] * free + [True] * hidden for free, hidden in runs))
    tags = occlusion_tags(occluded)
    assert tags[:5] == [()] * 5 and tags[5:7] == [("occluded 1-4",)] * 2
    assert tags[12:18] == [("occluded 5-8",)] * 6 and tags[23:33] == [("occluded 9-12",)] * 10
    assert tags[38:50] == [("occluded 13+",)] * 12 and tags[50:] == [("occluded 13+", BEYOND_MEMORY)] * 3


def test_an_object_that_was_never_seen_has_a_tag_of_its_own():
    assert occlusion_tags([True] * 14 + [False]) == [(UNSEEN,)] * 14 + [()]


@given(st.lists(st.booleans(), max_size=60))
@settings(max_examples=60, deadline=None)
def test_occlusion_tags_follow_the_length_of_the_run(occluded):
    tags, place = occlusion_tags(occluded), 0
    assert len(tags) == len(occluded)
    for hidden, run in itertools.groupby(occluded):
        length = len(list(run))
        for of in tags[place : place + length]:
            assert bool(of) == hidden
            if hidden and place:
                limits = of[0].replace("occluded ", "").replace("13+", "13-999").split("-")
                assert int(limits[0]) <= length <= int(limits[1])
        place += length
