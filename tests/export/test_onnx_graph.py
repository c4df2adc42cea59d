"""The device's rewrites of ONNX files, held against the onnx package: random graphs, checked and run both ways."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, parser

from tsm_edge.errors import InputError
from tsm_edge.onnx import graph as onnx_graph
from tsm_edge.onnx.float16 import in_float16
from tsm_edge_export import functions

OPSETS = [helper.make_opsetid("", functions.OPSET), helper.make_opsetid(functions.DOMAIN, functions.VERSION)]


def outputs(data, feed):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, feed)


@st.composite
def models(draw, batch="N"):
    """(ModelProto, feed): a chain of our ops and standard ones, names that invite collisions, some sizes left open."""
    c, h, w = draw(st.integers(2, 9)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    t = draw(st.integers(1, 3))
    n = t * draw(st.integers(1, 2))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    feed = {"x": random.standard_normal((n, c, h, w), np.float32)}
    stated = draw(st.booleans())
    x_shape = [batch, c, h, w] if stated else [None] * 4
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x_shape)]
    nodes, outs, value = [], [], "x"
    for i in range(draw(st.integers(1, 4))):
        made = draw(st.sampled_from([f"v{i}", f"v0/zero{i}", f"v0/{i}/one", f"step_{i}"]))
        kind = draw(st.sampled_from(["step", "step", "clip", "Neg", "Relu"]))
        if kind == "step":
            fold = draw(st.integers(0, c))
            feed[f"cache{i}"] = random.standard_normal((n, fold, h, w), np.float32)
            shape = [batch, fold, h, w] if draw(st.booleans()) else [None] * 4
            inputs.append(helper.make_tensor_value_info(f"cache{i}", TensorProto.FLOAT, shape))
            kept = draw(st.booleans())  # else nothing reads `next`
            nodes.append(
                helper.make_node(
                    "TemporalShiftStep",
                    [value, f"cache{i}"],
                    [made, f"next{i}"],
                    domain=functions.DOMAIN,
                    name=draw(st.sampled_from(["", f"shift{i}"])),
                )
            )
            outs += [f"next{i}"] if kept else []
        elif kind == "clip":
            both = draw(st.integers(0, 1))
            given_ = {"n_segment": t, "fold": draw(st.integers(0, c // 2)), "bidirectional": both}
            nodes.append(helper.make_node("TemporalShift", [value], [made], domain=functions.DOMAIN, **given_))
        else:
            nodes.append(helper.make_node(kind, [value], [made]))
        value = made
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in [value, *outs]]
    model = helper.make_model(helper.make_graph(nodes, "random", inputs, infos), opset_imports=OPSETS)
    model.ir_version = functions.IR_VERSION
    functions.attach(model)
    onnx.checker.check_model(model)
    return model, feed


@settings(max_examples=80, deadline=None)
@given(models())
def test_expanded_graphs_pass_the_checker_and_compute_the_same_bits(drawn):
    model, feed = drawn
    data = onnx_graph.expanded(model.SerializeToString(), "m")
    rewritten = onnx.load_from_string(data)
    onnx.checker.check_model(rewritten, full_check=True)
    assert not rewritten.functions
    assert {node.domain for node in rewritten.graph.node} <= {""}
    assert [o.domain for o in rewritten.opset_import] == [""]
    for got, expected in zip(outputs(data, feed), outputs(model.SerializeToString(), feed), strict=True):
        assert np.array_equal(got, expected)
    assert data == onnx_graph.expanded(data, "m")


@settings(max_examples=30, deadline=None)
@given(models())
def test_without_functions_is_the_same_message_without_them(drawn):
    model, _ = drawn
    lean = onnx.load_from_string(onnx_graph.without_functions(model.SerializeToString(), "m"))
    onnx.checker.check_model(lean)
    del model.functions[:]
    assert lean == model


@settings(max_examples=30, deadline=None)
@given(models())
def test_a_fixed_batch_computes_the_same_bits(drawn):
    model, feed = drawn
    n = feed["x"].shape[0]
    data = onnx_graph.with_streams(model.SerializeToString(), "m", n)
    for info in onnx.load_from_string(data).graph.input:
        assert [d.dim_value for d in info.type.tensor_type.shape.dim][0] in (n, 0)
    for got, expected in zip(outputs(data, feed), outputs(model.SerializeToString(), feed), strict=True):
        assert np.array_equal(got, expected)


def test_float16_passes_the_checker(exported):
    for data in (exported, onnx_graph.expanded(exported, "m")):
        rewritten = onnx.load_from_string(in_float16(data, "m", ("frame", "logits")))
        onnx.checker.check_model(rewritten, full_check=not rewritten.functions)
        kinds = {i.name: i.type.tensor_type.elem_type for i in [*rewritten.graph.input, *rewritten.graph.output]}
        assert kinds.pop("frame") == kinds.pop("logits") == TensorProto.FLOAT
        assert set(kinds.values()) == {TensorProto.FLOAT16}


@pytest.fixture(scope="module")
def exported(request):
    folder = request.getfixturevalue("models")  # of tests/conftest.py, not the strategy above
    with open(f"{folder}/tiny_custom.onnx", "rb") as file:
        return file.read()


# ---------------------------------------------------------------- bodies that are not ours


def foreign(body, calls, inputs=("x",), result="y", **node):
    """A model with functions of our domain written in ONNX's text form. calls: (op, inputs, outputs)."""
    nodes = [helper.make_node(op, i, o, domain=functions.DOMAIN, **node) for op, i, o in calls]
    infos = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None]) for name in side]
        for side in (inputs, [result])
    ]
    model = helper.make_model(helper.make_graph(nodes, "g", *infos), opset_imports=OPSETS)
    model.ir_version = functions.IR_VERSION
    model.functions.extend(parser.parse_function(text) for text in body)
    return model


HEAD = '<domain: "tsm_edge", opset_import: ["" : 13, "tsm_edge" : 1]>\n'
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def same(model, feed):
    data = model.SerializeToString()
    rewritten = onnx_graph.expanded(data, "m")
    onnx.checker.check_model(onnx.load_from_string(rewritten), full_check=True)
    for got, expected in zip(outputs(rewritten, feed), outputs(data, feed), strict=True):
        assert np.array_equal(got, expected)


def test_functions_that_call_functions():
    inner = HEAD + "Inner (a) => (b) { c = Neg (a)\n b = Relu (c) }"
    outer = HEAD + "Outer (a) => (b) { c = tsm_edge.Inner (a)\n b = tsm_edge.Inner (c) }"
    same(foreign([inner, outer], [("Outer", ["x"], ["y"])]), {"x": X - 3})


def test_an_input_that_is_handed_through():
    body = HEAD + "Both (a) => (b, a) { b = Neg (a) }"
    data = onnx_graph.expanded(foreign([body], [("Both", ["x"], ["z", "y"])]).SerializeToString(), "m")
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    assert np.array_equal(outputs(data, {"x": X})[0], X)  # ONNX Runtime loads no such function by itself


def test_an_attribute_that_the_call_leaves_out_is_left_out():
    body = HEAD + "Soft <axis> (a) => (b) { b = Softmax <axis: int = @axis> (a) }"
    same(foreign([body], [("Soft", ["x"], ["y"])], axis=0), {"x": X})
    text = onnx_graph.expanded(foreign([body], [("Soft", ["x"], ["y"])]).SerializeToString(), "m")
    assert not onnx.load_from_string(text).graph.node[0].attribute


def test_a_default_of_an_attribute():
    body = HEAD + "Soft <axis: int = 0> (a) => (b) { b = Softmax <axis: int = @axis> (a) }"
    for given_ in ({}, {"axis": 1}):
        same(foreign([body], [("Soft", ["x"], ["y"])], **given_), {"x": X})


def test_names_that_are_taken():
    body = HEAD + "Twice (a) => (b) { c = Neg (a)\n b = Add (c, c) }"
    same(foreign([body], [("Twice", ["x"], ["y/c"]), ("Twice", ["y/c"], ["y"])]), {"x": X})


@pytest.mark.parametrize(
    "body, calls, message",
    [
        (["Loop (a) => (b) { b = tsm_edge.Loop (a) }"], [("Loop", ["x"], ["y"])], "without end"),
        (["F (a) => (b) { b = Neg (c) }"], [("F", ["x"], ["y"])], "reads c"),
        (["F (a) => (b) { c = Neg (a) }"], [("F", ["x"], ["y"])], "makes no b"),
        (["F (a) => (b) { b = Neg (a)\n b = Relu (a) }"], [("F", ["x"], ["y"])], "made twice"),
        (["F (a) => (b) { b = Neg (a) }"], [("F", ["x", "x"], ["y"])], "more inputs"),
    ],
)
def test_bodies_that_cannot_be_expanded_are_refused(body, calls, message):
    model = foreign([HEAD + text for text in body], calls)
    with pytest.raises(InputError, match=message):
        onnx_graph.expanded(model.SerializeToString(), "m")


def test_another_opset_than_the_bodys_is_refused():
    body = HEAD + "F (a) => (b) { b = Neg (a) }"
    model = foreign([body], [("F", ["x"], ["y"])])
    model.opset_import[0].version = 17
    with pytest.raises(InputError, match="opset 13 .*, the model of 17"):
        onnx_graph.expanded(model.SerializeToString(), "m")


def test_a_call_inside_of_a_branch_is_refused():
    model = foreign([HEAD + "F (a) => (b) { b = Neg (a) }"], [("F", ["x"], ["z"])])
    branch = helper.make_graph(
        [helper.make_node("F", ["z"], ["r"], domain=functions.DOMAIN)],
        "branch",
        [],
        [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)],
    )
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))
    with pytest.raises(InputError, match="If: a graph inside"):
        onnx_graph.expanded(model.SerializeToString(), "m")


def test_what_a_branch_reads_from_outside_is_kept():
    model = foreign([HEAD + "F (a) => (b) { b = Neg (a) }"], [("F", ["x"], ["z"])])
    branch = helper.make_graph(
        [helper.make_node("Relu", ["z"], ["r"])],
        "branch",
        [],
        [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)],
    )
    model.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    model.graph.node.append(helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch))
    same(model, {"x": X - 3, "c": np.array(True)})
