"""The capture thread: order, back-pressure, dropped frames, errors, memory, and that no thread stays behind."""

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from tsm_edge.errors import SourceError
from tsm_edge.records import Gap
from tsm_edge.sources.base import Source, Stamp
from tsm_edge.sources.capture import FILE_DEPTH, Capture

GAP = Gap("lost", 0.5)

WAIT = 10.0  # seconds before a test that hangs fails; never waited for in one that passes


class FakeSource(Source):
    """Gives ``count`` frames, each filled with its index, then ends or raises ``error``. It decodes into what it gets.

    A ``gated`` one gives a frame for each `permit`; `asked(n)` waits until frame n is asked for.
    """

    name = "fake"

    def __init__(self, count, live=False, gaps=(), error=None, gated=False):
        self.count, self.live, self.gaps, self.error = count, live, gaps, error
        self.index = -1
        self.closes = 0
        self.allocated = 0
        self.permits = threading.Semaphore(0) if gated else None
        self.progress = threading.Condition()

    def permit(self, frames=1):
        for _ in range(frames):
            self.permits.release()

    def asked(self, index):
        with self.progress:
            return self.progress.wait_for(lambda: self.index >= index, WAIT)

    def grab(self):
        with self.progress:
            self.index += 1
            self.progress.notify_all()
        if self.permits is not None:
            self.permits.acquire()
        if self.closes:
            return None
        if self.index >= self.count:
            if self.error is not None:
                raise self.error
            return None
        return Stamp(self.index, self.index / 10.0, (GAP,) * (self.index in self.gaps))

    def retrieve(self, into=None):
        if into is None:
            into = np.empty((4, 6, 3), np.uint8)
            self.allocated += 1
        into[:] = self.index
        return into

    def close(self):
        self.closes += 1
        if self.permits is not None:
            self.permits.release()


@pytest.fixture(autouse=True)
def no_thread_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_file_frames_all_come_in_order_and_hold_their_own_pixels(depth):
    with Capture(FakeSource(50), depth=depth) as capture:
        for index, frame in enumerate(capture):
            assert (frame.index, frame.time, frame.gap) == (index, index / 10.0, False)
            assert (frame.image == index).all()
            assert frame.read_seconds >= 0 and frame.wall_time > 0
    assert index == 49
    assert capture.dropped == 0


def test_file_waits_for_a_slow_reader():
    source = FakeSource(100)
    with Capture(source) as capture:
        frame = next(capture)
        assert source.asked(FILE_DEPTH)  # the queue is full with frames 1 to FILE_DEPTH
        capture._thread.join(0.05)
        assert source.index == FILE_DEPTH
        assert (frame.image == 0).all()


@pytest.mark.parametrize("depth", [1, 3])
def test_steady_state_allocates_no_image(depth):
    source = FakeSource(200)
    with Capture(source, depth=depth) as capture:
        assert sum(1 for _ in capture) == 200
    assert source.allocated <= depth + 2


def test_live_source_drops_the_oldest_and_counts_them():
    source = FakeSource(10, live=True, gated=True)
    with Capture(source) as capture:
        source.permit(1)
        held = next(capture)
        source.permit(5)
        assert source.asked(6)  # frames 1 to 5 were read while nobody asked
        assert next(capture).index == 5
        assert capture.dropped == 4
        assert held.index == 0
        source.permit(5)
        assert [frame.index for frame in capture][-1] == 9


def test_held_live_frame_keeps_its_pixels_while_newer_ones_arrive():
    source = FakeSource(10, live=True, gated=True)
    with Capture(source) as capture:
        source.permit(1)
        held = next(capture)
        source.permit(8)
        assert source.asked(9)
        assert (held.image == 0).all()
        assert source.allocated <= 3


def test_gap_of_a_dropped_frame_moves_to_the_next_one():
    source = FakeSource(10, live=True, gaps=(3,), gated=True)
    with Capture(source) as capture:
        source.permit(1)
        assert not next(capture).gap
        source.permit(5)
        assert source.asked(6)
        first = next(capture)
        source.permit(1)
        second = next(capture)
        assert (first.index, first.gap, second.index, second.gap) == (5, True, 6, False)


def test_error_comes_after_the_frames_before_it_and_once():
    source = FakeSource(3, error=SourceError("fake", "broken"))
    capture = Capture(source)
    assert [next(capture).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SourceError, match="broken"):
        next(capture)
    assert list(capture) == []
    capture.close()
    assert source.closes


def test_fault_of_a_source_reaches_the_reader_as_it_is():
    with Capture(FakeSource(0, error=ZeroDivisionError("a bug"))) as capture, pytest.raises(ZeroDivisionError):
        next(capture)


def test_end_stays_the_end():
    capture = Capture(FakeSource(1))
    assert len(list(capture)) == 1
    assert list(capture) == []
    capture.close()


@pytest.mark.parametrize("live", [False, True])
def test_close_stops_a_thread_in_the_middle_and_may_be_repeated(live):
    source = FakeSource(10**9, live=live)
    capture = Capture(source)
    next(capture)
    capture.close()
    capture.close()
    assert not capture._thread.is_alive()
    assert source.closes
    assert list(capture) == []


def test_close_stops_a_thread_that_waits_inside_the_source():
    source = FakeSource(10, live=True, gated=True)
    capture = Capture(source)
    assert source.asked(0)
    capture.close()
    assert not capture._thread.is_alive()


def test_close_from_another_thread_ends_a_reader_that_waits():
    source = FakeSource(10, live=True, gated=True)
    capture = Capture(source)
    got = []
    reader = threading.Thread(target=lambda: got.extend(capture))
    reader.start()
    assert source.asked(0)
    capture.close()
    reader.join(WAIT)
    assert not reader.is_alive()
    assert got == []


def test_keyboard_interrupt_in_the_reader_leaves_no_thread():
    source = FakeSource(10**9)
    with pytest.raises(KeyboardInterrupt), Capture(source) as capture:
        next(capture)
        raise KeyboardInterrupt
    assert source.closes


CTRL_C = """
import sys, threading
from tests.device.sources.test_capture import FakeSource
from tsm_edge.sources.capture import Capture
try:
    with Capture(FakeSource(10 ** 9, live={live}, gated={live})) as capture:
        print("running", flush=True)
        for frame in capture:
            pass
except KeyboardInterrupt:
    assert threading.active_count() == 1
    sys.exit(130)
"""


@pytest.mark.parametrize("live", [False, True])
def test_ctrl_c_ends_a_reader_that_runs_or_waits(live):
    """A file that never ends, and a camera that never sends: a real SIGINT ends both with every thread gone."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    process = subprocess.Popen(
        [sys.executable, "-c", CTRL_C.format(live=live)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline() == b"running\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, errors) == (130, b"")


LATE = """
import signal, sys, threading
from tests.device.sources.test_capture import FakeSource
from tsm_edge.sources.capture import Capture
source = FakeSource(1, live=True, gated=True)
try:
    with Capture(source) as capture:
        threading.Timer(0.5, lambda: signal.pthread_kill(capture._thread.ident, signal.SIGINT)).start()
        next(capture)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no pthread_kill here")
def test_a_signal_that_does_not_wake_the_reader_is_seen():
    """Another thread takes the signal, as if it had come just before the main one began to wait."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    process = subprocess.Popen([sys.executable, "-c", LATE], env=environment)
    try:
        assert process.wait(60) == 130
    finally:
        process.kill()


@pytest.mark.parametrize("depth", [0, -1])
def test_depth_below_one_is_refused(depth):
    with pytest.raises(ValueError, match="at least 1"):
        Capture(FakeSource(1), depth=depth)
