"""Clips of rendered strokes: what is true of them by construction is true of their pixels."""

import itertools
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsm_edge.errors import InputError
from tsm_edge_export import synthetic
from tsm_edge_export.evaluation import data as sets
from tsm_edge_export.synthetic import looks, places, strokes
from tsm_edge_export.synthetic.seeds import split_range
from tsm_edge_export.synthetic.stroke_labels import FLIPS, LABELS, ORDER_PAIRS, UNPAIRED
from tsm_edge_export.synthetic.stroke_shapes import POINTS, SHAPES, curve, timing
from tsm_edge_export.training import config, lists

SMALL = 48, 64


def frames(clip, indices=None):
    return clip.read(range(clip.count) if indices is None else indices)


def path_of(clip, steps=80):
    """Return where the drawing point is, as seen in the picture, in the order of the clip: (steps, 2)."""
    motion = clip._hands()
    phases = np.linspace(0, 1, steps)
    points = np.column_stack([np.interp(phases, motion._times, motion._points[:, axis]) for axis in (0, 1)])
    points = points[::-1] if clip.playback.backward else points
    return points * ((-1, 1) if clip.mirror else (1, 1))


def test_labels_are_closed_under_flips_and_pairs():
    assert len(LABELS) == len(set(LABELS)) == 42
    assert set(FLIPS) == set(LABELS) == set(FLIPS.values())
    assert all(FLIPS[FLIPS[label]] == label for label in LABELS)
    assert sorted(itertools.chain(*ORDER_PAIRS, UNPAIRED)) == sorted(LABELS)
    family = synthetic.FAMILIES["strokes"]
    assert (family.labels, family.flips, family.order_pairs) == (LABELS, FLIPS, ORDER_PAIRS)


def test_the_flip_of_a_pair_is_a_pair():
    pairs = {frozenset(pair) for pair in ORDER_PAIRS}
    assert {frozenset(FLIPS[label] for label in pair) for pair in pairs} == pairs


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("size", [SMALL, (64, 48), (96, 96)])
def test_frames_are_well_formed(label, size):
    clip = strokes.StrokeClip(5, label, "train", size)
    pixels = frames(clip, [0, clip.count // 2, clip.count - 1])
    assert pixels.shape == (3, *size, 3) and pixels.dtype == np.uint8
    assert all(picture.std() > 1 for picture in pixels), "a blank picture"
    assert clip.name.startswith("strokes/train/") and clip.label == LABELS.index(label)
    (event,) = clip.events
    assert event.label == label and 0 <= event.start < event.end <= clip.count / clip.fps + 1e-9


@pytest.mark.parametrize("forward, backward", ORDER_PAIRS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_pair_shows_the_same_frames_in_opposite_order(forward, backward, seed):
    first, second = (strokes.StrokeClip(seed, label, "train", SMALL) for label in (forward, backward))
    assert first.count == second.count and first.mirror == second.mirror
    assert np.array_equal(frames(first)[::-1], frames(second))
    assert not np.array_equal(frames(first), frames(second))
    assert first.events[0].start == pytest.approx(first.count / first.fps - second.events[0].end)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("mirror", [False, True])
def test_a_mirrored_clip_is_a_clip_of_the_flipped_label(label, mirror):
    clip = strokes.StrokeClip(7, label, "train", SMALL, mirror=mirror)
    other = strokes.StrokeClip(7, FLIPS[label], "train", SMALL, mirror=not mirror)
    assert np.array_equal(frames(clip)[:, :, ::-1], frames(other))


@pytest.mark.parametrize("label", ["left", "spiral in clockwise", "wander"])
def test_frames_do_not_depend_on_what_was_read_before(label):
    clip = strokes.StrokeClip(11, label, "validation", SMALL)
    strokes._cached_scene.cache_clear()
    whole = frames(clip)
    order = np.random.default_rng(0).permutation(clip.count)
    strokes._cached_scene.cache_clear()
    strokes._cached_motion.cache_clear()
    assert np.array_equal(frames(clip, order), whole[order])
    strokes._cached_scene.cache_clear()
    copy = pickle.loads(pickle.dumps(clip))
    assert np.array_equal(frames(copy, [clip.count // 2, 0]), whole[[clip.count // 2, 0]])


def test_another_process_renders_the_same_bits():
    code = (
        "import zlib; from tsm_edge_export.synthetic import strokes;"
        "print(*[zlib.crc32(c.read(range(0, c.count, 5)).tobytes()) for c in strokes.clips('test', 4, 9, (48, 64))])"
    )
    runs = [subprocess.check_output([sys.executable, "-c", code], text=True) for _ in range(2)]
    assert runs[0] == runs[1] and len(set(runs[0].split())) == 4


def test_clips_are_balanced_and_reproducible():
    made = strokes.clips("train", 84, 3, SMALL)
    assert np.bincount([clip.label for clip in made]).tolist() == [2] * 42
    assert len({clip.seed for clip in made}) == 84
    again = strokes.clips("train", 50, 3, SMALL)
    assert [clip.name for clip in again] == [clip.name for clip in made[:50]]
    assert not {c.seed for c in strokes.clips("train", 84, 4, SMALL)} & {c.seed for c in made}


def test_splits_share_no_seed_and_no_place():
    for per_split in (
        [{clip.seed for clip in strokes.clips(split, 84, 0, SMALL)} for split in synthetic.SPLITS],
        [set(split_range(split, places.PLACE_COUNTS)) for split in synthetic.SPLITS],
    ):
        assert all(per_split)
        assert sum(len(part) for part in per_split) == len(set().union(*per_split))


def test_strokes_and_gestures_of_one_seed_share_no_clip_seed():
    gestures = {clip.seed for clip in synthetic.clips("train", 84, 0, SMALL)}
    assert not gestures & {clip.seed for clip in strokes.clips("train", 84, 0, SMALL)}


def test_scenes_use_the_places_and_hands_of_their_split():
    for split in synthetic.SPLITS:
        for clip in strokes.clips(split, 20, 1, SMALL):
            scene = strokes._cached_scene(split, clip.seed, *clip.size)
            assert scene.place_number in split_range(split, places.PLACE_COUNTS)
            assert scene.look.number in split_range(split, looks.HAND_COUNTS)


def test_one_seed_shows_other_things_in_each_split():
    pictures = [strokes.StrokeClip(1, "still", split, SMALL).read([3]) for split in synthetic.SPLITS]
    assert not np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[1], pictures[2])


@pytest.mark.parametrize("label, x, y", [
    ("left", -1, 0), ("right", 1, 0), ("up", 0, -1), ("down", 0, 1),
    ("up left", -1, -1), ("up right", 1, -1), ("down left", -1, 1), ("down right", 1, 1),
    ("caret right", 1, None), ("caret left", -1, None), ("vee right", 1, None), ("vee left", -1, None),
    ("loop right", 1, None), ("loop left", -1, None), ("cross right", 1, None), ("cross left", -1, None),
    ("tick", 1, -1), ("tick backward", -1, 1), ("mirrored tick", -1, -1), ("mirrored tick backward", 1, 1),
])  # fmt: skip
def test_strokes_end_where_their_label_says(label, x, y):
    """Directions are those of the picture. None: that axis is not stated."""
    for seed in range(30):
        path = path_of(strokes.StrokeClip(seed, label, "train", SMALL))
        way = (path[-1] - path[0]) / np.abs(path[-1] - path[0]).max()
        for stated, moved in zip((x, y), way, strict=True):
            if stated is not None:
                assert abs(moved) < 0.75 if stated == 0 else moved * stated > 0.1, (seed, way)


@pytest.mark.parametrize("name", [label for label in LABELS if label.endswith("clockwise") and "star" not in label])
def test_turns_are_those_of_the_label(name):
    sign = -1 if name.endswith("counter-clockwise") else 1
    for seed in range(20):
        path = path_of(strokes.StrokeClip(seed, name, "train", SMALL), 200)
        way = np.diff(path, axis=0)
        way = way[np.hypot(*way.T) > 1e-6]
        angles = np.unwrap(np.arctan2(way[:, 1], way[:, 0]))  # y points down: growing angles are clockwise
        assert sign * (angles[-1] - angles[0]) > np.pi, seed


@pytest.mark.parametrize("label, grows", [("push", True), ("pull", False)])
def test_hands_that_are_pushed_grow(label, grows):
    for seed in range(20):
        clip = strokes.StrokeClip(seed, label, "train", SMALL)
        motion = clip._hands()
        first, last = (motion._pose(time).size for time in (motion.start, motion.end))
        first, last = (last, first) if clip.playback.backward else (first, last)
        assert (last > 1.2 * first) if grows else (first > 1.2 * last)


@pytest.mark.parametrize("label", ["left", "right", "up", "down"])
def test_rendered_motion_is_what_the_label_says(label):
    """Measured in the pixels: the hand against the same frame without one."""
    axis = 0 if label in ("left", "right") else 1
    sign = -1 if label in ("left", "up") else 1
    right = wrong = 0
    for seed in range(30):
        clip = strokes.StrokeClip(seed, label, "train", (96, 96))
        scene, event = strokes._cached_scene("train", seed, 96, 96), clip.events[0]
        tops = []
        for share in (0.02, 0.98):
            index = min(clip.count - 1, int((event.start + share * (event.end - event.start)) * clip.fps))
            key = clip.count - 1 - index if clip.playback.backward else index
            empty = scene.render(None, (key + 0.5) / clip.fps, 1 / clip.fps, key)
            empty = empty[:, ::-1] if clip.mirror else empty
            y, x = np.nonzero(np.abs(clip.read([index])[0].astype(int) - empty).max(axis=2) > 40)
            if len(y) > 30:  # the upper part of the hand, or none where hand and place look alike
                top = y <= np.percentile(y, 15)
                tops.append((x[top].mean(), y[top].mean()))
        if len(tops) == 2:
            moved = sign * (tops[1][axis] - tops[0][axis])
            right, wrong = right + (moved > 3), wrong + (moved < -3)
    assert right >= 12 and wrong <= 2


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_curves_are_finite_centred_and_of_unit_size(name):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        points = curve(name, rng)
        assert points.shape == (POINTS, 2) and np.isfinite(points).all()
        spread = points.max(axis=0) - points.min(axis=0)
        assert np.abs(points.max(axis=0) + points.min(axis=0)).max() < 1e-9
        assert 0.3 < spread.max() < 2.2
        times = timing(points, rng)
        assert times[0] == 0 and times[-1] == 1 and (np.diff(times) > 0).all()


@pytest.mark.parametrize(
    "arguments",
    [{"seed": -1}, {"seed": 2**63}, {"label": "swipe left"}, {"label": 3}, {"split": "dev"}, {"size": (16, 64)},
     {"size": (64, 4096)}, {"fps": 0}, {"fps": "15"}],
)  # fmt: skip
def test_bad_arguments_of_a_clip_are_refused(arguments):
    good = {"seed": 0, "label": "still", "split": "train", "size": SMALL, "fps": 15}
    with pytest.raises(InputError) as caught:
        strokes.StrokeClip(**{**good, **arguments})
    assert next(iter(arguments)) in caught.value.where and caught.value.do


@pytest.mark.parametrize("count", [0, -3, 1.5, True, "9"])
def test_bad_counts_are_refused(count):
    with pytest.raises(InputError, match="count"):
        strokes.clips("train", count, 0)


@pytest.mark.parametrize("index", [-1, 10_000])
def test_frames_beyond_the_clip_are_refused(index):
    with pytest.raises(IndexError, match="strokes/train"):
        strokes.StrokeClip(0, "still", "train", SMALL).read([0, index])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    label=st.sampled_from(LABELS),
    split=st.sampled_from(synthetic.SPLITS),
    height=st.integers(32, 90),
    width=st.integers(32, 90),
    fps=st.floats(1, 60),
)
def test_any_seed_size_and_rate_renders(seed, label, split, height, width, fps):
    clip = strokes.StrokeClip(seed, label, split, (height, width), fps)
    assert clip.count >= 2
    pixels = clip.read([0, clip.count // 2, clip.count - 1])
    assert pixels.shape == (3, height, width, 3) and pixels.dtype == np.uint8


CONFIG = """
direction = "causal"
fps = 7.5
[data]
kind = "synthetic"
synthetic = {family = "FAMILY", train = 84, test = 42, size = 128, windows = WINDOWS}
"""


def written(folder, family, windows=0):
    path = folder / "my.toml"
    path.write_text(CONFIG.replace("FAMILY", family).replace("WINDOWS", str(windows)))
    return path


def test_a_training_configuration_chooses_the_family(tmp_path):
    path = written(tmp_path, "strokes")
    data = lists.load_data(config.load(path), path)
    assert data.labels == LABELS and len(data.train) == 84 and len(data.test) == 42
    assert {clip.split for clip in data.train} == {"train"} and {clip.split for clip in data.test} == {"validation"}
    assert {clip.name.split("/")[0] for clip in data.train + data.test} == {"strokes"}
    tested = sets.from_config(path, LABELS)
    assert {clip.split for clip in tested.clips} == {"test"} and tested.labels == LABELS
    with pytest.raises(InputError, match="synthetic strokes"):
        sets.from_config(path, synthetic.LABELS)


@pytest.mark.parametrize("family, windows, where", [("dances", 0, "family"), ("strokes", 5, "windows")])
def test_an_unknown_family_and_windows_of_strokes_are_refused(tmp_path, family, windows, where):
    with pytest.raises(InputError, match=where):
        config.load(written(tmp_path, family, windows))


def test_the_shipped_configuration_of_the_strokes_loads():
    shipped = config.load(Path(config.__file__).parent.parent / "training_configs" / "strokes_112.toml")
    assert shipped.data.synthetic.family == "strokes" and shipped.start.weights == "mobilenetv2_tsm"
