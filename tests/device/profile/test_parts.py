"""The parts of the profiler on made-up times: recorder, watch, statistics, layers, machine, tables."""

import builtins
import itertools
import mmap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device import boards, profiles
from tsm_edge.machine import sampler as machine
from tsm_edge.profile import layers, recorder, stats, tables, watch
from tsm_edge.profile.turns import in_turn
from tsm_edge.sources.base import Source, Stamp


class Clock:
    """time.perf_counter that only moves when told to."""

    def __init__(self, monkeypatch, *modules):
        self.now = 100.0
        for module in modules:
            monkeypatch.setattr(module + ".time.perf_counter", lambda: self.now)

    def pass_(self, seconds):
        self.now += seconds


class Steps(Source):
    """Frames of which each takes 2 ms to grab and 3 ms to retrieve."""

    def __init__(self, clock, live=False, grab=0.002, retrieve=0.003):
        self._clock, self.live, self._grab, self._retrieve, self._index = clock, live, grab, retrieve, -1
        self.name, self.fps = "steps", 30.0

    def grab(self):
        self._clock.pass_(self._grab)
        self._index += 1
        return Stamp(self._index, self._index / 30.0, False)

    def retrieve(self, into=None):
        self._clock.pass_(self._retrieve)
        return np.zeros((4, 6, 3), np.uint8)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch, "tsm_edge.profile.watch", "tsm_edge.profile.recorder", "tsm_edge.timing")


# ---------------------------------------------------------------- watch


def spans(marks):
    return {name: pytest.approx(ended - begun) for name, begun, ended in marks.stages}


def test_a_file_is_read_and_its_latency_counts_from_there(clock):
    source = watch.WatchedSource(Steps(clock))
    next(source)
    marks = source.waiting[0]
    assert spans(marks) == {"decode": 0.005}
    assert (marks.since, source.latency_from) == (100.0, "read begun")


def test_a_live_source_waits_then_decodes(clock):
    source = watch.WatchedSource(Steps(clock, live=True))
    next(source)
    assert spans(source.waiting[0]) == {"capture": 0.002, "decode": 0.003}
    assert (source.waiting[0].since, source.latency_from) == (pytest.approx(100.002), "grabbed")


def test_a_paced_source_gives_frames_when_they_are_due(clock):
    source = watch.WatchedSource(Steps(clock), pace=20.0, wait=clock.pass_)
    assert source.live and source.fps == 20.0 and source.latency_from == "due"
    for _ in range(4):
        next(source)
    assert [marks.since for marks in source.waiting] == pytest.approx([100.0, 100.05, 100.10, 100.15])
    assert spans(source.waiting[2]) == {"capture": 0.045, "decode": 0.005}


def test_a_reader_that_falls_behind_does_not_hide_it(clock):
    """Coordinated omission: what the third frame waited while the second one took long is latency of the third."""
    source = watch.WatchedSource(Steps(clock), pace=20.0, wait=clock.pass_)
    next(source)
    clock.pass_(0.2)  # a stall
    for _ in range(2):
        next(source)
    late = [ended - marks.since for marks in source.waiting for _, _, ended in marks.stages[-1:]]
    assert late == pytest.approx([0.005, 0.205 - 0.05 + 0.005, 0.21 - 0.10 + 0.005])


def test_marks_of_dropped_frames_are_passed_over(clock):
    source = watch.WatchedSource(Steps(clock, live=True))
    taken = [next(source) for _ in range(5)]
    frames = watch.Watched(iter([taken[0], taken[3], taken[4]]), source)
    for expected in (0, 3, 4):
        assert next(frames).index == frames.marks.index == expected
    assert not source.waiting and frames.size == (6, 4)


def test_synthetic_frames_are_of_the_models_size():
    class Model:
        class frame:
            short_side = 12

        fps = None

    source = watch.SyntheticSource(Model)
    frames = [next(source) for _ in range(20)]
    assert [frame.index for frame in frames] == list(range(20))
    assert {frame.image.shape for frame in frames} == {(12, 12, 3)} and source.frame_size == (12, 12)
    assert not np.array_equal(frames[0].image, frames[1].image)
    assert "synthetic" in source.name
    source.close()
    assert next(source, None) is None


# ---------------------------------------------------------------- recorder


class Frames:
    marks = watch.Marks(0, 99.0, (("decode", 99.0, 99.004),))


STAGES = (("wait", 0.001), ("preprocess", 0.002), ("infer", 0.010), ("decide", 0.001), ("sink", 0.001))


def one_frame(times, clock, infer=0.010):
    """What the loop does to its StageTimes for a frame."""
    now = times.start()
    begun = None
    for name, seconds in STAGES:
        clock.pass_(infer if name == "infer" else seconds)
        now = times.lap(name, now)
        if name == "wait":
            begun = now
            times.record("decode", 0.5)
    times.lap("frame", begun)


def test_the_warm_up_is_forgotten_and_the_run_ends_in_time(clock):
    called = []
    times = recorder.Recorder(Frames(), 1.0, 10.0, lambda: called.append(clock.now))
    for _ in range(10):
        one_frame(times, clock, infer=0.2)
    while not times.done:
        one_frame(times, clock)
    assert times.steady.reached and times.steady.spread == pytest.approx(0)
    assert times.steady.frames == 60 and len(called) == 1  # ten slow ones, then five blocks alike
    assert times.count == 67 and times.seconds == pytest.approx(67 * 0.015)
    one_frame(times, clock)  # the loop still ends its frame
    details = times.details()
    assert times.count == details["infer"]["count"] == 67
    assert sum(details[name]["mean"] for name, _ in STAGES) == pytest.approx(15.0)
    assert details["frame"]["mean"] == pytest.approx(14.0)
    assert details["decode"]["mean"] == pytest.approx(4.0)  # the source's own time, not the loop's word for it
    assert details["interval"]["count"] == 66 and details["interval"]["mean"] == pytest.approx(15.0)
    assert "host-to-device" not in details


def test_latency_counts_to_the_decision(clock):
    frames = Frames()
    times = recorder.Recorder(frames, 0.001, 0.0)
    one_frame(times, clock)
    frames.marks = watch.Marks(1, clock.now - 0.1, ())
    one_frame(times, clock)
    assert times.details()["latency"]["max"] == pytest.approx(100 + 14)  # all of the frame but its sink
    times.add_transfers([0.0005, 0.0001])
    assert times.details()["host-to-device"]["max"] == pytest.approx(0.5)


def test_a_run_that_does_not_become_steady_says_so(clock):
    times = recorder.Recorder(Frames(), 1.0, 2.0)
    slow = itertools.cycle([0.01] * 10 + [0.03] * 10)
    while not times.measuring:
        one_frame(times, clock, infer=next(slow))
    assert not times.steady.reached and times.steady.spread > 0.02
    assert 2.0 <= times.steady.seconds < 2.1


@given(st.lists(st.floats(1e-5, 1.0), min_size=1, max_size=300), st.integers(4, 16))
def test_blocks_keep_the_mean_however_many_there_are(values, most):
    before, recorder.MOST_BLOCKS = recorder.MOST_BLOCKS, 2 * (most // 2)
    try:
        blocks = recorder.BlockSeries(("a",))
        for index, value in enumerate(values):
            blocks.add(float(index), [value])
        rows = blocks.rows()
    finally:
        recorder.MOST_BLOCKS = before
    assert 1 <= len(rows) <= most
    held = len(values) // blocks.frames * blocks.frames or len(values)
    mean = sum(row[1] for row in rows) / len(rows)
    assert mean == pytest.approx(1e3 * np.mean(values[:held]))
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_the_trace_begins_at_zero(clock):
    times = recorder.Recorder(Frames(), 1.0, 0.0)
    for _ in range(30):
        one_frame(times, clock)
    spans = times.spans()
    assert min(span.start for span in spans) == 0.0
    assert {span.frame for span in spans} == set(range(recorder.TRACED))
    assert {span.stage for span in spans} == {name for name, _ in STAGES} | {"decode"}


# ---------------------------------------------------------------- statistics


def test_a_paired_ratio_sees_through_noise_that_hits_both():
    rng = np.random.RandomState(1)
    noise = rng.lognormal(0, 0.5, 60)
    found = stats.paired_ratio(noise, 1.1 * noise * rng.lognormal(0, 0.005, 60))
    assert found.low < 1.1 < found.high and found.high - found.low < 0.01
    alone = stats.unpaired_ratio(noise, 1.1 * rng.permutation(noise))
    assert alone.high - alone.low > 0.1


def test_intervals_hold_the_true_ratio_as_often_as_they_say():
    rng, held = np.random.RandomState(2), 0
    for _ in range(60):
        base, other = rng.lognormal(0, 0.1, 40), 1.2 * rng.lognormal(0, 0.1, 40)
        found = stats.unpaired_ratio(base, other)
        held += found.low <= 1.2 <= found.high
    assert held >= 51  # 95 % of 60 is 57; fewer than 51 happens once in two thousand


def test_the_same_numbers_give_the_same_interval():
    base, other = np.arange(1, 30), np.arange(2, 31)
    assert stats.paired_ratio(base, other) == stats.paired_ratio(list(base), list(other))


@pytest.mark.parametrize("base", [[1.0] * 4, [1.0] * 9 + [0.0], [1.0] * 9 + [float("nan")]])
def test_too_few_or_impossible_times(base):
    for method in (stats.paired_ratio, stats.unpaired_ratio):
        with pytest.raises(ValueError):
            method([1.0] * len(base), base)


def test_sides_take_turns_there_and_back():
    called = []
    times = in_turn([lambda: called.append("a"), lambda: called.append("b")], seconds=0, rounds=3, calls=2)
    assert "".join(called) == "aabbbbaaaabbbbaaaabb"
    assert [len(side) for side in times] == [3, 3]
    assert all(len(side) >= 5 for side in in_turn([lambda: None, lambda: None], seconds=0.001))


# ---------------------------------------------------------------- layers

PLACES = ("features.3.conv.0", "features.5.conv.0")
CONV = ("c", "Conv", 0.002)


def sort(measured, places=PLACES):
    return layers.sorted_out("X", measured, 30, 0.01, places)


def test_shifts_by_their_ops_name():
    for op in ("TemporalShiftStep", "TemporalShift", "PluginV2"):
        found = sort([CONV, ("/n/TemporalShiftStep_3", op, 0.0005), ("r", "ReorderInput", 0.0001), CONV])
        assert (found.shift, found.layout, found.total) == pytest.approx((0.5, 0.1, 4.6))
        assert [layer.group for layer in found.layers] == ["other", "other", "shift", "layout"]  # slowest first


def test_shifts_of_an_expanded_function_get_their_places_back():
    body = [
        ("Shape_1", "Shape", 1e-6),
        ("Slice_2", "Slice", 2e-6),
        ("0x55", "Slice", 3e-6),
        ("Concat_4", "Concat", 4e-6),
    ]
    found = sort([CONV] + body + [CONV] + body[1:])
    assert found.shift == pytest.approx(0.019)
    names = [layer.name for layer in found.layers if layer.group == "shift"]
    assert names.count("features.3.conv.0 / Slice") == 2 and names.count("features.5.conv.0 / Concat") == 1
    assert not any("0x" in name for name in names)


def test_where_it_cannot_be_told_nothing_is_called_a_shift():
    found = sort([CONV, ("Concat_4", "Concat", 0.001)])
    assert found.shift == 0 and found.rule.startswith("not known")
    assert sort([CONV], places=()).shift == 0


# ---------------------------------------------------------------- machine


def test_a_sampler_beside_a_run(tmp_path):
    root = boards.nano(tmp_path)
    boards.write(root, {"proc/self/status": "VmHWM:\t  2000 kB\nVmRSS:\t  1000 kB\n"})
    boards.write(root, {"proc/self/statm": "9000 250 100 1 0 50 0\n"})
    boards.write(root, {"proc/stat": "cpu  100 0 50 1000 5 0 5 0 0 0\ncpu0 1 2\n"})
    with machine.Sampler(root) as sampler:
        sampler.begin()
        boards.write(root, {"proc/stat": "cpu  100000 0 50 1000 5 0 5 0 0 0\ncpu0 1 2\n"})
        columns, rows, readings, (process, others) = sampler.finish()
    assert columns[0] == "resident bytes" and rows[-1][1] == 250 * mmap.PAGESIZE
    assert rows[-1][3] == 47.5 and rows[-1][4] == 1479.0
    assert process >= 0 and others > 1
    assert machine.resident(root) == (1024000, 2048000)
    assert machine.spread(readings, "temperatures")["CPU-therm"] == [41.5, 41.5, 41.5]
    assert machine.throttling(readings) == ()


def test_throttling_that_came_and_went_is_reported(tmp_path):
    root = boards.orin_nano(tmp_path)
    sampler = machine.Sampler(root)
    boards.write(root, {"sys/class/hwmon/hwmon3/oc2_event_cnt": "4\n"})
    boards.write(root, {"sys/class/thermal/cooling_device3/cur_state": "1\n"})
    sampler._sample(1.0, machine.Sensors(root).read())
    boards.write(root, {"sys/class/thermal/cooling_device3/cur_state": "0\n"})
    assert machine.throttling(sampler.finish()[2]) == (
        "devfreq-17000000.gpu",
        "oc2 (under-voltage or over-current)",
    )


def test_samples_do_not_grow_with_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "MOST_SAMPLES", 10)
    sampler = machine.Sampler(str(tmp_path))
    reading = machine.Sensors(str(tmp_path)).read()
    for index in range(1000):
        sampler._sample(float(index), reading)
        assert len(sampler._rows) <= 10
    columns, rows, _, (_, others) = sampler.finish()
    assert others is None and rows[-1][1] is None  # nothing of Linux is there
    assert len({len(row) for row in rows}) == 1 == len(rows[0]) - len(columns)


@pytest.mark.parametrize(
    "text, name",
    [
        ("processor: 0\nmodel name\t: AMD EPYC 7\n", "AMD EPYC 7"),
        ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd07\n", "Arm implementer 0x41, part 0xd07"),
    ],
)
def test_the_processors_name(tmp_path, text, name):
    assert machine.cpu_name(boards.write(tmp_path, {"proc/cpuinfo": text})) == name


# ---------------------------------------------------------------- tables


@pytest.fixture(params=["tabulate", "plain"])
def table_by(request, monkeypatch):
    if request.param == "tabulate":
        pytest.importorskip("tabulate")
        return
    real = builtins.__import__

    def blocked(name, *rest):
        if name == "tabulate":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", blocked)


def test_a_table_of_any_text(table_by):
    text = tables.grid(["name", "ms"], [["1.50", "2.00"], ["longer name", "10.00"]])
    lines = text.rstrip("\n").split("\n")
    assert lines[0].split() == ["name", "ms"] and set(lines[1]) == {"-", " "}
    assert lines[2].startswith("1.50 ") and lines[2].endswith(" 2.00")
    assert lines[3].split("  ")[0] == "longer name"
    assert len({len(line) for line in lines[1:]}) == 1


def test_a_profile_as_text(table_by):
    text = tables.render(profiles.sample())
    for said in (
        "m.onnx (onnxruntime, shift by function body",
        "Jetson Nano",
        "paced at 30 frames/s",
        "3 dropped",
        "12.5% of a frame's work",
        "peak 130.0 MB",
        "p90",
        "jitter",
        "latency, end to end",
        "/features.3/TemporalShiftStep",
        "all shifts",
        "cold start  420 ms",
        "ratio 0.714",
        "CPU-therm 40-42 C",
        "note: A note.",
    ):
        assert said in text, said
    text.encode("ascii")
