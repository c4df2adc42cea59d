"""Clips cut from videos at marks: the frames between the marks, all of the clips or none."""

import io
import os
import shutil
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device import media
from tests.device.recording.clips import files_in, numbers_of
from tsm_edge.errors import InputError
from tsm_edge.recording.cutting import Cut, cut_clips, place_clips
from tsm_edge.recording.folder import open_folder
from tsm_edge.recording.plan import Mark
from tsm_edge.recording.prompt import Screen

FPS, COUNT = 20.0, 240  # of the videos: 12 s


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return media.write_video(tmp_path_factory.mktemp("video") / "in.avi", COUNT, fps=FPS)


def cut(place, *cuts):
    screen = Screen(io.StringIO())
    with open_folder(str(place)) as folder:
        place_clips(cut_clips(cuts, folder, "s", screen), folder, screen)
        return folder.clips


def marks_of(*parts):
    return tuple(Mark(start, end, label, "here") for start, end, label in parts)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(2, 30), st.sampled_from("ab")), min_size=1, max_size=6))
def test_a_clip_has_the_frames_between_its_marks(video, parts):
    """parts: frames since the clip before, frames of the clip, label."""
    place, marks, spans, at = tempfile.mkdtemp(), [], [], 0
    try:
        for skipped, count, label in parts:
            start, at = at + skipped, at + skipped + count
            if at <= COUNT:
                marks.append(Mark(start / FPS, at / FPS, label, "here"))
                spans.append((label, list(range(start, at))))
        if not marks:
            return
        clips = cut(place, Cut(video, tuple(reversed(marks))))
        assert [clip.label for clip in clips] == [label for label, _ in spans]
        for clip, (_, frames) in zip(clips, spans):
            numbers, fps = numbers_of(clip.path)
            assert numbers == [index % 64 for index in frames]
            assert fps == pytest.approx(FPS) and clip.start == pytest.approx(frames[0] / FPS, abs=1e-3)
    finally:
        shutil.rmtree(place)


def test_several_videos_are_sessions_of_their_own(video, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    media.write_folder(pictures, 60)  # at 30 frames/s
    place = tmp_path / "data"
    cut(place, Cut(video, marks_of((1.0, 2.0, "wave"))), Cut(str(pictures), marks_of((0.5, 1.0, "wave"))))
    assert files_in(place) == ["recording.jsonl", "wave/s-1_01.avi", "wave/s-2_01.avi"]
    assert numbers_of(place / "wave" / "s-2_01.avi") == (list(range(15, 30)), pytest.approx(30.0))


@pytest.mark.parametrize(
    "part",
    [(11.0, 12.2, "b"), (12.5, 13.0, "b"), (30.0, 31.0, "b"), (5.0, 5.05, "b"), (5.01, 5.04, "b"), (2.0, 4.0, "b")],
)
def test_one_mark_that_cannot_be_cut_leaves_nothing(video, tmp_path, part):
    place = tmp_path / "data"
    with pytest.raises(InputError, match="here") as caught:
        cut(place, Cut(video, marks_of((1.0, 3.0, "a"), part)))
    assert caught.value.do and not place.exists()


def test_a_mark_may_end_with_the_video(video, tmp_path):
    clips = cut(tmp_path, Cut(video, marks_of((11.0, 12.0, "a"))))
    assert numbers_of(clips[0].path)[0] == [index % 64 for index in range(220, 240)]


def test_a_damaged_video_leaves_nothing(video, tmp_path):
    broken, place = tmp_path / "broken.avi", tmp_path / "data"
    shutil.copy(video, str(broken))
    with open(str(broken), "rb+") as file:
        file.truncate(os.path.getsize(video) // 2)
    with pytest.raises(InputError, match="broken.avi"):
        cut(place, Cut(video, marks_of((1.0, 3.0, "a"))), Cut(str(broken), marks_of((1.0, 11.0, "a"))))
    assert not place.exists()
    assert len(cut(place, Cut(str(broken), marks_of((1.0, 3.0, "a"))))) == 1  # before the damage
