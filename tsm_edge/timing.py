"""Latency of each stage of a run: percentiles from a histogram whose size does not grow with the run."""

import math
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np

SHORTEST, LONGEST = 1e-6, 100.0  # seconds; what lies outside counts as the nearer end
_STEP = math.log(1.01)  # a bin is 1 % wide, so its middle is within 0.5 % of what fell into it
_BINS = int(math.ceil(math.log(LONGEST / SHORTEST) / _STEP))
_LOG_SHORTEST = math.log(SHORTEST)
_MERGED_BINS = 5  # bins of the histogram for one of `details`

Span = Tuple[str, float, float]  # (stage, begin, end), readings of `time.perf_counter`


class StageTimes:
    """Times of named stages, in memory that depends on the number of names alone (15 KB each). One writer at a time."""

    def __init__(self) -> None:
        self._stages: Dict[str, _Stage] = {}

    def add_frame(self, spans: Sequence[Span]) -> None:
        """Record the stages of one frame."""
        for name, begin, end in spans:
            self.record(name, end - begin)

    def record(self, name: str, seconds: float) -> None:
        """Add one time to a stage. Raises ValueError for a time below 0 or NaN."""
        if not seconds >= 0:
            raise ValueError("seconds: got {}, expected at least 0".format(seconds))
        stage = self._stages.get(name)
        if stage is None:
            stage = self._stages[name] = _Stage()
        stage.record(seconds)

    def summary(self) -> Dict[str, Dict[str, Any]]:
        """Return stage -> {"p50", "p95", "p99", "mean", "max" (milliseconds), "count"}, in order of first use.

        Percentiles are numpy.percentile's within 0.5 %, where they lie between 1 us and 100 s. The rest is exact.
        """
        return {name: stage.summary(("p50", "p95", "p99")) for name, stage in self._stages.items()}

    def details(self) -> Dict[str, Dict[str, Any]]:
        """Return what `summary` does, with "p90", "jitter" (ms) and "histogram" besides.

        jitter: the mean absolute difference between a time and the one before it, the D of RFC 3550 section 6.4.1,
        unsmoothed; 0 where there is only one. histogram: a list of [from ms, to ms, count], 5 % wide, none empty.
        """
        out = {}
        for name, stage in self._stages.items():
            out[name] = stage.summary(("p50", "p90", "p95", "p99"))
            out[name].update(jitter=1e3 * stage.changes / max(1, stage.count - 1), histogram=stage.histogram())
        return out

    @classmethod
    def merged(cls, parts: Iterable["StageTimes"]) -> "StageTimes":
        """Return the times of several streams as one."""
        out = StageTimes()
        for part in parts:
            for name, stage in part._stages.items():
                out._stages.setdefault(name, _Stage()).add(stage)
        return out


class _Stage:
    """One stage: a histogram with bins of equal width in the logarithm of the time."""

    def __init__(self) -> None:
        self.bins = [0] * _BINS  # a list: adding 1 in place costs a third of what it does in an array
        self.count = 0
        self.total = 0.0
        self.longest = 0.0
        self.last: Optional[float] = None
        self.changes = 0.0

    def record(self, seconds: float) -> None:
        if self.last is not None:
            self.changes += abs(seconds - self.last)
        self.last = seconds
        self.count += 1
        self.total += seconds
        if seconds > self.longest:
            self.longest = seconds
        index = int((math.log(seconds) - _LOG_SHORTEST) / _STEP) if seconds > SHORTEST else 0
        self.bins[index if index < _BINS else _BINS - 1] += 1

    def add(self, other: "_Stage") -> None:
        self.bins = [a + b for a, b in zip(self.bins, other.bins)]
        self.count += other.count
        self.total += other.total
        self.longest = max(self.longest, other.longest)
        self.changes += other.changes

    def summary(self, names: Sequence[str]) -> Dict[str, Any]:
        """Return the percentiles of these names ("p50"), the mean, the maximum and the count."""
        passed = np.cumsum(self.bins)

        def record_at(rank: float) -> float:  # the rank-th shortest, counted from 0
            index = np.searchsorted(passed, rank, side="right")
            return min(math.exp(_LOG_SHORTEST + (index + 0.5) * _STEP), self.longest)

        out: Dict[str, Any] = {}
        for name in names:
            rank = int(name[1:]) * (self.count - 1) / 100.0
            low, high = record_at(math.floor(rank)), record_at(math.ceil(rank))
            out[name] = 1e3 * (low + (rank - math.floor(rank)) * (high - low))
        out.update(mean=1e3 * self.total / self.count, max=1e3 * self.longest, count=self.count)
        return out

    def histogram(self) -> List[List[float]]:
        counts = np.add.reduceat(self.bins, np.arange(0, _BINS, _MERGED_BINS))
        edges = [1e3 * SHORTEST * math.exp(_STEP * _MERGED_BINS * index) for index in range(len(counts) + 1)]
        return [[edges[index], edges[index + 1], int(counts[index])] for index in np.flatnonzero(counts)]
