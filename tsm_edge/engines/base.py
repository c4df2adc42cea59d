"""What an engine is: the weights. And what a state is: one or more streams' memory. Back ends derive from both.

The base class checks and the back end only computes. One rule of mutation: `step` advances the state in place and
never returns it; nothing of a stream lives in an engine, so any number of states can take turns on one engine.

And one of errors: a step that raises leaves the state as it was, every stream of it. The caller may leave the frame
out and go on with the next one, which then sees the frame before as its past, or reset. A NaN must not get into the
caches: they would hand it from shift to shift for as many frames as the network has shifts.
"""

from typing import List, NamedTuple, Tuple

import numpy as np

from tsm_edge.errors import InputError, TsmEdgeError

FRAME, LOGITS, FRAMES = "frame", "logits", "frames"  # names in the graph, beside those of the caches

LayerTimes = NamedTuple(
    "LayerTimes",
    [
        ("by", str),  # what measured it
        ("measured", List[Tuple[str, str, float]]),  # (name, op, seconds a step) in the order of execution
        ("steps", int),
        ("step", float),  # seconds of a whole step while it was measured
    ],
)


class State:
    """The memory of `streams` video streams: one cached slice for each shift. Made by `Engine.new_state` only.

    streams: N, the batch axis of every step. frames: steps since the last full reset.
    A back end implements `_read`, `_write`, `_clear` and `_advance`; where the caches lie is its own business.
    """

    def __init__(self, manifest, streams):
        self.manifest = manifest
        self.streams = streams
        self.frames = 0

    def reset(self, stream=None):
        """Forget the past of every stream, or of stream number `stream` alone: its caches become zeros.

        Zeros are what the first frame of a training clip sees, so a stream started from them is the causal clip.
        Raises ValueError for a stream that does not exist.
        """
        if stream is None:
            self.frames = 0
        elif not 0 <= stream < self.streams:
            raise ValueError("stream: got {}, expected 0 to {}".format(stream, self.streams - 1))
        self._clear(stream)

    def snapshot(self):
        """A copy of all caches on the host: a list of (N, F, H, W) arrays in the manifest's order."""
        return [np.array(cache) for cache in self._read()]

    def restore(self, snapshot):
        """Set all caches from `snapshot` (copied). Raises ValueError where shapes or dtypes disagree."""
        specs = self.manifest.caches
        if len(snapshot) != len(specs):
            raise ValueError("snapshot: got {} caches, expected {}".format(len(snapshot), len(specs)))
        for spec, cache in zip(specs, snapshot):
            expected = ((self.streams,) + spec.shape, np.dtype(spec.dtype))
            if (cache.shape, cache.dtype) != expected:
                raise ValueError(
                    "snapshot: {}: got {} {}, expected {} {}".format(spec.input, cache.shape, cache.dtype, *expected)
                )
        self._write(snapshot)

    def _read(self):
        """The caches as arrays on the host, in the manifest's order; need not be copies."""
        raise NotImplementedError

    def _write(self, caches):
        """Set the caches from checked arrays; must copy."""
        raise NotImplementedError

    def _clear(self, stream):
        """Zero the caches of one stream, or of all where `stream` is None."""
        raise NotImplementedError

    def _advance(self):
        """Make the caches that `Engine._step` has just written the current ones: a swap of two buffer sets."""
        raise NotImplementedError


class Engine:
    """A loaded model. manifest: its :class:`tsm_edge.manifest.Manifest`; where: the file, for messages.

    backend: the name that reports show; shift_by: how it computes the shift.
    A back end implements `_new_state`, `_step` and, for offline models, `_clip`.
    """

    backend = ""
    shift_by = "standard operations"

    def __init__(self, manifest, where):
        self.manifest = manifest
        self.where = where
        self._frame_shape = (3, manifest.frame.height, manifest.frame.width)

    def new_state(self, streams=1):
        """A fresh :class:`State` (zero caches) for `streams` streams that step together as one batch."""
        self._need_mode("online", "step frames through")
        if streams < 1:
            raise ValueError("streams: got {}, expected at least 1".format(streams))
        return self._new_state(streams)

    def step(self, frames, state):
        """One frame of every stream.

        frames: (N, 3, H, W) float32, C-contiguous, as `tsm_edge.preprocess` gives; not changed.
        state: of this engine, N streams; advanced in place, by all streams or, where this raises, by none.
        Returns logits (N, classes) float32, a new array. Raises ValueError where frames or state do not fit,
        InputError for an offline model and where the logits are not finite, TsmEdgeError where the back end fails.
        """
        self._need_mode("online", "step frames through")
        if state.manifest is not self.manifest:
            raise ValueError("state: got one of another engine, expected one from this engine's new_state()")
        self._check_frames(frames, (state.streams,) + self._frame_shape)
        logits = self._checked(self._step(frames, state), state.streams, "frame {} of the stream".format(state.frames))
        state._advance()
        state.frames += 1
        return logits

    def clip(self, frames):
        """Whole clips through an offline model.

        frames: (N, T, 3, H, W) float32, C-contiguous, T = manifest.shift.n_segment.
        Returns logits (N, classes) float32, the mean over the T frames (the published "avg" consensus).
        """
        self._need_mode("offline", "run whole clips through")
        n = max(1, np.shape(frames)[0] if np.ndim(frames) else 1)
        self._check_frames(frames, (n, self.manifest.shift.n_segment) + self._frame_shape)
        return self._checked(self._clip(frames), n, "clip")

    def layer_times(self, warm_up, steps):
        """:class:`LayerTimes` of steps of one stream, or of the fewest that it takes; None where it cannot tell.

        A run of its own: it leaves this engine and its states as they were. Raises InputError for an engine of a kind
        whose layers cannot be timed, with what to do.
        """

    def transfer_times(self, copies):
        """Seconds of each of `copies` copies of one frame to the accelerator, list of float; None where there is none.

        A run of its own, of one stream or the fewest that it takes: within a step the copy may be part of one CUDA
        graph with the network, and cannot be told apart.
        """

    def device_bytes(self):
        """Bytes that the engine holds on its accelerator, None where there is none or it does not say.

        What it takes to run: buffers, and what lies between layers. Weights and the back end's code come on top.
        """

    def close(self):
        """Free what the engine holds. States made by it must not be stepped afterwards."""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _signature(self):
        """What the manifest says of the graph: its inputs and its outputs, in order, each a list of (name, shape
        without the batch axis, dtype)."""
        caches, frame = self.manifest.caches, self._frame_shape
        if self.manifest.mode == "online":
            inputs = [(FRAME, frame, "float32")] + [(c.input, tuple(c.shape), c.dtype) for c in caches]
        else:
            inputs = [(FRAMES, (self.manifest.shift.n_segment,) + frame, "float32")]
        outputs = [(LOGITS, (self.manifest.arch.num_classes,), "float32")]
        return inputs, outputs + [(c.output, tuple(c.shape), c.dtype) for c in caches]

    def _new_state(self, streams):
        raise NotImplementedError

    def _step(self, frames, state):
        """Logits of checked frames. Reads the state's current caches and writes its other ones; `_advance` follows."""
        raise NotImplementedError

    def _clip(self, frames):
        """Logits of checked clips."""
        raise NotImplementedError

    def _need_mode(self, mode, verb):
        if self.manifest.mode != mode:
            raise InputError(
                "{}: mode".format(self.where),
                self.manifest.mode,
                "{} to {} it".format(mode, verb),
                "export the model with --mode {}".format(mode),
            )

    def _check_frames(self, frames, shape):
        if not isinstance(frames, np.ndarray):
            raise ValueError("frames: got a {}, expected a NumPy array {}".format(type(frames).__name__, shape))
        if frames.shape != shape or frames.dtype != np.float32 or not frames.flags.c_contiguous:
            raise ValueError(
                "frames: got {} {}{}, expected {} float32, C-contiguous".format(
                    frames.shape, frames.dtype, "" if frames.flags.c_contiguous else " (strided)", shape
                )
            )

    def _checked(self, logits, n, what):
        shape = (n, self.manifest.arch.num_classes)
        if logits.shape != shape:
            raise TsmEdgeError("{}: logits: got shape {}, expected {}".format(self.where, logits.shape, shape))
        if not np.isfinite(logits).all():
            raise InputError(
                "{}: logits at {}".format(self.where, what),
                "NaN or infinity",
                "finite numbers",
                "check the weights (tsm-edge verify), and that frames are finite; with fp16, build it in fp32",
            )
        return logits
