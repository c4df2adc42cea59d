"""The program ffmpeg as the encoder: what it does to a run when it ends, hangs, or does not work."""

import os
import signal
import stat
import sys

import pytest

from tests.device.toys import make_result
from tsm_edge.errors import InputError

pytest.importorskip("cv2")
from tests.device.sinks.test_video import encoder_threads, frames_of, shade  # noqa: E402 - needs cv2
from tsm_edge.sinks import encoders  # noqa: E402
from tsm_edge.sinks.video import VideoSink  # noqa: E402

pytestmark = pytest.mark.skipif(not encoders.ffmpeg_works(), reason="no ffmpeg with libx264 on this machine")


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP])
def test_an_ffmpeg_that_ends_or_hangs_is_an_error_and_no_hang(tmp_path, monkeypatch, signum):
    monkeypatch.setattr(encoders, "WAIT_SECONDS", 0.1)
    path = str(tmp_path / "out.mp4")
    sink = VideoSink(path, 25)
    for index in range(60):
        sink.write(make_result(index, image=shade(1)))
    os.kill(sink._encoder._process.pid, signum)
    with pytest.raises(InputError, match="ffmpeg failed|takes no frames|does not end") as caught:
        for index in range(500):
            sink.write(make_result(index, image=shade(1)))
    sink.close()
    assert os.path.exists(path) == ("plays in part" in str(caught.value))
    assert encoder_threads() == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_that_end_a_run_do_not_reach_ffmpeg(tmp_path, signum):
    path = str(tmp_path / "out.mp4")
    with VideoSink(path, 25) as sink:
        for index in range(30):
            if index == 10:
                os.kill(sink._encoder._process.pid, signum)
            sink.write(make_result(index, image=shade(1)))
    assert frames_of(path) == 30


def test_an_ffmpeg_that_does_not_work_is_not_taken(tmp_path, monkeypatch):
    encoders.ffmpeg_works.cache_clear()
    try:
        for script in ("#!/bin/sh\nexit 1\n", "#!/bin/sh\nexec cat\n", "not a program"):
            (tmp_path / "ffmpeg").write_text(script)
            (tmp_path / "ffmpeg").chmod(0o755)
            monkeypatch.setenv("PATH", str(tmp_path))
            assert not encoders.ffmpeg_works()
            encoders.ffmpeg_works.cache_clear()
    finally:
        monkeypatch.undo()
        encoders.ffmpeg_works.cache_clear()


def test_an_ffmpeg_that_cannot_be_started_any_more(tmp_path, monkeypatch):
    path = str(tmp_path / "out.mp4")
    assert encoders.ffmpeg_works()
    monkeypatch.setenv("PATH", str(tmp_path))
    with VideoSink(path, 25) as sink, pytest.raises(InputError, match="ffmpeg does not start"):
        sink.write(make_result(image=shade(1)))
    assert os.listdir(str(tmp_path)) == []


def test_what_ffmpeg_says_is_bounded_and_its_last_line_is_told(tmp_path, monkeypatch):
    """A program in the place of ffmpeg that complains without end and then fails."""
    assert encoders.ffmpeg_works()
    script = tmp_path / "ffmpeg"
    script.write_text(
        "#!{}\nimport sys\nsys.stdin.buffer.read(100)\n"
        "sys.stderr.write('noise\\n' * 500000 + 'the reason\\n')\nsys.exit(1)\n".format(sys.executable)
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    sink = VideoSink(str(tmp_path / "out.mp4"), 25)
    with pytest.raises(InputError, match="ffmpeg failed .*: the reason"):
        for index in range(1000):
            sink.write(make_result(index, image=shade(1)))
    sink.close()
    assert os.listdir(str(tmp_path)) == ["ffmpeg"]
