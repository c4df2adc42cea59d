import numpy as np
import pytest

from tsm_edge.timing import LEAST, MOST, StageTimes

SHAPES = {
    "one": lambda rng: np.array([0.007]),
    "two": lambda rng: np.array([0.001, 0.5]),
    "few": lambda rng: rng.uniform(0.001, 0.1, 7),
    "steady": lambda rng: rng.normal(0.007, 0.0002, 5000),
    "tail": lambda rng: rng.lognormal(-5, 1.5, 5000).clip(LEAST, MOST),
    "two humps": lambda rng: np.concatenate([rng.normal(0.005, 1e-4, 900), rng.normal(0.05, 1e-3, 100)]),
    "whole range": lambda rng: np.exp(rng.uniform(np.log(LEAST), np.log(MOST), 5000)),
}


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_percentiles_are_numpys_within_one_percent(shape):
    seconds = SHAPES[shape](np.random.RandomState(0))
    times = StageTimes()
    for value in seconds.tolist():
        times.record("infer", value)
    summary = times.summary()["infer"]
    for name, percent in (("p50", 50), ("p95", 95), ("p99", 99)):
        assert summary[name] == pytest.approx(1e3 * np.percentile(seconds, percent), rel=0.01)
    assert summary["mean"] == pytest.approx(1e3 * seconds.mean())
    assert summary["max"] == 1e3 * seconds.max()
    assert summary["count"] == len(seconds)


def test_memory_does_not_grow_with_the_run():
    times = StageTimes()
    times.record("infer", 0.007)
    stage = times._stages["infer"]
    bins = len(stage.bins)
    for index in range(10000):
        times.record("infer", 1e-7 * 1.003**index)  # from below the range to far above it
    assert len(stage.bins) == bins and sum(stage.bins) == 10001
    assert all(isinstance(value, (int, float, list)) for value in vars(stage).values())


def test_times_outside_the_range_count_as_its_ends():
    times = StageTimes()
    for seconds in (0.0, 1e-9, 1e4, 1e5):
        times.record("odd", seconds)
    summary = times.summary()["odd"]
    assert summary["count"] == 4 and summary["max"] == 1e8
    assert summary["p99"] <= 1e3 * MOST * 1.01


@pytest.mark.parametrize("seconds", [-1e-9, float("nan"), float("-inf")])
def test_impossible_times_are_refused(seconds):
    times = StageTimes()
    with pytest.raises(ValueError, match="seconds"):
        times.record("infer", seconds)
    assert times.summary() == {}


def test_laps_and_blocks_use_one_clock(monkeypatch):
    clock = iter([10.0, 10.25, 11.0, 20.0, 20.5])
    monkeypatch.setattr("tsm_edge.timing.time.perf_counter", lambda: next(clock))
    times = StageTimes()
    now = times.lap("decode", times.start())
    assert times.lap("infer", now) == 11.0
    with times.stage("draw"):
        pass
    summary = times.summary()
    assert list(summary) == ["decode", "infer", "draw"]
    assert [summary[name]["max"] for name in summary] == [250.0, 750.0, 500.0]


def test_a_block_that_raises_is_not_recorded():
    times = StageTimes()
    with pytest.raises(KeyError), times.stage("infer"):
        raise KeyError("boom")
    assert times.summary() == {}
