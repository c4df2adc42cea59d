"""The proof of a model file: clip == torch steps == ONNX steps, from the weights that the file itself holds."""

import contextlib
import os
import tempfile
from typing import Any, Dict, Iterator, NamedTuple, Optional, Sequence, Union

import numpy as np
import onnx
import onnxruntime
import torch

import tsm_edge
from tsm_edge.engines import load_manifest
from tsm_edge.engines.onnxruntime.cpu import OnnxRuntimeEngine, usable_kernels
from tsm_edge.errors import InputError
from tsm_edge.machine.system_files import processors
from tsm_edge.manifest import LOWERINGS, CacheSpec, Manifest
from tsm_edge.shift import shift_step
from tsm_edge.tolerances import allowed
from tsm_edge_export import functions
from tsm_edge_export.models import Network
from tsm_edge_export.onnx_export import network_of, to_onnx

BATCHES = (1, 3)
MISMATCH = float("inf")  # the error of what cannot be compared
FilePath = Union[str, "os.PathLike[str]"]
Arrays = Sequence[np.ndarray]  # outputs or caches, in the manifest's order
Engines = Dict[str, OnnxRuntimeEngine]


class Comparison(NamedTuple):
    """One comparison of the proof."""

    name: str  # what is compared, and on how many frames and streams
    error: float  # the largest absolute difference
    tolerance: float  # the largest one allowed, 0 where the two must be bit-exact

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; a NaN is not."""
        return self.error <= self.tolerance

    def __str__(self) -> str:
        limit = f"<= {self.tolerance:.1e}" if self.tolerance else "bit-exact"
        return f"{'ok  ' if self.passed else 'FAIL'} {self.name:<62} {self.error:.1e} {limit}"


def verify(path: FilePath) -> Iterator[Comparison]:
    """Yield every comparison of the model at `path`, as it is done.

    Online, over 2 * n_segment + 1 frames of noise and for 1 and 3 streams: the causal clip against torch steps against
    ONNX Runtime steps, for each output; in the file's own lowering, in the other one, and by the kernel library where
    it is built. Every shift of the file must be a bit-exact copy. Interleaved streams must equal each alone, and reset
    streams fresh ones. Offline: the torch clip against the ONNX clip, by the same engines, for 1 and 3 clips.
    ONNX Runtime takes as many threads as torch.
    Raises InputError for a file that is not a model of ours.
    """
    manifest, threads = load_manifest(path), min(torch.get_num_threads(), processors())
    with contextlib.ExitStack() as stack:

        def opened(file: FilePath, manifest: Manifest, kernels: Optional[str] = None) -> OnnxRuntimeEngine:
            engine = OnnxRuntimeEngine(str(file), manifest, threads, kernels)
            return stack.enter_context(contextlib.closing(engine))

        # Without our kernels: what must be right everywhere is the function body that travels in the file.
        engines = {manifest.lowering: opened(path, manifest)}
        model = _read(path)
        network = network_of(model, manifest, path).requires_grad_(False)
        places = network.step_places(manifest.shift.direction) if manifest.mode == "online" else network.places
        if manifest.shift.places != places:
            got, expected = ", ".join(manifest.shift.places) or "none", ", ".join(places) or "none"
            raise InputError(f"{path}: manifest shift.places", got, expected, "export the model again")
        other = manifest._replace(lowering=next(name for name in LOWERINGS if name != manifest.lowering))
        other_path = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "other.onnx")
        onnx.save(to_onnx(network, other), other_path)
        engines[other.lowering] = opened(other_path, other)
        kernels = usable_kernels(manifest)
        if kernels:
            engines["kernel library"] = opened(path, manifest, kernels)
        yield from (_online if manifest.mode == "online" else _offline)(network, manifest, engines)
    if manifest.mode == "online":
        yield from _copies(model, manifest)


def report(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Return what the manifest keeps of the proof."""
    figures = [(c.name, float(f"{c.error:.3g}"), float(f"{c.tolerance:.3g}")) for c in comparisons]
    return {
        "passed": all(c.passed for c in comparisons),
        "comparisons": [Comparison(*row)._asdict() for row in figures],
        "versions": {module.__name__: module.__version__ for module in (tsm_edge, torch, onnx, onnxruntime, np)},
    }


def _read(path: FilePath) -> onnx.ModelProto:
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf and the checker have no common base
        raise InputError(path, str(error).split("\n")[0], "a whole ONNX model", "export it again") from error
    return model


def _online(network: Network, manifest: Manifest, engines: Engines) -> Iterator[Comparison]:
    count = 2 * manifest.shift.n_segment + 1
    for batch in BATCHES:
        frames = _noise(manifest, batch, count)
        clip = [output.numpy() for output in network.clip(frames, manifest.shift.direction)]
        steps, caches = _torch_steps(network, manifest, frames)
        whole = "causal clip" if manifest.caches else "2D network"
        yield from _compared(f"torch steps = {whole}, {{}}, {count} frames, batch {batch}", manifest, steps, clip)
        for lowering, engine in engines.items():
            got, after = (_engine_steps if batch == 1 else _batch_steps)(engine, frames)
            what = f"ONNX steps = {whole}, {lowering}, {{}}, {count} frames, batch {batch}"
            yield from _compared(what, manifest, got, clip)
            if caches:
                what = f"ONNX caches = torch caches, {lowering}, last frame, batch {batch}"
                yield Comparison(what, *_worst(after, caches))
    for lowering, engine in engines.items():
        for what, error in _interleaving_errors(engine, frames[:2, : manifest.shift.n_segment]):
            yield Comparison(f"{what}, {lowering}", error, 0.0)


def _offline(network: Network, manifest: Manifest, engines: Engines) -> Iterator[Comparison]:
    direction = manifest.shift.direction
    for batch in BATCHES:
        frames = _noise(manifest, batch, manifest.shift.n_segment)
        clip = [output.mean(1).numpy() for output in network.clip(frames, direction)]
        for lowering, engine in engines.items():
            what = f"ONNX clip = torch clip, {lowering}, {direction}, {{}}, batch {batch}"
            yield from _compared(what, manifest, _ordered(engine.clip(frames.numpy()), manifest), clip)


def _compared(what: str, manifest: Manifest, got: Arrays, expected: Arrays) -> Iterator[Comparison]:
    """Compare each output. what: with {} in the place of the output's name."""
    for spec, a, b in zip(manifest.outputs, got, expected, strict=True):
        yield Comparison(what.format(spec.name), _error(a, b), _allowed(b))


def _noise(manifest: Manifest, batch: int, frames: int) -> torch.Tensor:
    """Return (N, T, 3, H, W) float32, distributed as normalised pictures are; the same for each call."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, frames, 3, manifest.frame.height, manifest.frame.width, generator=generator)


def _ordered(outputs: dict[str, np.ndarray], manifest: Manifest) -> Arrays:
    return [outputs[spec.name] for spec in manifest.outputs]


def _stacked(steps: Sequence[Arrays]) -> Arrays:
    """Join the outputs (N, ...) of each step to (N, T, ...)."""
    return [np.stack(each, 1) for each in zip(*steps, strict=True)]


def _torch_steps(network: Network, manifest: Manifest, frames: torch.Tensor) -> tuple[Arrays, Arrays]:
    """Return the outputs (N, T, ...) of the stepped network, and its caches after the last frame."""
    direction, steps = manifest.shift.direction, []
    caches = network.zero_caches(len(frames), manifest.frame.height, manifest.frame.width)
    caches = caches if network.step_places(direction) else []
    for t in range(frames.shape[1]):
        outputs, caches = network.step(frames[:, t], caches, direction=direction)
        steps.append([output.numpy() for output in outputs])
    return _stacked(steps), [cache.numpy() for cache in caches]


def _engine_steps(engine: OnnxRuntimeEngine, frames: torch.Tensor) -> tuple[Arrays, Arrays]:
    """Step the engine; returns what `_torch_steps` does."""
    state = engine.new_state(len(frames))
    steps = [engine.step(np.ascontiguousarray(frames[:, t]), state) for t in range(frames.shape[1])]
    return _stacked([_ordered(step, engine.manifest) for step in steps]), state.snapshot()


def _batch_steps(engine: OnnxRuntimeEngine, frames: torch.Tensor) -> tuple[Arrays, Arrays]:
    """Run the file's graph on all streams at once; the engine runs each alone. Returns what `_torch_steps` does."""
    inputs = [node.name for node in engine.session.get_inputs()]  # the frame, then the caches
    caches: Arrays = [np.zeros((len(frames), *cache.shape), cache.dtype) for cache in engine.manifest.caches]
    steps = []
    for t in range(frames.shape[1]):
        got = engine.session.run(None, dict(zip(inputs, [frames[:, t].numpy(), *caches], strict=True)))
        caches = got[len(engine.manifest.outputs) :]
        steps.append(got[: len(engine.manifest.outputs)])
    return _stacked(steps), caches


def _interleaving_errors(engine: OnnxRuntimeEngine, frames: torch.Tensor) -> Iterator[tuple[str, float]]:
    """Compare two streams that take turns, in two states and in one, and once more after a reset, with each alone.

    Yields (what was compared, its largest difference) for each output. frames: (2, T, 3, H, W).
    """
    streams = [frames[:1], frames[1:]]
    alone = [_engine_steps(engine, stream)[0] for stream in streams]
    states, shared = [engine.new_state(), engine.new_state()], engine.new_state(2)
    for what, turns in (
        ("interleaved states", [(states[0], None), (states[1], None)]),
        ("interleaved streams of one state", [(shared, [0]), (shared, [1])]),
    ):
        errors = []  # one row a step
        for _ in range(2):
            for t in range(frames.shape[1]):
                for stream, expected, (state, rows) in zip(streams, alone, turns, strict=True):
                    got = _ordered(engine.step(np.ascontiguousarray(stream[:, t]), state, rows), engine.manifest)
                    errors.append([_error(a, b[:, t]) for a, b in zip(got, expected, strict=True)])
            for state, _ in turns:
                state.reset()
        for spec, error in zip(engine.manifest.outputs, np.max(errors, 0), strict=True):  # a NaN stays one
            yield f"{what} = each alone, {spec.name}", float(error)


def _worst(got: Arrays, expected: Arrays) -> tuple[float, float]:
    """Return (error, tolerance) of the pair of arrays that is furthest beyond its tolerance, or else nearest to it."""
    measured = [(_error(a, b), _allowed(b)) for a, b in zip(got, expected, strict=True)]
    return max(measured, key=lambda m: (not m[0] <= m[1], m[0] / m[1] if m[1] else 0))


def _error(a: np.ndarray, b: np.ndarray) -> float:
    if np.shape(a) != np.shape(b):
        return float("inf")
    with np.errstate(invalid="ignore"):  # infinity - infinity: a NaN, which fails
        return float(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).max())


def _allowed(expected: np.ndarray) -> float:
    """Return the tolerance for an array; whole numbers and truth values must be the same."""
    return allowed(expected, str(expected.dtype)) if expected.dtype.kind == "f" else 0.0


def _copies(model: onnx.ModelProto, manifest: Manifest) -> Iterator[Comparison]:
    """Compare each shift of the file with the reference: it must be a bit-exact copy.

    Runs one step of two streams with random frames and caches, without the optimiser, which would fuse tensors away.
    """
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    shifts = [_shift_tensors(model.graph, cache) for cache in manifest.caches]
    known = {value.name for value in [*model.graph.input, *model.graph.output]}
    for name in dict.fromkeys(name for pair in shifts for name in pair or ()):
        if name not in known:
            extended.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(extended.SerializeToString(), options, ["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    shapes = {"frame": (3, manifest.frame.height, manifest.frame.width)}
    shapes.update({cache.input: cache.shape for cache in manifest.caches})
    feed = {name: rng.standard_normal((2, *shape), np.float32) for name, shape in shapes.items()}
    names = [output.name for output in session.get_outputs()]
    tensors = {**feed, **dict(zip(names, session.run(names, feed), strict=True))}
    for cache, place, pair in zip(manifest.caches, manifest.shift.places, shifts, strict=True):
        yield Comparison(f"shift at {place} = reference, bit-exact", _copy_error(tensors, cache, pair), 0.0)


def _copy_error(tensors: dict[str, np.ndarray], cache: CacheSpec, pair: Optional[tuple[str, str]]) -> float:
    """Compare a shift with the reference. pair: the names of its input and output; None where nothing shifts."""
    try:
        x, y = (tensors[name] for name in pair or ())
        expected = shift_step(x, tensors[cache.input])
    except ValueError:  # also from shift_step, for other sizes
        return MISMATCH
    pairs = (y, expected[0]), (tensors[cache.output], expected[1])
    whole = all(a.shape == b.shape and np.isfinite(a).all() and np.isfinite(b).all() for a, b in pairs)
    return max(_error(a, b) for a, b in pairs) if whole else MISMATCH


def _shift_tensors(graph: onnx.GraphProto, cache: CacheSpec) -> Optional[tuple[str, str]]:
    """Return the names of the input x and the output y of the shift that reads `cache`, in either lowering, or None."""
    reader = next((node for node in graph.node if cache.input in node.input), None)
    if reader is None:
        return None
    if reader.domain == functions.DOMAIN:
        return reader.input[0], reader.output[0]
    kept = [node for node in graph.node for name in reader.input if name != cache.input and name in node.output]
    if reader.op_type != "Concat" or len(kept) != 1 or kept[0].op_type != "Slice":  # not Concat(cache, Slice(x))
        return None
    return kept[0].input[0], reader.output[0]
