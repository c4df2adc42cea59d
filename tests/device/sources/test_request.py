"""What a user asks of streams: cameras files, names, rates, rotation and pacing; and what of it is refused."""

import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device import media
from tests.device.toys import NumberSource
from tsm_edge.errors import InputError
from tsm_edge.sources.request import NAME, StreamRequest, open_stream, read_cameras, stream_names

SITE = """
[[camera]]
name = "door"
source = 0
fps = 12
rotation = 90
decision = { threshold = 0.7 }

[[camera]]
source = "rtsp://user:secret@10.0.0.5:554/live/main?token=secret"
loop = false
"""


def written(tmp_path, text):
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_cameras_file_gives_a_request_for_each_camera(tmp_path):
    door, gate = read_cameras(written(tmp_path, SITE))
    assert door == StreamRequest(0, "door", 12.0, 90, False, None, {"threshold": 0.7})
    assert gate == StreamRequest("rtsp://user:secret@10.0.0.5:554/live/main?token=secret")


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "no [[camera]] table"),
        ("[camera]\nsource = 0", "no [[camera]] table"),
        ("cameras = 3\n" + SITE, "unknown key cameras"),
        ("[[camera]]\nname = 'x'", "no source"),
        ("[[camera]]\nsource = 0\nurl = 'x'", "unknown key url"),
        ("[[camera]]\nsource = 0\nfps = 'fast'", "'fast'"),
        ("[[camera]]\nsource = true", "True"),
        ("[[camera]]\nsource = [1]", "[1]"),
        ("[[camera]\nsource = 0", "damaged TOML"),
        ("camera = [1]", "camera 1"),
    ],
)
def test_cameras_files_that_are_wrong(tmp_path, text, words):
    with pytest.raises(InputError) as error:
        read_cameras(written(tmp_path, text))
    assert words in str(error.value) and "site.toml" in str(error.value)


def test_a_cameras_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_cameras(str(tmp_path / "none.toml"))


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "site.toml").write_bytes(b"\xff\xfe[[camera]]")
    with pytest.raises(InputError, match="damaged TOML"):
        read_cameras(str(tmp_path / "site.toml"))


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="tomllib belongs to Python from 3.11 on")
def test_without_a_toml_library_the_install_command_is_given(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tomli", None)
    with pytest.raises(InputError, match="pip install tomli"):
        read_cameras(written(tmp_path, SITE))


def names(*specs):
    return stream_names([spec if isinstance(spec, StreamRequest) else StreamRequest(spec) for spec in specs])


def test_names_are_made_from_the_sources(tmp_path):
    folder = tmp_path / "take 2"
    folder.mkdir()
    assert names(0, "1", "csi://0?fps=30", str(folder), "videos/wave.v1.mp4") == [
        "camera0",
        "camera1",
        "csi0",
        "take-2",
        "wave-v1",
    ]
    assert names("a/clip.mp4", "b/clip.mp4", "clip.mov") == ["clip", "clip-2", "clip-3"]
    assert names(NumberSource([], name="/data/x.mkv")) == ["x"]
    assert names("\u8dcc\u5012.mp4") == ["stream"]


def test_a_name_holds_no_secret_of_an_address():
    (name,) = names("rtsp://user:secret@10.0.0.5:554/live/main?token=secret")
    assert name == "10-0-0-5-live-main"


def test_two_streams_of_one_name_are_refused_and_a_made_name_gives_way():
    with pytest.raises(InputError, match="two streams of that name"):
        names(StreamRequest(0, "door"), StreamRequest(1, "door"))
    assert names(StreamRequest(0, "clip"), "clip.mp4") == ["clip", "clip-2"]


@pytest.mark.parametrize("name", ["a/b", "..", "a b", "", "x" * 65, "t\u00fcr", "a+b", "a#"])
def test_names_that_fit_no_file_and_no_topic(name):
    request = StreamRequest(0, name)
    if name:
        with pytest.raises(InputError, match="stream name"):
            names(request)
    else:
        assert names(request) == ["camera0"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=30).filter(lambda s: not s.isdigit() and "://" not in s), max_size=6))
def test_made_names_always_fit_and_differ(paths):
    made = names(*["./" + path.replace("\0", "x") for path in paths])
    assert len(set(made)) == len(made)
    assert all(NAME.match(name) for name in made)


@pytest.mark.parametrize("degrees, corner", [(90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_a_camera_mounted_otherwise_is_turned(tmp_path, degrees, corner):
    folder = tmp_path / "frames"
    folder.mkdir()
    media.write_folder(folder, 2)
    with open_stream(StreamRequest(str(folder)), None) as plain:
        expected = [np.rot90(frame.image, -degrees // 90).copy() for frame in plain]
    with open_stream(StreamRequest(str(folder), rotation=degrees), None) as turned:
        got = [frame.image.copy() for frame in turned]
    assert len(got) == 2
    for a, b in zip(got, expected):
        assert np.array_equal(a, b)


def test_the_size_of_a_turned_source_is_turned():
    source = NumberSource([0])
    source.frame_size = (64, 48)
    assert open_stream(StreamRequest(source, rotation=90), None).frame_size == (48, 64)
    assert open_stream(StreamRequest(source, rotation=180), None).frame_size == (64, 48)


def test_the_rate_of_the_request_wins_over_the_models():
    assert [f.index for f in open_stream(StreamRequest(NumberSource(range(20))), 5.0)] == list(range(0, 20, 2))
    assert [f.index for f in open_stream(StreamRequest(NumberSource(range(20)), fps=2.0), 5.0)] == [0, 5, 10, 15]


def test_a_paced_recording_is_released_on_time():
    waits = []
    source = open_stream(StreamRequest(NumberSource(range(5)), paced=50.0), None)
    source._wait = lambda seconds: (waits.append(seconds), time.sleep(seconds))
    frames = list(source)
    assert source.live and [frame.index for frame in frames] == list(range(5))
    due = [frame.times.since - frames[0].times.since for frame in frames]
    assert due == pytest.approx([0, 0.02, 0.04, 0.06, 0.08], abs=1e-9)
    for frame in frames:
        assert frame.times.since <= frame.times.ready <= frame.times.done
    assert waits and max(waits) <= 0.02


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"rotation": 45}, "rotation"),
        ({"fps": 0.0}, "fps"),
        ({"fps": float("nan")}, "fps"),
        ({"paced": -1.0}, "paced"),
        ({"paced": float("inf")}, "paced"),
    ],
)
def test_requests_that_cannot_be(changes, word):
    with pytest.raises(InputError, match=word):
        open_stream(StreamRequest(NumberSource([0]), **changes), None)


def test_a_live_source_cannot_be_paced():
    source = NumberSource([0], live=True)
    with pytest.raises(InputError, match="paced"):
        open_stream(StreamRequest(source, paced=5.0), None)
    assert source.closed
