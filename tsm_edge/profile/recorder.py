"""The times of a stream that is profiled: its warm-up is left out, and kept is what only a profile wants.

Memory does not grow with the run: histograms, and blocks that are merged two by two where they become many.
"""

import time
from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np

from tsm_edge.profile.record import LOOP_STAGES, PARALLEL_STAGES, Blocks, Span
from tsm_edge.timing import Span as TimedSpan
from tsm_edge.timing import StageTimes

MAX_BLOCKS = 512
FIRST_BLOCK_FRAMES = 4
TRACED_FRAMES = 12

# Georges, Buytaert, Eeckhout, "Statistically Rigorous Java Performance Evaluation" (OOPSLA 2007): steady is where the
# coefficient of variation of the last k iterations falls below 0.01 or 0.02. An iteration here is the median of ten
# frames, so that one interrupt does not count.
STEADY_FRAMES, STEADY_BLOCKS, STEADY_SPREAD = 10, 5, 0.02
STEADY_RULE = "coefficient of variation of the last {} medians of {} frames at most {:.0%}".format(
    STEADY_BLOCKS, STEADY_FRAMES, STEADY_SPREAD
)
COLUMNS = LOOP_STAGES + ("frame", "latency")


class SteadyState:
    """Finds the end of the warm-up, which may take some seconds: where a run has become steady.

    Attributes:
        frames, seconds: of the warm-up so far.
        spread: the coefficient of variation of the last medians, None before there are enough.
        reached: whether the run is steady.
    """

    def __init__(self, seconds: float) -> None:
        self._most = seconds
        self._times: List[float] = []
        self._medians: List[float] = []
        self._began: Optional[float] = None
        self.frames, self.seconds = 0, 0.0
        self.spread: Optional[float] = None
        self.reached = False

    def add(self, begin: float, end: float) -> bool:
        """Take the begin and end of a frame's work on the clock. Returns whether the warm-up is over."""
        self._began = begin if self._began is None else self._began
        self.frames += 1
        self.seconds = end - self._began
        self._times.append(end - begin)
        if len(self._times) == STEADY_FRAMES:
            self._medians = self._medians[1 - STEADY_BLOCKS :] + [float(np.median(self._times))]
            self._times = []
            if len(self._medians) == STEADY_BLOCKS:
                self.spread = float(np.std(self._medians) / np.mean(self._medians))
                self.reached = self.spread <= STEADY_SPREAD
        return self.reached or self.seconds >= self._most


class Recorder(StageTimes):
    """The stage times of one stream: passes over at most `warm_up` seconds of warm-up, then records for `seconds`.

    Attributes:
        on_steady: called once, when the measurement begins.
        began: the clock when the measurement began, None before.
        seconds, count: the wall time and the number of the recorded frames.
        done: the time is over; later frames are not recorded.
        trace: the spans of the first frames, in seconds of the clock.
    """

    def __init__(self, seconds: float, warm_up: float) -> None:
        super(Recorder, self).__init__()
        self._most = seconds
        self.on_steady: Callable[[], object] = lambda: None
        self.steady = SteadyState(warm_up)
        self.began: Optional[float] = None
        self.seconds, self.count, self.done = 0.0, 0, False
        self.blocks = BlockSeries(COLUMNS)
        self.trace: List[Span] = []
        self._last_decided: Optional[float] = None

    def add_frame(self, spans: Sequence[TimedSpan]) -> None:
        """Record one frame. Adds "interval" since the last decision, and "latency" where the source is not live.

        The latency of a recording counts from the begin of the read, with which its "decode" begins.
        """
        if self.done:
            return
        stages = {name: (begin, end) for name, begin, end in spans}
        begin, end = stages["frame"]
        if self.began is None:
            if self.steady.add(begin, end):
                self.on_steady()
                self.began = time.perf_counter()
            return
        if not self.count:  # the loop began to wait for this frame before `on_steady`
            stages["wait"] = (max(self.began, stages["wait"][0]), begin)
        decided = stages["decide"][1]
        stages.setdefault("latency", (stages["decode"][0], decided))
        if self._last_decided is not None:
            stages["interval"] = (self._last_decided, decided)
        self._last_decided = decided
        super(Recorder, self).add_frame([(name, begin, end) for name, (begin, end) in stages.items()])
        if self.count < TRACED_FRAMES:
            self.trace += [
                Span(self.count, name, begin, end - begin)
                for name, (begin, end) in stages.items()
                if name in PARALLEL_STAGES + LOOP_STAGES
            ]
        self.count += 1
        self.seconds = end - self.began
        self.blocks.add(self.seconds, [stages[name][1] - stages[name][0] for name in COLUMNS])
        self.done = self.seconds >= self._most

    def spans(self) -> Tuple[Span, ...]:
        """Return the trace in ms, from 0."""
        first = min((span.start for span in self.trace), default=0.0)
        return tuple(s._replace(start=1e3 * (s.start - first), duration=1e3 * s.duration) for s in self.trace)


class BlockSeries:
    """Means over parts of a run, of `frames` frames each, fewer than MAX_BLOCKS: of more, each two become one."""

    def __init__(self, columns: Tuple[str, ...]) -> None:
        self.columns = columns
        self.frames = FIRST_BLOCK_FRAMES
        self._rows: List[Tuple[float, List[float]]] = []  # (end in seconds, means)
        self._sums = [0.0] * len(columns)
        self._count = 0

    def add(self, end: float, values: Sequence[float]) -> None:
        """Take one frame: its end in seconds since the beginning, and a value in seconds for each column."""
        self._sums = [a + b for a, b in zip(self._sums, values)]
        self._count += 1
        if self._count == self.frames:
            self._rows.append((end, [value / self._count for value in self._sums]))
            self._sums, self._count = [0.0] * len(self.columns), 0
            if len(self._rows) == MAX_BLOCKS:
                pairs = zip(self._rows[::2], self._rows[1::2])
                self._rows = [(b[0], [(x + y) / 2 for x, y in zip(a[1], b[1])]) for a, b in pairs]
                self.frames *= 2

    def blocks(self) -> Blocks:
        """Return each whole part, in ms; of all frames one row, where no part is whole."""
        rows = self._rows
        if not rows and self._count:
            rows = [(0.0, [value / self._count for value in self._sums])]
        return Blocks(self.frames, self.columns, tuple((at,) + tuple(1e3 * v for v in values) for at, values in rows))
