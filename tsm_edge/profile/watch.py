"""Time stamps of a frame on its way from the source to the loop, and sources that only a profile needs."""

import collections
import time
from typing import NamedTuple, Tuple

import numpy as np

from tsm_edge.sources.base import Source, Stamp

Marks = NamedTuple(
    "Marks",
    [
        ("index", int),
        ("since", float),  # what the frame's latency is counted from, on time.perf_counter
        ("stages", Tuple),  # (stage, begun, ended) of the capture thread
    ],
)


class WatchedSource(Source):
    """A source that notes when each of its frames was due, grabbed and read.

    pace: frames/s to release them at, None for as they come. A paced source behaves as a camera: a frame appears when
    it is due, whoever is late, and what nobody took in time is dropped by the Capture. Its latency is counted from when
    it was *due*: one counted from when it was read would leave out just the time that a slow reader made it wait
    (Gil Tene, "How NOT to Measure Latency", Strange Loop 2015: "coordinated omission").

    Latency counts from: due (paced), the end of the grab (a live source: its driver has handed the frame over), or the
    begin of the read (a file, which waits for its reader: with the frames decoded ahead in the queue).
    Stages: "capture" is the waiting of a live or paced source, "decode" all that makes the pixels. OpenCV decodes a
    network stream in its grab, so there the two are one, "capture".
    """

    def __init__(self, source, pace=None, wait=time.sleep):
        self._source, self._pace, self._wait = source, pace, wait
        self._first = self._due = None
        self._count = 0
        self.name, self.frame_size, self.frame_count = source.name, source.frame_size, source.frame_count
        self.fps = source.fps if pace is None else pace
        self.live = source.live or pace is not None
        self.latency_from = "due" if pace is not None else "grabbed" if source.live else "read begun"
        self.waiting = collections.deque()  # Marks; of frames that the Capture drops, too, until a later one is taken
        self._stamp = None

    @property
    def resets(self):
        return self._source.resets

    def grab(self):
        self._begun = time.perf_counter()
        if self._pace is not None:
            self._wait_for_due()
        self._ready = time.perf_counter()
        self._stamp = self._source.grab()
        self._grabbed = time.perf_counter()
        return self._stamp

    def _wait_for_due(self):
        if self._first is None:
            self._first = self._begun
        self._due = self._first + self._count / self._pace
        self._count += 1
        left = self._due - self._begun
        if left > 0:
            self._wait(left)

    def retrieve(self, into=None):
        image = self._source.retrieve(into)
        if image is not None:
            self.waiting.append(self._marks(time.perf_counter()))
        return image

    def _marks(self, now):
        if self._pace is not None:
            stages = (("capture", self._begun, self._ready), ("decode", self._ready, now))
            return Marks(self._stamp.index, self._due, stages)
        if self._source.live:
            stages = (("capture", self._begun, self._grabbed), ("decode", self._grabbed, now))
            return Marks(self._stamp.index, self._grabbed, stages)
        return Marks(self._stamp.index, self._begun, (("decode", self._begun, now),))

    def close(self):
        self._source.close()


class Watched:
    """The frames of a Capture of a WatchedSource. marks: of the frame given last."""

    def __init__(self, frames, source):
        self._frames, self._source = frames, source
        self.marks = None
        self.size = None  # (width, height) of the frame given last

    def __iter__(self):
        return self

    def __next__(self):
        frame = next(self._frames)
        waiting = self._source.waiting
        self.marks = waiting.popleft()
        while self.marks.index != frame.index:  # those of dropped frames
            self.marks = waiting.popleft()
        self.size = frame.image.shape[1::-1]
        return frame

    @property
    def last_read_seconds(self):
        return self._frames.last_read_seconds


class SyntheticSource(Source):
    """Noise of the model's own size: the short side that it resizes to, so that nothing is resized and nothing decoded.

    A stand-in where there is no video: its decode and preprocess times are those of no real source.
    """

    PICTURES = 8
    RATE = 30.0  # frames/s of its time stamps where the model states none

    def __init__(self, manifest):
        side = manifest.frame.short_side
        rng = np.random.RandomState(0)
        self._images = [rng.randint(0, 256, (side, side, 3)).astype(np.uint8) for _ in range(self.PICTURES)]
        self.fps = manifest.fps or self.RATE
        self.name, self.frame_size = "synthetic {0}x{0} noise".format(side), (side, side)
        self._index = -1
        self._open = True

    def grab(self):
        if not self._open:
            return None
        self._index += 1
        return Stamp(self._index, self._index / self.fps, False)

    def retrieve(self, into=None):
        return self._images[self._index % self.PICTURES]

    def close(self):
        self._open = False
