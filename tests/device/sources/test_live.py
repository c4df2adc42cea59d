"""Network streams, and all that is live: the clock, interruptions and the way back, and honest refusals."""

import socket
import threading
import time

import cv2
import numpy as np
import pytest

from tests.device.media import MjpegServer, number_of, write_video
from tsm_edge.errors import SourceError, StreamError
from tsm_edge.records import Gap
from tsm_edge.sources import open_source
from tsm_edge.sources.capture import Capture
from tsm_edge.sources.live import LOST_PICTURES, RETRY, LiveStream, Retry
from tsm_edge.sources.network import NetworkStream
from tsm_edge.sources.request import StreamRequest, open_stream

SOON = Retry(tries=3, first_wait=0.01, longest_wait=0.02)


class FakeCapture:
    """Stands in for cv2.VideoCapture. ``frames``: how many it grabs before it stops, or their shapes (None: broken).

    seconds: how long each grab takes on the clock of its :class:`World`, by the number of the frame.
    """

    def __init__(self, frames, opened=True, seconds=None):
        self.world, self.seconds = None, seconds or {}
        self.shapes = [(4, 6, 3)] * frames if isinstance(frames, int) else list(frames)
        self.opened = opened
        self.properties = {}
        self.index = -1
        self.releases = 0

    def isOpened(self):
        return self.opened and not self.releases

    def set(self, what, value):
        self.properties[what] = value
        return True

    def get(self, what):
        return {cv2.CAP_PROP_FPS: 25.0}.get(what, 0.0)

    def grab(self):
        assert not self.releases
        self.index += 1
        if self.world is not None:
            self.world.now += self.seconds.get(self.index, 0.04)
        return self.index < len(self.shapes)

    def retrieve(self, into=None):
        shape = self.shapes[self.index]
        return (False, None) if shape is None else (True, np.full(shape, self.index, np.uint8))

    def release(self):
        self.releases += 1


class World:
    """Hands out the listed captures one by one (an entry of None: the connection fails) on a clock of its own."""

    def __init__(self, *captures):
        self.captures = list(captures)
        self.now = 100.0
        self.waits = []

    def connect(self):
        capture = self.captures.pop(0) if self.captures else None
        if capture is None:
            raise SourceError("fake", "refused")
        capture.world = self
        return capture

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now += seconds
        return False

    def clock(self):
        return self.now

    def stream(self, **options):
        return LiveStream("fake", self.connect, clock=self.clock, wait=self.wait, **options)


def take(source, count):
    return [next(source) for _ in range(count)]


def test_time_is_the_clock_since_the_first_frame():
    source = World(FakeCapture(3)).stream()
    assert (source.live, source.fps, source.frame_count) == (True, 25.0, None)
    frames = take(source, 3)
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.04, 0.08])
    assert [frame.index for frame in frames] == [0, 1, 2]


def test_first_connection_is_tried_once():
    world = World(None, FakeCapture(3))
    with pytest.raises(SourceError, match="refused"):
        world.stream()
    assert world.waits == []


def test_comes_back_with_a_gap_and_counts_it():
    first, second, third = FakeCapture(2), FakeCapture(3), FakeCapture(9)
    source = World(first, second, third).stream()
    frames = take(source, 8)
    assert [frame.index for frame in frames] == list(range(8))
    assert [frame.gap for frame in frames] == [False, False, True, False, False, True, False, False]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [0, 1, 0, 1, 2, 0, 1, 2]
    assert (np.diff([frame.time for frame in frames]) > 0).all()
    assert source.resets == 2
    assert [first.releases, second.releases, third.releases] == [1, 1, 0]


def test_a_gap_has_its_reason_and_its_length_on_the_clock():
    broken = [(4, 6, 3)] + [None] * LOST_PICTURES
    source = World(FakeCapture(2), None, FakeCapture(broken), FakeCapture(2)).stream(retry=Retry(3, 0.5, 0.5))
    frames = take(source, 4)
    assert [frame.gaps for frame in frames] == [
        (),
        (),
        (Gap("reconnected: it stopped sending frames", pytest.approx(0.04 + 2 * 0.5 + 0.04)),),
        (Gap("reconnected: 30 pictures in a row could not be decoded", pytest.approx(0.5 + 0.04)),),
    ]
    assert source.resets == 2


def test_frames_from_before_a_silence_are_let_go():
    """OpenCV gives a frame that FFmpeg's decoder still held, each time it gives up waiting."""
    world = World(FakeCapture(4, seconds={2: 5.01, 3: 5.0}), FakeCapture(9))
    source = world.stream(silence=5.0, retry=Retry(3, 0.5, 0.5))
    frames = take(source, 4)
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.04, 5.59, 5.63])
    assert frames[2].gaps == (Gap("reconnected: it sent no frame for 5 s", pytest.approx(5.55)),)
    assert source.resets == 1 and not any(frame.gaps for frame in frames[:2] + frames[3:])


@pytest.mark.parametrize("wrap", [{}, {"rotation": 90}, {"fps": 6.0}, {"rotation": 180, "fps": 1.0}])
def test_every_gap_reaches_the_reader_however_the_source_is_wrapped(wrap):
    """Broken pictures, skipped frames and stale frames carry gaps of their own; none is lost, none counts twice."""
    lost = [None] * (LOST_PICTURES * 30)  # a source that is thinned out looks at one picture in 25
    captures = [
        FakeCapture([(4, 6, 3)] * 7 + lost),
        FakeCapture(lost),
        FakeCapture(3, seconds={2: 9.0}),
        FakeCapture(999),
    ]
    source = World(*captures).stream(silence=5.0, retry=SOON)
    gaps = []
    with open_stream(StreamRequest(source, **wrap), None) as stream:
        for frame, _ in zip(stream, range(5 if "fps" in wrap and wrap["fps"] < 2 else 20)):
            gaps += frame.gaps
        assert len(gaps) == stream.resets == source.resets == 3
    reasons = [gap.reason.split(": ")[1].split(" ")[0] for gap in gaps]
    assert reasons == ["30", "30", "it"]


def test_waits_double_up_to_a_limit_and_begin_anew_after_success():
    world = World(FakeCapture(1), None, None, None, FakeCapture(0), FakeCapture(1), None, FakeCapture(1))
    source = world.stream(retry=Retry(tries=6, first_wait=0.5, longest_wait=3.0))
    take(source, 3)
    assert world.waits == [0.5, 1.0, 2.0, 3.0, 3.0, 0.5, 1.0]


def test_gives_up_after_the_stated_number_of_tries():
    world = World(FakeCapture(2))
    source = world.stream(retry=Retry(tries=4, first_wait=1.0, longest_wait=60.0))
    take(source, 2)
    with pytest.raises(StreamError, match=r"after 2 frames, and 4 tries to come back failed: refused"):
        next(source)
    assert world.waits == [1.0, 2.0, 4.0, 8.0]


def test_opens_but_never_sends():
    world = World(*[FakeCapture(0) for _ in range(3)])
    source = world.stream(retry=Retry(2, 1.0, 1.0))
    with pytest.raises(StreamError, match="after 0 frames.*opens but sends no frame"):
        next(source)
    assert source.resets == 0


def test_a_persistent_stream_is_tried_for_ever(caplog):
    world = World(FakeCapture(2), *[None] * 40, FakeCapture(3))
    with world.stream(persistent=True) as stream:
        frames = [stream.read() for _ in range(4)]
    assert [frame.gap for frame in frames] == [False, False, True, False]
    assert len(world.waits) == 41 and max(world.waits) == RETRY.longest_wait
    assert "fake: interrupted after 2 frames" in caplog.text and "back after 41 tries" in caplog.text


def test_default_retry_waits_about_a_minute():
    assert sum(min(RETRY.first_wait * 2**n, RETRY.longest_wait) for n in range(RETRY.tries)) == 55.5


def test_broken_picture_is_passed_over():
    shape = (4, 6, 3)
    source = World(FakeCapture([shape, None, None, shape, shape])).stream()
    frames = take(source, 3)
    assert [frame.index for frame in frames] == [0, 3, 4]
    assert not any(frame.gap for frame in frames)
    assert source.corrupt == 2


def test_nothing_but_broken_pictures_is_an_interruption():
    source = World(FakeCapture([(4, 6, 3)] + [None] * 1000), FakeCapture(2)).stream()
    frames = take(source, 3)
    assert [frame.index for frame in frames] == [0, LOST_PICTURES + 1, LOST_PICTURES + 2]
    assert [frame.gap for frame in frames] == [False, True, False]
    assert source.corrupt == LOST_PICTURES


def test_gap_on_a_broken_picture_is_not_lost():
    source = World(FakeCapture(1), FakeCapture([None, (4, 6, 3)])).stream()
    assert [frame.gap for frame in take(source, 2)] == [False, True]


def test_another_size_after_coming_back_is_an_error():
    source = World(FakeCapture(1), FakeCapture([(8, 8, 3)])).stream()
    next(source)
    with pytest.raises(StreamError, match="8x8"):
        next(source)


def test_close_ends_the_wait_to_come_back():
    """With the real wait: 3 tries a day apart end at once when the source is closed."""
    day = 86400.0
    waiting = threading.Event()
    capture = FakeCapture(1)
    release = capture.release
    capture.release = lambda: (release(), waiting.set())
    world = World(capture)
    source = LiveStream("fake", world.connect, retry=Retry(3, day, day))
    reader = Capture(source)
    assert next(reader).index == 0
    assert waiting.wait(10)
    reader.close()
    assert not reader._thread.is_alive()
    assert list(source) == []


def test_closed_during_a_read_is_released_by_the_reader():
    inside, leave = threading.Event(), threading.Event()

    class Blocking(FakeCapture):
        def grab(self):
            inside.set()
            assert leave.wait(10)
            return super(Blocking, self).grab()

    capture = Blocking(5)
    source = World(capture).stream()
    got = []
    reader = threading.Thread(target=lambda: got.extend(source))
    reader.start()
    assert inside.wait(10)
    source.close()  # returns although the driver is busy, and releases nothing under it
    assert capture.releases == 0
    leave.set()
    reader.join(10)
    assert not reader.is_alive()
    assert capture.releases >= 1
    assert got == []


# Network streams


def test_stream_that_drops_comes_back():
    with MjpegServer([8, 5, 6]) as server, NetworkStream(server.url, retry=SOON) as source:
        frames = [(frame.index, number_of(frame.image), frame.gap) for frame, _ in zip(source, range(18))]
    expected = [(i, False) for i in range(8)] + [(i, i == 0) for i in range(5)] + [(i, i == 0) for i in range(5)]
    assert [frame[0] for frame in frames] == list(range(18))
    assert [frame[1:] for frame in frames] == expected
    assert source.resets == 2


def test_stream_that_never_comes_back_is_given_up():
    with MjpegServer([8]) as server, NetworkStream(server.url, retry=SOON) as source:
        assert len(take(source, 8)) == 8
        with pytest.raises(StreamError, match="8 frames, and 3 tries to come back failed: no video at this address"):
            next(source)
        assert server.connections >= 4


@pytest.mark.skipif(not hasattr(cv2, "CAP_PROP_READ_TIMEOUT_MSEC"), reason="this OpenCV has its own 30 s of silence")
def test_stream_that_stalls_is_interrupted_and_comes_back():
    """FFmpeg cuts this stream at the begin of the next picture, so the last one before the silence is not complete."""
    begun = time.monotonic()
    plan = [8, 6, 8]
    with MjpegServer(plan, stall=(0, 1)) as server, NetworkStream(server.url, read_seconds=1.0, retry=SOON) as source:
        frames = [(number_of(frame.image), frame.gaps, frame.time) for frame, _ in zip(source, range(16))]
        clock = time.monotonic() - begun
    numbers, gaps, times = zip(*frames)
    assert numbers[:8] in (tuple(range(7)) + (0,), tuple(range(8)))
    found = [gap for of_frame in gaps for gap in of_frame]
    assert len(found) == source.resets == 2 and server.connections == 3
    for gap in found:
        assert gap.reason == "reconnected: it sent no frame for 1 s" and 1.0 <= gap.seconds < 6.0
    assert list(times) == sorted(times) and times[-1] <= clock
    steps = np.diff(times)
    assert all(step < 0.9 or of_frame for step, of_frame in zip(steps, gaps[1:]))  # no frame jumps ahead without a gap


def test_capture_of_a_stream_carries_the_gap_and_stops_cleanly():
    before = threading.active_count()
    with MjpegServer([8, 5, 5]) as server:
        with Capture(NetworkStream(server.url, retry=SOON), depth=32) as capture:
            gaps = []
            with pytest.raises(StreamError, match="tries to come back failed"):
                gaps.extend(frame.gap for frame in capture)
        assert capture.source.resets == 2
    assert threading.active_count() == before


def test_no_server_is_refused_at_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(SourceError, match="no video at this address"):
        open_source("http://user:secret@127.0.0.1:{}/a.mjpg".format(port))


def test_recorded_file_at_an_address_is_no_stream(tmp_path):
    path = write_video(tmp_path / "a.avi", 5)
    with pytest.raises(SourceError, match="recorded video of 5 frames"):
        NetworkStream("http://host/a.avi", open_capture=lambda url, *rest: cv2.VideoCapture(path, cv2.CAP_FFMPEG))


def test_stream_gets_its_time_limits():
    asked = []

    def open_capture(*arguments):
        asked.append(arguments)
        return FakeCapture(1)

    NetworkStream("rtsp://cam/1", open_seconds=7, read_seconds=2.5, open_capture=open_capture)
    assert asked[0][:2] == ("rtsp://cam/1", cv2.CAP_FFMPEG)
    if hasattr(cv2, "CAP_PROP_OPEN_TIMEOUT_MSEC"):
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 7000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 2500]
        assert asked[0][2:] == (limits,)


def test_password_never_shows():
    with pytest.raises(SourceError) as error:
        NetworkStream("rtsp://user:hush@cam/1", open_capture=lambda *_: FakeCapture(0, opened=False))
    assert "rtsp://user:***@cam/1" in str(error.value)
    assert "hush" not in str(error.value)
