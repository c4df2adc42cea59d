"""The two base classes of every back end: an Engine holds the weights, a State the memory of one or more streams.

The base classes check and swap; a back end only computes. Nothing of a stream lives in an engine, so any number of
states can take turns on one engine.

A step that raises leaves every stream of the state as it was, so that the caller may skip the frame. A NaN must not get
into the caches: the shifts would hand it on for as many frames as the network has shifts.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.manifest import Manifest

MAX_STREAMS = 4096  # of a state; each has caches, and mostly a thread that reads its source
FRAME, FRAMES = "frame", "frames"  # the input of an online and of an offline model

TensorSpec = Tuple[str, Tuple[int, ...], str]  # name, shape without the batch axis, dtype


class EngineOptions(NamedTuple):
    """How to open an engine; see `tsm_edge.engines.load_engine`. A back end ignores what does not concern it."""

    threads: Optional[int] = None  # CPU threads of one step, None for the back end's choice
    kernels: bool = True  # whether to use our native kernels where they are built
    device: str = "cpu"  # "cpu" or "cuda"
    spin: bool = True  # whether CPU threads spin while they wait for each other within a step


class LayerTimes(NamedTuple):
    """The time of each layer."""

    by: str  # the profiler that measured
    measured: List[Tuple[str, str, float]]  # (name, op, seconds a step) in the order of execution
    steps: int  # how many were measured
    step: float  # seconds of a whole step meanwhile


class State:
    """The memory of `streams` video streams: one cached slice for each shift. Made by `Engine.new_state` only.

    There are two sets of cache buffers. A step reads a stream's caches from one set and writes the next ones into the
    other, which becomes the stream's current one. So streams can have their current caches in different sets. A back
    end owns the buffers and implements `_read`, `_write`, `_clear` and, where it calls `aligned`, `_copy`.

    Attributes:
        streams: N, the batch axis of a step of all streams.
        frames: steps since the last full reset.
        sets: for each stream the set, 0 or 1, that holds its current caches.
    """

    def __init__(self, manifest: Manifest, streams: int) -> None:
        self.manifest = manifest
        self.streams = streams
        self.frames = 0
        self.sets = [0] * streams

    def reset(self, stream: Optional[int] = None) -> None:
        """Forget the past of every stream, or of stream number `stream` alone: the caches become zeros.

        The first frame of a training clip sees zeros too. Raises ValueError for a stream that does not exist.
        """
        if stream is not None:
            self._check_streams([stream])
            self._clear(self.sets[stream], stream)
            return
        self.frames = 0
        self.sets = [0] * self.streams
        self._clear(0, None)

    def snapshot(self) -> List[np.ndarray]:
        """Return a copy of all caches on the host: (N, F, H, W) arrays in the manifest's order."""
        first = self.sets[0]
        out = [np.array(cache) for cache in self._read(first)]
        others = [stream for stream, which in enumerate(self.sets) if which != first]
        if others:
            for cache, other in zip(out, self._read(1 - first)):
                cache[others] = other[others]
        return out

    def restore(self, snapshot: Sequence[np.ndarray]) -> None:
        """Set all caches from `snapshot` (copied). Raises ValueError where shapes or dtypes disagree."""
        specs = self.manifest.caches
        if len(snapshot) != len(specs):
            raise ValueError("snapshot: got {} caches, expected {}".format(len(snapshot), len(specs)))
        for spec, cache in zip(specs, snapshot):
            got, expected = (cache.shape, cache.dtype), ((self.streams,) + spec.shape, np.dtype(spec.dtype))
            if got != expected:
                raise ValueError("snapshot: {}: got {} {}, expected {} {}".format(spec.input, *got + expected))
        self.sets = [0] * self.streams
        self._write(0, snapshot)

    def aligned(self) -> int:
        """Copy the current caches of all streams into one set; return it. For back ends that step all in one run."""
        which = int(2 * sum(self.sets) > self.streams)
        for stream, other in enumerate(self.sets):
            if other != which:
                self._copy(stream, other, which)
                self.sets[stream] = which
        return which

    def _swap(self, streams: Sequence[int]) -> None:
        """Make the caches that a step has just written the current ones of `streams`."""
        for stream in streams:
            self.sets[stream] = 1 - self.sets[stream]

    def _check_streams(self, streams: Sequence[int]) -> None:
        for stream in streams:
            if stream not in range(self.streams):
                raise ValueError("stream: got {}, expected 0 to {}".format(stream, self.streams - 1))

    def _read(self, which: int) -> Sequence[np.ndarray]:
        """Return set `which` as arrays on the host, in the manifest's order; need not be copies."""
        raise NotImplementedError

    def _write(self, which: int, caches: Sequence[np.ndarray]) -> None:
        """Fill set `which` from checked arrays; must copy."""
        raise NotImplementedError

    def _clear(self, which: int, stream: Optional[int]) -> None:
        """Zero the caches of one stream in set `which`, or those of all where `stream` is None."""
        raise NotImplementedError

    def _copy(self, stream: int, source: int, target: int) -> None:
        """Copy the caches of one stream from one set to the other."""
        raise NotImplementedError


class Engine:
    """A loaded model.

    A back end implements `_new_state`, `_step` and, for offline models, `_clip`.

    Attributes:
        where: the file, for messages.
        backend: the name that reports show.
        shift_by: how the engine computes the shift.
        streams: the least and the most streams of a state, None for no limit.
    """

    backend = ""
    shift_by = "standard operations"
    streams: Tuple[int, Optional[int]] = (1, None)

    def __init__(self, manifest: Manifest, where: str) -> None:
        self.manifest = manifest
        self.where = where
        self._frame_shape = (3, manifest.frame.height, manifest.frame.width)

    def new_state(self, streams: int = 1) -> State:
        """Return a fresh :class:`State` (zero caches) of `streams` streams, any of which a step may advance.

        Raises ValueError for fewer than one stream, InputError for an offline model, for more than MAX_STREAMS, or a
        number of streams that the engine was not built for.
        """
        self._need_mode("online", "step frames through")
        if streams < 1:
            raise ValueError("streams: got {}, expected at least 1".format(streams))
        if streams > MAX_STREAMS:
            do = "share the streams out to several machines"
            raise InputError("{}: streams".format(self.where), streams, "1 to {}".format(MAX_STREAMS), do)
        self._need_streams(streams)
        return self._new_state(streams)

    def step(self, frames: np.ndarray, state: State, streams: Optional[Sequence[int]] = None) -> Dict[str, np.ndarray]:
        """Step one frame of every stream, or of the named streams alone; the others stay as they are, to the bit.

        Args:
            frames: (n, 3, H, W) float32, C-contiguous, as `tsm_edge.preprocess` gives; not changed.
            state: of this engine; advanced in place, by all the streams asked for or, where this raises, by none.
            streams: the n streams that the frames belong to, in their order; None for all streams of the state.

        Returns:
            The outputs that the manifest declares, by name: (n, ...) new arrays.

        Raises:
            ValueError: frames, state or streams do not fit.
            InputError: an offline model, or outputs that are not finite.
            TsmEdgeError: the back end failed.
        """
        self._need_mode("online", "step frames through")
        if state.manifest is not self.manifest:
            raise ValueError("state: got one of another engine, expected one from this engine's new_state()")
        rows: Sequence[int] = range(state.streams) if streams is None else list(streams)
        if streams is not None:
            state._check_streams(rows)
            if not rows or len(set(rows)) != len(rows):
                raise ValueError("streams: got {}, expected streams that differ, at least one".format(rows))
        self._check_frames(frames, (len(rows),) + self._frame_shape)
        outputs = self._step(frames, state, rows)
        self._check_outputs(outputs, rows, state.frames)
        state._swap(rows)
        state.frames += 1
        return outputs

    def clip(self, frames: np.ndarray) -> Dict[str, np.ndarray]:
        """Run whole clips through an offline model. Raises as `step`.

        Args:
            frames: (N, T, 3, H, W) float32, C-contiguous, T = manifest.shift.n_segment.

        Returns:
            The declared outputs by name: (N, ...), each the mean over the T frames (the published "avg" consensus).
        """
        self._need_mode("offline", "run whole clips through")
        n = max(1, np.shape(frames)[0] if np.ndim(frames) else 1)
        self._check_frames(frames, (n, self.manifest.shift.n_segment) + self._frame_shape)
        outputs = self._clip(frames)
        self._check_outputs(outputs, range(n), None)
        return outputs

    def layer_times(self, warm_up: int, steps: int) -> Optional[LayerTimes]:
        """Time each layer over `steps` steps, of one stream or the fewest that the engine takes; None where it cannot.

        Raises InputError for an engine of a kind whose layers cannot be timed.
        """

    def transfer_times(self, copies: int) -> Optional[List[float]]:
        """Time copies of one frame to the accelerator, in seconds each, outside of a step; None where it has none."""

    def device_bytes(self) -> Optional[int]:
        """Return the bytes of buffers and of work space on the accelerator, without weights; None where unknown."""

    def close(self) -> None:
        """Free what the engine holds. States made by it must not be stepped afterwards."""

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    def _signature(self) -> Tuple[List[TensorSpec], List[TensorSpec]]:
        """Return the inputs and the outputs that the manifest declares, in the order of the graph."""
        caches, frame = self.manifest.caches, self._frame_shape
        if self.manifest.mode == "online":
            inputs = [(FRAME, frame, "float32")] + [(c.input, tuple(c.shape), c.dtype) for c in caches]
        else:
            inputs = [(FRAMES, (self.manifest.shift.n_segment,) + frame, "float32")]
        outputs = [(o.name, tuple(o.shape), o.dtype) for o in self.manifest.outputs]
        return inputs, outputs + [(c.output, tuple(c.shape), c.dtype) for c in caches]

    def _check_signature(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], do: str) -> None:
        """Raise InputError where the inputs and outputs of the loaded graph differ from the manifest's."""
        for kind, loaded, declared in zip(("input", "output"), (inputs, outputs), self._signature()):
            got, expected = ({name: rest for name, *rest in side} for side in (loaded, declared))
            for name in sorted(set(got) | set(expected)):
                if got.get(name) != expected.get(name):
                    where, stated = "{}: {} {}".format(self.where, kind, name), expected.get(name, "nothing")
                    raise InputError(where, got.get(name, "nothing"), "{} (its manifest)".format(stated), do)

    def _new_state(self, streams: int) -> State:
        raise NotImplementedError

    def _step(self, frames: np.ndarray, state: State, rows: Sequence[int]) -> Dict[str, np.ndarray]:
        """Return the outputs of checked frames, one for each of `rows`.

        For each stream in `rows`, reads its caches from set `state.sets[stream]` and writes the next ones into the
        other set. Caches of other streams in their current set must not change. The swap follows, in `step`.
        """
        raise NotImplementedError

    def _clip(self, frames: np.ndarray) -> Dict[str, np.ndarray]:
        """Return the outputs of checked clips."""
        raise NotImplementedError

    def _need_mode(self, mode: str, verb: str) -> None:
        if self.manifest.mode != mode:
            expected, do = "{} to {} it".format(mode, verb), "export the model with --mode {}".format(mode)
            raise InputError("{}: mode".format(self.where), self.manifest.mode, expected, do)

    def _need_streams(self, streams: int) -> None:
        """Raise InputError for a number of streams that the engine does not take."""
        least, most = self.streams
        if streams < least or (most is not None and streams > most):
            expected = "{}".format(least) if least == most else "{} to {}".format(least, most)
            raise InputError("{}: streams".format(self.where), streams, expected, self._command_for(streams))

    def _command_for(self, streams: int) -> str:  # noqa: ARG002
        """Return what to do to get an engine that takes so many streams."""
        return "export the model again, with an open batch axis"

    def _check_frames(self, frames: np.ndarray, shape: Tuple[int, ...]) -> None:
        if not isinstance(frames, np.ndarray):
            raise ValueError("frames: got a {}, expected a NumPy array {}".format(type(frames).__name__, shape))
        if frames.shape != shape or frames.dtype != np.float32 or not frames.flags.c_contiguous:
            got = "{} {}{}".format(frames.shape, frames.dtype, "" if frames.flags.c_contiguous else " (strided)")
            raise ValueError("frames: got {}, expected {} float32, C-contiguous".format(got, shape))

    def _check_outputs(self, outputs: Dict[str, np.ndarray], rows: Sequence[int], step: Optional[int]) -> None:
        """Raise for outputs that differ from the manifest or are not finite. step: its index, None for clips."""
        for spec in self.manifest.outputs:
            array, shape = outputs[spec.name], (len(rows),) + tuple(spec.shape)
            if array.shape != shape or array.dtype != spec.dtype:
                got = "got {} {}, expected {} {}".format(array.shape, array.dtype, shape, spec.dtype)
                raise TsmEdgeError("{}: {}: {}".format(self.where, spec.name, got))
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                row = next(row for row, values in zip(rows, array) if not np.isfinite(values).all())
                at = "clip {}".format(row) if step is None else "frame {} of stream {}".format(step, row)
                where = "{}: {} at {}".format(self.where, spec.name, at)
                do = "check the weights (tsm-edge verify), and that frames are finite; with fp16, build it in fp32"
                raise InputError(where, "NaN or infinity", "finite numbers", do)


def put_rows(batch: np.ndarray, values: np.ndarray, rows: Sequence[int]) -> None:
    """Copy `values` into the given rows of a batch. All other rows become zeros."""
    if isinstance(rows, range):
        np.copyto(batch, values)
        return
    batch[rows] = values
    others = np.ones(len(batch), bool)
    others[rows] = False
    batch[others] = 0


def take_rows(batch: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Return a copy of the given rows of a batch, in their order."""
    return np.array(batch) if isinstance(rows, range) else batch[rows]
