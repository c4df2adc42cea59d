"""The steps of a board's first run after an engine was built: each looks at one thing, in a separate process.

`tsm_edge.commands.first_run` calls the functions of STEPS through `worker.run_apart`. Frames are noise.
"""

import contextlib
import faulthandler
import math
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from tsm_edge.engines import load_engine, load_manifest
from tsm_edge.engines.base import Engine
from tsm_edge.engines.tensorrt import check
from tsm_edge.engines.tensorrt import compat as trt_compat
from tsm_edge.engines.tensorrt import record as records
from tsm_edge.engines.tensorrt.check import Reference
from tsm_edge.engines.tensorrt.engine import TensorRTEngine
from tsm_edge.engines.tensorrt.request import parse_streams
from tsm_edge.machine import install_hints
from tsm_edge.schema import encode

COMPARED_STEPS = 16
WARM_UP_STEPS, TIMED_STEPS = 10, 100
STANDARD_ERROR = 2  # its file descriptor, also where sys.stderr is another stream

Say = Callable[[str], None]
Outputs = List[np.ndarray]


class Question(NamedTuple):
    """What to look at.

    onnx: the model. engine: what was built from it. reference: file of ONNX Runtime's outputs. streams: as `build` took
    them. seconds: after which the process writes where it hangs, and ends.
    """

    onnx: str
    engine: str
    reference: str
    streams: str
    seconds: int


class Findings(NamedTuple):
    """What was found: whether it is as it should be, and JSON values."""

    passed: bool
    facts: Dict[str, Any]


def reference(question: Question, say: Say) -> Findings:
    """Compute what ONNX Runtime computes, on the CPU. Raises InputError where it is missing."""
    del say
    try:
        import onnxruntime
    except ImportError as error:
        raise install_hints.missing("onnxruntime", error) from error
    with _limited(question), load_engine(question.onnx, kernels=False) as engine:
        check.write_reference(engine, parse_streams(question.streams), question.reference)
        facts = {"onnxruntime": onnxruntime.__version__, "steps": check.steps_of(engine.manifest)}
    return Findings(True, facts)


def bindings(question: Question, say: Say) -> Findings:
    """List the inputs and outputs, as TensorRT states them and as we allocate them. Nothing runs."""
    with _limited(question), _engine(question) as engine:
        rows = engine.bindings()
        fits = all(row["stated_bytes"] is None or row["stated_bytes"] <= row["bytes"] for row in rows)
        facts = {"bindings": rows, "streams": list(engine.streams), "shift_by": engine.shift_by}
    formats = ", ".join(sorted({row["format"] for row in rows}))
    say("{} inputs and outputs, formats: {}".format(len(rows), formats))
    return Findings(fits, facts)


def graph(question: Question, say: Say) -> Findings:
    """Run the same frames with CUDA graphs and without, and compare all outputs and caches to the bit."""
    with _limited(question):
        with _engine(question) as engine:
            frames = _frames(engine, COMPARED_STEPS)
            captured, caches = _run(engine, frames)
            why = engine.why_no_graph
        with _engine(question, graphs=False) as engine:
            plain, plain_caches = _run(engine, frames)
        equal, largest = _compared(captured + caches, plain + plain_caches)
    say("steps run as CUDA graphs" if why is None else "no CUDA graphs: " + why)
    facts = {"captured": why is None, "why_no_graph": why, "equal": equal, "largest_difference": largest}
    return Findings(equal, facts)


def comparison(question: Question, say: Say) -> Findings:
    """Compare the engine with ONNX Runtime, by the tolerances of `tsm-edge build`."""
    with _limited(question), _engine(question) as engine:
        record, streams = engine.record, parse_streams(question.streams)
        known = Reference(question.reference)
        found = check.compare(engine, record.lowering, record.precision, streams, known)
    say(records.check_text(found))
    return Findings(found.passed, dict(encode(found), text=records.check_text(found)))


def speed(question: Question, say: Say) -> Findings:
    """Time the load and the steps, in ms, with CUDA graphs and without."""
    del say
    facts: Dict[str, Any] = {}
    with _limited(question):
        for name, graphs in (("with graphs", True), ("without graphs", False)):
            begun = time.perf_counter()
            with _engine(question, graphs=graphs) as engine:
                load_ms = 1e3 * (time.perf_counter() - begun)
                step = _stepper(engine, _state(engine))
                frames, times = _frames(engine, 4), []
                for i in range(-WARM_UP_STEPS, TIMED_STEPS):
                    begun = time.perf_counter()
                    step(frames[i % 4])
                    times.append(1e3 * (time.perf_counter() - begun))
                p50, p95 = (round(float(np.percentile(times[WARM_UP_STEPS:], p)), 3) for p in (50, 95))
                facts[name] = {"load_ms": round(load_ms, 1), "p50_ms": p50, "p95_ms": p95, "steps": TIMED_STEPS}
                facts[name].update(why_no_graph=engine.why_no_graph, device_bytes=engine.device_bytes())
    return Findings(True, facts)


def streams(question: Question, say: Say) -> Findings:
    """Step two states in turns, and single streams of a state: each must compute what it computes alone."""
    del say
    facts: Dict[str, Any] = {}
    with _limited(question), _engine(question) as engine:
        one, other = (_frames(engine, COMPARED_STEPS, seed) for seed in (1, 2))
        alone = [_run(engine, frames)[0] for frames in (one, other)]
        states = [_state(engine), _state(engine)]
        turns: List[Outputs] = [[], []]
        for both in zip(one, other):
            for i, frames in enumerate(both):
                turns[i].append(_stepper(engine, states[i])(frames))
        facts["in_turns_equal"], facts["largest_difference"] = _compared(turns[0] + turns[1], alone[0] + alone[1])
        count = engine.streams[0]
        if count > 1:
            facts["one_of_{}_equal".format(count)] = _single_streams_equal(engine, one, alone[0])
    return Findings(all(value for name, value in facts.items() if name.endswith("equal")), facts)


def snapshot(question: Question, say: Say) -> Findings:
    """Take a snapshot, go on, restore it and go on again: both must compute the same, in another state too."""
    del say
    with _limited(question), _engine(question) as engine:
        frames, state = _frames(engine, COMPARED_STEPS), _state(engine)
        step, half = _stepper(engine, state), COMPARED_STEPS // 2
        begun = [step(frame) for frame in frames[:half]]
        kept = state.snapshot()
        went_on = [step(frame) for frame in frames[half:]]
        facts = {}
        state.restore(kept)
        facts["restored_equal"] = _compared([step(frame) for frame in frames[half:]], went_on)[0]
        fresh = _state(engine)
        fresh.restore(kept)
        again = _stepper(engine, fresh)
        facts["in_another_state_equal"] = _compared([again(frame) for frame in frames[half:]], went_on)[0]
        state.reset()
        facts["reset_equal"] = _compared([step(frame) for frame in frames[:half]], begun)[0]
        facts["caches_not_zero"] = any(cache.any() for cache in kept)
    return Findings(all(facts.values()), facts)


# The functions in the order in which they run, and whether an offline model has the step.
STEPS: Sequence[Tuple[Callable[[Question, Say], Findings], bool]] = (
    (bindings, True),
    (comparison, True),
    (graph, True),
    (speed, True),
    (streams, False),
    (snapshot, False),
)


def is_online(onnx: str) -> bool:
    """Return whether a model is stepped frame by frame."""
    return load_manifest(onnx).mode == "online"


@contextlib.contextmanager
def _limited(question: Question) -> Iterator[None]:
    """End this process, with the place where it hangs on standard error, where the block takes too long.

    The watchdog of `faulthandler` needs no Python: it also ends a call into a library that never returns.
    """
    faulthandler.dump_traceback_later(question.seconds, exit=True, file=STANDARD_ERROR)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _engine(question: Question, graphs: bool = True) -> Any:
    """Return the TensorRTEngine, with TensorRT's log verbose."""
    compat = trt_compat.load()
    compat.log("verbose")
    return TensorRTEngine(question.engine, compat, graphs)


def _frames(engine: Engine, steps: int, seed: int = 0) -> List[np.ndarray]:
    least = engine.streams[0]
    return [check.noise(engine.manifest, least, 1000 * seed + step) for step in range(steps)]


def _state(engine: Engine) -> Any:
    """Return a fresh state, or None for an offline model."""
    return engine.new_state(engine.streams[0]) if engine.manifest.mode == "online" else None


def _stepper(engine: Engine, state: Any) -> Callable[..., np.ndarray]:
    """Return a function that steps the state, or runs clips, and returns all outputs in one row of numbers."""

    def step(frames: np.ndarray, rows: Optional[Sequence[int]] = None) -> np.ndarray:
        outputs = engine.clip(frames) if state is None else engine.step(frames, state, rows)
        return np.concatenate([outputs[name].reshape(len(frames), -1) for name in sorted(outputs)], axis=1)

    return step


def _run(engine: Engine, frames: Sequence[np.ndarray]) -> Tuple[Outputs, Outputs]:
    """Return the outputs of all steps from zero caches, and the caches at the end."""
    state = _state(engine)
    outputs = [_stepper(engine, state)(frame) for frame in frames]
    return outputs, [] if state is None else state.snapshot()


def _single_streams_equal(engine: Engine, frames: Sequence[np.ndarray], alone: Sequence[np.ndarray]) -> bool:
    """Return whether the streams of one state, stepped one by one, compute what they compute together."""
    step, equal = _stepper(engine, _state(engine)), True
    for batch, expected in zip(frames, alone):
        for row in reversed(range(len(batch))):
            equal = equal and np.array_equal(step(batch[row : row + 1], [row])[0], expected[row])
    return equal


def _compared(got: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> Tuple[bool, Optional[float]]:
    """Return whether arrays are equal to the bit, and their largest difference; None where it is not finite."""
    equal = all(np.array_equal(a, b) for a, b in zip(got, expected))
    largest = max(float(np.abs(a.astype(np.float64) - b).max()) for a, b in zip(got, expected))
    return equal, largest if math.isfinite(largest) else None
