"""Video files: order, time stamps, upright frames, loops, and every way in which a file can be bad."""

import os
import shutil
import struct

import cv2
import numpy as np
import pytest

from tests.device.media import grey, jpeg, moov_first, number_of, write_video
from tsm_edge.errors import SourceError
from tsm_edge.sources.iso import VideoTrack, read_video_track
from tsm_edge.sources.sampling import sample
from tsm_edge.sources.video import VideoFile

# frames that FFmpeg decodes of each clip, and (width, height) upright
CLIPS = {
    "decord_flipping_a_pancake.mkv": (310, (426, 240)),  # its container states 311
    "decord_video_0.mov": (3, (568, 320)),
    "decord_video_90.mov": (3, (320, 568)),
    "mmaction2_demo.mp4": (280, (340, 256)),
    "mmaction2_demo_skeleton.mp4": (72, (1920, 1080)),
    "mmaction2_part_0.mp4": (32, (340, 256)),
    "mmaction2_test.mp4": (300, (340, 256)),
}


def clip(data, name):
    return os.path.join(data, "clips", name)


def read_all(source):
    """Return (indices, message of the SourceError that ended the source or None)."""
    indices = []
    try:
        indices.extend(frame.index for frame in source)
    except SourceError as error:
        return indices, str(error)
    return indices, None


def cut(source, path, size):
    with open(str(source), "rb") as file:
        path.write_bytes(file.read(size))
    return str(path)


@pytest.mark.parametrize("name", sorted(CLIPS))
def test_real_clips_read_to_the_end(data, name):
    count, size = CLIPS[name]
    with VideoFile(clip(data, name)) as source:
        assert abs(source.frame_count - count) <= 1
        assert not source.live
        times = []
        for frame in source:
            assert frame.image.shape == (size[1], size[0], 3)
            assert frame.image.dtype == np.uint8
            assert not frame.gap
            times.append(frame.time)
    assert frame.index == count - 1
    assert times[0] == 0.0
    assert (np.diff(times) > 0).all()


def write_turned(data, path, degrees):
    """Copy a whole clip with its track header's matrix set to a turn; returns path."""
    with open(clip(data, "decord_video_0.mov"), "rb") as file:
        content = bytearray(file.read())
    cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    matrix = [65536 * value for value in (cosine, sine, 0, -sine, cosine)]
    struct.pack_into(">5i", content, content.find(b"tkhd") + 4 + 40, *matrix)
    path.write_bytes(bytes(content))
    return str(path)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_turned_video_comes_out_upright(data, tmp_path, degrees):
    source = VideoFile(write_turned(data, tmp_path / "a.mov", degrees))
    plain = VideoFile(clip(data, "decord_video_0.mov"))
    images = []
    for frame, expected in zip(source, plain):
        assert np.array_equal(frame.image, np.rot90(expected.image, -degrees // 90))
        images.append(id(frame.image))
    assert len(set(images)) == 1


def test_real_turned_clip_is_upright(data):
    """Upright is a quarter turn clockwise of what is stored: looked at by eye, the letters on the keys then stand."""
    source = VideoFile(clip(data, "decord_video_90.mov"))
    image = next(source).image
    assert read_video_track(source.name).rotation == 90
    raw = cv2.VideoCapture(source.name, cv2.CAP_FFMPEG)
    raw.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
    assert np.array_equal(image, np.rot90(raw.read()[1], -1))


def test_variable_rate_keeps_the_time_stamps_of_the_container(data):
    steps = np.diff([frame.time for frame in VideoFile(clip(data, "mmaction2_demo_skeleton.mp4"))])
    assert steps.max() > 4 * np.median(steps)


def test_frames_are_in_order_with_their_own_pixels(tmp_path):
    source = VideoFile(write_video(tmp_path / "a.avi", 40, fps=20.0))
    assert (source.fps, source.frame_count) == (20.0, 40)
    for index, frame in enumerate(source):
        assert frame.index == index == number_of(frame.image)
        assert frame.time == pytest.approx(index / 20.0, abs=1e-6)


def test_grab_passes_over_frames(tmp_path):
    source = VideoFile(write_video(tmp_path / "a.avi", 5))
    assert source.grab() and source.grab()
    frame = next(source)
    assert (frame.index, number_of(frame.image)) == (2, 2)
    assert [source.grab() is not None for _ in range(3)] == [True, True, False]


def test_reading_decodes_into_the_array_it_is_given(tmp_path):
    source = VideoFile(write_video(tmp_path / "a.avi", 6))
    first, second = source.read(), source.read()
    assert not np.shares_memory(first.image, second.image)
    third = source.read(first.image)
    assert np.shares_memory(first.image, third.image)
    assert [number_of(frame.image) for frame in (second, third)] == [1, 2]


def test_iterating_reuses_one_array(tmp_path):
    frames = [id(frame.image) for frame in VideoFile(write_video(tmp_path / "a.avi", 6))]
    assert len(set(frames)) == 1


def test_loop_goes_on_with_a_gap_and_rising_time(tmp_path):
    source = VideoFile(write_video(tmp_path / "a.avi", 5, fps=10.0), loop=True)
    frames = [(frame.index, number_of(frame.image), frame.gap, frame.time) for frame, _ in zip(source, range(12))]
    assert [frame[:3] for frame in frames] == [(i, i % 5, i in (5, 10)) for i in range(12)]
    assert [frame[3] for frame in frames] == pytest.approx([i / 10.0 for i in range(12)], abs=1e-6)
    assert source.frame_count is None
    assert source.resets == 2


def test_closed_source_is_at_its_end(tmp_path):
    source = VideoFile(write_video(tmp_path / "a.avi", 5))
    next(source)
    source.close()
    source.close()
    assert list(source) == []
    assert source.grab() is None


def test_sampled_file_gives_the_same_frames_on_every_opencv(data):
    kept = [frame.index for frame in sample(VideoFile(clip(data, "mmaction2_test.mp4")), 12)]
    assert len(kept) == 120
    assert kept[:6] == [0, 3, 5, 8, 10, 13]


# Bad files


def test_no_such_file(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        VideoFile(str(tmp_path / "missing.mp4"))


def test_folder_instead_of_a_file(tmp_path):
    with pytest.raises(SourceError, match="not a file"):
        VideoFile(str(tmp_path))


def test_file_without_the_right_to_read_it(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.avi", 2)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything
    with pytest.raises(SourceError, match="no right to read"):
        VideoFile(path)


def test_zero_bytes(tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(SourceError, match="zero bytes"):
        VideoFile(str(tmp_path / "empty.mp4"))


@pytest.mark.parametrize("content", [b"hello, I am a text\n" * 100, bytes(5000), b"\xff" * 5000])
def test_not_a_video(tmp_path, content):
    (tmp_path / "text.mp4").write_bytes(content)
    with pytest.raises(SourceError, match=r"no video|no frame"):
        list(VideoFile(str(tmp_path / "text.mp4")))


@pytest.mark.parametrize("percent", [1, 30, 60, 90])
@pytest.mark.parametrize("name", ["mmaction2_demo.mp4", "decord_video_0.mov"])
def test_mp4_cut_before_its_index_cannot_be_opened(data, tmp_path, name, percent):
    source = clip(data, name)
    path = cut(source, tmp_path / name, os.path.getsize(source) * percent // 100)
    with pytest.raises(SourceError, match="cut off"):
        VideoFile(path)


@pytest.mark.parametrize("percent", [30, 60, 90, 99])
@pytest.mark.parametrize("name", ["mmaction2_demo.mp4", "mmaction2_test.mp4", "mmaction2_part_0.mp4"])
def test_mp4_cut_behind_its_index_gives_its_frames_then_the_damage(data, tmp_path, name, percent):
    whole = moov_first(clip(data, name), tmp_path / "whole.mp4")
    assert read_all(VideoFile(whole)) == (list(range(CLIPS[name][0])), None)
    path = cut(whole, tmp_path / "cut.mp4", os.path.getsize(whole) * percent // 100)
    indices, message = read_all(VideoFile(path))
    assert CLIPS[name][0] * percent // 200 < len(indices) <= CLIPS[name][0]
    assert indices == list(range(len(indices)))
    assert "cut off: {} bytes".format(os.path.getsize(path)) in message


@pytest.mark.parametrize("percent", [30, 60, 97])
def test_mkv_cut_in_the_middle_gives_its_frames_then_the_damage(data, tmp_path, percent):
    source = clip(data, "decord_flipping_a_pancake.mkv")
    path = cut(source, tmp_path / "cut.mkv", os.path.getsize(source) * percent // 100)
    indices, message = read_all(VideoFile(path))
    assert 310 * percent // 200 < len(indices) < 310
    assert indices == list(range(len(indices)))
    assert "cut off" in message and "{} frames before the damage".format(len(indices)) in message


@pytest.mark.parametrize("percent", [40, 80])
def test_avi_cut_in_the_middle_gives_its_frames_then_the_damage(tmp_path, percent):
    source = write_video(tmp_path / "a.avi", 40)
    assert read_all(VideoFile(source)) == (list(range(40)), None)
    path = cut(source, tmp_path / "cut.avi", os.path.getsize(source) * percent // 100)
    indices, message = read_all(VideoFile(path))
    assert 0 < len(indices) < 40
    assert "cut off" in message


@pytest.mark.parametrize(
    "name", ["mmaction2_demo.mp4", "mmaction2_test.mp4", "mmaction2_part_0.mp4", "decord_flipping_a_pancake.mkv"]
)
def test_hole_in_the_middle_is_named_after_the_frames(data, tmp_path, name):
    with open(clip(data, name), "rb") as file:
        content = bytearray(file.read())
    hole = slice(len(content) * 4 // 10, len(content) * 6 // 10)
    content[hole] = bytes(hole.stop - hole.start)
    path = tmp_path / name
    path.write_bytes(bytes(content))
    indices, message = read_all(VideoFile(str(path)))
    assert len(indices) >= CLIPS[name][0] // 4
    assert message is not None
    assert "the {} frames".format(len(indices)) in message


def test_loop_stops_at_damage(data, tmp_path):
    source = clip(data, "decord_flipping_a_pancake.mkv")
    path = cut(source, tmp_path / "cut.mkv", 200000)
    indices, message = read_all(VideoFile(path, loop=True))
    assert len(indices) < 310
    assert "cut off" in message


def trimmed(data, path, header):
    """Copy a clip with half the duration in its edit list and, where asked for, in its track header; returns path."""
    with open(clip(data, "mmaction2_demo.mp4"), "rb") as file:
        content = bytearray(file.read())
    for field in [content.find(b"elst") + 12] + [content.find(b"tkhd") + 24] * header:
        struct.pack_into(">I", content, field, struct.unpack_from(">I", content, field)[0] // 2)
    path.write_bytes(bytes(content))
    return str(path)


def test_edit_list_that_hides_frames_is_no_damage(data, tmp_path):
    """A clip trimmed on a phone keeps all its frames and plays half of them; OpenCV still counts them all."""
    path = trimmed(data, tmp_path / "trimmed.mp4", header=True)
    assert read_video_track(path) == VideoTrack(140, 0)
    source = VideoFile(path)
    assert source.frame_count == 140
    assert read_all(source) == (list(range(140)), None)


def test_edit_list_that_contradicts_the_track_is_damage(data, tmp_path):
    indices, message = read_all(VideoFile(trimmed(data, tmp_path / "trimmed.mp4", header=False)))
    assert indices == list(range(140)) and "140 of its 280 frames cannot be decoded" in message


def test_size_that_changes_midway_is_named_after_the_frames(tmp_path):
    """OpenCV 4 passes the new size on, which is refused; OpenCV 5 scales the rest to the first size by itself."""
    path = tmp_path / "two.mjpeg"
    path.write_bytes(b"".join([jpeg(10)] * 6 + [jpeg(10, (32, 24))] * 3))
    indices, message = read_all(VideoFile(str(path)))
    if message is None:
        assert indices == list(range(9))
        for frame in VideoFile(str(path)):
            assert frame.image.shape == (48, 64, 3)
            assert abs(frame.image.astype(int) - grey(10)).max() <= 2
    else:
        assert indices == list(range(6))
        assert "frame 6 is 32x24" in message
        assert "64x48" in message


class OneBrokenFrame:
    """Stands in for cv2.VideoCapture: its third picture cannot be retrieved."""

    third = (False, None)

    def __init__(self, *_):
        self.index = -1

    def isOpened(self):
        return True

    def set(self, *_):
        return True

    def get(self, what):
        return {cv2.CAP_PROP_FPS: 30.0, cv2.CAP_PROP_FRAME_COUNT: 5.0}.get(what, 0.0)

    def grab(self):
        self.index += 1
        return self.index < 5

    def retrieve(self, into=None):
        return self.third if self.index == 2 else (True, np.zeros((4, 4, 3), np.uint8))

    def release(self):
        pass


def test_picture_that_cannot_be_retrieved_is_an_error(tmp_path):
    path = shutil.copy(write_video(tmp_path / "a.avi", 2), str(tmp_path / "b.mp4"))
    indices, message = read_all(VideoFile(path, open_capture=OneBrokenFrame))
    assert indices == [0, 1]
    assert "frame 2 cannot be decoded" in message


class OneLargerFrame(OneBrokenFrame):
    third = (True, np.zeros((8, 6, 3), np.uint8))


def test_picture_of_another_size_is_an_error(tmp_path):
    path = write_video(tmp_path / "a.avi", 2)
    indices, message = read_all(VideoFile(path, open_capture=OneLargerFrame))
    assert indices == [0, 1]
    assert "frame 2 is 6x8" in message and "4x4" in message


def test_file_without_time_stamps_counts_at_its_rate(tmp_path):
    path = write_video(tmp_path / "a.avi", 2)
    source = VideoFile(path, open_capture=OneBrokenFrame)
    assert [next(source).time, next(source).time] == pytest.approx([0, 1 / 30])


@pytest.mark.skipif(not hasattr(cv2, "CAP_PROP_N_THREADS"), reason="OpenCV 4.6 and older cannot be told")
@pytest.mark.parametrize("threads", [1, 2])
def test_decoder_threads(data, threads):
    """The decoder gets as many as asked for, and the frames are the same."""
    captures = []

    def open_capture(*arguments):
        captures.append(cv2.VideoCapture(*arguments))
        return captures[0]

    path = clip(data, "decord_video_0.mov")
    with VideoFile(path, threads=threads, open_capture=open_capture) as source, VideoFile(path) as default:
        assert captures[0].get(cv2.CAP_PROP_N_THREADS) == threads
        for ours, theirs in zip(source, default):
            assert np.array_equal(ours.image, theirs.image)
