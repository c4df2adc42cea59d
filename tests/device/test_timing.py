import numpy as np
import pytest

from tsm_edge.timing import LONGEST, SHORTEST, StageTimes

SHAPES = {
    "one": lambda rng: np.array([0.007]),
    "two": lambda rng: np.array([0.001, 0.5]),
    "few": lambda rng: rng.uniform(0.001, 0.1, 7),
    "steady": lambda rng: rng.normal(0.007, 0.0002, 5000),
    "tail": lambda rng: rng.lognormal(-5, 1.5, 5000).clip(SHORTEST, LONGEST),
    "two humps": lambda rng: np.concatenate([rng.normal(0.005, 1e-4, 900), rng.normal(0.05, 1e-3, 100)]),
    "whole range": lambda rng: np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST), 5000)),
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
    assert summary["p99"] <= 1e3 * LONGEST * 1.01


@pytest.mark.parametrize("seconds", [-1e-9, float("nan"), float("-inf")])
def test_impossible_times_are_refused(seconds):
    times = StageTimes()
    with pytest.raises(ValueError, match="seconds"):
        times.record("infer", seconds)
    assert times.summary() == {}


def test_the_spans_of_a_frame_are_its_stages():
    times = StageTimes()
    times.add_frame([("decode", 10.0, 10.25), ("infer", 10.25, 11.0)])
    times.add_frame([("decode", 20.0, 20.5), ("infer", 20.5, 21.0)])
    summary = times.summary()
    assert list(summary) == ["decode", "infer"]
    assert [summary[name]["max"] for name in summary] == [500.0, 750.0]
    assert times.details()["decode"]["jitter"] == 250.0


def test_streams_together_are_the_sum_of_their_records():
    rng = np.random.RandomState(0)
    parts, all_seconds = [StageTimes(), StageTimes(), StageTimes()], []
    for number, part in enumerate(parts):
        for seconds in rng.lognormal(-5, 1, 200 * number):
            part.record("infer", seconds)
            all_seconds.append(seconds)
    parts[2].record("latency", 0.5)
    merged = StageTimes.merged(parts).summary()
    assert merged["infer"]["count"] == len(all_seconds)
    assert merged["infer"]["mean"] == pytest.approx(1e3 * np.mean(all_seconds))
    assert merged["infer"]["p95"] == pytest.approx(1e3 * np.percentile(all_seconds, 95), rel=0.01)
    assert merged["latency"]["max"] == 500.0
    assert parts[1].summary()["infer"]["count"] == 200
    assert StageTimes.merged([]).summary() == {}
