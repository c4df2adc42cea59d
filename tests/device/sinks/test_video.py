"""The annotated video: every frame in it, playable whatever happens, and no silent failure of the encoder."""

import os
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from tests.device.running import wait_for_writer
from tests.device.sinks.test_sinks import run_python
from tests.device.toys import make_event, make_infos, make_result
from tsm_edge.errors import InputError

cv2 = pytest.importorskip("cv2")
from tsm_edge.sinks import encoders, video  # noqa: E402 - needs cv2
from tsm_edge.sinks.video import VideoSink  # noqa: E402

EXTENSIONS = [".mp4", ".avi", ".mkv", ".MP4"]


def shade(index):
    """A frame whose lower right corner, free of the overlay, tells which one it is."""
    return np.full((256, 340, 3), 8 * index, np.uint8)


def read_back(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, image = capture.read()
        if not there:
            break
        frames.append(image)
    fps = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return frames, fps


def frames_of(path):
    """The frames of a video, by decoding it: what a file that was cut off has lost shows nowhere else."""
    return len(read_back(path)[0])


@pytest.fixture(params=["ffmpeg", "opencv"])
def encoder(request, monkeypatch):
    """Which encoder writes MP4 and MKV; the environment in which another process takes the same one."""
    if request.param == "opencv":
        monkeypatch.setattr(encoders, "ffmpeg_works", lambda: False)
        monkeypatch.setenv("PATH", "")
    elif not encoders.ffmpeg_works():
        pytest.skip("no ffmpeg with libx264 on this machine")
    return request.param


def encoder_threads():
    return [thread for thread in threading.enumerate() if thread.name == "encoder"]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_every_frame_is_in_the_video_in_order(tmp_path, extension, encoder):
    path = str(tmp_path / ("out" + extension))
    image = shade(0)  # one array for all frames, as a source reuses its own
    with VideoSink(path, 12.5) as sink:
        for index in range(25):
            image[:] = 8 * index
            assert sink.write(make_result(index, image=image)) is None
            assert (image == 8 * index).all()
    frames, fps = read_back(path)
    assert len(frames) == 25 and fps == pytest.approx(12.5)
    for index, frame in enumerate(frames):
        assert frame.shape == (256, 340, 3)
        assert abs(float(frame[128:, 200:].mean()) - 8 * index) < 4
    assert frames[20][:20].max() > 200  # the overlay: white letters ...
    assert frames[20][:20].mean() < 100  # ... on a dark strip
    assert encoder_threads() == []
    ((name, text),) = sink.facts()
    by_ffmpeg = encoder == "ffmpeg" and extension != ".avi"
    assert name == "video" and path in text and ("H.264 by ffmpeg" if by_ffmpeg else "by OpenCV") in text
    if by_ffmpeg and shutil.which("ffprobe"):
        assert probed(path) == ["codec_name=h264", "pix_fmt=yuv420p", "avg_frame_rate=25/2", "nb_read_frames=25"]


def probed(path):
    """What ffprobe, which is none of ours, says of a video: what a browser plays is H.264 in yuv420p."""
    command = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0", "-of", "default=noprint_wrappers=1"]
    command += ["-show_entries", "stream=codec_name,pix_fmt,avg_frame_rate,nb_read_frames", path]
    return subprocess.check_output(command).decode().split()


@pytest.mark.parametrize("fps", [1, 29.97, 60])
@pytest.mark.parametrize("extension", EXTENSIONS[:3])
@pytest.mark.parametrize("count", [1, 2])
def test_short_videos_pass_the_check_at_the_end(tmp_path, extension, fps, count, encoder):
    path = str(tmp_path / ("out" + extension))
    with VideoSink(path, fps) as sink:
        for index in range(count):
            sink.write(make_result(index, image=shade(9)))
    assert len(read_back(path)[0]) == count


def test_each_of_several_streams_has_its_file(tmp_path):
    infos = make_infos("door", "yard", fps=10.0)
    path = str(tmp_path / "out.mp4")
    assert video.output_paths(path, ["door"]) == [path]
    expected = [str(tmp_path / "out-door.mp4"), str(tmp_path / "out-yard.mp4")]
    assert video.output_paths(path, ["door", "yard"]) == expected
    with video.open_sink(path, infos) as sink:
        for index in range(4):
            sink.write(make_result(index, image=shade(1), stream="door"))
            if index % 2:
                sink.write(make_result(index, image=np.full((64, 48, 3), 200, np.uint8), stream="yard"))
        sink.event(make_event())
    assert [len(read_back(name)[0]) for name in expected] == [4, 2]
    assert [read_back(name)[1] for name in expected] == pytest.approx([10.0, 10.0])
    assert encoder_threads() == []


def test_one_file_that_fails_at_the_end_keeps_no_other_from_its_end(tmp_path, monkeypatch):
    def broken(image, result, parts):
        if result.frame.stream == "door":
            raise RuntimeError("planted")

    monkeypatch.setattr(video, "draw_onto", broken)
    sink = video.open_sink(str(tmp_path / "out.mp4"), make_infos("door", "yard"))
    for name in ("door", "yard"):
        sink.write(make_result(0, image=shade(1), stream=name))
    with pytest.raises(InputError, match="planted"):
        sink.close()
    assert len(read_back(tmp_path / "out-yard.mp4")[0]) == 1 and encoder_threads() == []


@pytest.mark.parametrize("extension", EXTENSIONS[:3])
@pytest.mark.parametrize("size", [(121, 161), (2, 3), (3, 500), (480, 2), (17, 18)])
def test_an_odd_size_loses_one_row_or_column(tmp_path, extension, size, encoder):
    path = str(tmp_path / ("out" + extension))
    with VideoSink(path, 25) as sink:
        sink.write(make_result(image=np.full(size + (3,), 99, np.uint8)))
    assert read_back(path)[0][0].shape == (size[0] // 2 * 2, size[1] // 2 * 2, 3)


@pytest.mark.parametrize("fps", [0.001, 7.5, 30000 / 1001, 90000.0, 1e9])
def test_any_frame_rate_that_a_source_may_state(tmp_path, fps, encoder):
    path = str(tmp_path / "out.mkv")
    with VideoSink(path, fps) as sink:
        for index in range(3):
            sink.write(make_result(index, image=shade(index)))
    assert frames_of(path) == 3


def test_an_image_that_is_a_view(tmp_path):
    wide = np.full((120, 640, 3), 60, np.uint8)
    with VideoSink(str(tmp_path / "out.avi"), 25) as sink:
        sink.write(make_result(image=wide[:, ::-2]))
    assert (wide == 60).all() and len(read_back(tmp_path / "out.avi")[0]) == 1


def test_no_frame_no_file(tmp_path):
    path = str(tmp_path / "out.mp4")
    with VideoSink(path, 25) as sink:
        sink.finish([{"kind": "summary"}])
    sink.close()
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("name", ["out", "out.gif", "out.mp4.part", ".mp4"])
def test_an_extension_that_is_no_video(tmp_path, name):
    with pytest.raises(InputError, match="expected: .avi or .mkv or .mp4"):
        VideoSink(str(tmp_path / name), 25)


@pytest.mark.parametrize("fps", [0, -1, None, float("nan"), float("inf")])
def test_an_impossible_frame_rate(tmp_path, fps):
    with pytest.raises(InputError, match="--fps"):
        VideoSink(str(tmp_path / "out.mp4"), fps)


def test_a_path_that_cannot_be_written_is_named_before_the_first_frame(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no folder"):
        VideoSink(str(tmp_path / "none" / "out.mp4"), 25)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(InputError, match="a folder"):
        VideoSink(str(tmp_path / "folder.mp4"), 25)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="no permission"):
        VideoSink(str(tmp_path / "out.mp4"), 25)


def test_a_frame_without_a_size(tmp_path):
    path = tmp_path / "out.mp4"
    with VideoSink(str(path), 25) as sink, pytest.raises(InputError, match="a frame of 1x1"):
        sink.write(make_result(image=np.zeros((1, 1, 3), np.uint8)))
    assert not path.exists() and encoder_threads() == []


def test_a_frame_of_another_size(tmp_path):
    path = str(tmp_path / "out.mp4")
    with VideoSink(path, 25) as sink:
        sink.write(make_result(0, image=shade(1)))
        with pytest.raises(InputError, match="frame 1\n.*64x48\n.*340x256"):
            sink.write(make_result(1))
    assert len(read_back(path)[0]) == 1


def test_an_error_in_the_encoders_thread_surfaces_in_write(tmp_path, monkeypatch):
    def broken(image, result, parts):
        if result.frame.index == 2:
            raise RuntimeError("planted")
        return image

    monkeypatch.setattr(video, "draw_onto", broken)
    sink = VideoSink(str(tmp_path / "out.mp4"), 25)
    with pytest.raises(InputError, match="planted"):
        for index in range(3 + video.BUFFERS + 1):
            sink.write(make_result(index, image=shade(1)))
    sink.close()
    assert len(read_back(tmp_path / "out.mp4")[0]) == 2 and encoder_threads() == []


def test_an_error_in_the_encoders_thread_surfaces_in_close(tmp_path, monkeypatch):
    def broken(image, result, parts):
        raise RuntimeError("planted")

    monkeypatch.setattr(video, "draw_onto", broken)
    sink = VideoSink(str(tmp_path / "out.mp4"), 25)
    sink.write(make_result(0, image=shade(1)))
    with pytest.raises(InputError, match="planted"):
        sink.close()
    assert encoder_threads() == []


def test_an_encoder_that_writes_nothing(tmp_path, monkeypatch):
    class Mute:
        def __init__(self, path, *args):
            open(path, "wb").close()

        def isOpened(self):
            return True

        def write(self, image):
            pass

        def release(self):
            pass

    monkeypatch.setattr(encoders, "ffmpeg_works", lambda: False)
    monkeypatch.setattr(cv2, "VideoWriter", Mute)
    monkeypatch.setattr(cv2, "VideoWriter_fourcc", lambda *letters: 0, raising=False)
    sink = VideoSink(str(tmp_path / "out.mp4"), 25)
    sink.write(make_result(image=shade(1)))
    with pytest.raises(InputError, match="nothing that plays"):
        sink.close()
    assert os.listdir(str(tmp_path)) == []


FILL = """
import resource, signal, sys
import numpy as np
from tests.device.toys import make_result
from tsm_edge.errors import InputError
from tsm_edge.sinks.video import VideoSink
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))  # as a disk that fills up
noise = np.random.RandomState(0).randint(0, 255, (120, 160, 3), np.uint8)
try:
    with VideoSink(sys.argv[1], 25) as sink:
        for index in range(200):
            sink.write(make_result(index, image=noise))
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("extension", EXTENSIONS[:3])
def test_a_disk_that_fills_up_is_told(tmp_path, extension, encoder):
    path = str(tmp_path / ("out" + extension))
    process = run_python(FILL, path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    said = process.communicate()[0].decode()
    assert said.startswith(path) and "a full disk?" in said
    assert os.path.exists(path) == ("plays in part" in said)
    if encoder == "ffmpeg" and extension != ".avi":
        assert "ffmpeg failed" in said and "File too large" in said


ENDLESS = """
import itertools, sys
import numpy as np
from tests.device.toys import make_result
from tsm_edge.sinks.video import VideoSink
image = np.random.RandomState(0).randint(0, 255, (256, 340, 3), np.uint8)
with VideoSink(sys.argv[1], 25) as sink:
    for index in itertools.count():
        sink.write(make_result(index, image=image))
        if index == 100:
            print("going", flush=True)
"""


@pytest.mark.parametrize("extension", EXTENSIONS[:3])
def test_sigkill_leaves_a_video_that_plays(tmp_path, extension, encoder):
    path = str(tmp_path / ("out" + extension))
    process = run_python(ENDLESS, path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"going\n"
    process.kill()
    process.communicate()
    wait_for_writer(path)
    # ffmpeg writes what it was given; OpenCV's FFmpeg holds the latest group of pictures and 256 KB back.
    assert frames_of(path) >= (95 if encoder == "ffmpeg" and extension != ".avi" else 50)
    with VideoSink(path, 25) as sink:  # no lock is left
        sink.write(make_result(image=shade(1)))
    assert frames_of(path) == 1


def test_all_processes_of_a_run_that_are_killed_leave_a_video_that_plays(tmp_path):
    """As a service manager or the kernel, out of memory, may do."""
    path = str(tmp_path / "out.mp4")
    process = run_python(ENDLESS, path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=os.setsid)
    assert process.stdout.readline() == b"going\n"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert frames_of(path) >= 50


def test_names_that_mean_something_to_a_shell_or_to_ffmpeg(tmp_path, encoder):
    for name in ("-y.mp4", "a b;c$(d)'\".mp4", "%03d.mp4", "http:x.mp4", "pipe:1.mkv", "file:x.mkv", "@.mkv"):
        path = tmp_path / name
        with VideoSink(str(path), 25) as sink:
            sink.write(make_result(image=shade(1)))
        assert path.stat().st_size > 0
    assert len(os.listdir(str(tmp_path))) == 7


def test_two_videos_in_one_file(tmp_path, encoder):
    path = str(tmp_path / "out.mp4")
    with VideoSink(path, 25) as sink:
        for index in range(3):
            sink.write(make_result(index, image=shade(1)))
            with pytest.raises(InputError, match="writes it"):
                VideoSink(path, 25)
    assert frames_of(path) == 3


def test_ctrl_c_leaves_a_playable_video(tmp_path, encoder):
    path = str(tmp_path / "out.mp4")
    process = run_python(ENDLESS, path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"going\n"
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate()[1]
    assert frames_of(path) > 100


def test_a_run_that_has_no_video_never_imports_opencv():
    code = "import sys, tsm_edge.sinks.jsonl, tsm_edge.sinks.console; sys.exit('cv2' in sys.modules)"
    assert run_python(code, stderr=sys.stderr).wait() == 0
