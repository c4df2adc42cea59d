"""What the loop reports to while it is profiled: StageTimes for one phase, and what only a profile wants.

Memory does not grow with the run: histograms, and a series whose parts are merged two by two where they become many.
"""

import time

import numpy as np

from tsm_edge.profile.record import LOOP, Span
from tsm_edge.timing import StageTimes

MOST_BLOCKS = 512
FIRST_BLOCK = 4  # frames
TRACED = 12  # frames on the time line

# Georges, Buytaert, Eeckhout, "Statistically Rigorous Java Performance Evaluation" (OOPSLA 2007): steady is where the
# coefficient of variation of the last k iterations falls below 0.01 or 0.02. An iteration here is the median of ten
# frames, so that one interrupt does not count.
STEADY_FRAMES, STEADY_BLOCKS, STEADY_SPREAD = 10, 5, 0.02
STEADY_RULE = "coefficient of variation of the last {} medians of {} frames at most {:.0%}".format(
    STEADY_BLOCKS, STEADY_FRAMES, STEADY_SPREAD
)
COLUMNS = LOOP + ("frame", "latency")


class SteadyState:
    """Says when a run has become steady. most: seconds after which it is taken as it is."""

    def __init__(self, most):
        self._most = most
        self._times, self._medians = [], []
        self.frames = 0
        self.reached = False
        self.spread = None
        self.began = self.seconds = None

    def add(self, seconds, now):
        """Take one frame's time; `now` is the clock's reading at its end. True where the warm-up is over."""
        self.began = now - seconds if self.began is None else self.began
        self.frames += 1
        self.seconds = now - self.began
        self._times.append(seconds)
        if len(self._times) == STEADY_FRAMES:
            self._medians = self._medians[1 - STEADY_BLOCKS :] + [float(np.median(self._times))]
            self._times = []
            if len(self._medians) == STEADY_BLOCKS:
                self.spread = float(np.std(self._medians) / np.mean(self._medians))
                self.reached = self.spread <= STEADY_SPREAD
        return self.reached or self.seconds >= self._most


class Recorder(StageTimes):
    """In the place of the loop's StageTimes: forgets the warm-up, then records for `seconds`.

    frames: the :class:`tsm_edge.profile.watch.Watched` that the loop reads.
    warm_up: seconds that the warm-up may take. on_steady: called once, where the measurement begins.
    `done` is True once the time is over; a sink then ends the run.
    """

    def __init__(self, frames, seconds, warm_up, on_steady=None):
        super(Recorder, self).__init__()
        self._frames = frames
        self._most, self._on_steady = seconds, on_steady
        self.steady = SteadyState(warm_up)
        self.blocks = BlockSeries(COLUMNS)
        self.trace = []
        self.measuring = self.done = False
        self.count = 0
        self.began = self.ended = None
        self._row = [0.0] * len(COLUMNS)
        self._decided = self._last_decided = None

    @property
    def seconds(self):
        """Wall time of the measured frames."""
        return self.ended - self.began

    _add = StageTimes.record

    def add_transfers(self, times):
        """Times (s) of copies to the device, measured after the run."""
        for seconds in times:
            self._add("host-to-device", seconds)

    def record(self, name, seconds):
        """The loop reports so the reading of its frame, "decode": what was watched tells that more exactly."""

    def lap(self, name, since):
        now = time.perf_counter()
        if self.done:
            return now
        if not self.measuring:
            if name == "frame" and self.steady.add(now - since, now):
                self._begin(now)
            return now
        self._add(name, now - since)
        if name == "decide":
            self._decided = now
        if name == "frame":
            self._end_of_frame(now - since, now)
        else:
            self._row[_PLACE[name]] = now - since
            if self.count < TRACED:
                self._note(name, since, now)
        return now

    def _begin(self, now):
        self.measuring, self.began = True, now
        if self._on_steady is not None:
            self._on_steady()
            self.began = time.perf_counter()

    def _end_of_frame(self, seconds, now):
        marks, row = self._frames.marks, self._row
        for name, begun, ended in marks.stages:
            self._add(name, ended - begun)
            if self.count < TRACED:
                self._note(name, begun, ended)
        latency = self._decided - marks.since
        self._add("latency", latency)
        if self._last_decided is not None:
            self._add("interval", self._decided - self._last_decided)
        self._last_decided = self._decided
        row[-2], row[-1] = seconds, latency
        self.count += 1
        self.ended = now
        self.blocks.add(now - self.began, row)
        self.done = now - self.began >= self._most

    def _note(self, name, begun, ended):
        self.trace.append(Span(self.count, name, begun, ended - begun))

    def spans(self):
        """The trace with its clock at 0 where the first frame was taken."""
        first = min((span.start for span in self.trace), default=0.0)
        return tuple(
            span._replace(start=1e3 * (span.start - first), duration=1e3 * span.duration) for span in self.trace
        )


_PLACE = {name: index for index, name in enumerate(COLUMNS)}


class BlockSeries:
    """Means over parts of a run, at most MOST_BLOCKS of them; where there were more, each two become one."""

    def __init__(self, columns):
        self.columns = columns
        self.frames = FIRST_BLOCK
        self._rows = []  # (end in seconds, means)
        self._open = [0.0] * len(columns)
        self._held = 0

    def add(self, at, values):
        """One frame: `values` in seconds, in the order of the columns; at: seconds since the beginning."""
        self._open = [a + b for a, b in zip(self._open, values)]
        self._held += 1
        if self._held == self.frames:
            self._rows.append((at, [value / self._held for value in self._open]))
            self._open, self._held = [0.0] * len(self.columns), 0
            if len(self._rows) == MOST_BLOCKS:
                pairs = zip(self._rows[::2], self._rows[1::2])
                self._rows = [(b[0], [(x + y) / 2 for x, y in zip(a[1], b[1])]) for a, b in pairs]
                self.frames *= 2

    def rows(self):
        """(end in seconds, mean of each column in ms) of each whole part; of all frames where none is whole."""
        rows = self._rows
        if not rows and self._held:
            return ((0.0,) + tuple(1e3 * value / self._held for value in self._open),)
        return tuple((at,) + tuple(1e3 * value for value in values) for at, values in rows)
