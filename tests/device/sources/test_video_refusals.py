"""Video files with odd names, what is no file, and headers that state what no memory holds."""

import os
import struct

import cv2
import pytest

from tests.device.media import make_special, write_video
from tests.device.sources.test_video import OneBrokenFrame, read_all
from tsm_edge.errors import SourceError
from tsm_edge.sources import open_source
from tsm_edge.sources.video import VideoFile


@pytest.mark.parametrize("name", [b"caf\xe9.avi", b"\xff\xfe.avi", b"no ending \x80", b"dots.\xff\xff"])
def test_a_name_that_is_not_utf_8_is_opened(tmp_path, name):
    """OpenCV would crash on it."""
    path = os.path.join(str(tmp_path), os.fsdecode(name))
    os.rename(write_video(tmp_path / "a.avi", 5), path)
    source = VideoFile(path, loop=True)
    assert [frame.gap for frame, _ in zip(source, range(6))] == [False] * 5 + [True]
    assert source.name == path
    assert "\\x" in str(SourceError(source.name)) and str(SourceError(source.name)).isprintable()


@pytest.mark.parametrize("name", ["12:30.avi", "http:a.avi", "concat:a.avi", "%03d.avi", "-i.avi", "a b\n.avi"])
def test_a_name_that_ffmpeg_would_take_for_something_else_is_opened(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.rename(write_video(tmp_path / "a.avi", 3), name)
    with open_source(name) as source:
        assert [frame.index for frame in source] == [0, 1, 2]


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "link to a device"])
def test_what_is_no_regular_file_is_refused_and_not_opened(tmp_path, kind):
    path = str(tmp_path / "a.mp4")
    if kind == "device":
        path = "/dev/zero"
    else:
        make_special(path, kind)
    with pytest.raises(SourceError, match="not a file"):
        open_source(path)


def test_a_header_that_states_a_huge_picture_is_refused(tmp_path):
    class Huge(OneBrokenFrame):
        def get(self, what):
            sides = {cv2.CAP_PROP_FRAME_WIDTH: 60000.0, cv2.CAP_PROP_FRAME_HEIGHT: 60000.0}
            return sides.get(what, super(Huge, self).get(what))

    with pytest.raises(SourceError, match="60000x60000 pixels"):
        VideoFile(write_video(tmp_path / "a.avi", 2), open_capture=Huge)


def test_a_real_header_that_states_a_huge_picture_is_refused(tmp_path):
    path = write_video(tmp_path / "a.avi", 2, fourcc="XVID")
    with open(path, "r+b") as file:
        data = file.read()
        file.seek(data.index(b"strf") + 12)
        file.write(struct.pack("<ii", 60000, 60000))
    indices, message = read_all_or_refuse(path)
    assert message is not None or indices == [0, 1]


def read_all_or_refuse(path):
    try:
        return read_all(VideoFile(path))
    except SourceError as error:
        return [], str(error)
