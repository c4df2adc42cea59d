"""Clips that the training list and the test list share are refused or counted, by path and by content."""

import os
import random
import shutil
import types

import pytest

from tests.device import media
from tests.export.training import toy
from tests.export.training.test_data import config
from tsm_edge import cli
from tsm_edge.errors import InputError
from tsm_edge_export.training import journal, overlap
from tsm_edge_export.training.clips import FrameFolder, VideoClip
from tsm_edge_export.training.lists import load_data
from tsm_edge_export.training.overlap import check_overlap, overlap_text, shared_clips

ONE_EPOCH = {"schedule": {"epochs": 1}}


def folders(folder, **clips):
    """A data folder for each keyword, of videos: `label/name` -> extra frames. Returns the data that training reads."""
    for part, videos in clips.items():
        for name, first in videos.items():
            path = folder / part / f"{name}.avi"
            path.parent.mkdir(parents=True, exist_ok=True)
            media.write_video(path, 8 + first)
    return load_data(config(folder, 'kind = "folders"\ntrain = "train"\ntest = "test"\n'), "x")


def names(pairs):
    return [(test.name, train.name) for test, train in pairs]


TRAIN = {"a/1": 0, "a/2": 1, "b/1": 2, "b/2": 3}


@pytest.mark.parametrize("way", ["the same path", "a link to it", "a copy"])
def test_identical_folders_are_refused(tmp_path, capsys, way):
    folders(tmp_path, train=TRAIN, test={"a/9": 9, "b/9": 9})
    shutil.rmtree(tmp_path / "test")
    if way == "a link to it":
        os.symlink(tmp_path / "train", tmp_path / "test")
    elif way == "a copy":
        shutil.copytree(tmp_path / "train", tmp_path / "test")
    path = tmp_path / "mine.toml"
    test = "train" if way == "the same path" else "test"
    path.write_text(f'direction = "causal"\n[data]\nkind = "folders"\ntrain = "train"\ntest = "{test}"\n')
    assert cli.main(["train", str(path), "-o", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert "data.test" in message and "the same 4 clips as data.train" in message
    assert not (tmp_path / "out").exists()


def test_identical_lists_are_refused(tmp_path):
    path = toy.project(tmp_path)
    shutil.copy(tmp_path / "data" / "list_0.txt", tmp_path / "data" / "list_100.txt")
    assert cli.main(["train", str(path), "-o", str(tmp_path / "out")]) == 2


def test_shared_clips_are_counted_and_named(tmp_path, capsys):
    path = toy.project(tmp_path, **ONE_EPOCH)
    data = tmp_path / "data"
    shutil.copytree(data / "clip_001_0", data / "copied")
    with open(data / "list_100.txt", "a") as listed:
        listed.write("clip_000_1 4 1\ncopied 4 0\n")
    assert cli.main(["train", str(path), "-o", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "2 of 6 test clips are training clips too" in out
    assert "clip_000_1, copied = clip_001_0" in out
    assert journal.read(tmp_path / "out" / "log.jsonl")[0]["shared_clips"] == 2


def test_clips_of_their_own_pass_without_a_word(tmp_path, capsys):
    path = toy.project(tmp_path, **ONE_EPOCH)
    assert cli.main(["train", str(path), "-o", str(tmp_path / "out")]) == 0
    assert "warning" not in capsys.readouterr().out


def test_clips_played_backwards_count_once(tmp_path):
    both = {"reversed": {"move left": "move right", "move right": "move left"}}
    path = toy.project(tmp_path, data=both)
    shutil.copy(tmp_path / "data" / "list_0.txt", tmp_path / "data" / "list_100.txt")
    assert cli.main(["train", str(path), "-o", str(tmp_path / "out")]) == 2


def test_parts_of_one_video(tmp_path):
    media.write_video(tmp_path / "v.avi", 60, fps=15.0)

    def part(start, end):
        return VideoClip(f"{start}-{end}", tmp_path / "v.avi", 0, start, end)

    train = [part(0, 1), part(2, 3)]
    pairs = shared_clips(train, [part(1, 2), part(2.5, 2.7), part(3, 4), part(0.5, 3)])
    assert names(pairs) == [("2.5-2.7", "2-3"), ("0.5-3", "2-3")]
    assert shared_clips(train, [part(1, 2), part(3, 4)]) == []


def test_a_test_within_the_training_is_a_warning(tmp_path):
    data = folders(tmp_path, train=TRAIN, test={"a/1": 0})
    pairs = check_overlap(data.train, data.test, "x")
    assert len(pairs) == 1 and "1 of 1 test clips" in overlap_text(pairs, data.test)


class Stand(FrameFolder):
    """A clip of a place and a part, whose file cannot be read."""

    def __init__(self, number, place, start, end):
        self.name, self.label, self.count = str(number), 0, 1
        self.place, self.part, self.file_count = place, (start, end), 1

    def files(self):
        return ["/none"]


@pytest.mark.parametrize("seed", range(20))
def test_the_shared_clips_are_those_of_a_plain_search(seed):
    rng = random.Random(seed)

    def drawn(number):
        start = rng.randrange(12)
        return Stand(number, rng.choice("xyz"), start, start + rng.randrange(1, 5))

    train, test = [drawn(n) for n in range(rng.randrange(12))], [drawn(n) for n in range(8)]

    def same(a, b):
        return a.place == b.place and a.part[0] < b.part[1] and b.part[0] < a.part[1]

    pairs = shared_clips(train, test)
    assert [clip for clip, _ in pairs] == [clip for clip in test if any(same(clip, other) for other in train)]
    assert all(same(clip, other) for clip, other in pairs)


@pytest.mark.parametrize("limit", ["MAX_COMPARED_CLIPS", "MAX_COMPARED_FILES", "MAX_COMPARED_BYTES"])
def test_many_clips_are_compared_by_path_alone(tmp_path, monkeypatch, limit):
    data = folders(tmp_path, train=TRAIN, test={"a/7": 0, "a/8": 8})
    assert names(shared_clips(data.train, data.test)) == [("a/7.avi", "a/1.avi")]
    monkeypatch.setattr(overlap, limit, 3)
    assert shared_clips(data.train, data.test) == []
    assert len(shared_clips(data.train, data.train)) == 4


def test_a_pipe_among_the_frames_does_not_block(tmp_path):
    toy.write(tmp_path, 1)
    shutil.copytree(tmp_path / "clip_000_0", tmp_path / "copied")
    for name in ("clip_000_0", "copied"):
        (tmp_path / name / "img_00002.jpg").unlink()
        os.mkfifo(tmp_path / name / "img_00002.jpg")
    clips = [FrameFolder(name, tmp_path / name, 4, 0, "img_{:05d}.jpg") for name in ("clip_000_0", "copied")]
    assert shared_clips(clips[:1], clips[1:]) == []


def test_rendered_clips_are_not_compared():
    clip = types.SimpleNamespace(name="rendered", label=0, count=8)
    assert check_overlap([clip], [clip], "x") == []


def test_clips_whose_files_cannot_be_read_are_compared_by_path():
    with pytest.raises(InputError, match="the same 1 clips"):
        check_overlap([Stand(0, "x", 0, 1)], [Stand(1, "x", 0, 1)], "x")
    assert check_overlap([Stand(0, "x", 0, 1)], [Stand(1, "y", 0, 1)], "x") == []
