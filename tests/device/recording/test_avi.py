"""The AVI files of clips: each frame once, in order, at the rate that was measured, readable by every OpenCV."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device import media
from tsm_edge.recording import avi
from tsm_edge.recording.avi import AviFile
from tsm_edge.sources.container import Contents, inspect
from tsm_edge.sources.video import VideoFile


def write(path, count, fps, size=(64, 48)):
    file = AviFile(str(path), size)
    for index in range(count):
        file.add(media.jpeg(index, size))
    file.finish(fps)
    return str(path)


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 64),
    fps=st.floats(0.01, 1000, allow_nan=False),
    size=st.tuples(st.integers(16, 130), st.integers(16, 130)),
)
def test_what_is_written_is_read(tmp_path_factory, count, fps, size):
    path = write(tmp_path_factory.mktemp("avi") / "clip.avi", count, fps, size)
    assert inspect(path) == Contents(None, count)
    with VideoFile(path) as video:
        assert (video.frame_count, video.frame_size) == (count, size)
        assert video.fps == pytest.approx(fps, abs=2e-6, rel=1e-6)
        frames = [(media.number_of(frame.image), frame.time) for frame in video]
    assert [number for number, _ in frames] == list(range(count))
    assert frames[-1][1] == pytest.approx((count - 1) / fps, rel=1e-4, abs=1e-4)


def test_a_file_that_is_cut_is_damaged(tmp_path):
    path = write(tmp_path / "clip.avi", 20, 30.0)
    with open(path, "rb+") as file:
        file.truncate(os.path.getsize(path) // 2)
    assert "cut off" in inspect(path).damage


def test_a_picture_is_read_back_while_the_file_grows(tmp_path):
    file = AviFile(str(tmp_path / "clip.avi"), (64, 48))
    for index in range(5):
        file.add(media.jpeg(index))
        assert file.picture(index // 2) == media.jpeg(index // 2)
    assert file.frames == 5
    file.finish(30.0)
    with VideoFile(file.path) as video:
        assert [media.number_of(frame.image) for frame in video] == list(range(5))


def test_no_file_grows_beyond_what_its_index_can_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(avi, "LARGEST_BYTES", 3000)
    file = AviFile(str(tmp_path / "clip.avi"), (64, 48))
    with pytest.raises(OverflowError):
        for index in range(10):
            file.add(media.jpeg(index))
    file.finish(30.0)
    assert inspect(file.path) == Contents(None, file.frames)
