"""Latency of each stage of a run: percentiles from a histogram whose size does not grow with the run."""

import math
import time

import numpy as np

LEAST, MOST = 1e-6, 100.0  # seconds; what lies outside counts as the nearer end
_STEP = math.log(1.01)  # a bin is 1 % wide, so its middle is within 0.5 % of what fell into it
_BINS = int(math.ceil(math.log(MOST / LEAST) / _STEP))
_LOG_LEAST = math.log(LEAST)
_MERGED = 5  # bins of the histogram for one of `details`


class StageTimes:
    """Times of named stages, in memory that depends on the number of names alone (15 KB each). One writer at a time.

    times = StageTimes()
    with times.stage("infer"):                  # or, without a with block:
        ...
    now = times.start()
    ...
    now = times.lap("decode", now)              # records the time since `now`, and returns the next `now`
    """

    def __init__(self):
        self._stages = {}

    @staticmethod
    def start():
        """The clock's reading in seconds, for the first `lap`."""
        return time.perf_counter()

    def lap(self, name, since):
        """Record for stage `name` the time since `since` (a reading of this clock), and return the present reading."""
        now = time.perf_counter()
        self.record(name, now - since)
        return now

    def stage(self, name):
        """For a with block: record how long it takes. A block that raises is not recorded."""
        return _Block(self, name)

    def record(self, name, seconds):
        """Add one time, in seconds, to stage `name`. Raises ValueError for a time below 0 or NaN."""
        if not seconds >= 0:
            raise ValueError("seconds: got {}, expected at least 0".format(seconds))
        stage = self._stages.get(name)
        if stage is None:
            stage = self._stages[name] = _Stage()
        stage.record(seconds)

    def summary(self):
        """A dict: stage -> {"p50", "p95", "p99", "mean", "max" (milliseconds), "count"}, in order of first use.

        mean, max and count are exact. Percentiles are numpy.percentile's (linear between the two nearest records),
        within 0.5 % where those lie between 1 us and 100 s.
        """
        return {name: stage.summary(("p50", "p95", "p99")) for name, stage in self._stages.items()}

    def details(self):
        """As `summary`, with "p90", "jitter" (ms) and "histogram" besides.

        jitter: the mean absolute difference between a time and the one before it, the D of RFC 3550 section 6.4.1,
        unsmoothed; 0 where there is only one. histogram: a list of [from ms, to ms, count], 5 % wide, none empty.
        """
        out = {}
        for name, stage in self._stages.items():
            out[name] = stage.summary(("p50", "p90", "p95", "p99"))
            out[name].update(jitter=1e3 * stage.changes / max(1, stage.count - 1), histogram=stage.histogram())
        return out


class _Block:
    """What `StageTimes.stage` gives: half the cost of contextlib's generator."""

    __slots__ = ("times", "name", "since")

    def __init__(self, times, name):
        self.times, self.name = times, name

    def __enter__(self):
        self.since = time.perf_counter()

    def __exit__(self, kind, value, traceback):
        if kind is None:
            self.times.record(self.name, time.perf_counter() - self.since)


class _Stage:
    """One stage: a histogram with bins of equal width in the logarithm of the time."""

    def __init__(self):
        self.bins = [0] * _BINS  # a list: adding 1 in place costs a third of what it does in an array
        self.count = 0
        self.total = 0.0
        self.longest = 0.0
        self.last = None
        self.changes = 0.0

    def record(self, seconds):
        if self.count:
            self.changes += abs(seconds - self.last)
        self.last = seconds
        self.count += 1
        self.total += seconds
        if seconds > self.longest:
            self.longest = seconds
        index = int((math.log(seconds) - _LOG_LEAST) / _STEP) if seconds > LEAST else 0
        self.bins[index if index < _BINS else _BINS - 1] += 1

    def summary(self, names):
        """names: percentiles, as "p50"."""
        passed = np.cumsum(self.bins)

        def record_at(rank):  # the rank-th shortest, counted from 0
            index = np.searchsorted(passed, rank, side="right")
            return min(math.exp(_LOG_LEAST + (index + 0.5) * _STEP), self.longest)

        out = {}
        for name in names:
            rank = int(name[1:]) * (self.count - 1) / 100.0
            low, high = record_at(math.floor(rank)), record_at(math.ceil(rank))
            out[name] = 1e3 * (low + (rank - math.floor(rank)) * (high - low))
        out.update(mean=1e3 * self.total / self.count, max=1e3 * self.longest, count=self.count)
        return out

    def histogram(self):
        counts = np.add.reduceat(self.bins, np.arange(0, _BINS, _MERGED))
        edges = [1e3 * LEAST * math.exp(_STEP * _MERGED * index) for index in range(len(counts) + 1)]
        return [[edges[index], edges[index + 1], int(counts[index])] for index in np.flatnonzero(counts)]
