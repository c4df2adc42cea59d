"""The comparison with ONNX Runtime: it finds shifts that are computed wrongly, and passes what float16 rounds."""

import json
import math
import os
import random

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsm_edge import load_engine
from tsm_edge.engines import load_manifest
from tsm_edge.engines.tensorrt import check
from tsm_edge.engines.tensorrt.check import Reference, compare, write_reference
from tsm_edge.engines.tensorrt.record import FormCheck, check_text
from tsm_edge.onnx import graph as onnx_graph
from tsm_edge.onnx.float16 import in_float16
from tsm_edge.schema import decode, encode
from tsm_edge.tolerances import ENGINES, ENGINES_WHOLE

try:
    import onnx
    from onnx import helper, numpy_helper
except ImportError:  # Python 3.6
    onnx = None

needs_onnx = pytest.mark.skipif(onnx is None, reason="plants faults by the onnx package")
STREAMS = (1, 1, 2)


class Standin:
    """An engine of an ONNX file's bytes that goes by the manifest of another one. Caches may be float16."""

    def __init__(self, data, manifest):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        self.session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.manifest = manifest
        self.types = {i.name: np.float16 if "16" in i.type else np.float32 for i in self.session.get_inputs()}

    def new_state(self, streams):
        return State({c.input: np.zeros((streams,) + c.shape, self.types[c.input]) for c in self.manifest.caches})

    def step(self, frames, state):
        names = [o.name for o in self.manifest.outputs] + [c.output for c in self.manifest.caches]
        made = dict(zip(names, self.session.run(names, dict(state.caches, frame=frames))))
        state.caches = {c.input: made[c.output] for c in self.manifest.caches}
        return {o.name: made[o.name] for o in self.manifest.outputs}


class State:
    def __init__(self, caches):
        self.caches = caches

    def snapshot(self):
        return list(self.caches.values())


def read(models, name):
    """(the model in standard operations, its manifest)."""
    path = os.path.join(models, name + ".onnx")
    with open(path, "rb") as file:
        return onnx_graph.expanded(file.read(), path), load_manifest(path)


@pytest.fixture(scope="module")
def reference(models, tmp_path_factory):
    """A function that returns the reference of a model, computed once."""
    folder, made = tmp_path_factory.mktemp("reference"), {}

    def of(name, streams=STREAMS):
        if name not in made:
            made[name] = str(folder / name)
            with load_engine(os.path.join(models, name + ".onnx"), kernels=False) as engine:
                write_reference(engine, streams, made[name])
        return Reference(made[name])

    return of


# ---------------------------------------------------------------- planted faults


def planted(data, cache, kind):
    """Return the model with one shift computed wrongly, in one of the ways that a compiler of slices can go wrong.

    zeros: the cached channels are left out. offset: the kept channels are read from the start. next: the next cache is
    cut from other channels. stale: the cache is never written. swapped: the two parts are joined in the wrong order.
    """
    model = onnx.load_model_from_string(data)
    nodes, fold = model.graph.node, cache.shape[0]
    joined = next(i for i, node in enumerate(nodes) if node.op_type == "Concat" and cache.input in node.input)
    kept = next(name for name in nodes[joined].input if name != cache.input)
    made = next(i for i, node in enumerate(nodes) if cache.output in node.output)
    cut = next(node for node in nodes if kept in node.output)
    numbers = {"first": fold, "last": 2 * fold, "zero": 0, "end": -fold, "step": 1}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array([value], np.int64), "planted/" + name) for name, value in numbers.items()
    )

    def sliced(start, end, output):
        names = [cut.input[0]] + ["planted/" + name for name in (start, end, "step")]
        return helper.make_node("Slice", names, [output])

    if kind in ("zeros", "offset"):
        old, node = {
            "zeros": (cache.input, helper.make_node("Sub", [cache.input] * 2, ["planted/y"])),
            "offset": (kept, sliced("zero", "end", "planted/y")),
        }[kind]
        names = ["planted/y" if name == old else name for name in nodes[joined].input]
        del nodes[joined].input[:]
        nodes[joined].input.extend(names)
        nodes.insert(joined, node)
    elif kind == "swapped":
        names = list(nodes[joined].input)[::-1]
        del nodes[joined].input[:]
        nodes[joined].input.extend(names)
    else:
        node = sliced("first", "last", cache.output)
        if kind == "stale":
            node = helper.make_node("Identity", [cache.input], [cache.output])
        del nodes[made]
        nodes.insert(made, node)
    return model.SerializeToString()


KINDS = ("zeros", "offset", "next", "stale", "swapped")


@needs_onnx
@pytest.mark.parametrize("kind", KINDS)
def test_every_planted_fault_is_found(models, reference, kind):
    data, manifest = read(models, "tiny_custom")
    for cache in manifest.caches:
        engine = Standin(planted(data, cache, kind), manifest)
        for precision in ("fp32", "fp16"):
            found = compare(engine, "standard", precision, STREAMS, reference("tiny_custom"))
            assert not found.passed, (cache.input, precision, check_text(found))


@needs_onnx
def test_planted_faults_of_the_recipe_are_found_in_every_precision(models, reference):
    data, manifest = read(models, "mobilenetv2_tsm")
    chosen = random.Random(0).sample([(cache, kind) for cache in manifest.caches for kind in KINDS], 4)
    for cache, kind in [(manifest.caches[-1], "zeros")] + chosen:
        engine = Standin(planted(data, cache, kind), manifest)
        found = compare(engine, "standard", "int8", (1, 1, 1), reference("mobilenetv2_tsm", (1, 1, 1)))
        assert not found.passed, (cache.input, kind, check_text(found))


# ---------------------------------------------------------------- what passes


@pytest.mark.parametrize("name", ["tiny_custom", "mobilenetv2_tsm"])
@pytest.mark.parametrize("half_caches", [True, False])
def test_what_float16_rounds_passes(models, reference, name, half_caches):
    data, manifest = read(models, name)
    kept = ["frame"] + [output.name for output in manifest.outputs]
    kept += [] if half_caches else [name for c in manifest.caches for name in (c.input, c.output)]
    streams = STREAMS if name == "tiny_custom" else (1, 1, 1)
    engine = Standin(in_float16(data, name, kept), manifest)
    found = compare(engine, "standard", "fp16", streams, reference(name, streams))
    assert found.passed and found.error > 1e-5
    assert not compare(engine, "standard", "fp32", streams, reference(name, streams)).passed


def test_the_model_itself_agrees(models, reference):
    data, manifest = read(models, "tiny_custom")
    found = compare(Standin(data, manifest), "standard", "fp32", STREAMS, reference("tiny_custom"))
    assert found.passed and found.error < 1e-5
    assert (found.steps, found.streams) == (2 * manifest.shift.n_segment, (1, 2))


def test_frames_differ_between_steps_and_streams(models):
    manifest = load_manifest(os.path.join(models, "tiny_custom.onnx"))
    frames = [frame for step in range(check.steps_of(manifest)) for frame in check.noise(manifest, 2, step)]
    assert len({frame.tobytes() for frame in frames}) == len(frames) == 16


# ---------------------------------------------------------------- the measure

VALUES = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=20)


@given(st.lists(VALUES, min_size=1, max_size=4), st.data())
def test_the_error_is_the_largest_difference_over_the_largest_value(steps, data):
    spread, differences, values = check._Spread("fp32"), [], []
    for step in steps:
        expected = np.array(step, np.float32)
        got = np.array([data.draw(st.floats(-1e3, 1e3, width=32)) for _ in step], np.float32)
        spread.add(got, expected)
        differences += list(np.abs(got.astype(np.float64) - expected))
        values += list(np.abs(expected))
    expected = max(differences) / max(values) if max(values) else (math.inf if max(differences) else 0.0)
    assert spread.error() == pytest.approx(expected)
    assert spread.allowed == ENGINES["fp32"]


@given(VALUES, st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(0, 19), st.booleans(), st.booleans())
def test_what_is_not_finite_never_passes(values, wrong, at, half, first):
    expected = np.array(values, np.float32)
    got = expected.astype(np.float16 if half else np.float32)
    got[at % len(got)] = wrong
    spread = check._Spread("fp16")
    for array in (got, expected) if first else (expected, got):
        spread.add(array, expected)
    assert spread.error() == math.inf


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=1))
def test_of_whole_numbers_the_share_that_differs_counts(pairs):
    spread = check._Spread("fp16")
    for got, expected in pairs:
        spread.add(np.array([got], np.int32), np.array([expected], np.int32))
    assert spread.error() == pytest.approx(sum(a != b for a, b in pairs) / len(pairs))
    assert spread.allowed == ENGINES_WHOLE["fp16"]


@given(
    st.sampled_from(["", "ONNX Runtime"]),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.one_of(st.none(), st.floats(0, 10)),
    st.floats(0, 1),
)
def test_the_words_and_the_record_of_any_comparison(by, streams, error, allowed):
    made = FormCheck("plugin", by, 8, tuple(streams), "cache_03 of 1 stream", error, allowed)
    text = check_text(made)
    assert made.passed == (bool(by) and error is not None and error <= allowed)
    assert text.startswith("agrees" if made.passed else "DIFFERS" if by else "NOT compared")
    assert decode(FormCheck, json.loads(json.dumps(encode(made))), "check") == made
