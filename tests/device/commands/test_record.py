"""`tsm-edge record`: a video played as a camera, a camera on the network, keys of a terminal, and what is refused."""

import contextlib
import os
import pty
import resource
import signal
import subprocess
import sys
import time

import pytest

from tests.device import media
from tests.device.recording.clips import files_in, log_of, numbers_of
from tests.device.running import Done, ended, start, tsm_edge
from tsm_edge.recording.folder import open_folder
from tsm_edge.sources import network
from tsm_edge.sources.live import Retry

QUICK = ("--seconds", "0.5", "--countdown", "0.2", "--clips", "2")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A video of 15 s."""
    return media.write_video(tmp_path_factory.mktemp("video") / "in.avi", 450)


def record(capsys, *arguments):
    return tsm_edge(capsys, "record", "--no-display", *arguments)


def check_consecutive(place):
    """No frame of a clip is missing but those that the log counts as dropped."""
    for clip in log_of(place):
        numbers, fps = numbers_of(os.path.join(str(place), clip["file"]))
        missing = sum((after - before) % 64 - 1 for before, after in zip(numbers, numbers[1:]))
        assert len(numbers) == clip["frames"] and missing <= clip["dropped"], clip
        assert fps == pytest.approx(clip["fps"], abs=1e-5)


def test_a_video_plays_as_a_camera(video, tmp_path, capsys):
    place = tmp_path / "data"
    done = record(capsys, "--source", video, "-o", place, "--label", "wave", "--label", "push", *QUICK)
    assert done.code == 0
    session = log_of(place)[0]["session"]
    files = [
        "{}/{}_0{}.avi".format(label, session, number) for label in ("nothing", "push", "wave") for number in (1, 2)
    ]
    assert files_in(place) == sorted(files + ["recording.jsonl"])
    check_consecutive(place)
    assert [clip["label"] for clip in log_of(place) if clip["label"] != "nothing"] == ["wave", "push"] * 2
    assert "order: wave, push; 2 times in turn" in done.err
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[0] == ["label", "clips", "seconds", "in", "the", "folder"]
    for row, label in zip(rows[1:4], ("wave", "push", "nothing")):
        assert (row[0], row[1], row[3]) == (label, "2", "2")
        assert float(row[2]) == pytest.approx(1.0, abs=0.3)  # a busy machine may drop frames at the ends
    assert "tsm-edge train" in done.out and str(place) in done.out


def test_a_second_session_goes_on(video, tmp_path, capsys):
    for _ in range(2):
        options = ("--session", "kitchen", "--no-nothing", *QUICK)
        assert record(capsys, "--source", video, "-o", tmp_path, "--label", "wave", *options).code == 0
    assert files_in(tmp_path) == ["recording.jsonl"] + ["wave/kitchen_0{}.avi".format(number) for number in range(1, 5)]


def test_a_camera_on_the_network(tmp_path, capsys):
    with media.MjpegServer([100000], pause=0.04) as server:
        address = server.url.replace("http://", "http://me:secret@")
        done = record(capsys, "--source", address, "-o", tmp_path, "--label", "wave", *QUICK)
    assert done.code == 0
    assert len(log_of(tmp_path)) == 4
    check_consecutive(tmp_path)
    for clip in log_of(tmp_path):
        assert clip["seconds"] == pytest.approx(0.5, abs=0.15) and 5 < clip["fps"] < 30
        assert "secret" not in clip["source"] and clip["wall_time"] == pytest.approx(time.time(), abs=120)
    assert "secret" not in done.err + done.out


def test_a_camera_that_vanishes(tmp_path, capsys, monkeypatch):
    retry = Retry(tries=2, first_wait=0.01, longest_wait=0.01)
    monkeypatch.setattr(network, "open_source", lambda url, options: network.NetworkStream(url, retry=retry))
    with media.MjpegServer([60], pause=0.02) as server:
        done = record(
            capsys, "--source", server.url, "-o", tmp_path, "--label", "wave", "--no-nothing", *QUICK[:-1], "9"
        )
    assert done.code == 1 and "tries to come back failed" in done.err and "stopped by an error" in done.out
    assert [name for name in files_in(tmp_path) if "draft" in name] == []
    assert 1 <= len(log_of(tmp_path)) == len(files_in(tmp_path)) - 1
    check_consecutive(tmp_path)


def test_a_video_that_is_too_short(video, tmp_path, capsys):
    short = media.write_video(tmp_path / "short.avi", 50)
    place = tmp_path / "data"
    done = record(capsys, "--source", short, "-o", place, "--label", "wave", "--no-nothing", *QUICK[:-1], "9")
    assert done.code == 1 and "ended after" in done.err and len(files_in(place)) == 3


# ---------------------------------------------------------------- marks


def test_clips_are_cut(video, tmp_path, capsys):
    arguments = ("--source", video, "--mark", "1-2", "--mark", "3.5-4.5", "--label", "wave", "--session", "s")
    done = tsm_edge(capsys, "record", "-o", tmp_path, *arguments)
    assert done.code == 0
    assert files_in(tmp_path) == ["recording.jsonl", "wave/s_01.avi", "wave/s_02.avi"]
    assert numbers_of(tmp_path / "wave" / "s_02.avi") == ([index % 64 for index in range(105, 135)], 30.0)


def test_clips_of_several_videos_and_labels(video, tmp_path, capsys):
    other = media.write_video(tmp_path / "other.avi", 90)
    marks, place = tmp_path / "marks.csv", tmp_path / "data"
    marks.write_text("start,end,label\n1,2,wave\n2,3,push\n")
    arguments = (
        "--source",
        video,
        "--marks",
        marks,
        "--mark",
        "5-6",
        "--source",
        other,
        "--mark",
        "0-1",
        "--label",
        "x",
    )
    assert tsm_edge(capsys, "record", "-o", place, "--session", "s", *arguments).code == 0
    files = ["push/s-1_01.avi", "recording.jsonl", "wave/s-1_01.avi", "x/s-1_01.avi", "x/s-2_01.avi"]
    assert files_in(place) == files


# ---------------------------------------------------------------- refusals

REFUSALS = [
    (("--label", "a/b"), "with one of"),
    (("--label", ""), "empty"),
    (("--label", "a\nb"), "control characters"),
    (("--label", "wave", "--label", "Wave"), "case"),
    (("--label", "nothing"), "--no-nothing"),
    ((), "--label"),
    (("--label", "a", "--clips", "0"), "not at least 1"),
    (("--label", "a", "--clips", "9" * 50), "--clips"),
    (("--label", "a", "--seconds", "nan"), "--seconds"),
    (("--label", "a", "--seconds", "61"), "not at most 60"),
    (("--label", "a", "--countdown", "-1"), "--countdown"),
    (("--label", "a", "--session", "../x"), "--session"),
    (("--label", "a", "--pressed"), "keys that can be typed"),
    (("--label", "a", "--review"), "keys that can be typed"),
    (("--label", "a", "--pressed", "--seconds", "2"), "--longest"),
    (("--label", "a", "--longest", "2"), "--pressed"),
    (("--label", "a", "--camera", "0"), "2 sources"),
    (("--label", "a", "--mark", "3-2"), "start < end"),
    (("--label", "a", "--mark", "3-4", "--mark", "3.5-5"), "overlaps"),
    (("--label", "a", "--mark", "14-16"), "of a video of 15.00 s"),
    (("--mark", "3-4"), "--label"),
    (("--label", "a", "--label", "b", "--mark", "3-4"), "--marks"),
    (("--label", "a", "--mark", "3-4", "--clips", "3"), "--clips"),
    (("--label", "a", "--marks", "none.csv"), "none.csv"),
    (("--label", "a", "--mark", "3-4", "--camera", "1", "--mark", "1-2"), "a live source"),
    (("--label", "a", "--mark", "3-4", "--source", "none.mp4", "--mark", "1-2"), "none.mp4"),
]


@pytest.mark.parametrize("arguments, word", REFUSALS, ids=range(len(REFUSALS)))
def test_what_is_refused(video, tmp_path, capsys, monkeypatch, arguments, word):
    place = tmp_path / "data"
    monkeypatch.setattr(sys, "stdin", None)  # no terminal, wherever the tests run
    done = record(capsys, "--source", video, "-o", place, *arguments)
    assert done.code == 2 and word in done.err, done.err
    assert not place.exists()


def test_sources_and_places_that_are_refused(video, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for arguments, word in [
        (("--source", video, "-o", tmp_path / "file"), "a file"),
        (("--source", tmp_path / "none.mp4", "-o", tmp_path / "data"), "none.mp4"),
        (("-o", tmp_path / "data"), "0 sources"),
        (("--mark", "1-2", "--source", video, "-o", tmp_path / "data"), "--source"),
        (("--camera", "9998", "-o", tmp_path / "data"), "9998"),
    ]:
        done = record(capsys, "--label", "a", *arguments)
        assert done.code == 2 and word in done.err, done.err
    assert files_in(tmp_path) == ["file"]


def test_a_label_that_differs_from_a_folder_by_case(video, tmp_path, capsys):
    (tmp_path / "Wave").mkdir()
    done = record(capsys, "--source", video, "-o", tmp_path, "--label", "wave", *QUICK)
    assert done.code == 2 and "'Wave'" in done.err


def test_a_second_recorder_is_refused(video, tmp_path, capsys):
    with open_folder(str(tmp_path)):
        done = record(capsys, "--source", video, "-o", tmp_path, "--label", "wave", *QUICK)
    assert done.code == 2 and "process {} writes it".format(os.getpid()) in done.err


# ---------------------------------------------------------------- in a process of its own


@contextlib.contextmanager
def recording(folder, lines, *options):
    """Record from a camera that never ends; give the process once the log has so many lines."""
    with media.MjpegServer([100000], pause=0.02) as server:
        options += ("--label", "wave", "--no-nothing", "--no-display")
        process = start("record", "--source", server.url, "-o", folder, *options)
        log, until = folder / "recording.jsonl", time.monotonic() + 60
        while not log.exists() or log.read_bytes().count(b"\n") < lines:
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.02)
        yield process


@pytest.mark.parametrize("signum, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_keeps_what_was_kept(tmp_path, signum, code):
    with recording(tmp_path, 2, "--seconds", "0.5", "--countdown", "0.2") as process:
        time.sleep(0.3)  # into the next clip
        process.send_signal(signum)
        done = ended(process)
    assert done.code == code and "stopped by" in done.out and "wave" in done.out
    assert len(log_of(tmp_path)) == len(files_in(tmp_path)) - 1
    check_consecutive(tmp_path)


def test_a_killed_recorder_leaves_whole_clips(tmp_path):
    with recording(tmp_path, 3, "--seconds", "0.3", "--countdown", "0") as process:
        process.kill()
        process.communicate()
    check_consecutive(tmp_path)
    with open_folder(str(tmp_path)):  # the lock ended with the process
        pass


def test_a_full_disk(video, tmp_path):
    """No file may grow beyond 30 kB: the short clips fit, the long one does not."""
    arguments = ["record", "--source", video, "-o", str(tmp_path), "--session", "s", "--mark", "1-2", "--mark", "3-9"]

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (30000, resource.RLIM_INFINITY))

    done = subprocess.Popen(
        [sys.executable, "-m", "tsm_edge"] + arguments + ["--label", "wave"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        preexec_fn=limit,
        env=dict(os.environ, PYTHONPATH=os.getcwd()),
    )
    out, err = done.communicate(timeout=120)
    assert Done(done.returncode, out, err).code == 2
    assert "room for a clip" in err and files_in(tmp_path) == []


class Terminal:
    """`tsm-edge record` on a pseudo-terminal."""

    def __init__(self, *arguments):
        self._leader, follower = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tsm_edge", "record", "--no-display"] + [str(argument) for argument in arguments],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            preexec_fn=_own_terminal,
            env=dict(os.environ, PYTHONPATH=os.getcwd()),
        )
        os.close(follower)
        self.shown = b""

    def wait_for(self, text):
        """Read until `text` was shown after what was waited for before."""
        until = time.monotonic() + 60
        while text not in self.shown:
            assert time.monotonic() < until, self.shown
            try:
                data = os.read(self._leader, 4096)
            except OSError:  # Linux: the other end was closed
                data = b""
            assert data, self.shown
            self.shown += data
        self.shown = self.shown.split(text, 1)[1]

    def type(self, text):
        os.write(self._leader, text)

    def end(self):
        """Return the exit code and all that was still shown."""
        rest = self.shown
        while True:
            try:
                data = os.read(self._leader, 4096)
            except OSError:
                data = b""
            if not data:
                break
            rest += data
        os.close(self._leader)
        return self.process.wait(60), rest.decode("utf-8")


def _own_terminal():
    """Make standard input the controlling terminal of a new session, so that its keys are read and send signals."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def camera():
    with media.MjpegServer([100000], pause=0.03) as server:
        yield server.url


def test_keys_begin_and_end_clips(camera, tmp_path):
    terminal = Terminal(
        "--source", camera, "-o", tmp_path, "--label", "wave", "--clips", "2", "--pressed", "--no-nothing"
    )
    for number in (1, 2):
        terminal.wait_for(b"wave, clip %d of 2: Space begins" % number)
        terminal.type(b" ")
        terminal.wait_for(b"Space ends, 0.5 s" if number == 2 else b"Space ends, 0.")
        time.sleep(0.3)
        terminal.type(b"\n")
        terminal.wait_for(b"saved wave/")
    terminal.wait_for(b"done")
    code, shown = terminal.end()
    assert code == 0 and "next: tsm-edge record" in shown
    assert [clip["kind"] for clip in log_of(tmp_path)] == ["clip", "clip"]
    check_consecutive(tmp_path)


def test_a_clip_is_reviewed_and_recorded_again(camera, tmp_path):
    options = ("--clips", "1", "--review", "--no-nothing", "--seconds", "0.4", "--countdown", "0.2")
    terminal = Terminal("--source", camera, "-o", tmp_path, "--label", "wave", *options)
    terminal.wait_for(b"keep it?")
    terminal.type(b"r")
    terminal.wait_for(b"recording")
    terminal.wait_for(b"keep it?")
    terminal.type(b"k")
    code, shown = terminal.end()
    assert code == 0 and "saved wave/" in shown and len(log_of(tmp_path)) == 1


def test_ctrl_c_of_the_terminal(camera, tmp_path):
    terminal = Terminal("--source", camera, "-o", tmp_path, "--label", "wave", "--seconds", "0.5", "--countdown", "0.2")
    terminal.wait_for(b"saved wave/")
    terminal.type(b"\x03")
    code, shown = terminal.end()
    assert code == 130 and "stopped by Ctrl-C" in shown
    assert len(log_of(tmp_path)) == len(files_in(tmp_path)) - 1


def test_q_ends(camera, tmp_path):
    terminal = Terminal("--source", camera, "-o", tmp_path / "data", "--label", "wave")
    terminal.wait_for(b"get ready")
    terminal.type(b"q")
    code, shown = terminal.end()
    assert code == 0 and "ended by q" in shown and not (tmp_path / "data").exists()
