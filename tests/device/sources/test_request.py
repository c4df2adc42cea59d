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
from tsm_edge.schema import decode
from tsm_edge.sources.request import MOST_STREAMS, NAME, StreamRequest, open_stream, read_cameras, stream_names

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


@pytest.mark.parametrize(
    "line",
    [
        "source = 99999999999",
        "source = -1",
        "source = ''",
        "source = ' rtsp://host/1'",
        'source = "a\\u0000b"',
        "source = 1e3",
        "source = {a = 1}",
        "source = 2024-01-01",
        'source = 0\nname = "a\\u0000b"',
        'source = 0\nname = "../../etc"',
        'source = 0\nname = "a\\u001b[2J"',
        "source = 0\nname = 'x'\n[[camera]]\nsource = 1\nname = 'x'",
        "source = 0\nname = " + repr("x" * 100000),
        "source = 0\nname = 5",
        "source = 0\nfps = 1e308",
        "source = 0\nfps = 1e-308",
        "source = 0\nfps = nan",
        "source = 0\nfps = inf",
        "source = 0\nfps = 0",
        "source = 0\nfps = " + "9" * 400,
        "source = 0\nrotation = 99999999999999999999",
        "source = 0\nrotation = 90.0",
        "source = 0\nrotation = -90",
        "source = 'clip.mp4'\npaced = 1e-300",
        "source = 'clip.mp4'\npaced = 1e300",
        "source = 'clip.mp4'\nsource_fps = 25",
        "source = 0\nsource_fps = 25",
        "source = 0\nloop = 1",
        "source = 0\nloop = true",
        "source = 0\ndecision = 5",
        "source = 0\nurl = 'rtsp://user:hush@host'",
        "source = 'rtsp://user:hush@host/ 1'",
        "source = ['rtsp://user:hush@host/1']",
    ],
)
def test_values_of_a_cameras_file_that_no_camera_has(tmp_path, line):
    with pytest.raises(InputError) as caught:
        requests = read_cameras(written(tmp_path, "[[camera]]\n" + line + "\n"))
        stream_names(requests)
        for request in requests:
            open_stream(request, None)
    text = str(caught.value)
    assert "do:" in text and len(text) < 2000 and "hush" not in text


def test_thousands_of_cameras_are_refused_before_one_is_opened(tmp_path):
    cameras = "".join("[[camera]]\nsource = {}\nname = 'n{}'\n".format(number, number) for number in range(5000))
    begun = time.process_time()
    with pytest.raises(InputError, match="5000 streams(.|\n)*at most 256"):
        stream_names(read_cameras(written(tmp_path, cameras)))
    assert time.process_time() - begun < 10
    assert len(stream_names([StreamRequest("clip.mp4")] * MOST_STREAMS)) == MOST_STREAMS


VALUES = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.booleans(),
    st.none(),
    st.text(max_size=20),
    st.lists(st.integers(0, 9)),
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(StreamRequest._fields[1:] + ("x",)), VALUES, max_size=4), VALUES)
def test_any_values_are_a_request_or_a_users_mistake(tmp_path_factory, values, source):
    try:
        request = decode(StreamRequest, dict(values, source=source), "camera 1")
        stream_names([request])
        open_stream(request._replace(source=NumberSource([0])), None).close()
    except InputError as error:
        assert len(str(error)) < 2000


def test_the_rate_of_a_folder_can_be_stated(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    media.write_folder(folder, 24)
    requests = read_cameras(written(tmp_path, "[[camera]]\nsource = '{}'\nsource_fps = 12\n".format(folder)))
    with open_stream(requests[0], 4.0) as source:
        frames = list(source)
        assert len(frames) == source.frame_count == 8
        assert [frame.time for frame in frames] == pytest.approx([index / 4.0 for index in range(8)])


def test_a_folder_of_no_stated_rate_is_counted_right_too(tmp_path):
    """A progress bar that counts to `frame_count` ends at 100 %."""
    media.write_folder(tmp_path, 45)
    with open_stream(StreamRequest(str(tmp_path)), 8.5) as source:
        assert len(list(source)) == source.frame_count == 13


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
    assert names("rtsp://10.0.0.5/user=admin&password=secret&channel=1") == ["10-0-0-5-user-admin-password-channel-1"]
    assert names("rtsp://secret@10.0.0.5/live") == ["10-0-0-5-live"]
    assert "secret" not in names(NumberSource([], name="any://user:secret@host"))[0]


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


@pytest.mark.parametrize("changes", [{}, {"fps": 20.0}, {"rotation": 90}])
def test_a_recording_in_real_time_is_read_at_its_own_pace(changes):
    begun = time.perf_counter()
    with open_stream(StreamRequest(NumberSource(range(9), fps=40.0), realtime=True, **changes), None) as source:
        assert not source.live
        indices = [frame.index for frame in source]
    assert indices == (list(range(0, 9, 2)) if "fps" in changes else list(range(9)))
    assert time.perf_counter() - begun >= 0.2 - 1e-6


@pytest.mark.parametrize("live, changes", [(True, {"realtime": True}), (False, {"realtime": False}), (False, {})])
def test_a_live_source_and_one_that_need_not_wait_come_as_they_are(live, changes):
    source = NumberSource(range(3), live=live)
    assert open_stream(StreamRequest(source, **changes), None) is source


def test_a_live_source_cannot_be_paced():
    source = NumberSource([0], live=True)
    with pytest.raises(InputError, match="paced"):
        open_stream(StreamRequest(source, paced=5.0), None)
    assert source.closed
