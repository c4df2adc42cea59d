"""Compare a built engine with ONNX Runtime on the CPU, on its first steps.

TensorRT has had silent faults in graphs like ours: slices and concatenations next to residual additions (release notes
of TensorRT 8.2.5; github.com/NVIDIA/TensorRT issue 4854). The frames are noise, another one for each step and stream,
and each stream starts from zero caches and runs long enough that every cache is written and read.
"""

import math
from typing import Dict, Iterator, NamedTuple, Tuple

import numpy as np

from tsm_edge.engines.base import Engine
from tsm_edge.engines.tensorrt.record import FormCheck
from tsm_edge.engines.tensorrt.request import Streams
from tsm_edge.errors import InputError
from tsm_edge.machine import install_hints
from tsm_edge.manifest import Manifest
from tsm_edge.tolerances import ENGINES, ENGINES_WHOLE

SEGMENTS, CLIPS = 2, 2  # steps of an online model, as a multiple of its n_segment; runs of an offline model

Arrays = Dict[str, np.ndarray]


class Reference(NamedTuple):
    """What an engine is compared with. path: as `write_reference` wrote it. by: what computed it, for messages."""

    path: str
    by: str = "ONNX Runtime"


def steps_of(manifest: Manifest) -> int:
    """Return how many steps, or runs of clips, are compared for each number of streams."""
    return SEGMENTS * manifest.shift.n_segment if manifest.mode == "online" else CLIPS


def noise(manifest: Manifest, streams: int, step: int) -> np.ndarray:
    """Return the frames of one step (N, 3, H, W), or clips (N, T, 3, H, W): float32, the same for each call."""
    frame, time = manifest.frame, () if manifest.mode == "online" else (manifest.shift.n_segment,)
    shape: Tuple[int, ...] = (streams,) + time + (3, frame.height, frame.width)
    return np.random.RandomState(step).randn(*shape).astype(np.float32)


def write_reference(engine: Engine, streams: Streams, path: str) -> None:
    """Write what `engine` computes to a file, one array after the other."""
    with open(path, "wb") as file:
        for count in _counts(streams):
            for arrays in _computed(engine, count):
                for name in sorted(arrays):
                    np.save(file, arrays[name])


def compare(engine: Engine, lowering: str, precision: str, streams: Streams, reference: Reference) -> FormCheck:
    """Compare what `engine` computes with `reference`, for the least, the usual and the most streams."""
    largest, worst, where = -1.0, _Spread(precision), ""
    with open(reference.path, "rb") as file:
        for count in _counts(streams):
            spreads: Dict[str, _Spread] = {}
            for arrays in _computed(engine, count):
                for name in sorted(arrays):
                    spreads.setdefault(name, _Spread(precision)).add(arrays[name], np.load(file))
            for name, spread in spreads.items():
                if spread.error() / spread.allowed > largest:
                    largest, worst = spread.error() / spread.allowed, spread
                    where = "{} of {} stream{}".format(name, count, "" if count == 1 else "s")
    error = worst.error() if math.isfinite(worst.error()) else None
    steps = steps_of(engine.manifest)
    return FormCheck(lowering, reference.by, steps, _counts(streams), where, error, worst.allowed)


def extent(manifest: Manifest, streams: Streams) -> str:
    """Return what is compared, in words."""
    what = "steps" if manifest.mode == "online" else "runs of clips"
    return "{} {} for each of {} streams".format(steps_of(manifest), what, ", ".join(map(str, _counts(streams))))


def missing_onnxruntime(error: ImportError) -> InputError:
    """Return the error for a board without ONNX Runtime, with the two ways to go on."""
    missing = install_hints.missing("onnxruntime", error)
    expected = "ONNX Runtime, with which each form is compared before it is written"
    return InputError(missing.where, missing.got, expected, "{}; or give --no-check".format(missing.do))


def _counts(streams: Streams) -> Tuple[int, ...]:
    """Return the least, usual and most streams, each number once."""
    return tuple(sorted(set(streams)))


def _computed(engine: Engine, streams: int) -> Iterator[Arrays]:
    """Yield the outputs of each step by name, and at the end the caches by the names of their inputs."""
    manifest = engine.manifest
    state = engine.new_state(streams) if manifest.mode == "online" else None
    for step in range(steps_of(manifest)):
        frames = noise(manifest, streams, step)
        yield engine.clip(frames) if state is None else engine.step(frames, state)
    if state is not None:
        yield {spec.input: cache for spec, cache in zip(manifest.caches, state.snapshot())}


class _Spread:
    """The largest difference of one tensor over all steps, and its largest value."""

    def __init__(self, precision: str) -> None:
        self._precision, self._largest_error, self._largest_value = precision, 0.0, 0.0
        self.allowed = ENGINES[precision]

    def add(self, got: np.ndarray, expected: np.ndarray) -> None:
        """Add the values of one step. Of whole numbers it counts those that differ, and all of them."""
        if expected.dtype.kind != "f":
            self.allowed = ENGINES_WHOLE[self._precision]
            self._largest_error += float((got != expected).sum())
            self._largest_value += float(expected.size)
            return
        error = float(np.abs(got.astype(np.float64) - expected).max())
        self._largest_error = max(self._largest_error, error if math.isfinite(error) else math.inf)
        self._largest_value = max(self._largest_value, float(np.abs(expected).max()))

    def error(self) -> float:
        """Return the relative error; infinity where a value is not finite."""
        if self._largest_error == 0:
            return 0.0
        return self._largest_error / self._largest_value if self._largest_value > 0 else math.inf
