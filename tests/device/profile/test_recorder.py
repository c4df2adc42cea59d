"""The recorder in the place of a stream's stage times: warm-up, measurement, blocks, trace; then on real sessions."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device.toys import NumberSource, PixelEngine, gate
from tsm_edge.profile import measure, recorder
from tsm_edge.profile.record import LOOP_STAGES
from tsm_edge.session import SessionRequest, open_session
from tsm_edge.sources.request import StreamRequest

STAGES = (("wait", 0.001), ("preprocess", 0.002), ("infer", 0.010), ("decide", 0.001), ("sink", 0.001))


class Loop:
    """Gives a recorder the spans of frame after frame, as a session does; the recorder reads the same clock."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(recorder.time, "perf_counter", lambda: self.now)

    def frame(self, times, infer=0.010, wait=0.001, **other):
        """One frame; other: (begin, end) of further stages. Its decoding began 20 ms before the frame was taken."""
        spans = []
        for name, seconds in STAGES:
            begin, self.now = self.now, self.now + {"infer": infer, "wait": wait}.get(name, seconds)
            spans.append((name, begin, self.now))
        taken = spans[0][2]
        spans += [("decode", taken - 0.020, taken - 0.016), ("frame", taken, self.now)]
        times.add_frame(spans + [(name,) + span for name, span in other.items()])


@pytest.fixture
def loop(monkeypatch):
    return Loop(monkeypatch)


def test_the_warm_up_is_forgotten_and_the_run_ends_in_time(loop):
    called = []
    times = recorder.Recorder(1.0, 10.0)
    times.on_steady = lambda: called.append(loop.now)
    for _ in range(10):
        loop.frame(times, infer=0.2)
    while not times.done:
        loop.frame(times)
    assert times.steady.reached and times.steady.spread == pytest.approx(0)
    assert times.steady.frames == 60 and len(called) == 1  # ten slow ones, then five blocks alike
    assert times.count == 67 and times.seconds == pytest.approx(67 * 0.015)
    loop.frame(times)  # the session still ends its frame
    details = times.details()
    assert times.count == details["infer"]["count"] == 67
    assert sum(details[name]["mean"] for name, _ in STAGES) == pytest.approx(15.0)
    assert details["frame"]["mean"] == pytest.approx(14.0)
    assert details["decode"]["mean"] == pytest.approx(4.0)
    assert details["interval"]["count"] == 66 and details["interval"]["mean"] == pytest.approx(15.0)
    assert "host-to-device" not in details


def test_what_is_done_between_warm_up_and_measurement_counts_for_neither(loop):
    times = recorder.Recorder(0.1, 0.0)
    times.on_steady = lambda: setattr(loop, "now", loop.now + 5.0)
    loop.frame(times)
    begun = loop.now - 5.0  # the session has been waiting since the end of the frame before
    times.add_frame(
        [("wait", begun, loop.now), ("preprocess", loop.now, loop.now + 1), ("infer", loop.now + 1, loop.now + 2)]
        + [("decide", loop.now + 2, loop.now + 3), ("sink", loop.now + 3, loop.now + 4)]
        + [("decode", begun, begun), ("frame", loop.now, loop.now + 4)]
    )
    assert times.details()["wait"]["max"] == 0 and times.seconds == pytest.approx(4.0)


def test_latency_counts_to_the_decision(loop):
    times = recorder.Recorder(1.0, 0.0)
    loop.frame(times)
    loop.frame(times)  # a recording: from the begin of its read, 20 ms before it was taken
    assert times.details()["latency"]["max"] == pytest.approx(20 + 13)
    loop.frame(times, latency=(loop.now - 0.1, loop.now + 0.014))  # a live source: as the session says
    assert times.details()["latency"]["max"] == pytest.approx(114)


def test_a_run_that_does_not_become_steady_says_so(loop):
    times = recorder.Recorder(1.0, 2.0)
    slow = itertools.cycle([0.01] * 10 + [0.03] * 10)
    while times.began is None:
        loop.frame(times, infer=next(slow))
    assert not times.steady.reached and times.steady.spread > 0.02
    assert 2.0 <= times.steady.seconds < 2.1


@given(st.lists(st.floats(1e-5, 1.0), min_size=1, max_size=300), st.integers(4, 16))
def test_blocks_keep_the_mean_however_many_there_are(values, most):
    before, recorder.MAX_BLOCKS = recorder.MAX_BLOCKS, 2 * (most // 2)
    try:
        series = recorder.BlockSeries(("a",))
        for index, value in enumerate(values):
            series.add(float(index), [value])
        blocks = series.blocks()
    finally:
        recorder.MAX_BLOCKS = before
    rows = blocks.rows
    assert 1 <= len(rows) <= most
    held = len(values) // blocks.frames * blocks.frames or len(values)
    mean = sum(row[1] for row in rows) / len(rows)
    assert mean == pytest.approx(1e3 * np.mean(values[:held]))
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_the_trace_begins_at_zero(loop):
    times = recorder.Recorder(1.0, 0.0)
    for _ in range(30):
        loop.frame(times)
    spans = times.spans()
    assert min(span.start for span in spans) == 0.0
    assert {span.frame for span in spans} == set(range(recorder.TRACED_FRAMES))
    assert {span.stage for span in spans} == {name for name, _ in STAGES} | {"decode"}
    assert {round(span.duration, 6) for span in spans if span.stage == "infer"} == {10.0}


# ---------------------------------------------------------------- on sessions


def measured(source, seconds=0.2, warm_up=0.05, delay=0.002, **stream):
    """The fields of a profile that one measured run gives."""
    times = recorder.Recorder(seconds, warm_up)
    streams = (StreamRequest(source, **stream),)
    with open_session(SessionRequest(PixelEngine(delay=delay), streams, new_times=lambda: times)) as session:
        return measure._measure_run(session, times)[1]


class Endless(NumberSource):
    """Numbers without end; every second frame of it came and could not be decoded."""

    def grab(self):
        self.numbers.append(1)
        self.corrupt += self.index % 2
        return super(Endless, self).grab()


@pytest.mark.parametrize("options", [{}, {"paced": 200.0}])
def test_the_stages_add_up_to_the_wall_time(options):
    run = measured(Endless([]), **options)
    assert run["accounted"] == pytest.approx(1.0, abs=0.02)
    stages = {stage.name: stage for stage in run["stages"]}
    assert ("capture" in stages) == bool(options)
    work = sum(stages[name].mean for name in LOOP_STAGES)
    assert work == pytest.approx(stages["frame"].mean + stages["wait"].mean, rel=1e-6)
    assert run["frames"] == stages["infer"].count and run["fps"] == pytest.approx(run["frames"] / run["seconds"])


def test_counts_are_of_the_measured_frames_alone():
    run = measured(Endless([], gaps=range(0, 10000, 4)), warm_up=0.6, paced=300.0, delay=0.02)
    released = 300 * (run["seconds"] + 0.2)  # at most, and less than in the warm-up
    assert 0 < run["corrupt"] <= run["dropped"] < released
    assert run["frames"] <= run["seconds"] / 0.02 + 1
    assert 0 < run["resets"] <= run["frames"] + run["dropped"]  # a dropped frame hands its gap on


def test_the_session_reads_no_further_while_other_things_are_measured():
    source = Endless([], live=True, gate=gate(100000))
    times = recorder.Recorder(0.02, 0.01)
    with open_session(SessionRequest(PixelEngine(), (StreamRequest(source),), new_times=lambda: times)) as session:
        measure._measure_run(session, times)
        index = source.index
        time.sleep(0.05)
        assert source.closed and source.index == index
