"""Containers of video files: damage, duration and rotation, read without decoding."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.sources.test_video import CLIPS, clip
from tsm_edge.sources.container import find_damage
from tsm_edge.sources.iso import VideoTrack, read_video_track


@pytest.mark.parametrize("name", sorted(CLIPS))
def test_whole_clips_have_no_damage(data, name):
    assert find_damage(clip(data, name)) is None


@pytest.mark.parametrize("name", ["decord_flipping_a_pancake.mkv", "decord_video_90.mov", "mmaction2_part_0.mp4"])
def test_every_cut_is_damage(data, tmp_path, name):
    with open(clip(data, name), "rb") as file:
        content = file.read()
    path = tmp_path / name
    for size in sorted(
        {16, 20, 40, 100, 1000, len(content) - 1} | set(range(0, len(content), len(content) // 50)) - {0}
    ):
        path.write_bytes(content[:size])
        assert find_damage(str(path)) is not None, size


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"plain text that is no container at all",
        b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff" + bytes(40),
    ],
)
def test_unknown_or_open_ended_files_count_as_whole(tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)
    assert find_damage(str(path)) is None


def test_track_is_what_the_container_states(data):
    assert read_video_track(clip(data, "mmaction2_demo_skeleton.mp4")) == VideoTrack(pytest.approx(2.567), 0)
    assert read_video_track(clip(data, "decord_video_90.mov")) == VideoTrack(pytest.approx(0.1), 90)
    assert read_video_track(clip(data, "decord_flipping_a_pancake.mkv")) is None


@settings(deadline=None, max_examples=300)
@given(changes=st.dictionaries(st.integers(0, 753), st.integers(0, 255), max_size=8), keep=st.integers(1, 754))
def test_any_bytes_in_an_index_are_survived(data, tmp_path_factory, changes, keep):
    with open(clip(data, "decord_video_0.mov"), "rb") as file:
        moov = bytearray(file.read()[-754:])
    for at, value in changes.items():
        moov[at] = value
    path = tmp_path_factory.getbasetemp() / "changed.mov"
    path.write_bytes(bytes(moov[:keep]))
    track = read_video_track(str(path))
    assert track is None or track.rotation in (0, 90, 180, 270)
    assert find_damage(str(path)) is None or isinstance(find_damage(str(path)), str)
