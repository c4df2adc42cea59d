"""Opening a source by its name, and folders of pictures."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tests.device.media import grey, number_of, write_folder, write_video
from tsm_edge.errors import InputError, SourceError
from tsm_edge.sources import kind_of, open_source
from tsm_edge.sources.images import ImageFolder, natural_key
from tsm_edge.sources.video import VideoFile


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (0, ("camera", 0)),
        ("2", ("camera", 2)),
        ("csi://0?fps=60", ("csi", "csi://0?fps=60")),
        ("rtsp://cam/1", ("network", "rtsp://cam/1")),
        ("http://cam/1", ("network", "http://cam/1")),
        ("HTTPS://cam/1", ("network", "HTTPS://cam/1")),
        ("a.mp4", ("file", "a.mp4")),
        (os.curdir, ("folder", os.curdir)),
    ],
)
def test_kinds(spec, kind):
    assert kind_of(spec) == kind


@pytest.mark.parametrize("spec", [-1, "ftp://host/a.mp4", "rstp://host/1"])
def test_unknown_kinds_are_refused(spec):
    with pytest.raises(InputError, match="expected"):
        open_source(spec)


@pytest.mark.parametrize("spec", [0, "csi://0", "rtsp://host/1"])
def test_live_source_cannot_loop(spec):
    with pytest.raises(InputError, match="loop"):
        open_source(spec, loop=True)


def test_opens_files_and_folders(tmp_path):
    video = write_video(tmp_path / "a.avi", 3)
    os.mkdir(str(tmp_path / "frames"))
    folder = write_folder(tmp_path / "frames", 3)
    for spec, kind in ((video, VideoFile), (tmp_path / "a.avi", VideoFile), (folder, ImageFolder)):
        with open_source(spec) as source:
            assert isinstance(source, kind)
            assert [frame.index for frame in source] == [0, 1, 2]
        with open_source(spec, loop=True) as source:
            assert [frame.gap for frame, _ in zip(source, range(4))] == [False, False, False, True]


def test_missing_file_is_named():
    with pytest.raises(SourceError, match="no such file"):
        open_source("missing/a.mp4")


def test_package_and_contract_load_without_opencv():
    names = ["tsm_edge.sources"] + ["tsm_edge.sources." + name for name in ("base", "capture", "sampling", "container")]
    code = "import sys; sys.modules['cv2'] = None; import " + ", ".join(names)
    subprocess.check_call([sys.executable, "-c", code])


# Folders


def test_natural_order():
    names = ["10.jpg", "9.jpg", "a2b10.png", "a2b9.png", "007.jpg", "7.jpg"]
    assert sorted(names, key=natural_key) == ["007.jpg", "7.jpg", "9.jpg", "10.jpg", "a2b9.png", "a2b10.png"]


def test_folder_is_read_in_natural_order(tmp_path):
    write_folder(tmp_path, 12)
    (tmp_path / "notes.txt").write_bytes(b"no picture")
    (tmp_path / ".hidden.jpg").write_bytes(b"no picture")
    source = ImageFolder(tmp_path)
    assert (source.fps, source.frame_count, source.live) == (None, 12, False)
    frames = [(frame.index, number_of(frame.image), frame.time) for frame in source]
    assert [frame[:2] for frame in frames] == [(index, index) for index in range(12)]
    assert frames[11][2] == pytest.approx(11 / 30.0)
    assert source.grab() is None


def test_folder_at_a_stated_rate(tmp_path):
    write_folder(tmp_path, 3)
    source = ImageFolder(tmp_path, fps=5.0)
    assert source.grab() is not None
    assert [frame.time for frame in source] == pytest.approx([0.2, 0.4])
    assert source.fps == 5.0


def test_real_folder(data):
    root = os.path.join(data, "fall_actions", "dev")
    source = open_source(os.path.join(root, sorted(os.listdir(root))[0]))
    assert all(frame.image.shape == (120, 160, 3) for frame in source)
    assert source.frame_count >= 16


def test_png_grey_and_alpha_come_as_bgr(tmp_path):
    cv2.imwrite(str(tmp_path / "1.png"), grey(3)[:, :, 0])
    cv2.imwrite(str(tmp_path / "2.PNG"), np.dstack([grey(3), grey(9)[:, :, :1]]))
    assert [frame.image.shape for frame in ImageFolder(tmp_path)] == [(48, 64, 3)] * 2


def test_folder_without_pictures(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"x")
    with pytest.raises(SourceError, match="without pictures"):
        ImageFolder(tmp_path)


def test_no_such_folder(tmp_path):
    with pytest.raises(SourceError, match="no such folder"):
        ImageFolder(tmp_path / "missing")


@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_unreadable_picture_is_named_after_the_frames_before_it(tmp_path, content):
    write_folder(tmp_path, 4)
    (tmp_path / "2.jpg").write_bytes(content)
    source = ImageFolder(tmp_path)
    assert [next(source).index, next(source).index] == [0, 1]
    with pytest.raises(SourceError, match=r"2\.jpg(.|\n)*{} bytes".format(len(content))):
        next(source)


def test_picture_that_vanished_is_named(tmp_path):
    write_folder(tmp_path, 2)
    source = ImageFolder(tmp_path)
    (tmp_path / "0.jpg").unlink()
    with pytest.raises(SourceError, match=r"0\.jpg"):
        next(source)


def test_picture_of_another_size_is_named(tmp_path):
    write_folder(tmp_path, 3)
    cv2.imwrite(str(tmp_path / "3.jpg"), grey(3, (32, 32)))
    source = ImageFolder(tmp_path)
    assert [next(source).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SourceError, match=r"32x32(.|\n)*64x48"):
        next(source)
