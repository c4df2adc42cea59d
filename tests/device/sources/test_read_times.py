"""When a frame was due, grabbed and read, for each kind of source, on a clock that only moves when told to."""

import numpy as np
import pytest

from tsm_edge.sources.base import Source, Stamp
from tsm_edge.sources.paced import Paced


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
