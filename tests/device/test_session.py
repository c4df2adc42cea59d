"""Sessions on a toy engine: every frame of every stream, resets, events, errors of one stream, and what sinks get."""

import json
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tsm_edge
from tests.device.media import MjpegServer
from tests.device.toys import WAIT, Collector, NumberSource, PixelEngine, gate, toy_manifest
from tsm_edge.errors import InputError, SourceError, StreamError
from tsm_edge.records import Gap
from tsm_edge.session import SessionRequest, may_spin, open_session
from tsm_edge.sinks.jsonl import JsonlSink
from tsm_edge.sources.live import Retry
from tsm_edge.sources.network import NetworkStream
from tsm_edge.sources.request import StreamRequest


@pytest.fixture(autouse=True)
def no_thread_left():
    before = threading.active_count()
    yield
    until = time.monotonic() + WAIT
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() == before


class Run:
    """One session over sources of numbers, run to its end, and all it left."""

    def __init__(self, *sources, **options):
        self.sink = options.pop("sink", None) or Collector()
        self.engine = options.pop("engine", None) or PixelEngine(toy_manifest(**options.pop("decision", {})))
        requests = [one if isinstance(one, StreamRequest) else StreamRequest(one) for one in sources]
        self.session = open_session(SessionRequest(self.engine, tuple(requests), **options))
        self.session.sinks.append(self.sink)
        self.error = None
        try:
            with self.session:
                self.yielded = list(self.session)
        except Exception as error:
            self.error = error
        self.summaries = self.session.finish()
        self.summary = self.summaries[-1]

    @property
    def labels(self):
        return [result.prediction.label for result in self.sink.results]


def test_every_frame_goes_through_every_stage_to_the_sinks_in_order():
    run = Run(NumberSource([0, 0, 1]))
    assert run.error is None
    assert run.engine.steps == [{0: 0}, {0: 0}, {0: 1}]
    assert [result.frame.index for result in run.sink.results] == [0, 1, 2]
    assert run.labels == ["a", "a", "b"]
    assert [result.fps is None for result in run.sink.results] == [True, False, False]
    assert run.yielded == run.sink.results
    assert run.summary["stopped"] == "end"
    assert (run.summary["frames"], run.summary["resets"], run.summary["events"]) == (3, 0, 2)
    assert run.sink.summaries == run.summaries
    assert run.sink.closes == 1


def test_frames_carry_their_stream_and_their_times():
    before = time.time()
    run = Run(StreamRequest(NumberSource([1, 2]), name="door"))
    for result in run.sink.results:
        frame = result.frame
        assert frame.stream == "door"
        assert before <= frame.wall_time <= time.time()
        assert 0 <= frame.read_seconds < WAIT
        assert frame.times.begun <= frame.times.done
    assert {event.stream for event in run.sink.events} == {"door"}


def test_no_frame_at_all():
    run = Run(NumberSource([]))
    assert run.sink.results == []
    assert (run.summary["stopped"], run.summary["frames"], run.summary["fps"], run.summary["seconds"]) == (
        "end",
        0,
        None,
        0,
    )
    assert run.summary["stages"] == {}


def test_a_gap_resets_state_and_head_and_ends_the_event():
    run = Run(NumberSource([1, 1, 1, 0, 0], gaps=[3]))
    assert run.engine.states[0].log == [0]
    assert run.summary["resets"] == 1
    ended = [event for event in run.sink.events if event.type == "end"]
    assert [(event.label, event.start, event.end) for event in ended] == [("b", 0.0, 0.2), ("a", 0.3, 0.4)]
    # The gap comes first, then its frame, then the end that it brought, then what began with it.
    assert run.sink.order == ["write", "new", "write", "write", "gap", "write", "end", "new", "write", "end"]
    assert run.sink.gaps == [(3, Gap("lost", 0.5))]


def test_gaps_of_a_real_stream_agree_everywhere(tmp_path):
    """A camera freezes twice and hangs up once: source, stream, summary, sinks and JSONL count the same gaps."""
    path = str(tmp_path / "out.jsonl")
    with MjpegServer([8, 8, 6, 8], stall=(0, 1)) as server:
        camera = NetworkStream(server.url, read_seconds=0.5, retry=Retry(3, 0.01, 0.02))
        session = open_session(SessionRequest(PixelEngine(), (StreamRequest(camera, name="door"),)))
        collector = Collector()
        session.sinks += [collector, JsonlSink(path)]
        with session:
            results = []
            for result in session:
                results.append(result)
                if sum(len(one.frame.gaps) for one in results) == 3:
                    break
        summary = session.finish()[0]
    with open(path) as file:
        records = [json.loads(line) for line in file]
    gaps = [record for record in records if record["kind"] == "gap"]
    in_frames = [gap for result in results for gap in result.frame.gaps]
    assert len(gaps) == 3 == len(in_frames) == len(collector.gaps) == summary["resets"] == camera.resets
    reasons = ["reconnected: it sent no frame for 0.5 s"] * 2 + ["reconnected: it stopped sending frames"]
    assert [gap["reason"] for gap in gaps] == reasons
    assert all(gap["seconds"] >= 0.5 for gap in gaps[:2]) and gaps[2]["seconds"] > 0
    for index, record in enumerate(records):
        if record["kind"] == "gap":  # right before the frame that follows it
            following = next(one for one in records[index:] if one["kind"] != "gap")
            assert (following["kind"], following["frame"]) == ("frame", record["frame"])
    times = [record["time"] for record in records if record["kind"] == "frame"]
    assert times == sorted(times)


SECRET = "rtsp://user:hush@host/1?token=hush"


@pytest.mark.parametrize(
    "error",
    [
        StreamError(SECRET + " was interrupted"),
        SourceError(SECRET, SECRET, SECRET, SECRET),
        RuntimeError(SECRET + "\n\x1b[2J" + SECRET),
        OSError(5, "no route to " + SECRET, SECRET),
    ],
)
def test_no_record_of_a_run_shows_a_secret(error):
    run = Run(NumberSource([1, 2], name=SECRET, error=error))
    assert run.error is error
    text = repr(run.summaries)
    assert "hush" not in text and "rtsp://user:***@host/1?token=***" in text
    assert run.summaries[0]["stopped"].startswith("error: ") and "\x1b" not in text
    assert all("\n" not in one["stopped"] for one in run.summaries)


def test_the_memory_of_a_stream_is_its_own_past_and_ends_at_a_gap():
    class Keep(PixelEngine):
        seen = []

        def _step(self, frames, state, rows):
            outputs = super(Keep, self)._step(frames, state, rows)
            self.seen += [(row, float(outputs["before"][index, 0])) for index, row in enumerate(rows)]
            return outputs

    engine = Keep()
    Run(NumberSource([1, 2, 3, 4], gaps=[2]), NumberSource([11, 12, 13]), engine=engine)
    assert [before for row, before in engine.seen if row == 0] == [0, 1, 0, 3]
    assert [before for row, before in engine.seen if row == 1] == [0, 11, 12]


def test_a_gap_empties_the_window_of_decisions():
    assert Run(NumberSource([1, 1, 0], gaps=[2]), decision={"window": 3}).labels == ["b", "b", "a"]
    assert Run(NumberSource([1, 1, 0]), decision={"window": 3}).labels == ["b", "b", "b"]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_max_frames_is_for_each_stream(most):
    run = Run(NumberSource([0] * 5), NumberSource([1] * 2), max_frames=most)
    assert [summary["frames"] for summary in run.summaries[:-1]] == [most, min(most, 2)]
    assert run.summaries[0]["stopped"] == "max_frames"
    assert run.summaries[1]["stopped"] == ("end" if most > 2 else "max_frames")
    assert run.summary["stopped"] == ("end" if most > 2 else "max_frames")


def test_a_sink_that_closes_ends_the_run_after_all_sinks_had_the_frame():
    sinks = Collector({1: False}), Collector()
    with open_session(SessionRequest(PixelEngine(), (StreamRequest(NumberSource([0] * 5)),))) as session:
        session.sinks += sinks
        assert len(list(session)) == 2
    assert [len(sink.results) for sink in sinks] == [2, 2]
    assert session.finish()[-1]["stopped"] == "closed"


def test_an_error_of_a_sink_ends_the_run_and_keeps_no_other_sink_from_its_end():
    other = Collector()
    with pytest.raises(SourceError, match="full"), open_session(
        SessionRequest(PixelEngine(), (StreamRequest(NumberSource([0] * 5)),))
    ) as session:
        session.sinks += [Collector({1: SourceError("full")}), other]
        list(session)
    assert session.finish()[-1]["frames"] == 2
    assert other.summaries is not None and other.closes == 1
    assert other.events[-1].type == "end"
    assert session.finish()[-1]["stopped"].startswith("error: full")


def test_a_sink_that_cannot_take_the_last_event_is_reported_and_the_others_get_it():
    bad, good = Collector(event_error=InputError("disk", "full")), Collector()
    session = open_session(SessionRequest(PixelEngine(), (StreamRequest(NumberSource([0])),)))
    session.sinks.append(good)
    list(session)
    session.sinks.insert(0, bad)
    session.streams[0].head._told.append(good.events[0])  # one that nobody has been told
    session.streams[0].stopped = None
    session.finish()
    assert isinstance(session.errors[0], InputError)
    assert len(good.events) == 3 and good.closes == bad.closes == 1


def test_an_engine_that_fails_ends_the_run():
    run = Run(NumberSource([0] * 5), NumberSource([1] * 5), engine=PixelEngine(fails=2))
    assert isinstance(run.error, RuntimeError)
    assert run.summary["stopped"] == "error: the toy breaks"
    assert run.sink.closes == 1


# ---------------------------------------------------------------- several streams


def test_streams_of_different_lengths_each_end_alone():
    lengths = (3, 7, 1)
    run = Run(*[NumberSource(range(10 * i, 10 * i + n), name="s{}".format(i)) for i, n in enumerate(lengths)])
    for number, length in enumerate(lengths):
        results = run.sink.of("s{}".format(number))
        assert [result.frame.index for result in results] == list(range(length))
        seen = [step[number] for step in run.engine.steps if number in step]
        assert seen == list(range(10 * number, 10 * number + length))
    assert [summary["stream"] for summary in run.summaries] == ["s0", "s1", "s2", None]
    assert [summary["frames"] for summary in run.summaries] == [3, 7, 1, 11]
    assert run.summary["streams"] == 3


def test_a_stream_that_has_no_frame_delays_no_other():
    silent = gate()
    slow, fast = NumberSource([1, 1], "slow", live=True, gate=silent), NumberSource([0] * 50, "fast")
    session = open_session(SessionRequest(PixelEngine(), (StreamRequest(slow), StreamRequest(fast))))
    sink = Collector()
    session.sinks.append(sink)
    with session:
        while len(sink.of("fast")) < 50:
            session.serve(session.wait())
        assert sink.of("slow") == []
        assert session.streams[1].stopped is None or session.streams[1].stopped == "end"
        silent.release()
        while not sink.of("slow"):
            session.serve(session.wait())
    assert session.finish()[0]["frames"] == 1


@pytest.mark.parametrize("error", [SourceError("cut.mp4", "cut off"), StreamError("gone"), ValueError("a bug")])
def test_a_source_that_fails_ends_its_stream_alone(error):
    run = Run(NumberSource([1, 1], "bad", error=error), NumberSource([0] * 20, "good"))
    assert run.error is error
    assert [summary["frames"] for summary in run.summaries] == [2, 20, 22]
    assert run.summaries[0]["stopped"].startswith("error: ")
    assert run.summaries[1]["stopped"] == "end"
    assert run.summary["stopped"].startswith("error: ")
    assert [event.type for event in run.sink.events if event.stream == "bad"] == ["new", "end"]


def test_a_batch_holds_every_stream_that_has_a_frame():
    """Wait until both sources have read ahead: then one step takes a frame of each."""
    engine = PixelEngine()
    session = open_session(
        SessionRequest(engine, (StreamRequest(NumberSource([1] * 4)), StreamRequest(NumberSource([2] * 4))))
    )
    with session:
        until = time.monotonic() + WAIT
        while not all(stream.capture.ready() for stream in session.streams):
            assert time.monotonic() < until
            time.sleep(0.001)
        session.serve(session.wait())
    assert engine.steps == [{0: 1, 1: 2}]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 200), max_size=12), min_size=1, max_size=5),
    st.lists(st.integers(0, 11), max_size=3),
)
def test_together_or_alone_streams_give_the_same(numbers, gaps):
    def told(run, name):
        results = [(r.frame.index, r.prediction) for r in run.sink.of(name)]
        events = [event._replace(id="", wall_time=0) for event in run.sink.events if event.stream == name]
        return results, events

    names = ["s{}".format(index) for index in range(len(numbers))]
    together = Run(*[NumberSource(one, name, gaps=gaps) for one, name in zip(numbers, names)], decision={"window": 2})
    for one, name in zip(numbers, names):
        alone = Run(NumberSource(one, name, gaps=gaps), decision={"window": 2})
        assert told(together, name) == told(alone, name)


def test_more_streams_than_the_engine_takes_are_refused_and_nothing_stays_open(monkeypatch):
    class Four(PixelEngine):
        def _new_state(self, streams):
            if streams > 4:
                raise InputError("toy.model: streams", streams, "4", "build it for them")
            return super(Four, self)._new_state(streams)

    sources = [NumberSource([0] * 9, "s{}".format(i)) for i in range(100)]
    with pytest.raises(InputError, match="streams"):
        open_session(SessionRequest(Four(streams=(1, 4)), tuple(StreamRequest(source) for source in sources)))
    assert all(source.closed for source in sources)


def test_an_engine_for_more_streams_than_there_are_keeps_the_others_idle():
    run = Run(NumberSource([1, 2]), engine=PixelEngine(streams=(4, 4)))
    assert run.engine.states[0].streams == 4
    assert run.engine.steps == [{0: 1}, {0: 2}]


def test_each_camera_may_decide_otherwise():
    engine = PixelEngine(toy_manifest(hysteresis=1))
    strict = StreamRequest(NumberSource([1, 1, 1], "strict"), decision={"hysteresis": 3})
    run = Run(strict, NumberSource([1, 1, 1], "quick"), engine=engine)
    assert [r.prediction.label for r in run.sink.of("strict")] == [None, None, "b"]
    assert [r.prediction.label for r in run.sink.of("quick")] == ["b", "b", "b"]


@pytest.mark.parametrize("decision", [{"hysteresis": 0}, {"treshold": 0.5}, {"ignored": ["d"]}, {"window": "long"}])
def test_decisions_that_do_not_fit_are_refused(decision):
    source = NumberSource([0])
    with pytest.raises(InputError, match="decision"):
        open_session(SessionRequest(PixelEngine(), (StreamRequest(source, decision=decision),)))


# ---------------------------------------------------------------- times, and the Python API


def test_stage_times_add_up():
    run = Run(NumberSource([0, 1] * 10))
    stages = run.summary["stages"]
    names = ("wait", "decode", "preprocess", "infer", "decide", "sink", "frame")
    assert {name: stage["count"] for name, stage in stages.items()} == dict.fromkeys(names, 20)
    parts = sum(stages[name]["mean"] for name in ("preprocess", "infer", "decide", "sink"))
    assert parts == pytest.approx(stages["frame"]["mean"], rel=1e-6)
    everything = (parts + stages["wait"]["mean"]) * 20
    assert everything == pytest.approx(1e3 * run.summary["seconds"], rel=0.05, abs=1.0)


def test_a_live_stream_has_its_latency_and_the_wait_for_its_frames():
    run = Run(NumberSource([0] * 9, live=True, gate=gate(99)))
    assert {"capture", "latency"} <= set(run.summary["stages"])
    assert run.summary["frames"] + run.summary["dropped"] == 9


def test_a_paced_recording_comes_as_a_camera_would():
    begun = time.monotonic()
    run = Run(StreamRequest(NumberSource([0] * 11), paced=100.0))
    assert time.monotonic() - begun >= 0.1
    assert run.summary["frames"] + run.summary["dropped"] == 11
    assert "latency" in run.summary["stages"]


def test_the_python_api_iterates_over_results():
    engine = PixelEngine()
    with tsm_edge.open_session(engine, NumberSource([0, 1]), NumberSource([2]), max_frames=5) as session:
        found = sorted((result.frame.stream, result.prediction.label) for result in session)
    assert found == [("numbers", "a"), ("numbers", "b"), ("numbers-2", "c")]


def test_an_error_in_the_callers_loop_closes_all():
    source = NumberSource([0] * 9)
    sink = Collector()
    with pytest.raises(KeyError), tsm_edge.open_session(PixelEngine(), source) as session:
        session.sinks.append(sink)
        for _ in session:
            raise KeyError("mine")
    assert source.closed and sink.closes == 1
    assert sink.summaries[-1]["stopped"].startswith("error")


@pytest.mark.parametrize(
    "frame_size, several, threads, cores, spins",
    [
        ((340, 256), False, None, 2, True),
        ((1920, 1080), False, None, 2, False),  # decoding needs the core
        ((340, 256), True, None, 2, False),
        (None, False, 2, 2, False),
        ((1920, 1080), True, 2, 4, True),  # it has one of its own
        (None, False, 1, 2, True),
    ],
)
def test_threads_spin_where_that_stalls_no_decoder(frame_size, several, threads, cores, spins):
    assert may_spin(frame_size, several, threads, cores) == spins


def test_the_batch_is_reused():
    session = open_session(SessionRequest(PixelEngine(), (StreamRequest(NumberSource([0] * 3)),)))
    with session:
        batch = session._batch
        list(session)
        assert session._batch is batch and batch.dtype == np.float32
