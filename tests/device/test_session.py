"""The loop with parts that only record what is asked of them."""

import itertools

import numpy as np
import pytest

from tsm_edge import session as pipeline
from tsm_edge.errors import SourceError
from tsm_edge.heads.classification import Decider, Event
from tsm_edge.manifest import DecisionSpec
from tsm_edge.sinks.base import Sink
from tsm_edge.sources.base import Frame
from tsm_edge.timing import StageTimes

LABELS = ("a", "b")


class Frames:
    """A Capture's iterator: frames whose every pixel is their class; `gaps` are indices, `broken` is where it fails."""

    last_read_seconds = 0.25

    def __init__(self, classes, gaps=(), broken=None):
        self._classes, self._gaps, self._broken = classes, gaps, broken
        self.index = 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.index == self._broken:
            raise SourceError("fake.mp4", "cut off")
        if self.index == len(self._classes):
            raise StopIteration
        at, self.index = self.index, self.index + 1
        image = np.full((4, 4, 3), self._classes[at], np.uint8)
        return Frame(at, at / 10.0, image, at in self._gaps)


class FakeState:
    def __init__(self, log):
        self.log = log

    def reset(self, stream=None):
        self.log.append("reset")


class FakeEngine:
    """Logits that favour the class in the first pixel; logs its steps and its state's resets."""

    def __init__(self):
        self.log = []

    def new_state(self):
        return FakeState(self.log)

    def step(self, tensor, state):
        self.log.append(int(tensor[0, 0, 0]))
        return np.eye(2, dtype=np.float32)[[int(tensor[0, 0, 0])]] * 9


class FakeSink(Sink):
    def __init__(self, answers=()):
        self.results, self._answers = [], itertools.chain(answers, itertools.repeat(None))

    def write(self, result):
        self.results.append(result)
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Run:
    """One run of the loop over fakes, and all it left."""

    def __init__(self, frames, *sinks, **options):
        self.engine, self.times, self.counts = FakeEngine(), StageTimes(), pipeline.Counts()
        spec = options.pop("decision", DecisionSpec(window=1, threshold=0.0, hysteresis=1, ignored=()))
        self.decider = Decider(spec, LABELS)
        self.sinks = sinks or (FakeSink(),)
        self.why = None
        stages = pipeline.Stages(lambda image: image, self.engine, self.decider)
        self.go = lambda: pipeline.run(frames, stages, self.sinks, self.times, self.counts, **options)

    def done(self):
        self.why = self.go()
        return self


def test_every_frame_goes_through_every_stage_to_every_sink_in_order():
    run = Run(Frames([0, 0, 1]), FakeSink(), FakeSink()).done()
    assert run.why == "end"
    assert run.engine.log == [0, 0, 1]
    for sink in run.sinks:
        assert [result.frame.index for result in sink.results] == [0, 1, 2]
        assert [result.decision.label for result in sink.results] == ["a", "a", "b"]
    assert (run.counts.frames, run.counts.resets, run.counts.events) == (3, 0, 1)
    assert [result.fps is None for result in run.sinks[0].results] == [True, False, False]


def test_no_frame_at_all():
    run = Run(Frames([])).done()
    assert (run.why, run.counts.frames, run.counts.fps, run.counts.seconds) == ("end", 0, None, 0)
    assert run.sinks[0].results == []


def test_a_gap_resets_state_and_decider_and_ends_the_event():
    run = Run(Frames([1, 1, 1, 0, 0], gaps=[3])).done()
    assert run.engine.log == [1, 1, 1, "reset", 0, 0]  # before the step of the frame behind the gap
    assert run.counts.resets == 1
    events = [result.decision.event for result in run.sinks[0].results]
    assert [event is not None for event in events] == [False, False, False, True, False]
    assert events[3][:3] == ("b", 0.0, 0.2)
    assert run.counts.events == 1


def test_a_gap_empties_the_window_of_decisions():
    spec = DecisionSpec(window=3, threshold=0.0, hysteresis=1, ignored=())
    labels = [r.decision.label for r in Run(Frames([1, 1, 0], gaps=[2]), decision=spec).done().sinks[0].results]
    assert labels == ["b", "b", "a"]
    labels = [r.decision.label for r in Run(Frames([1, 1, 0]), decision=spec).done().sinks[0].results]
    assert labels == ["b", "b", "b"]


def test_a_gap_on_the_first_frame_ends_no_event():
    run = Run(Frames([0], gaps=[0])).done()
    assert run.engine.log == ["reset", 0]
    assert run.counts.events == 0


@pytest.mark.parametrize("most", [1, 2, 3])
def test_max_frames_takes_no_frame_more(most):
    frames = Frames([0] * 5)
    run = Run(frames, max_frames=most).done()
    assert (run.why, run.counts.frames, frames.index) == ("max_frames", most, most)


def test_a_sink_that_closes_ends_the_run_after_all_sinks_had_the_frame():
    run = Run(Frames([0] * 5), FakeSink([None, False]), FakeSink()).done()
    assert run.why == "closed"
    assert [len(sink.results) for sink in run.sinks] == [2, 2]


def test_an_error_of_a_sink_comes_out_with_the_counts_right():
    run = Run(Frames([0] * 5), FakeSink([None, SourceError("full")]))
    with pytest.raises(SourceError, match="full"):
        run.go()
    assert run.counts.frames == 2


def test_an_error_of_the_source_comes_out_after_the_frames_before_it():
    run = Run(Frames([0, 1, 0], broken=2))
    with pytest.raises(SourceError, match="fake.mp4"):
        run.go()
    assert [result.frame.index for result in run.sinks[0].results] == [0, 1]
    assert run.counts.frames == 2
    assert run.decider.finish() == Event("b", 0.1, 0.1, pytest.approx(1.0, abs=1e-3))


def test_stage_times():
    run = Run(Frames([0, 1] * 10)).done()
    stages = run.times.summary()
    # The end of the source is waited for as well, so there is one wait less than frames and one.
    assert {name: stage["count"] for name, stage in stages.items()} == dict.fromkeys(
        ("wait", "decode", "preprocess", "infer", "decide", "sink", "frame"), 20
    )
    assert stages["decode"]["mean"] == pytest.approx(250)
    parts = sum(stages[name]["mean"] for name in ("preprocess", "infer", "decide", "sink"))
    assert parts <= stages["frame"]["mean"] * (1 + 1e-9)
    assert stages["frame"]["mean"] * 20 <= 1e3 * (run.counts.seconds) + stages["sink"]["max"] + 1e-6
