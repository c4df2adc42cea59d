"""Rewrites of ONNX files without an onnx package, on both Pythons: what the rewritten files compute, and damage."""

import contextlib
import os

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.onnx.test_metadata import varint
from tests.device.streams import noise
from tests.tolerances import allowed
from tsm_edge.engines import load_manifest
from tsm_edge.errors import InputError
from tsm_edge.onnx import graph as onnx_graph
from tsm_edge.onnx.float16 import in_float16
from tsm_edge.onnx.node import GRAPH, INITIALIZER, NODE, Node
from tsm_edge.onnx.protobuf import fields, number, packet

OURS = ("tsm_edge", "TemporalShiftStep")


@pytest.fixture
def custom(models):
    return read(models, "tiny_custom")


def read(models, name):
    with open(os.path.join(models, name + ".onnx"), "rb") as file:
        return file.read()


def session(data):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def stream(data, models, streams=2, count=9):
    """All outputs of `count` steps, caches handed on, as one list of arrays."""
    manifest, run = load_manifest(os.path.join(models, "tiny_custom.onnx")), session(data)
    kinds = {node.name: {"tensor(float)": "f4", "tensor(float16)": "f2"}[node.type] for node in run.get_inputs()}
    caches = {c.input: np.zeros((streams,) + c.shape, kinds[c.input]) for c in manifest.caches}
    out = []
    for frame in noise(manifest.frame, count, streams):
        made = run.run(None, dict(caches, frame=frame))
        caches = dict(zip(caches, made[1:]))
        out += made
    return out


def test_expanded_equals_the_exporters_own_standard_lowering_to_the_bit(custom, models):
    got = stream(onnx_graph.expanded(custom, "m"), models)
    expected = stream(read(models, "tiny_standard"), models)
    assert len(got) == len(expected) == 9 * 11
    assert all(np.array_equal(a, b) for a, b in zip(got, expected))


def test_expanded_offline_equals_the_function_bodies(models):
    data = read(models, "tiny_offline")
    frame = load_manifest(os.path.join(models, "tiny_offline.onnx")).frame
    clips = np.ascontiguousarray(noise(frame, 4, 2).swapaxes(0, 1))
    got, expected = (session(d).run(None, {"frames": clips})[0] for d in (onnx_graph.expanded(data, "m"), data))
    assert np.array_equal(got, expected)


def test_expanded_holds_standard_operations_with_constant_bounds(custom):
    found = onnx_graph.operations(onnx_graph.expanded(custom, "m"), "m")
    assert OURS in onnx_graph.operations(custom, "m")
    assert {domain for domain, _ in found} == {""}
    assert {"Slice", "Concat"} < {op for _, op in found}
    assert "Shape" not in {op for _, op in found}


def test_without_functions_leaves_the_nodes_and_every_other_byte(custom):
    lean = onnx_graph.without_functions(custom, "m")
    assert OURS in onnx_graph.operations(lean, "m")
    assert [f.raw for f in fields(lean)] == [f.raw for f in fields(custom) if f.number != 25]
    assert len(custom) - len(lean) > 300


def test_weights_and_metadata_are_the_same_bytes(custom):
    def kept(data):
        model = list(fields(data))
        graph = next(f for f in model if f.number == GRAPH)
        return [bytes(f.raw) for f in model if f.number == 14], [
            bytes(f.raw) for f in graph.fields() if f.number == INITIALIZER
        ]

    metadata, weights = kept(custom)
    assert len(metadata) == 2  # the manifest and the checksum
    assert len(weights) > 50
    for data in (onnx_graph.expanded(custom, "m"), onnx_graph.with_streams(custom, "m", 2)):
        assert kept(data) == (metadata, weights)


def test_a_model_without_our_ops_stays_as_it_is(models):
    data = read(models, "tiny_standard")
    assert onnx_graph.expanded(data, "m") == data
    assert onnx_graph.without_functions(data, "m") == data


@pytest.mark.parametrize("streams", [1, 3])
def test_a_fixed_batch_of_streams(custom, models, streams):
    data = onnx_graph.with_streams(onnx_graph.expanded(custom, "m"), "m", streams)
    run = session(data)
    assert {node.shape[0] for node in run.get_inputs() + run.get_outputs()} == {streams}
    got, expected = stream(data, models, streams, 3), stream(custom, models, streams, 3)
    assert all(np.abs(a - b).max() <= allowed(b) for a, b in zip(got, expected))
    assert onnx_graph.with_streams(data, "m", 7) == data  # it has a size


def test_float16_streams_like_float32(custom, models):
    expected = stream(custom, models)
    for data in (custom, onnx_graph.expanded(custom, "m")):
        got = stream(in_float16(data, "m", ("frame", "logits")), models)
        assert {a.dtype.name for a in got} == {"float16", "float32"}
        for position, (a, b) in enumerate(zip(got, expected)):
            assert a.dtype == (np.float32 if position % 11 == 0 else np.float16)
            assert np.abs(a.astype(np.float32) - b).max() <= allowed(b, "float16")


def test_float16_refuses_what_it_cannot_hold(custom):
    def with_(field):
        return b"".join(
            packet(GRAPH, bytes(f.value) + field) if f.number == GRAPH else bytes(f.raw) for f in fields(custom)
        )

    large = np.array([7e4], "<f4").tobytes()
    for raw in (packet(9, large), packet(4, large), fixed32(4, large)):
        tensor = packet(INITIALIZER, number(1, 1) + number(2, 1) + packet(8, "too large") + raw)
        with pytest.raises(InputError, match="too large: values up to 70000; float16 ends at 65504"):
            in_float16(with_(tensor), "m", ("frame", "logits"))
    node = packet(NODE, packet(1, "logits") + packet(2, "more") + packet(4, "Softplus"))
    with pytest.raises(InputError, match="Softplus is not known"):
        in_float16(with_(node), "m", ("frame", "logits"))
    with pytest.raises(InputError, match="no image"):
        in_float16(custom, "m", ("image", "logits"))


# ---------------------------------------------------------------- damage


def raw(f):
    return bytes(f.raw)


REWRITES = [
    onnx_graph.expanded,
    onnx_graph.without_functions,
    lambda data, where: onnx_graph.with_streams(data, where, 2),
    lambda data, where: in_float16(data, where, ("frame", "logits")),
]


@pytest.mark.parametrize("rewrite", REWRITES)
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.9999])
def test_a_truncated_file_is_refused(custom, rewrite, share):
    with pytest.raises(InputError, match="model.onnx"):
        rewrite(custom[: int(share * len(custom))], "model.onnx")


@pytest.fixture(scope="module")
def small(models):
    """The tiny model without weights and with few nodes beside ours: a file that is all structure."""

    def graph(f):
        parts = [g for g in f.fields() if g.number != INITIALIZER]
        nodes = [g for g in parts if g.number == NODE]
        kept = nodes[40:44] + [n for n in nodes if Node(n.value).op == OURS][:3]
        return b"".join(raw(g) for g in parts if g.number != NODE or g in kept)

    data = read(models, "tiny_custom")
    return b"".join(packet(GRAPH, graph(f)) if f.number == GRAPH else raw(f) for f in fields(data) if f.number != 14)


@pytest.mark.parametrize("rewrite", REWRITES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_wrong_bytes_are_refused_or_harmless(small, rewrite, data):
    """Whatever a byte becomes, the answer is a file of whole fields or an InputError, never another exception."""
    damaged = bytearray(small)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(small) - 1))] = data.draw(st.integers(0, 255))
    try:
        made = rewrite(bytes(damaged), "m")
    except InputError:
        return
    assert b"".join(bytes(f.raw) for f in fields(made)) == made


@pytest.mark.parametrize("rewrite", REWRITES)
@settings(max_examples=60, deadline=None)
@given(junk=st.binary(max_size=80))
def test_random_bytes(rewrite, junk):
    with contextlib.suppress(InputError):
        rewrite(junk, "m")


def fixed32(n, payload):
    return varint(n << 3 | 5) + payload


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_unknown_fields_keep_their_bytes_and_places(small, data):
    """Fields of numbers that no ONNX release has, in the model, in its graph and in nodes."""
    numbers = st.integers(200, 3000)
    unknown = st.one_of(
        st.builds(number, numbers, st.integers(0, 2**63)),
        st.builds(packet, numbers, st.binary(max_size=40)),
        st.builds(fixed32, numbers, st.binary(min_size=4, max_size=4)),
    )

    places, passed = data.draw(st.dictionaries(st.integers(1, 50), unknown, min_size=1, max_size=8)), []

    def salted(parts, change):
        out = []
        for f in parts:
            passed.append(f)
            out += [places.get(len(passed), b""), change(f)]
        return b"".join(out)

    def inside(f):
        return packet(NODE, salted(f.fields(), raw)) if f.number == NODE else bytes(f.raw)

    def graph(f):
        return packet(GRAPH, salted(f.fields(), inside)) if f.number == GRAPH else bytes(f.raw)

    made = salted(fields(small), graph)
    assert made != small
    assert onnx_graph.without_functions(made, "m") == b"".join(bytes(f.raw) for f in fields(made) if f.number != 25)
    whole = list(fields(onnx_graph.expanded(made, "m")))
    before = [bytes(f.raw) for f in fields(made) if f.number not in (GRAPH, 8, 25)]
    assert [bytes(f.raw) for f in whole if f.number not in (GRAPH, 8)] == before
    inner = [bytes(f.raw) for w in whole if w.number == GRAPH for f in w.fields()]
    position = 0
    for f in (f for m in fields(made) if m.number == GRAPH for f in m.fields()):
        if f.number != NODE or Node(f.value).op != OURS:
            position = inner.index(bytes(f.raw), position) + 1  # in the same order, among what the bodies gave
