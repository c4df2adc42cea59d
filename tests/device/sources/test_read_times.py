"""When a frame was due, grabbed and read, for each kind of source, on a clock that only moves when told to."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.toys import WAIT, NumberSource
from tsm_edge.sources.base import Source, Stamp
from tsm_edge.sources.capture import Capture
from tsm_edge.sources.paced import CAUGHT_UP_SECONDS, LONGEST_WAIT, Paced, Realtime


class Clock:
    """time.perf_counter that only moves when told to."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr("tsm_edge.sources.base.time.perf_counter", lambda: self.now)

    def pass_(self, seconds):
        self.now += seconds


class Steps(Source):
    """Frames of which each takes 2 ms to grab and 3 ms to retrieve."""

    def __init__(self, clock, live=False):
        self.clock, self.live, self.name, self.fps, self.index = clock, live, "steps", 30.0, -1

    def grab(self):
        self.clock.pass_(0.002)
        self.index += 1
        return Stamp(self.index, self.index / 30.0)

    def retrieve(self, into=None):
        self.clock.pass_(0.003)
        return np.zeros((4, 6, 3), np.uint8)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def stages(times):
    """(seconds of "capture", seconds of "decode"), as a session counts them."""
    return times.ready - times.begun, times.done - times.ready


def test_a_recording_is_read_and_its_latency_counts_from_there(clock):
    times = Steps(clock).read().times
    assert stages(times) == pytest.approx((0.0, 0.005))
    assert times.since == times.ready == times.begun == 100.0


def test_a_live_source_waits_then_decodes(clock):
    times = Steps(clock, live=True).read().times
    assert stages(times) == pytest.approx((0.002, 0.003))
    assert times.since == pytest.approx(100.002)


def test_a_paced_source_gives_frames_when_they_are_due(clock):
    source = Paced(Steps(clock), 20.0, wait=clock.pass_)
    assert source.live and source.fps == 20.0
    found = [source.read().times for _ in range(4)]
    assert [times.since for times in found] == pytest.approx([100.0, 100.05, 100.10, 100.15])
    assert stages(found[2]) == pytest.approx((0.045, 0.005))


def test_a_reader_that_falls_behind_does_not_hide_it(clock):
    """Coordinated omission: what the third frame waited while the second one took long is latency of the third."""
    source = Paced(Steps(clock), 20.0, wait=clock.pass_)
    found = [source.read().times]
    clock.pass_(0.2)  # a stall
    found += [source.read().times for _ in range(2)]
    late = [times.done - times.since for times in found]
    assert late == pytest.approx([0.005, 0.205 - 0.05 + 0.005, 0.21 - 0.10 + 0.005])


# ---------------------------------------------------------------- real time


class Recording(Source):
    """Frames at given times; takes no time to read."""

    def __init__(self, times):
        self.times, self.index = times, -1

    def grab(self):
        self.index += 1
        return Stamp(self.index, self.times[self.index]) if self.index < len(self.times) else None

    def retrieve(self, into=None):
        return np.zeros((2, 2, 3), np.uint8)

    def close(self):
        """Free nothing."""


class Now:
    """A clock that waits move, and nothing else."""

    def __init__(self):
        self.now = 50.0
        self.waits = []

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now += seconds
        return False


def played(times, delays):
    """When each frame of a recording came, by a reader that takes `delays` seconds with them."""
    now = Now()
    source, came = Realtime(Recording(times), now, now.wait), []
    for delay in delays:
        source.read()
        came.append(now.now - 50.0)
        now.now += delay
    assert all(0 < seconds <= LONGEST_WAIT for seconds in now.waits)
    with pytest.raises(StopIteration):
        source.read()
    return came


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 5)), min_size=1, max_size=20),
    st.sampled_from([0.0, 3.5, 1e6]),
)
def test_no_frame_comes_early_none_is_lost_and_a_delay_is_caught_up_in_part(steps, begin):
    times = list(begin + np.cumsum([0.0] + [step for step, _ in steps]))
    came = played(times, [delay for _, delay in steps] + [0.0])
    assert len(came) == len(times) and came[0] == 0
    set_back = 0.0  # how much later than recorded the clock is by now
    for index in range(1, len(times)):
        due, free = times[index] - begin + set_back, came[index - 1] + steps[index - 1][1]
        assert came[index] == pytest.approx(max(due, free), abs=1e-6)
        set_back += max(0.0, came[index] - due - CAUGHT_UP_SECONDS)


def test_a_reader_in_time_gets_each_frame_when_it_is_due():
    times = [2.0, 2.1, 2.2, 2.5, 63.0, 200.0]
    assert played(times, [0.05] * 6) == pytest.approx([time - 2.0 for time in times])


def test_a_slow_reader_gets_the_frames_as_fast_as_it_takes_them():
    assert played([index * 0.1 for index in range(20)], [0.4] * 20) == pytest.approx([0.4 * n for n in range(20)])


def test_time_stamps_that_jump_back_do_not_stop_the_clock():
    came = played([0.0, 0.1, 50.0, 0.0, 1.5, 3.0], [0.0] * 6)
    assert came == pytest.approx([0.0, 0.1, 50.0, 50.0, 50.5, 52.0])


def test_a_recording_in_real_time_stays_a_recording():
    inner = NumberSource(range(5))
    source = Realtime(inner)
    assert not source.live and (source.fps, source.frame_count) == (10.0, 5)
    begun = time.perf_counter()
    frames = list(source)
    assert 0.4 <= time.perf_counter() - begun < 0.4 + WAIT
    assert [frame.index for frame in frames] == list(range(5))
    assert frames[-1].wall_time - frames[0].wall_time > 0.2  # when it came, not when it was decoded
    assert sum(frame.read_seconds for frame in frames) < 0.2  # the wait is no decoding
    source.close()
    assert inner.closed


def test_closing_ends_a_wait():
    source = Realtime(NumberSource([0, 1], fps=0.001))
    source.read()
    ended = []
    thread = threading.Thread(target=lambda: ended.append(list(source)))
    thread.start()
    source.close()
    thread.join(WAIT)
    assert ended == [[]]


def test_a_capture_of_a_recording_in_real_time_drops_nothing():
    with Capture(Realtime(NumberSource(range(30), fps=300.0))) as capture:
        found = []
        for frame in capture:
            found.append(frame.index)
            time.sleep(0.03 if frame.index == 3 else 0)
    assert found == list(range(30)) and capture.dropped == 0
