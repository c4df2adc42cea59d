"""Damaged videos: the result is all frames or an error after the last one, never fewer frames and success."""

import logging
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from tests.device.damage import damaged
from tests.device.media import grey
from tsm_edge.errors import SourceError
from tsm_edge.sources.container import Contents, inspect
from tsm_edge.sources.video import VideoFile

COUNT = 32
SEEDS = 40
FORMATS = [("avi", "MJPG"), ("avi", "XVID"), ("mp4", "mp4v"), ("mov", "mp4v"), ("mkv", "MJPG"), ("mkv", "XVID")]


def write(path, fourcc):
    """Write COUNT frames in which something moves, so that they are more than headers."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*fourcc), 30.0, (160, 120))
    assert writer.isOpened()
    for index in range(COUNT):
        picture = grey(index, (160, 120))
        cv2.circle(picture, (20 + 4 * index, 60), 15, (0, 0, 255), -1)
        writer.write(picture)
    writer.release()
    return path


def read(path):
    """Return (number of frames, text of the error that ended the file or None)."""
    count = 0
    try:
        with VideoFile(str(path)) as source:
            for frame in source:
                assert frame.index == count
                count += 1
    except SourceError as error:
        return count, str(error)
    return count, None


@pytest.mark.parametrize("suffix, fourcc", FORMATS)
def test_damage_never_shortens_a_video_without_an_error(tmp_path, caplog, suffix, fourcc):
    data = write(tmp_path / ("whole." + suffix), fourcc).read_bytes()
    assert read(tmp_path / ("whole." + suffix)) == (COUNT, None)
    assert inspect(str(tmp_path / ("whole." + suffix))) == Contents(None, COUNT)
    path = tmp_path / ("damaged." + suffix)
    errors = 0
    for seed in range(SEEDS):
        done, content = damaged(data, seed)
        path.write_bytes(content)
        caplog.clear()
        count, message = read(path)
        if message is None and count < COUNT:  # its first bytes are damaged: nobody can say what it was
            assert inspect(str(path)) == Contents(), done
            assert "do not state how many" in caplog.text, done
        errors += message is not None
        words = "the {0} frames before", "frame {0} is"  # the second where the damage changes the size of a picture
        told = message is None or count == 0 or any(word.format(count) in message for word in words)
        assert told, (done, message)
    assert SEEDS // 4 < errors < SEEDS  # the generator makes damage that matters, and damage that does not


@pytest.mark.parametrize("suffix, fourcc", [FORMATS[0], FORMATS[4]])
def test_a_picture_that_is_wiped_out_in_the_middle_is_noticed_at_the_end(tmp_path, suffix, fourcc):
    """The 11 of 32 frames of an AVI that ended "at the end of the source"."""
    data = bytearray(write(tmp_path / ("whole." + suffix), fourcc).read_bytes())
    pictures = data.split(b"\xff\xd8\xff")
    start = sum(len(part) + 3 for part in pictures[:12]) - 3
    data[start : start + 500] = bytes(500)
    path = tmp_path / ("hole." + suffix)
    path.write_bytes(bytes(data))
    count, message = read(path)
    assert 11 <= count < COUNT
    assert "{} of its {} frames cannot be decoded".format(COUNT - count, COUNT) in message


def test_damage_in_the_pixels_alone_cannot_be_told(tmp_path):
    """What still decodes to as many frames counts as whole: MJPEG and MPEG-4 carry no checksum."""
    data = bytearray(write(tmp_path / "whole.avi", "MJPG").read_bytes())
    at = data.index(b"\xff\xda", len(data) // 2) + 60
    data[at] ^= 0x10
    (tmp_path / "changed.avi").write_bytes(bytes(data))
    assert read(tmp_path / "changed.avi") == (COUNT, None)


def test_a_file_that_states_no_count_says_so_once(tmp_path, caplog):
    ok, picture = cv2.imencode(".jpg", np.full((48, 64, 3), 99, np.uint8))
    path = tmp_path / "a.mjpeg"
    path.write_bytes(picture.tobytes() * 6)
    assert ok and read(path) == (6, None)
    assert "6 frames were read; files of this kind do not state how many there are" in caplog.text
    caplog.clear()
    with VideoFile(str(path), loop=True) as source:
        assert len([frame for frame, _ in zip(source, range(20))]) == 20
    assert len(caplog.records) <= 1


def test_a_whole_file_logs_nothing(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    write(tmp_path / "whole.mkv", "MJPG")
    assert read(tmp_path / "whole.mkv") == (COUNT, None) and not caplog.records


# What FFmpeg writes, where it is installed: apt install ffmpeg

INPUT = "-f lavfi -i testsrc2=size=160x120:rate=30:duration=2 "
SOUND = "-f lavfi -i sine=duration=2 "
MADE = {
    "b_frames.mp4": INPUT + "-c:v libx264 -bf 3 -g 30",
    "open_gop.mkv": INPUT + "-c:v libx264 -bf 3 -g 30 -x264-params open-gop=1",
    "sound.mkv": INPUT + SOUND + "-c:v libx264 -bf 3 -c:a aac",
    "b_frames.avi": INPUT + "-c:v mpeg4 -bf 2 -g 30",
    "fragments.mp4": INPUT + "-c:v libx264 -bf 3 -g 10 -movflags frag_keyframe+empty_moov",
    "hevc.mp4": INPUT + "-c:v libx265 -x265-params log-level=none",
    "hidden.webm": INPUT + "-c:v libvpx -auto-alt-ref 1 -lag-in-frames 16 -b:v 200k",
    "vp9.webm": INPUT + "-c:v libvpx-vp9 -b:v 200k",
    "interlaced.mp4": INPUT + "-c:v libx264 -flags +ildct+ilme -x264-params interlaced=1",
    "gap_in_time.avi": INPUT + "-vf select='not(between(n,20,40))' -vsync vfr -c:v mpeg4",
    "gap_in_time.mkv": INPUT + "-vf select='not(between(n,20,40))' -vsync vfr -c:v libx264",
    "no_lengths.mkv": INPUT + "-c:v mjpeg -f matroska",
    "no_index.avi": INPUT + SOUND + "-c:v mjpeg -c:a pcm_s16le -f avi",
    "edited.mp4": "-ss 0.8 -i b_frames.mp4 -t 0.77 -c copy",
    "edited.mov": "-ss 1.03 -i b_frames.mp4 -c copy",
    "no_key_frame.mkv": "-i open_gop.mkv -ss 0.5 -c copy",
}


def ffmpeg(folder, name):
    """Make a file of MADE (into a pipe where it must have no lengths), and those that it is made of."""
    for other in ("b_frames.mp4", "open_gop.mkv"):
        if other in MADE[name] and not (folder / other).exists():
            ffmpeg(folder, other)
    command = ["ffmpeg", "-loglevel", "quiet", "-y"] + MADE[name].split()
    piped = name.startswith("no_") and "-f" in command
    done = subprocess.run(command + ["-" if piped else name], stdout=subprocess.PIPE, check=True, cwd=str(folder))
    if piped:
        (folder / name).write_bytes(done.stdout)
    return folder / name


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="apt install ffmpeg")
@pytest.mark.parametrize("name", sorted(MADE))
def test_what_ffmpeg_writes_is_whole_and_its_damage_is_noticed(tmp_path, name):
    path = ffmpeg(tmp_path, name)
    whole, message = read(path)
    assert message is None and inspect(str(path)) == Contents(None, whole)
    data, other = path.read_bytes(), tmp_path / ("damaged_" + name)
    for seed in range(12):
        done, content = damaged(data, seed)
        other.write_bytes(content)
        count, message = read(other)
        assert count >= whole or message is not None, (done, count, whole)
