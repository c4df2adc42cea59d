"""Opening a source by its name, and folders of pictures."""

import os
import struct
import subprocess
import sys
import time
import unicodedata
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.damage import damaged
from tests.device.media import grey, jpeg, make_special, number_of, write_folder, write_video
from tsm_edge.errors import InputError, SourceError
from tsm_edge.sources import SOURCES, kind_of, open_source
from tsm_edge.sources.images import ImageFolder, natural_key
from tsm_edge.sources.request import StreamRequest, stream_names
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


@pytest.mark.parametrize("spec", [-1, "ftp://host/a.mp4", "rstp://host/1", "rtmp://host/live/key", "srt://host:1"])
def test_unknown_kinds_are_refused(spec):
    with pytest.raises(InputError, match="expected"):
        open_source(spec)


@pytest.mark.parametrize(
    "spec, words",
    [
        (" rtsp://user:hush@host/1", "a space before or after"),
        ("rtsp://user:hush@host/1\n", "a space before or after"),
        ("rtsp:/user:hush@host/1", "rtsp without ://"),
        ("rtsp:\\\\user:hush@host\\1", "rtsp without ://"),
        ("RTSP:user:hush@host/1", "rtsp without ://"),
        ("http:hush@host", "http without ://"),
        ("csi:/0", "csi without ://"),
        ("rtsp://user:hu sh@host/1", "a space or a control character"),
        ("rtsp://user:hush@host/\x1b[2J", "a space or a control character"),
        ("rtsp://", "without a host"),
        ("http:///a?token=hush", "without a host"),
        ("rtsp://user:hush@/1", "without a host"),
        ("rtsp://user:hush@[::1/a", "host or port"),
        ("rtsp://host:99999/1", "host or port"),
        ("rtsp://user:hush#1@host/1", "host or port"),
        ("rtmp://user:hush@host/1", "unknown kind rtmp://"),
        ("\0", "a NUL character"),
        ("a\0b.mp4", "a NUL character"),
        ("rtsp://user:hush@host\0/1", "a NUL character"),
        ("", "an empty text"),
        (True, "type bool"),
        (None, "type NoneType"),
        (3.5, "type float"),
        (["a"], "type list"),
        (10000, "10000"),
        (10**30, "a number of 31 digits"),
        ("99999999999", "99999999999"),
        ("0" * 7000, "a number of 7000 digits"),
    ],
)
def test_what_no_source_can_be_called_is_refused_with_the_reason(spec, words):
    with pytest.raises(InputError) as caught:
        open_source(spec)
    text = str(caught.value)
    assert words in text and "do:" in text and len(text) < 1000
    assert "hush" not in text and "hu sh" not in text


# Every place of an address where a secret may stand, written well and badly.
SECRETS = [
    "{scheme}{mark}user:{secret}@host/{path}",
    "{scheme}{mark}{secret}@host/{path}",
    " {scheme}{mark}user:{secret}@host:554/{path}",
    "{scheme}{mark}host/{path}?token={secret}",
    "{scheme}{mark}host/user=admin&password={secret}&channel=1",
]


@settings(max_examples=150, deadline=None)
@given(
    form=st.sampled_from(SECRETS),
    scheme=st.sampled_from(["rtsp", "rtsps", "http", "https", "RTSP", "rtmp", "srt", "rtps"]),
    mark=st.sampled_from(["://", ":/", ":\\\\"]),
    secret=st.text("abcXYZ0189!$*.~", max_size=8).map("Qz7{}7zQ".format),
    path=st.text("abc/_-.é\n\x1b", max_size=8),
)
def test_no_address_shows_its_secret(form, scheme, mark, secret, path):
    address = form.format(scheme=scheme, mark=mark, secret=secret, path=path)
    try:
        kind, target = kind_of(address)
        assert kind in ("network", "file") and target == address  # "rtps:/" may be the name of a folder
        (text,) = stream_names([StreamRequest(address)])
    except InputError as error:
        text = str(error)
    assert "Qz7" not in text and "7zQ" not in text


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=40), st.binary(max_size=20), st.integers(), st.floats(), st.none(), st.booleans()))
def test_anything_is_a_source_or_a_users_mistake(spec):
    try:
        kind, _ = kind_of(spec)
    except InputError as error:
        assert not {unicodedata.category(character) for character in str(error).replace("\n", "")} & {"Cc", "Cs"}
    else:
        assert kind in SOURCES


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
    assert (source.fps, source.frame_count, source.live) == (30.0, 12, False)
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


def test_digits_that_are_no_decimal_digits_are_text():
    assert sorted(["1\u00b22.jpg", "1.jpg", "\u0663.jpg"], key=natural_key) == ["1.jpg", "1\u00b22.jpg", "\u0663.jpg"]


def test_a_folder_with_very_many_pictures_opens_in_seconds(tmp_path, monkeypatch):
    """Measured: a million take 6 s and 130 MB."""
    names = ["frame_{}.jpg".format(number * 7919 % 200000) for number in range(200000)]
    monkeypatch.setattr(os, "listdir", lambda path: names)
    begun = time.process_time()
    source = ImageFolder(tmp_path)
    assert source.frame_count == 200000 and time.process_time() - begun < 10
    assert source._files[:3] == ["frame_0.jpg", "frame_1.jpg", "frame_2.jpg"]


@pytest.mark.parametrize("kind", ["fifo", "socket", "link to a device", "folder"])
def test_only_regular_files_are_read_as_pictures(tmp_path, kind):
    write_folder(tmp_path, 2)
    path = str(tmp_path / "2.jpg")
    make_special(path, kind)
    source = open_source(tmp_path)
    assert [next(source).index for _ in range(2)] == [0, 1]
    with pytest.raises(SourceError, match=r"2\.jpg"):
        next(source)


def png_header(width, height):
    """A PNG file that states a size and holds no pixel."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body) & 0xFFFFFFFF)
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IEND\xaeB`\x82"


def jpeg_header(width, height):
    """A real JPEG file whose header states another size."""
    data = bytearray(jpeg(1))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize(
    "width, height", [(40000, 40000), (2**31, 2**31), (65535, 65535), (1, 60000), (60000, 900), (0, 9)]
)
@pytest.mark.parametrize("header", [png_header, jpeg_header])
def test_a_picture_too_large_is_refused_before_it_is_decoded(tmp_path, monkeypatch, header, width, height):
    if header is jpeg_header and max(width, height) > 65535:
        width, height = 65500, 65500
    (tmp_path / "1.png").write_bytes(header(width, height))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(SourceError, match="pictures of {}x{} pixels".format(width, height)):
        next(open_source(tmp_path))


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**6), png=st.booleans())
def test_any_damage_of_a_picture_gives_the_picture_or_an_error(tmp_path_factory, seed, png):
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    ok, data = cv2.imencode(
        ".png" if png else ".jpg", np.random.RandomState(0).randint(0, 256, (24, 32, 3)).astype(np.uint8)
    )
    assert ok
    done, content = damaged(data.tobytes(), seed)
    (folder / "1.jpg").write_bytes(content)
    try:
        frame = next(open_source(folder))
        assert 0 not in frame.image.shape
        assert not done.startswith("cut"), done
    except SourceError as error:
        assert "1.jpg" in str(error)


def test_a_rate_belongs_to_a_folder_alone(tmp_path):
    video = write_video(tmp_path / "a.avi", 3)
    write_folder(tmp_path, 10)
    with open_source(tmp_path, fps=5.0) as folder:
        assert folder.fps == 5.0 and [frame.time for frame in folder][:3] == pytest.approx([0, 0.2, 0.4])
    for spec in (video, 0, "rtsp://host/1"):
        with pytest.raises(InputError, match="time stamps of its own"):
            open_source(spec, fps=5.0)


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
