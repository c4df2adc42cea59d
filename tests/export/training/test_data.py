"""Lists and clips: all formats, real data, the same clips from any number of workers, and what can be wrong."""

import os

import cv2
import numpy as np
import pytest

from tests.export.training import toy
from tsm_edge.errors import InputError, SourceError
from tsm_edge_export.training.broken import Broken
from tsm_edge_export.training.clips import FrameFolder, VideoClip
from tsm_edge_export.training.config import load
from tsm_edge_export.training.dataset import EvalSet, TrainSet, eval_batches, loader, train_batches
from tsm_edge_export.training.lists import load_data

STEP = 3  # grey levels from one frame of a test video to the next


def grey(index):
    return np.full((48, 64, 3), index * STEP, np.uint8)


def indices_of(frames):
    """The frame numbers that the clips of `write_video` and `write_frames` show."""
    return [round(float(frame.mean()) / STEP) for frame in frames]


def write_video(path, count, fps=10.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), fps, (64, 48))
    assert writer.isOpened()
    for index in range(count):
        writer.write(grey(index))
    writer.release()
    return path


def write_frames(folder, count, template="img_{:05d}.jpg"):
    folder.mkdir(parents=True)
    for index in range(count):
        assert cv2.imwrite(str(folder / template.format(index + 1)), grey(index))
    return folder


def config(folder, section, **changes):
    """A configuration over a [data] section in TOML."""
    path = folder / "data.toml"
    path.write_text('direction = "causal"\n[shift]\nn_segment = 4\n[data]\n' + section)
    frame = {"height": 32, "width": 32, "short_side": 36}
    return load(path, {"frame": frame, **changes})


def frames_config(folder, lines, **changes):
    (folder / "list.txt").write_text(lines)
    return config(folder, 'kind = "frames"\ntrain = "list.txt"\ntest = "list.txt"\n', **changes)


def test_frame_folders(tmp_path):
    for name, template in (("a a", "img_{:05d}.jpg"), ("b", "img_{:05d}.jpg")):
        write_frames(tmp_path / name, 6, template)
    data = load_data(frames_config(tmp_path, "a a 6 1\nb 5 0\n\n"), "x")
    assert [(clip.name, clip.label, clip.count) for clip in data.train] == [("a a", 1, 6), ("b", 0, 5)]
    assert (data.labels, data.named) == (("class_000", "class_001"), False)
    frames = data.train[0].read([5, 0, 0, 3])
    assert frames.shape == (4, 48, 64, 3)
    assert indices_of(frames) == [5, 0, 0, 3]


@pytest.mark.parametrize("template", ["{:05d}.jpg", "frame{:d}.png", "{{x}}-{:06d}.jpeg"])
def test_names_of_frames_are_found_out(tmp_path, template):
    write_frames(tmp_path / "a", 4, template)
    assert indices_of(load_data(frames_config(tmp_path, "a 4 0\n"), "x").train[0].read([1, 3])) == [1, 3]


def test_frames_are_rgb(tmp_path):
    (tmp_path / "a").mkdir()
    red = np.zeros((48, 64, 3), np.uint8)
    red[:, :, 2] = 200  # OpenCV writes BGR
    cv2.imwrite(str(tmp_path / "a" / "img_00001.png"), red)
    picture = FrameFolder("a", tmp_path / "a", 1, 0, "img_{:05d}.png").read([0])[0]
    assert picture[0, 0].tolist() == [200, 0, 0]


def test_real_clips(data, tmp_path):
    root = os.path.abspath(os.path.join(data, "fall_actions"))
    section = f'kind = "frames"\nroot = "{root}"\ntrain = "{root}/dev_videofolder.txt"\n'
    section += f'test = "{root}/dev_videofolder.txt"\nlabels_file = "{root}/category.txt"\n'
    clips = load_data(config(tmp_path, section), "x")
    assert clips.labels == ("sitdown", "standup", "falling", "walk")
    assert np.bincount([clip.label for clip in clips.train]).tolist() == [20, 42, 16, 54]
    assert not clips.broken.reasons
    assert clips.train[0].read([0, clips.train[0].count - 1]).shape == (2, 120, 160, 3)
    both = {"reversed": {"sitdown": "standup", "standup": "sitdown"}}
    twice = load_data(config(tmp_path, section, data=both), "x")
    assert np.bincount([clip.label for clip in twice.train]).tolist() == [62, 62, 16, 54]


def test_videos_by_class(tmp_path):
    for name, count in (
        ("train/wave/2.avi", 6),
        ("train/wave/10.avi", 5),
        ("train/point/x.avi", 4),
        ("test/wave/y.avi", 4),
    ):
        write_video(tmp_path / name, count)
    data = load_data(config(tmp_path, 'kind = "folders"\ntrain = "train"\ntest = "test"\n'), "x")
    assert data.labels == ("point", "wave")
    assert [(clip.name, clip.label, clip.count) for clip in data.train] == [
        ("point/x.avi", 0, 4),
        ("wave/2.avi", 1, 6),
        ("wave/10.avi", 1, 5),
    ]
    assert [clip.label for clip in data.test] == [1]
    assert indices_of(data.train[1].read([4, 0, 5, 4])) == [4, 0, 5, 4]


def test_segments_of_videos(tmp_path):
    write_video(tmp_path / "v.avi", 30, fps=10.0)
    (tmp_path / "list.csv").write_text("path,start,end,label\nv.avi,0.5,1.5,wave\nv.avi, 2.0, 3.0, point\n")
    data = load_data(config(tmp_path, 'kind = "segments"\ntrain = "list.csv"\ntest = "list.csv"\n'), "x")
    assert data.labels == ("point", "wave")
    assert [(clip.label, clip.count) for clip in data.train] == [(1, 10), (0, 10)]
    assert indices_of(data.train[0].read([0, 9, 4])) == [5, 14, 9]
    assert indices_of(data.train[1].read([9, 0])) == [29, 20]


def test_segments_by_number(tmp_path):
    write_video(tmp_path / "v.avi", 20)
    (tmp_path / "list.csv").write_text("path,start,end,label\nv.avi,0,1,1\nv.avi,1,2,wave\n")
    section = 'kind = "segments"\ntrain = "list.csv"\ntest = "list.csv"\n'
    data = load_data(config(tmp_path, section, labels=["wave", "point"]), "x")
    assert [clip.label for clip in data.train] == [1, 0]


def test_backwards(tmp_path):
    write_frames(tmp_path / "a", 6)
    write_frames(tmp_path / "b", 6)
    both = {"reversed": {"up": "down"}}
    data = load_data(frames_config(tmp_path, "a 6 0\nb 6 1\n", labels=["up", "down"], data=both), "x")
    assert [(clip.name, clip.label) for clip in data.train] == [("a", 0), ("b", 1), ("a (backwards)", 1)]
    assert indices_of(data.train[2].read([0, 1, 5])) == [5, 4, 0]
    with pytest.raises(InputError, match="sideways"):
        load_data(
            frames_config(tmp_path, "a 6 0\nb 6 1\n", labels=["up", "down"], data={"reversed": {"up": "sideways"}}), "x"
        )


@pytest.mark.parametrize("kind", ["uniform", "dense"])
@pytest.mark.parametrize("count", [3, 6, 7, 11, 70])
def test_backwards_shows_the_same_frames_in_opposite_order(tmp_path, kind, count):
    both = {"reversed": {"up": "down"}}
    made = {"labels": ["up", "down"], "data": both, "sampling": {"kind": kind}}
    for name in ("a", "b"):
        write_frames(tmp_path / name, count)
    made = frames_config(tmp_path, f"a {count} 0\nb {count} 1\n", **made)
    clips = load_data(made, "x").test
    tests = EvalSet(clips, made.frame, 4, made.sampling)
    forwards, backwards = tests[(0, 0)], tests[(0, 2)]
    assert np.array_equal(forwards[1][0], backwards[1][0, ::-1]) and (forwards[2], backwards[2]) == (0, 1)
    shown = indices_of(TrainSet(clips, made, None)[(0, 2)][1][0])
    assert len(shown) == 4 and (kind == "dense" or shown == sorted(shown, reverse=True))


def test_synthetic_gestures_bring_their_labels(tmp_path):
    section = 'kind = "synthetic"\n[data.synthetic]\ntrain = 12\ntest = 12\nsize = 64\n'
    data = load_data(config(tmp_path, section), "x")
    assert len(data.labels) >= 10
    assert sorted(clip.label for clip in data.train) == sorted(clip.label for clip in data.test)
    assert data.train[0].read([0]).shape == (1, 64, 64, 3)
    assert {clip.name for clip in data.train}.isdisjoint(clip.name for clip in data.test)
    with pytest.raises(InputError, match="bring theirs"):
        load_data(config(tmp_path, section, labels=["a", "b"]), "x")


def batches_of(dataset, batches, workers):
    return [(b.indices, b.labels.tolist(), b.frames.numpy().tobytes()) for b in loader(dataset, batches, workers)]


def test_the_same_clips_from_any_number_of_workers(tmp_path):
    path = toy.project(tmp_path, train=3, augment={"scales": [1.0, 0.75], "flip": False})
    made = load(path, {"frame": {"height": 32, "width": 32, "short_side": 40}})
    dataset = TrainSet(load_data(made, path).train, made, [1, 0])
    alone = batches_of(dataset, train_batches(6, 2, made.seed, 1), 0)
    assert batches_of(dataset, train_batches(6, 2, made.seed, 1), 2) == alone
    assert batches_of(dataset, train_batches(6, 2, made.seed, 1)[2:], 1) == alone[2:]
    assert batches_of(dataset, train_batches(6, 2, made.seed, 2), 0) != alone
    other = TrainSet(dataset.clips, made._replace(seed=9), [1, 0])
    assert batches_of(other, train_batches(6, 2, made.seed, 1), 0) != alone


def test_a_flip_changes_the_label(tmp_path):
    path = toy.project(tmp_path, train=4)
    made = load(path)
    dataset = TrainSet(load_data(made, path).train, made, [1, 0])
    rows = [dataset[(epoch, index)] for epoch in range(4) for index in range(8)]
    flipped = [label != dataset.clips[index].label for index, _, label, _ in rows]
    assert 0 < sum(flipped) < len(flipped)
    for index, frames, label, _ in rows:  # whatever was flipped, the label is what the frames show
        bright = [float((frame.mean((0, 2)) * np.arange(32)).sum() / frame.mean((0, 2)).sum()) for frame in frames[0]]
        assert (bright[-1] > bright[0]) == bool(label), index


def test_every_clip_once_an_epoch():
    batches = train_batches(10, 4, seed=3, epoch=1)
    assert [len(batch) for batch in batches] == [4, 4]  # the rest waits for another epoch
    chosen = [index for batch in batches for _, index in batch]
    assert len(set(chosen)) == 8
    assert train_batches(10, 4, 3, 1) == batches != train_batches(10, 4, 3, 2)
    assert sorted(train_batches(3, 4, 0, 0)[0]) == [(0, 0), (0, 1), (0, 2)]
    assert [len(batch) for batch in eval_batches(10, 4)] == [4, 4, 2]


def test_views_are_clips_times_crops(tmp_path):
    path = toy.project(tmp_path)
    made = load(path)
    clips = load_data(made, path).test
    index, frames, label, _ = EvalSet(clips, made.frame, 4, made.sampling, n_clips=2, crops=3)[(0, 1)]
    assert (index, frames.shape, label) == (1, (6, 4, 32, 32, 3), 1)


# --- what is wrong


def test_labels_out_of_range(tmp_path):
    write_frames(tmp_path / "a", 3)
    for line, names in (
        ("a 3 2\n", ["x", "y"]),
        ("a 3 -1\n", ["x", "y"]),
        ("a 3 -1\n", None),
        ("a 3 1000000000\n", None),
    ):
        with pytest.raises(InputError, match="label"):
            load_data(frames_config(tmp_path, line, labels=names) if names else frames_config(tmp_path, line), "x")


@pytest.mark.parametrize("line", ["a 3\n", "a three 0\n", "a 3 0.5\n", "a 0 0\n", "a -3 0\n"])
def test_impossible_lines_are_named(tmp_path, line):
    write_frames(tmp_path / "a", 3)
    with pytest.raises(InputError, match="line 2"):
        load_data(frames_config(tmp_path, "a 3 0\n" + line), "x")


def test_an_empty_class(tmp_path):
    write_frames(tmp_path / "a", 3)
    with pytest.raises(InputError, match="'y'"):
        load_data(frames_config(tmp_path, "a 3 0\n", labels=["x", "y"]), "x")


def test_an_empty_list_and_a_missing_one(tmp_path):
    with pytest.raises(InputError, match="no clips"):
        load_data(frames_config(tmp_path, "\n"), "x")
    (tmp_path / "list.txt").unlink()
    with pytest.raises(InputError, match=r"list\.txt"):
        load_data(config(tmp_path, 'kind = "frames"\ntrain = "list.txt"\ntest = "list.txt"\n'), "x")
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        load_data(config(tmp_path, 'kind = "frames"\ntrain = "list.txt"\ntest = "list.txt"\n'), "x")


@pytest.mark.parametrize("line", ["gone 3 0", "a 4 0"], ids=["no such folder", "a count that lies"])
def test_missing_frames_are_named_and_counted(tmp_path, line):
    write_frames(tmp_path / "a", 3)
    lines = "a 3 0\n" * 99 + line + "\n"
    data = load_data(frames_config(tmp_path, lines), "x")
    assert len(data.train) == 99
    assert list(data.broken.reasons) == [line.split()[0]]
    assert "no such frame" in data.broken.reasons[line.split()[0]]


def test_more_than_one_percent_broken_stops(tmp_path):
    write_frames(tmp_path / "a", 3)
    with pytest.raises(InputError, match="3 of 200 clips are broken") as caught:
        load_data(frames_config(tmp_path, "a 3 0\n" * 97 + "b 3 0\nc 3 0\nd 3 0\n"), "x")
    assert "d: " in str(caught.value)


def test_broken_clips_count_once():
    broken = Broken(200)
    assert broken.add("a", "first\n reason")
    assert not broken.add("a", "again")
    assert broken.add("b", "x")
    assert broken.reasons == {"a": "first reason", "b": "x"}
    with pytest.raises(InputError, match="at most 1 %"):
        broken.add("c", "x")


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "size"])
def test_unreadable_frames(tmp_path, damage):
    folder = write_frames(tmp_path / "a", 3)
    frame = folder / "img_00002.jpg"
    if damage == "size":
        cv2.imwrite(str(frame), np.zeros((20, 20, 3), np.uint8))
    else:
        whole = frame.read_bytes()
        frame.write_bytes({"empty": b"", "cut": whole[: len(whole) // 3], "text": b"<html>"}[damage])
    clip = FrameFolder("a", folder, 3, 0, "img_{:05d}.jpg")
    assert clip.read([0, 2]).shape[0] == 2
    with pytest.raises(SourceError, match="sizes" if damage == "size" else "img_00002"):
        clip.read([0, 1])


def test_a_broken_clip_is_left_out_of_its_batch(tmp_path):
    path = toy.project(tmp_path, train=2)
    made = load(path)
    dataset = TrainSet(load_data(made, path).train, made, None)
    for frame in (tmp_path / "data" / "clip_000_1").glob("*.jpg"):
        frame.write_bytes(b"")
    (batch,) = loader(dataset, [[(0, 0), (0, 1), (0, 2)]], 1)
    assert batch.indices == (0, 2)
    assert len(batch.labels) == len(batch.frames) == 2
    ((name, reason),) = batch.broken
    assert name == "clip_000_1"
    assert "no picture" in reason
    (batch,) = loader(dataset, [[(0, 1)]], 0)
    assert (batch.frames, batch.labels, len(batch.broken)) == (None, None, 1)


CSV = "path,start,end,label\n"


@pytest.mark.parametrize(
    "text, word",
    [
        ("path,label\nv.avi,a\n", "line 1"),
        (CSV + "v.avi,0,1\n", "line 2"),
        (CSV + "v.avi,0,one,a\n", "line 2"),
        (CSV + "v.avi,1,1,a\n", "0 <= start < end"),
        (CSV + "v.avi,-1,1,a\n", "0 <= start < end"),
        (CSV + "v.avi,0,inf,a\n", "0 <= start < end"),
        (CSV + "v.avi,0,nan,a\n", "0 <= start < end"),
        (CSV + "v.avi,0,9,a\n", "a video of 2.00 s"),
        (CSV + "w.avi,0,1,a\n", "no such file"),
    ],
)
def test_wrong_segments(tmp_path, text, word):
    write_video(tmp_path / "v.avi", 20)
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        load_data(config(tmp_path, 'kind = "segments"\ntrain = "list.csv"\ntest = "list.csv"\n'), "x")
    assert word in str(caught.value)


def test_an_empty_folder_of_videos(tmp_path):
    write_video(tmp_path / "train" / "wave" / "x.avi", 4)
    (tmp_path / "train" / "point").mkdir()
    with pytest.raises(InputError, match="no videos"):
        load_data(config(tmp_path, 'kind = "folders"\ntrain = "train"\ntest = "train"\n'), "x")


def test_a_cut_video_is_broken_and_a_miscounted_one_is_not(tmp_path):
    path = write_video(tmp_path / "v.avi", 20)
    clip = VideoClip("v", path, 0)
    clip.count = 22  # what some containers state
    assert indices_of(clip.read([3, 21])) == [3, 19]
    clip.count = 40
    with pytest.raises(SourceError, match="no frame 39 of|no frame 39"):
        clip.read([3, 39])
