"""The proof of a model file: clip == torch steps == ONNX steps, from the weights that the file itself holds."""

import contextlib
import tempfile
from pathlib import Path
from typing import Iterator, NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch

import tsm_edge
from tsm_edge.engines import load_engine
from tsm_edge.engines.onnxruntime.cpu import usable_kernels
from tsm_edge.errors import InputError
from tsm_edge.manifest import LOWERINGS, Manifest
from tsm_edge.tolerances import allowed
from tsm_edge_export.onnx_export import network_of, to_onnx
from tsm_edge_export.shift_check import copy_errors

BATCHES = (1, 3)


class Comparison(NamedTuple):
    """error: the largest absolute difference; tolerance: the largest allowed, 0 where the two must be bit-exact."""

    name: str
    error: float
    tolerance: float

    @property
    def passed(self):
        return self.error <= self.tolerance  # a NaN fails


def verify(path) -> Iterator[Comparison]:
    """Yield every comparison of the model at `path`, as it is done.

    Online: over 2 * n_segment + 1 frames of noise, for 1 and 3 streams, causal clip against torch steps against ONNX
    Runtime steps, in the file's own lowering, in the other one, and by the kernel library where it is built; every
    shift of the file a bit-exact copy; two interleaved states equal to each alone; a reset state equal to a fresh one.
    Offline: torch clip against ONNX clip, by the same engines, 1 and 3 clips. Raises InputError for a file that is not
    a model of ours.
    """
    with contextlib.ExitStack() as stack:
        # Without our kernels: what has to be right everywhere is the function body that travels in the file.
        engine = stack.enter_context(load_engine(path, kernels=False))
        manifest, model = engine.manifest, _read(path)
        network = network_of(model, manifest, path).requires_grad_(False)
        _check_places(network, manifest, path)
        other, twin = stack.enter_context(_twin(manifest, network))
        engines = {manifest.lowering: engine, other: twin}
        if usable_kernels(manifest):
            engines["kernel library"] = stack.enter_context(load_engine(path))
        yield from (_online if manifest.mode == "online" else _offline)(network, manifest, engines)
    if manifest.mode == "online":
        for name, error in copy_errors(model, manifest):
            yield Comparison(name, error, 0.0)


def report(comparisons) -> dict:
    """What the manifest keeps of the proof. comparisons: a list of Comparison."""
    return {
        "passed": all(c.passed for c in comparisons),
        "comparisons": [
            {"name": c.name, "error": float(f"{c.error:.3g}"), "tolerance": float(f"{c.tolerance:.3g}")}
            for c in comparisons
        ],
        "versions": {module.__name__: module.__version__ for module in (tsm_edge, torch, onnx, onnxruntime, np)},
    }


def _read(path):
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf and the checker have no common base
        raise InputError(path, str(error).split("\n")[0], "a whole ONNX model", "export it again") from error
    return model


def _check_places(network, manifest, path):
    if manifest.shift.places != network.places:
        got, expected = ", ".join(manifest.shift.places) or "none", ", ".join(network.places)
        raise InputError(f"{path}: manifest shift.places", got, expected, "export the model again")


@contextlib.contextmanager
def _twin(manifest, network):
    """(lowering, engine): the same weights in the lowering that the file does not have."""
    other = next(name for name in LOWERINGS if name != manifest.lowering)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "twin.onnx"
        onnx.save(to_onnx(network, manifest._replace(lowering=other)), path)
        with load_engine(path, kernels=False) as engine:
            yield other, engine


def _online(network, manifest, engines):
    frames_count = 2 * manifest.shift.n_segment + 1
    for batch in BATCHES:
        frames = _noise(manifest, batch, frames_count)
        clip = network.clip(frames, manifest.shift.direction).numpy()
        tolerance = allowed(clip)
        steps, caches = _torch_steps(network, manifest, frames)
        yield Comparison(
            f"torch steps = causal clip, {frames_count} frames, batch {batch}", _error(steps, clip), tolerance
        )
        for lowering, engine in engines.items():
            state = engine.new_state(batch)
            logits = _engine_steps(engine, state, frames)
            name = f"ONNX steps = causal clip, {lowering}, {frames_count} frames, batch {batch}"
            yield Comparison(name, _error(logits, clip), tolerance)
            name = f"ONNX caches = torch caches, {lowering}, last frame, batch {batch}"
            yield Comparison(name, *_worst(state.snapshot(), caches))
    for lowering, engine in engines.items():
        error = _interleaving_error(engine, frames[:, : manifest.shift.n_segment])
        yield Comparison(f"interleaved states = each alone, {lowering}", error, 0.0)


def _offline(network, manifest, engines):
    for batch in BATCHES:
        frames = _noise(manifest, batch, manifest.shift.n_segment)
        clip = network.clip(frames, manifest.shift.direction).mean(1).numpy()
        for lowering, engine in engines.items():
            name = f"ONNX clip = torch clip, {lowering}, {manifest.shift.direction}, batch {batch}"
            yield Comparison(name, _error(engine.clip(frames.numpy()), clip), allowed(clip))


def _noise(manifest: Manifest, batch, frames):
    """(N, T, 3, H, W) float32, as normalised pictures are spread; the same for each call."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, frames, 3, manifest.frame.height, manifest.frame.width, generator=generator)


def _torch_steps(network, manifest, frames):
    """Logits (N, T, classes) of the stepped network, and its caches after the last frame, as arrays."""
    caches = network.zero_caches(frames.shape[0], manifest.frame.height, manifest.frame.width)
    logits = []
    for t in range(frames.shape[1]):
        step, caches = network.step(frames[:, t], caches)
        logits.append(step)
    return torch.stack(logits, 1).numpy(), [cache.numpy() for cache in caches]


def _engine_steps(engine, state, frames):
    return np.stack([engine.step(np.ascontiguousarray(frames[:, t]), state) for t in range(frames.shape[1])], 1)


def _interleaving_error(engine, frames):
    """frames: (N >= 2, T, …). Two streams in turn on one engine, and once more after a reset, against each alone."""
    streams = [frames[:1], frames[1:2]]
    alone = [_engine_steps(engine, engine.new_state(), stream) for stream in streams]
    states, errors = [engine.new_state(), engine.new_state()], []
    for _ in range(2):
        for t in range(frames.shape[1]):
            for stream, state, expected in zip(streams, states, alone, strict=True):
                errors.append(_error(engine.step(np.ascontiguousarray(stream[:, t]), state), expected[:, t]))
        for state in states:
            state.reset()
    return float(np.max(errors))  # a NaN stays one


def _worst(got, expected):
    """(error, tolerance) of the pair of arrays that is furthest beyond its tolerance, or else nearest to it."""
    measured = [(_error(a, b), allowed(b)) for a, b in zip(got, expected, strict=True)]
    return max(measured, key=lambda m: (not m[0] <= m[1], m[0] / m[1] if m[1] else 0))


def _error(a, b):
    with np.errstate(invalid="ignore"):  # infinity - infinity: a NaN, which fails
        return float(np.abs(np.asarray(a) - np.asarray(b)).max())
