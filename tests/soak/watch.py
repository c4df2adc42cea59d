"""What the soak watches during a run: memory, threads and queues."""

import gc
import os
import threading

import numpy as np

from tsm_edge.machine.sampler import resident_now
from tsm_edge.sinks.console import ProgressSink
from tsm_edge.sources.capture import Capture

SAMPLES = 200  # readings of the memory in a run


def left_over():
    """Return what a run must leave as it was: names of Python's threads, count of all threads and of open files."""
    gc.collect()
    names = sorted(thread.name for thread in threading.enumerate())
    return names, len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


class Watch:
    """Sees every frame of a run, in the place of Capture and of ProgressSink.

    Args:
        frames: that the run is meant to give.
        take: called with each result once it has passed all sinks.
        at: {frame: called when that frame has passed all sinks}.

    Attributes:
        captures: of the run's streams.
        memory: bytes, at even distances.
        waiting: the most frames that waited in one queue.
        images: the most images that one capture held.
        threads: the most threads of Python.
    """

    def __init__(self, frames, take=lambda result: None, at=None):
        self._every = max(1, frames // SAMPLES)
        self._take, self._at = take, at or {}
        self.captures, self.memory = {}, []
        self.frames = self.waiting = self.images = self.threads = 0

    def capture(self, source, **options):
        capture = Capture(source, **options)
        self.captures[options.get("stream")] = capture
        return capture

    def sink(self, *arguments):
        return _Last(self, *arguments)

    def look(self, result):
        self.frames += 1
        if self.frames % self._every == 0:
            self.memory.append(resident_now())
            self.threads = max(self.threads, threading.active_count())
        if self.frames in self._at:
            self._at[self.frames]()
        self._take(result)
        queue = self.captures[result.frame.stream]
        self.waiting = max(self.waiting, len(queue._waiting))
        self.images = max(self.images, len(queue._waiting) + len(queue._spare) + 1)  # one is in use

    @property
    def bounded(self):
        """Whether the queues kept to what Capture promises: `depth` waiting, `depth` + 2 images."""
        depth = max((capture._depth for capture in self.captures.values()), default=0)
        return self.waiting <= depth and self.images <= depth + 2

    @property
    def growth(self):
        """Bytes that the memory gained from the first tenth of the run to the last (medians); None for few readings."""
        if len(self.memory) < 40:
            return None
        tenth = len(self.memory) // 10
        return float(np.median(self.memory[-tenth:]) - np.median(self.memory[tenth : 2 * tenth]))


class _Last(ProgressSink):
    """The real progress line. It is the last of the sinks, so it knows when a frame has passed them all."""

    def __init__(self, watch, *arguments):
        super(_Last, self).__init__(*arguments)
        self._watch = watch

    def write(self, result):
        super(_Last, self).write(result)
        self._watch.look(result)
