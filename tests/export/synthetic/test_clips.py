"""Clips of synthetic gestures: what is true of them by construction is true of their pixels."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsm_edge.errors import InputError
from tsm_edge_export import synthetic
from tsm_edge_export.synthetic import clip as clip_module
from tsm_edge_export.synthetic import looks, rooms
from tsm_edge_export.synthetic.furniture import KINDS
from tsm_edge_export.synthetic.seeds import split_range

SMALL = 48, 64
PAIRS = [(a, b) for a, b in synthetic.ORDER_PAIRS]


def frames(clip, indices=None):
    return clip.read(range(clip.count) if indices is None else indices)


def test_labels_are_twelve_and_closed_under_flips_and_pairs():
    assert len(synthetic.LABELS) == len(set(synthetic.LABELS)) == 12
    assert set(synthetic.FLIPS) == set(synthetic.LABELS)
    assert all(synthetic.FLIPS[synthetic.FLIPS[label]] == label for label in synthetic.LABELS)
    paired = [label for pair in synthetic.ORDER_PAIRS for label in pair]
    assert sorted(paired + ["stop", "no gesture"]) == sorted(synthetic.LABELS)


@pytest.mark.parametrize("label", synthetic.LABELS)
@pytest.mark.parametrize("size", [SMALL, (64, 48), (96, 96)])
def test_frames_are_well_formed(label, size):
    clip = synthetic.SyntheticClip(5, label, "train", size)
    pixels = frames(clip, [0, clip.count // 2, clip.count - 1])
    assert pixels.shape == (3, *size, 3) and pixels.dtype == np.uint8
    assert all(picture.std() > 3 for picture in pixels), "a blank picture"
    assert "synthetic" in clip.name and clip.label == synthetic.LABELS.index(label)
    seconds = clip.count / clip.fps
    if label == "no gesture":
        assert clip.events == []
    else:
        (event,) = clip.events
        assert event.label == label and 0 <= event.start < event.end <= seconds
        assert (event.end - event.start) / seconds > 0.5, "more lead than gesture"


@pytest.mark.parametrize("forward, backward", PAIRS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_pair_shows_the_same_frames_in_opposite_order(forward, backward, seed):
    first = synthetic.SyntheticClip(seed, forward, "train", SMALL)
    second = synthetic.SyntheticClip(seed, backward, "train", SMALL)
    assert first.count == second.count
    assert np.array_equal(frames(first)[::-1], frames(second))
    assert not np.array_equal(frames(first), frames(second))
    seconds = first.count / first.fps
    assert first.events[0].start == pytest.approx(seconds - second.events[0].end)


@pytest.mark.parametrize("label", synthetic.LABELS)
@pytest.mark.parametrize("mirror", [False, True])
def test_a_mirrored_clip_is_a_clip_of_the_flipped_label(label, mirror):
    clip = synthetic.SyntheticClip(7, label, "train", SMALL, mirror=mirror)
    other = synthetic.SyntheticClip(7, synthetic.FLIPS[label], "train", SMALL, mirror=not mirror)
    assert np.array_equal(frames(clip)[:, :, ::-1], frames(other))


@pytest.mark.parametrize("pair", PAIRS)
def test_seeds_choose_mirrors_alike_for_both_of_a_pair(pair):
    mirrors = [[synthetic.SyntheticClip(seed, label, "train", SMALL).mirror for seed in range(40)] for label in pair]
    assert mirrors[0] == mirrors[1] and 8 < sum(mirrors[0]) < 32


@pytest.mark.parametrize("label", ["swipe left", "zoom out", "no gesture"])
def test_frames_do_not_depend_on_what_was_read_before(label):
    clip = synthetic.SyntheticClip(11, label, "validation", SMALL)
    clip_module.cached_scene.cache_clear()
    whole = frames(clip)
    order = np.random.default_rng(0).permutation(clip.count)
    clip_module.cached_scene.cache_clear()
    assert np.array_equal(frames(clip, order), whole[order])
    clip_module.cached_scene.cache_clear()
    copy = pickle.loads(pickle.dumps(clip))
    assert np.array_equal(frames(copy, [clip.count // 2, 0]), whole[[clip.count // 2, 0]])


def test_another_process_renders_the_same_bits():
    code = (
        "import zlib; from tsm_edge_export import synthetic;"
        "print(*[zlib.crc32(c.read(range(0, c.count, 5)).tobytes()) for c in synthetic.clips('test', 4, 9, (48, 64))])"
    )
    runs = [subprocess.check_output([sys.executable, "-c", code], text=True) for _ in range(2)]
    assert runs[0] == runs[1] and len(set(runs[0].split())) == 4


def test_clips_are_balanced_and_reproducible():
    made = synthetic.clips("train", 36, 3, SMALL)
    assert np.bincount([clip.label for clip in made]).tolist() == [3] * 12
    assert len({clip.seed for clip in made}) == 36
    again = synthetic.clips("train", 24, 3, SMALL)
    assert [clip.name for clip in again] == [clip.name for clip in made[:24]]
    assert not {c.seed for c in synthetic.clips("train", 36, 4, SMALL)} & {c.seed for c in made}


def test_splits_share_no_seed_room_hand_tone_or_thing():
    splits = synthetic.SPLITS
    seeds = [{clip.seed for clip in synthetic.clips(split, 60, 0, SMALL)} for split in splits]
    for per_split in (
        seeds,
        [set(split_range(split, rooms.ROOM_COUNTS)) for split in splits],
        [set(split_range(split, looks.HAND_COUNTS)) for split in splits],
        [set(looks.items_of(split, looks._SKIN + looks._GLOVES)) for split in splits],
        [set(looks.items_of(split, range(looks.SECTORS))) for split in splits],
        [set(rooms.WALLS[split]) for split in splits],
        [set(KINDS[split]) for split in splits],
    ):
        assert all(per_split)
        assert sum(len(part) for part in per_split) == len(set().union(*per_split))


def test_scenes_use_the_rooms_and_hands_of_their_split():
    for split in synthetic.SPLITS:
        for clip in synthetic.clips(split, 24, 1, SMALL):
            scene = clip_module.cached_scene(split, clip.seed, *clip.size)
            assert scene.room_number in split_range(split, rooms.ROOM_COUNTS)
            assert scene.look.number in split_range(split, looks.HAND_COUNTS)


def test_one_seed_shows_other_things_in_each_split():
    pictures = [synthetic.SyntheticClip(1, "stop", split, SMALL).read([3]) for split in synthetic.SPLITS]
    assert not np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[1], pictures[2])


@pytest.mark.parametrize("fps", [8, 30])
def test_the_frame_rate_changes_the_count_and_not_the_gesture(fps):
    usual = synthetic.SyntheticClip(2, "push", "train", SMALL, fps=15)
    clip = synthetic.SyntheticClip(2, "push", "train", SMALL, fps=fps)
    assert clip.count == pytest.approx(usual.count * fps / 15, abs=1.5)
    assert clip.events[0].start == pytest.approx(usual.events[0].start, abs=1e-9)


def centroid(clip, index):
    """Where a frame differs from one without a hand: x, y in pixels, and how many pixels."""
    scene = clip_module.cached_scene(clip.split, clip.seed, *clip.size)
    key = clip.count - 1 - index if clip.playback.backward else index
    time = clip.start_seconds + (key + 0.5) / clip.fps
    empty = scene.render(None, time, 1 / clip.fps, key)
    empty = empty[:, ::-1] if clip.mirror else empty
    changed = np.abs(clip.read([index])[0].astype(int) - empty).max(axis=2) > 40
    changed[int(clip.size[0] * 0.9) :] = False  # the forearm
    y, x = np.nonzero(changed)
    return x.mean(), y.mean(), len(x)


@pytest.mark.parametrize("label", ["swipe left", "swipe right", "swipe up", "swipe down", "push", "pull"])
def test_rendered_motion_is_what_the_label_says(label):
    """The directions of the labels are those of the picture, measured in its pixels."""
    judge = {
        "swipe left": lambda a, b: b[0] < a[0] - 8,
        "swipe right": lambda a, b: b[0] > a[0] + 8,
        "swipe up": lambda a, b: b[1] < a[1] - 4,
        "swipe down": lambda a, b: b[1] > a[1] + 4,
        "push": lambda a, b: b[2] > 1.8 * a[2],
        "pull": lambda a, b: a[2] > 1.8 * b[2],
    }[label]
    right = 0
    for seed in range(12):
        clip = synthetic.SyntheticClip(seed, label, "train", (96, 96))
        event = clip.events[0]
        span = event.end - event.start
        ends = [min(clip.count - 1, int((event.start + part * span) * clip.fps)) for part in (0.1, 0.9)]
        try:
            right += bool(judge(*(centroid(clip, index) for index in ends)))
        except ValueError:  # a hand of the wall's colour
            continue
    assert right >= 9


@pytest.mark.parametrize("label, sign", [("rotate clockwise", 1), ("rotate counter-clockwise", -1)])
@pytest.mark.parametrize("mirror", [False, True])
def test_circles_turn_as_the_label_says(label, sign, mirror):
    clip = synthetic.SyntheticClip(4, label, "train", SMALL, mirror=mirror)
    motion = clip._motion(clip.playback)
    times = np.linspace(motion.start, motion.end, 60)
    path = np.array([motion.poses(time)[0][:2] for time in times])
    path = (path - path.mean(axis=0)) * ((-1, 1) if mirror else (1, 1))
    angles = np.unwrap(np.arctan2(path[:, 1], path[:, 0]))  # y points down: growing angles are clockwise
    turned = (angles[-1] - angles[0]) * (-1 if clip.playback.backward else 1)
    assert sign * turned > 1.6 * np.pi


@pytest.mark.parametrize(
    "arguments",
    [
        {"seed": -1},
        {"seed": 1.5},
        {"seed": True},
        {"seed": 2**63},
        {"label": "wave"},
        {"label": 12},
        {"label": -1},
        {"split": "dev"},
        {"size": (16, 64)},
        {"size": 64},
        {"size": (64.5, 64)},
        {"size": (64, 4096)},
        {"fps": 0},
        {"fps": float("nan")},
        {"fps": "15"},
    ],
)
def test_bad_arguments_of_a_clip_are_refused(arguments):
    good = {"seed": 0, "label": "stop", "split": "train", "size": SMALL, "fps": 15}
    with pytest.raises(InputError) as caught:
        synthetic.SyntheticClip(**{**good, **arguments})
    assert next(iter(arguments)) in caught.value.where and caught.value.do


@pytest.mark.parametrize("count", [0, -3, 1.5, True, "9"])
def test_bad_counts_are_refused(count):
    with pytest.raises(InputError, match="count"):
        synthetic.clips("train", count, 0)


@pytest.mark.parametrize("index", [-1, 10_000])
def test_frames_beyond_the_clip_are_refused(index):
    with pytest.raises(IndexError, match="synthetic/train"):
        synthetic.SyntheticClip(0, "stop", "train", SMALL).read([0, index])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    label=st.sampled_from(synthetic.LABELS),
    split=st.sampled_from(synthetic.SPLITS),
    height=st.integers(32, 90),
    width=st.integers(32, 90),
    fps=st.floats(1, 60),
)
def test_any_seed_size_and_rate_renders(seed, label, split, height, width, fps):
    clip = synthetic.SyntheticClip(seed, label, split, (height, width), fps)
    assert clip.count >= 2
    pixels = clip.read([0, clip.count // 2, clip.count - 1])
    assert pixels.shape == (3, height, width, 3) and pixels.dtype == np.uint8
