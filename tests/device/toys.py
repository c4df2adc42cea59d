"""A model that can be reckoned in the head, and sources made of numbers: what the tests of sessions run on."""

import threading
import time
import types

import numpy as np

from tsm_edge.engines.base import Engine, State
from tsm_edge.manifest import ArchSpec, CacheSpec, FrameSpec, Manifest, OutputSpec, ShiftSpec, WeightsSpec
from tsm_edge.records import Classification, Event, Frame, Gap, Result
from tsm_edge.sinks.base import Sink, StreamInfo
from tsm_edge.sources.base import Source, Stamp

LABELS = ("a", "b", "c")
SIZE = 8  # pixels of a frame's side
WAIT = 20.0  # seconds after which a test that hangs fails; never waited for in one that passes


def toy_manifest(fps=None, **decision):
    """The manifest of a :class:`PixelEngine`."""
    return Manifest(
        format_version=2,
        task="classification",
        recipe="toy",
        arch=ArchSpec("toy", 1.0, len(LABELS)),
        mode="online",
        shift=ShiftSpec("mit", "causal", 8, 4, ("block",)),
        frame=FrameSpec("NCHW", "BGR", SIZE, SIZE, SIZE, "center", (0.0, 0.0, 0.0), (1 / 255.0,) * 3),
        caches=(CacheSpec("cache_00", "cache_00_next", (1, 1, 1), "float32"),),
        outputs=(OutputSpec("logits", (len(LABELS),), "float32"), OutputSpec("before", (1,), "float32")),
        labels=LABELS,
        fps=fps,
        decision=decision,
        lowering="standard",
        precision="float32",
        weights=WeightsSpec("0" * 64, "none", True),
        parity={},
    )


class PixelState(State):
    def __init__(self, manifest, streams):
        super(PixelState, self).__init__(manifest, streams)
        self.memory = [np.zeros((streams, 1, 1, 1), np.float32) for _ in range(2)]
        self.log = []  # of resets: the streams

    def reset(self, stream=None):
        self.log.append(stream)
        super(PixelState, self).reset(stream)

    def _read(self, which):
        return [self.memory[which]]

    def _write(self, which, caches):
        self.memory[which][...] = caches[0]

    def _clear(self, which, stream):
        self.memory[which][slice(None) if stream is None else stream] = 0

    def _copy(self, stream, source, target):
        self.memory[target][stream] = self.memory[source][stream]


class PixelEngine(Engine):
    """Logits favour the class that the first pixel names; "before" is the first pixel of the stream's frame before.

    steps: for each step, {stream: class}. delay: seconds a step takes. fails: the number of the step that raises.
    """

    backend = "toy"

    def __init__(self, manifest=None, streams=(1, None), delay=0.0, fails=None):
        super(PixelEngine, self).__init__(manifest or toy_manifest(), "toy.model")
        self.streams, self.delay, self.fails = streams, delay, fails
        self.steps, self.states = [], []

    def _new_state(self, streams):
        self.states.append(PixelState(self.manifest, streams))
        return self.states[-1]

    def _step(self, frames, state, rows):
        if len(self.steps) == self.fails:
            raise RuntimeError("the toy breaks")
        time.sleep(self.delay)
        pixels = frames[:, 0, 0, 0]
        self.steps.append({row: int(pixel) for row, pixel in zip(rows, pixels)})
        before = np.empty((len(rows), 1), np.float32)
        for index, row in enumerate(rows):
            before[index] = state.memory[state.sets[row]][row].ravel()
            state.memory[1 - state.sets[row]][row] = pixels[index]
        return {"logits": np.eye(len(LABELS), dtype=np.float32)[pixels.astype(int) % 3] * 9, "before": before}


class NumberSource(Source):
    """Frames whose every pixel is the next number of `numbers`.

    gaps: indices of frames that follow a gap. error: raised after the last number. gate: a semaphore that each frame
    needs a permit of, which makes the source as slow as the test wants it.
    """

    def __init__(self, numbers, name="numbers", live=False, gaps=(), error=None, gate=None, fps=10.0):
        self.numbers, self.name, self.live, self.gaps = list(numbers), name, live, gaps
        self.error, self.gate, self.fps = error, gate, fps
        self.index = -1
        self.closed = False
        self.frame_count = None if live else len(self.numbers)

    def grab(self):
        if self.gate is not None:
            self.gate.acquire()
        self.index += 1
        if self.closed:
            return None
        if self.index >= len(self.numbers):
            if self.error is not None:
                raise self.error
            return None
        gap = self.index in self.gaps
        self.resets += gap
        return Stamp(self.index, self.index / self.fps, (Gap("lost", 0.5),) if gap else ())

    def retrieve(self, into=None):
        return np.full((SIZE, SIZE, 3), self.numbers[self.index], np.uint8)

    def close(self):
        self.closed = True
        if self.gate is not None:
            self.gate.release()


class Collector(Sink):
    """Keeps what it is given. answers: what `write` returns or raises, by the number of the call."""

    def __init__(self, answers=None, event_error=None):
        self.results, self.events, self.gaps, self.summaries, self.closes = [], [], [], None, 0
        self.order = []  # "gap", "write" and the types of events, as they came
        self._answers, self._event_error = answers or {}, event_error

    def write(self, result):
        answer = self._answers.get(len(self.results))
        self.results.append(result)
        self.order.append("write")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def gap(self, frame, gap):
        self.gaps.append((frame.index, gap))
        self.order.append("gap")

    def event(self, event):
        self.events.append(event)
        self.order.append(event.type)
        if self._event_error is not None:
            raise self._event_error

    def finish(self, summaries):
        self.summaries = summaries

    def close(self):
        self.closes += 1

    def of(self, stream):
        return [result for result in self.results if result.frame.stream == stream]


def gate(permits=0):
    """A semaphore for a NumberSource."""
    return threading.Semaphore(permits)


TOP = [("wave", 0.5), ("push", 0.25), ("pull", 0.125), ("stop", 0.0625), ("none", 0.0625)]


def make_result(index=0, label="wave", confidence=0.5, top=TOP, fps=20.0, image=None, stream="door"):
    """A result as a session gives it; image: (H, W, 3) uint8 BGR, by default 48x64 of mid grey."""
    image = np.full((48, 64, 3), 128, np.uint8) if image is None else image
    if top is TOP and label is not None:
        top = [(label, confidence)] + TOP[1:]
    frame = Frame(index, index / 25.0, image, (), stream, 1.5e9 + index)
    return Result(frame, Classification(label, confidence, top), fps)


def make_event(label="wave", start=0.5, end=1.5, confidence=0.75, kind="end", stream="door"):
    """An event as a head tells it."""
    return Event("door-1-1", kind, stream, label, start, end, confidence, True, 1.5e9)


def make_infos(*names, **fields):
    """What a session tells sinks of its streams. fields: of the StreamInfo; dropped: the count."""
    source = types.SimpleNamespace(interrupted=fields.pop("interrupted", False))
    capture = types.SimpleNamespace(dropped=fields.pop("dropped", 0), source=source)
    known = dict({"fps": 25.0, "live": False, "total": None, "capture": capture}, **fields)
    return [StreamInfo(name, **known) for name in names or ("door",)]


SUMMARY = {
    "kind": "summary",
    "stream": None,
    "frames": 280,
    "fps": 92.31,
    "seconds": 3.03,
    "stages": {"capture": {"p50": 0.1, "p95": 0.2, "p99": 0.3}, "engine": {"p50": 9.5, "p95": 10.25, "p99": 1234.5}},
    "dropped": 3,
    "corrupt": 4,
    "resets": 1,
    "events": 2,
    "engine": "onnxruntime",
    "shift_by": "function body",
    "model": "build/model.onnx",
    "weights_trained": True,
    "stopped": "end",
}
