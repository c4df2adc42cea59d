"""What the soak watches during a run: memory, threads, queues, and that no picture is overwritten under its reader."""

import gc
import os
import threading

import numpy as np

from tsm_edge.machine.sampler import resident_now
from tsm_edge.sinks.console import ProgressSink
from tsm_edge.sources.capture import Capture

SAMPLES = 200  # looks at the memory a run


def left_over():
    """What a run must leave as it found it: (names of Python's threads, threads of the process, open files)."""
    gc.collect()
    names = sorted(thread.name for thread in threading.enumerate())
    return names, len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


class Watch:
    """Put in the place of Capture and of ProgressSink, it sees every frame of a run.

    camera: the soak's Camera, None for a source that is not. frames: that the run is meant to give. at: {frame: what to
    do when it is in the last sink}.
    """

    def __init__(self, camera, frames, at=None):
        self.camera, self.at = camera, at or {}
        self._every = max(1, frames // SAMPLES)
        self.frames = self.overwritten = self.waiting = self.images = self.threads = 0
        self.memory = []  # bytes, at even distances

    def capture(self, source):
        self._capture = Capture(source)
        return self._capture

    def sink(self, *arguments):
        return _Last(self, *arguments)

    def look(self, result):
        frame, queue = result.frame, self._capture
        self.frames += 1
        if self.frames % self._every == 0:
            self.memory.append(resident_now())
            self.threads = max(self.threads, threading.active_count())
        if self.frames in self.at:
            self.at[self.frames]()
        if self.camera is not None:
            number = self.camera.shown[frame.index]
            if number != self.camera.CORRUPT:  # that one is found in what was written
                self.overwritten += not np.array_equal(frame.image, self.camera.pictures[number])
            self.camera.passed(frame)
        self.waiting = max(self.waiting, len(queue._waiting))
        self.images = max(self.images, len(queue._waiting) + len(queue._spare) + 1)  # one is in use

    @property
    def bounded(self):
        """Whether the queue kept to what Capture promises: `depth` waiting, `depth` + 2 images."""
        return self.waiting <= self._capture._depth and self.images <= self._capture._depth + 2

    @property
    def growth(self):
        """Bytes: the memory of the last tenth of the run over that after the first tenth, medians; None for few."""
        if len(self.memory) < 40:
            return None
        tenth = len(self.memory) // 10
        return float(np.median(self.memory[-tenth:]) - np.median(self.memory[tenth : 2 * tenth]))


class _Last(ProgressSink):
    """The real progress line; being the last of the sinks, it knows when a frame has passed them all."""

    def __init__(self, watch, *arguments):
        super(_Last, self).__init__(*arguments)
        self._watch = watch

    def write(self, result):
        super(_Last, self).write(result)
        self._watch.look(result)
