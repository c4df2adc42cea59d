"""Rendered clips with boxes: the same bits whatever is read, and everything that the benchmark names occurs."""

import collections
import pickle
import subprocess
import sys

import numpy as np
import pytest

from tsm_edge.errors import InputError
from tsm_edge_export.detection import lookalikes, rendered
from tsm_edge_export.detection.scenes_tags import TAGS

SIZE = 64


def fresh(clip, indices):
    rendered._cached_scene.cache_clear()
    return clip.read(indices)


def test_clips_are_what_the_protocol_says():
    data = rendered.clips(3, 0, SIZE, frames=5)
    assert data.labels == ("open hand", "fist", "pointing hand", "face") and data.broken == ()
    for clip in data.clips:
        assert (clip.count, clip.size, clip.fps) == (5, (SIZE, SIZE), 15.0)
        frames = clip.read([4, 0])
        assert frames.shape == (2, SIZE, SIZE, 3) and frames.dtype == np.uint8
        for index in range(5):
            truth = clip.truth(index)
            count = len(truth.classes)
            assert truth.boxes.shape == (count, 4) and truth.boxes.dtype == np.float32
            assert truth.classes.dtype == truth.tracks.dtype == np.int64 and truth.ignored.dtype == bool
            assert len(truth.ignored) == len(truth.tags) == len(truth.tracks) == count
            assert len(set(truth.tracks.tolist())) == count
            assert (truth.boxes[:, :2] < truth.boxes[:, 2:]).all()
            assert (truth.boxes >= 0).all() and (truth.boxes <= SIZE).all()
            assert all(isinstance(tags, frozenset) for tags in truth.tags)


def test_frames_and_boxes_do_not_depend_on_what_was_read_before():
    clip = rendered.clips(3, 5, SIZE, frames=12).clips[2]
    whole, truths = fresh(clip, range(12)), [clip.truth(index) for index in range(12)]
    order = np.random.default_rng(0).permutation(12)
    assert np.array_equal(fresh(clip, order), whole[order])
    copy = pickle.loads(pickle.dumps(clip))
    rendered._cached_scene.cache_clear()
    assert np.array_equal(copy.truth(7).boxes, truths[7].boxes) and copy.truth(7).tags == truths[7].tags
    assert np.array_equal(copy.read([7, 3]), whole[[7, 3]])


def test_another_process_renders_the_same_bits():
    code = (
        "import zlib; from tsm_edge_export.detection import rendered;"
        "print(*[zlib.crc32(c.read(range(0, 8, 3)).tobytes() + c.truth(2).boxes.tobytes())"
        " for c in rendered.clips(4, 9, 64, 8, 'test').clips])"
    )
    runs = [subprocess.check_output([sys.executable, "-c", code], text=True) for _ in range(2)]
    assert runs[0] == runs[1] and len(set(runs[0].split())) == 4


def test_a_shorter_set_is_the_start_of_a_longer_one_and_seeds_and_splits_share_no_clip():
    def names(count, seed, split="train"):
        return [clip.name for clip in rendered.clips(count, seed, SIZE, split=split).clips]

    assert names(5, 3) == names(9, 3)[:5]
    sets = [names(40, 3), names(40, 4), names(40, 3, "validation"), names(40, 3, "test")]
    assert len({name for of in sets for name in of}) == 160
    seeds = [{clip.seed for clip in rendered.clips(40, 3, SIZE, split=split).clips} for split in ("train", "test")]
    assert not seeds[0] & seeds[1]


@pytest.mark.parametrize("bad", [{"count": 0}, {"seed": -1}, {"size": 16}, {"frames": 0}, {"split": "tests"}])
def test_arguments_outside_their_range_are_named(bad):
    with pytest.raises(InputError, match=str(next(iter(bad.values())))):
        rendered.clips(**{"count": 1, "seed": 0, **bad})


@pytest.mark.parametrize("index", [-1, 6])
def test_there_is_nothing_beyond_a_clip(index):
    clip = rendered.clips(1, 0, SIZE, frames=6).clips[0]
    with pytest.raises(IndexError):
        clip.read([index])
    with pytest.raises(IndexError):
        clip.truth(index)


def test_a_clip_may_be_of_one_frame_and_no_square():
    clip = rendered.RenderedClip(3, "train", (48, 80), 1)
    assert clip.read([0]).shape == (1, 48, 80, 3)
    assert (clip.truth(0).boxes <= (80, 48, 80, 48)).all()


@pytest.fixture(scope="module")
def census():
    """What 200 clips hold: Counters of the boxes of each label and tag, of the kinds of things, of boxes a frame."""
    labels, tags, kinds, counts = (collections.Counter() for _ in range(4))
    for clip in rendered.clips(200, 1, SIZE).clips:
        kinds.update(actor.kind for actor in clip.scene().actors)
        for index in range(clip.count):
            truth = clip.truth(index)
            counts[len(truth.classes)] += 1
            labels.update(truth.classes[~truth.ignored].tolist())
            for of, ignored in zip(truth.tags, truth.ignored, strict=True):
                tags.update(() if ignored else of)
                counts["ignored"] += ignored
    return labels, tags, kinds, counts


def test_every_label_and_tag_occurs_in_two_hundred_clips(census):
    labels, tags, _, counts = census
    total = sum(labels.values())
    assert set(labels) == {0, 1, 2, 3} and min(labels.values()) > 0.15 * total
    assert set(tags) == set(TAGS)
    shares = {tag: count / total for tag, count in tags.items()}
    for tags_of_one_kind in (("slow", "medium", "fast"), ("small", "middle", "large")):
        assert sum(shares[tag] for tag in tags_of_one_kind) == pytest.approx(1)
    assert min(shares[tag] for tag in ("slow", "medium", "fast")) > 0.2
    assert min(shares["middle"], shares["large"]) > 0.2 and shares["small"] > 0.003
    assert min(shares["dark"], shares["noisy"], shares["blurred"]) > 0.08 and 0.35 < shares["clean"] < 0.7
    assert min(shares["occluded 1-4"], shares["occluded 5-8"], shares["occluded 13+"]) > 0.012
    assert {0, 1, 2, 3, 4} <= set(counts) and max(key for key in counts if key != "ignored") == 4
    assert 0.005 < counts["ignored"] / total < 0.1


def test_every_lookalike_and_occluder_occurs(census):
    kinds = census[2]
    assert set(lookalikes.KINDS) | {"bar", "board", "fence", "leaves", "cushion", "post"} <= set(kinds)


def test_lookalikes_and_occluders_have_no_box():
    found = 0
    for clip in rendered.clips(30, 2, SIZE, frames=4).clips:
        actors = clip.scene().actors
        boxed = [actor for actor in actors if actor.kind in clip_labels()]
        others = [actor for actor in actors if actor.kind not in clip_labels()]
        assert [actor.label for actor in boxed] == [clip_labels().index(actor.kind) for actor in boxed]
        assert all(actor.label == -1 for actor in others)
        found += len(others)
        for index in range(clip.count):
            truth = clip.truth(index)
            assert truth.classes.tolist() == [boxed[track].label for track in truth.tracks]
    assert found > 20


def clip_labels():
    return rendered.LABELS
