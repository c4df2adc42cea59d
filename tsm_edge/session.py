"""Sessions: one engine, any number of independent streams, and the sinks that take what is found in them.

Each stream has its own source, state, preprocessor and head. The loop steps whichever streams have a frame; a camera
that is slow, dead or corrupt delays no other, and a file that ends ends its stream alone.
"""

import contextlib
import os
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from tsm_edge.engines import load_engine, load_manifest
from tsm_edge.engines.base import Engine
from tsm_edge.heads import open_head
from tsm_edge.heads.base import Head
from tsm_edge.machine.system_files import processors
from tsm_edge.manifest import require_online
from tsm_edge.preprocess import Preprocessor
from tsm_edge.records import Frame, Result
from tsm_edge.sinks.base import Sink, StreamInfo
from tsm_edge.sources.capture import Capture, wait_for_any
from tsm_edge.sources.request import StreamRequest, open_stream, stream_names
from tsm_edge.text import masked, masked_address, one_line
from tsm_edge.timing import StageTimes

# Half of the cores: a further decoder thread takes time from the engine (at 1080p two cost 40 % more CPU than one).
DECODE_THREADS = max(1, processors() // 2)
# A frame up to this size takes so little decoding that the engine's threads may spin meanwhile: benchmarks/README.md.
LIGHT_PIXELS = 640 * 480


class SessionRequest(NamedTuple):
    """What `open_session` opens."""

    engine: Any  # a model file, or an opened `tsm_edge.engines.base.Engine`, which the session leaves open
    streams: Tuple[StreamRequest, ...]  # at least one
    threads: Optional[int] = None  # of the engine, as `tsm_edge.load_engine` takes them
    device: str = "cpu"  # of the engine, as `tsm_edge.load_engine` takes it
    preprocess: str = "fast"  # "fast" or "exact": see `tsm_edge.preprocess`
    max_frames: Optional[int] = None  # of each stream, None for all
    new_times: Callable[[], StageTimes] = StageTimes  # makes what records the times of one stream's stages


class Stream:
    """One stream of a session.

    Attributes:
        name: the stream's name.
        number: its number in the engine's state.
        capture: reads its source.
        source: where its frames come from.
        head: turns its outputs into predictions and events.
        preprocess: turns its frames into the network's input.
        times: of its stages.
        frames: results so far.
        resets: gaps after which its state was reset.
        events: events that began.
        stopped: why it ended, None while it runs.
    """

    def __init__(
        self, name: str, number: int, capture: Capture, head: Head, preprocess: Preprocessor, times: StageTimes
    ) -> None:
        self.name, self.number = name, number
        self.capture, self.source = capture, capture.source
        self.head, self.preprocess, self.times = head, preprocess, times
        self.frames = self.resets = self.events = 0
        self.stopped: Optional[str] = None
        self.first = self.last = 0.0  # readings of the clock at its first and its latest result

    @property
    def fps(self) -> Optional[float]:
        """Frames/s from the first result to the latest, None before the second."""
        return (self.frames - 1) / (self.last - self.first) if self.frames > 1 else None

    def count(self, now: float) -> None:
        """Count one frame, whose prediction was there at `now` on the clock."""
        self.frames += 1
        self.last = now
        if self.frames == 1:
            self.first = now

    def summary(self) -> Dict[str, Any]:
        """Return the "summary" record of the stream; docs/outputs.md lists its fields."""
        return {
            "kind": "summary",
            "stream": self.name,
            "wall_time": time.time(),
            "source": masked_address(self.source.name),
            "frames": self.frames,
            "fps": self.fps,
            "dropped": self.capture.dropped,
            "corrupt": self.source.corrupt,
            "resets": self.resets,
            "events": self.events,
            "stopped": self.stopped,
            "stages": self.times.summary(),
        }


class Session:
    """One engine, its streams and their sinks. Made by `open_session`; iterate over it for the results.

    The parts of the loop are public, for a caller that may interrupt the wait and nothing else: `wait` until streams
    have frames, `serve` them, and `finish` at the end.

    Attributes:
        engine: the engine that all streams share.
        streams: in the order of the request.
        sinks: take every result, event and summary. Append to it before the first frame.
        stopped: why the run as a whole ended ("closed": a sink asked for it), None while it runs.
        errors: what ended single streams, or failed while the session was finished.
    """

    def __init__(
        self, engine: Engine, streams: Sequence[Stream], changed: threading.Condition, max_frames: Optional[int] = None
    ) -> None:
        self.engine, self.streams = engine, list(streams)
        self.sinks: List[Sink] = []
        self.stopped: Optional[str] = None
        self.errors: List[BaseException] = []
        self._changed, self._max_frames = changed, max_frames
        self._state = engine.new_state(max(len(self.streams), engine.streams[0]))
        frame = engine.manifest.frame
        self._batch = np.zeros((len(self.streams), 3, frame.height, frame.width), np.float32)
        self._stream_of = {stream.capture: stream for stream in self.streams}
        self._resources = contextlib.ExitStack()
        self._begun = self._now = time.perf_counter()
        self._summaries: Optional[List[Dict[str, Any]]] = None

    def infos(self) -> List[StreamInfo]:
        """Return what sinks may know of each stream before its first frame."""
        return [
            StreamInfo(s.name, s.source.fps, s.source.live, _least(s.source.frame_count, self._max_frames), s.capture)
            for s in self.streams
        ]

    # ------------------------------------------------------------ the loop

    def __iter__(self) -> Iterator[Result]:
        """Yield every result until all streams have ended; then raise the first error that ended one."""
        for batch in iter(self.wait, []):
            for result in self.serve(batch):
                yield result
        for error in self.errors:
            raise error

    def wait(self, waiting: Callable[[], Any] = contextlib.ExitStack) -> List[Tuple[Stream, Frame]]:
        """Wait until streams have a frame, and take one frame of each; an empty list once all streams have ended.

        Args:
            waiting: makes a context for the wait itself, in which a caller may let signals in.
        """
        while True:
            running = [stream.capture for stream in self.streams if stream.stopped is None]
            if not running or self.stopped is not None:
                return []
            batch = []
            with waiting():
                ready = wait_for_any(self._changed, running)
            for capture in ready:
                stream = self._stream_of[capture]
                try:
                    frame = capture.take()
                except Exception as error:  # of this source, ours or not: the other streams go on
                    self.errors.append(error)
                    self._end(stream, "error: {}".format(first_line(error)))
                    continue
                if frame is None:
                    self._end(stream, "end")
                else:
                    batch.append((stream, frame))
            if batch:
                return batch

    def serve(self, batch: Sequence[Tuple[Stream, Frame]]) -> List[Result]:
        """Step one frame of each of some streams, and give the results to the sinks.

        Args:
            batch: what `wait` returned.

        Raises:
            TsmEdgeError: the engine or a sink failed. `finish` still has to be called.
        """
        waited = self._now
        taken = prepared = time.perf_counter()
        preprocessing = []
        for row, (stream, frame) in enumerate(batch):
            if frame.gap:
                self._state.reset(stream.number)
                stream.head.reset()
                stream.resets += len(frame.gaps)
                for gap in frame.gaps:
                    for sink in self.sinks:
                        sink.gap(frame, gap)
            stream.preprocess(frame.image, self._batch[row])
            begun, prepared = prepared, time.perf_counter()
            preprocessing.append(("preprocess", begun, prepared))
        numbers = None if len(batch) == self._state.streams else [stream.number for stream, _ in batch]
        outputs = self.engine.step(self._batch[: len(batch)], self._state, numbers)
        stepped = self._now = time.perf_counter()
        results = []
        for row, (stream, frame) in enumerate(batch):
            begun = self._now
            prediction = stream.head.update({name: output[row] for name, output in outputs.items()}, frame)
            decided = time.perf_counter()
            stream.count(decided)
            results.append(Result(frame, prediction, stream.fps))
            wanted = [sink.write(results[-1]) for sink in self.sinks]
            self._tell_events(stream)
            self._now = time.perf_counter()
            times = frame.times
            spans = [("wait", waited, taken), ("decode", times.ready, times.done), preprocessing[row]]
            spans += [("infer", prepared, stepped), ("decide", begun, decided), ("sink", decided, self._now)]
            spans.append(("frame", taken, self._now))
            if stream.source.live:
                spans += [("capture", times.begun, times.ready), ("latency", times.since, decided)]
            stream.times.add_frame(spans)
            if False in wanted:
                self.stopped = "closed"
            if stream.frames == self._max_frames:
                self._end(stream, "max_frames")
        return results

    def _tell_events(self, stream: Stream) -> None:
        for event in stream.head.take_events():
            stream.events += event.type == "new"
            for sink in self.sinks:
                self._give(sink.event, event)

    def _give(self, take: Callable[..., Any], *value: Any) -> None:
        """Give something to a sink. While the session is finished, a sink that fails keeps no other from its end."""
        try:
            take(*value)
        except Exception as error:
            if self._summaries is None:
                raise
            self.errors.append(error)

    def _end(self, stream: Stream, stopped: str) -> None:
        """End one stream, and with it the event that is still open."""
        stream.stopped = stopped
        stream.capture.stop()
        stream.head.reset()
        self._tell_events(stream)

    # ------------------------------------------------------------ the end

    def finish(self, stopped: Optional[str] = None) -> List[Dict[str, Any]]:
        """End what still runs, give the summaries to the sinks, and close everything. A second call does nothing.

        Args:
            stopped: why the run ended, where no stream ended it: "interrupt", "error: …".

        Returns:
            The "summary" records: one a stream in their order, then that of the run. What fails meanwhile is added to
            `errors`.
        """
        if self._summaries is not None:
            return self._summaries
        self._summaries = summaries = []
        self.stopped = stopped or self.stopped
        for stream in self.streams:
            if stream.stopped is None:
                self._end(stream, self.stopped or "end")
            summaries.append(stream.summary())
        if self.stopped is None:
            reasons = {stream.stopped for stream in self.streams}
            self.stopped = reasons.pop() if len(reasons) == 1 else "end"
        self._note_errors()
        summaries.append(self._summary(summaries))
        for sink in self.sinks:
            self._give(sink.finish, summaries)
        for sink in self.sinks:
            self._give(sink.close)
        self._resources.close()
        self._note_errors()
        summaries[-1]["stopped"] = self.stopped
        return summaries

    def _note_errors(self) -> None:
        if self.errors and not str(self.stopped).startswith("error"):
            self.stopped = "error: {}".format(first_line(self.errors[0]))

    def _summary(self, of_streams: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
        """Return the "summary" record of the run."""
        counts = {
            key: sum(one[key] for one in of_streams) for key in ("frames", "dropped", "corrupt", "resets", "events")
        }
        seen = [stream for stream in self.streams if stream.frames]
        last = max((stream.last for stream in seen), default=self._begun)
        first = min((stream.first for stream in seen), default=last)
        manifest = self.engine.manifest
        return {
            "kind": "summary",
            "stream": None,
            "wall_time": time.time(),
            "streams": len(self.streams),
            "fps": (counts["frames"] - 1) / (last - first) if last > first else None,
            "seconds": last - self._begun,
            "engine": self.engine.backend,
            "shift_by": self.engine.shift_by,
            "model": self.engine.where,
            "weights_trained": manifest.weights.trained,
            "stopped": self.stopped,
            "stages": StageTimes.merged([stream.times for stream in self.streams]).summary(),
            **counts,
        }

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self.finish(None if error is None else "error: {}".format(first_line(error)))


def open_session(request: SessionRequest) -> Session:
    """Open the sources of all streams and the engine.

    The sources come first: their threads decode the first frames while the engine loads.

    Raises:
        InputError: a model, source, name or option that is wrong; nothing stays open.
    """
    given = request.engine
    manifest = given.manifest if isinstance(given, Engine) else load_manifest(given)
    where = given.where if isinstance(given, Engine) else os.fspath(given)
    require_online(manifest, where)
    names = stream_names(request.streams)
    heads = [open_head(manifest, where, one.decision) for one in request.streams]
    changed, several = threading.Condition(), len(names) > 1
    with contextlib.ExitStack() as stack:
        streams = []
        for number, (name, one, head) in enumerate(zip(names, request.streams, heads)):
            source = open_stream(one, manifest.fps, DECODE_THREADS, several)
            capture = Capture(source, stream=name, changed=changed)
            stack.callback(capture.close)
            preprocess = Preprocessor(manifest.frame, request.preprocess)
            streams.append(Stream(name, number, capture, head, preprocess, request.new_times()))
        if isinstance(given, Engine):
            engine = given
        else:
            spin = may_spin(streams[0].source.frame_size, several, request.threads, processors())
            engine = stack.enter_context(load_engine(given, request.threads, device=request.device, spin=spin))
        session = Session(engine, streams, changed, request.max_frames)
        session._resources = stack.pop_all()
    return session


def may_spin(frame_size: Optional[Tuple[int, int]], several: bool, threads: Optional[int], cores: int) -> bool:
    """Return whether the engine's waiting threads may spin, which is faster where nobody else needs their cores.

    Args:
        frame_size: (width, height) of the source, None where it does not say.
        several: there are several streams, each of which decodes.
        threads: of the engine, None for all cores.
        cores: that this process may use.
    """
    if threads is not None and threads < cores:
        return True
    return not several and frame_size is not None and frame_size[0] * frame_size[1] <= LIGHT_PIXELS


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, without secrets; for one of ours, where it is and what was got."""
    got = getattr(error, "got", None)
    return one_line(masked(str(error).split("\n")[0] + ("" if got is None else ": {}".format(got))))


def _least(a: Optional[int], b: Optional[int]) -> Optional[int]:
    return min((value for value in (a, b) if value is not None), default=None)
