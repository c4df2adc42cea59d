"""The function bodies that travel in a model file, against the NumPy reference."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from tsm_edge import shift
from tsm_edge_export import functions

OPSETS = [helper.make_opsetid("", functions.OPSET), helper.make_opsetid(functions.DOMAIN, functions.VERSION)]


def model(op, inputs, outputs, **attributes):
    """A checked file of one node of ours and its body. Every size is dynamic, as in no other model."""
    names = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in group]
        for group in (inputs, outputs)
    ]
    node = helper.make_node(op, inputs, outputs, domain=functions.DOMAIN, **attributes)
    made = helper.make_model(helper.make_graph([node], "one", *names), opset_imports=OPSETS)
    made.ir_version = functions.IR_VERSION
    functions.attach(made)
    onnx.checker.check_model(made)
    return made


def by_onnxruntime(made, feed):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feed)


def by_reference(made, feed):
    return ReferenceEvaluator(made).run(None, feed)


RUNNERS = [by_onnxruntime, by_reference]
sizes = st.integers(1, 7)


def numbers(shape, seed):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


@pytest.mark.parametrize("run", RUNNERS)
@settings(max_examples=25, deadline=None)
@given(data=st.data(), n=st.integers(1, 3), c=st.integers(1, 19), h=sizes, w=sizes, seed=st.integers(0, 99))
def test_step(run, data, n, c, h, w, seed):
    fold = data.draw(st.integers(0, c), "fold")  # none and all of the channels too
    x, cache = numbers((n, c, h, w), seed), numbers((n, fold, h, w), seed + 1)
    y, following = run(model("TemporalShiftStep", ["x", "cache"], ["y", "next"]), {"x": x, "cache": cache})
    expected = shift.shift_step(x, cache)
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(following, expected[1])


@pytest.mark.parametrize("run", RUNNERS)
@settings(max_examples=25, deadline=None)
@given(
    data=st.data(),
    n=st.integers(1, 3),
    t=st.integers(1, 9),
    c=st.integers(1, 19),
    h=sizes,
    w=sizes,
    both=st.booleans(),
    seed=st.integers(0, 99),
)
def test_clip(run, data, n, t, c, h, w, both, seed):
    fold = data.draw(st.integers(0, c // 2 if both else c), "fold")
    x = numbers((n * t, c, h, w), seed)
    made = model("TemporalShift", ["x"], ["y"], n_segment=t, fold=fold, bidirectional=int(both))
    np.testing.assert_array_equal(run(made, {"x": x})[0], shift.shift_clip(x, t, fold, both))


def test_a_chain_of_steps_is_the_causal_clip():
    x, cache = numbers((6, 10, 3, 5), 0), np.zeros((1, 4, 3, 5), np.float32)
    step = model("TemporalShiftStep", ["x", "cache"], ["y", "next"])
    frames = []
    for t in range(6):
        y, cache = by_onnxruntime(step, {"x": x[t : t + 1], "cache": cache})
        frames.append(y)
    clip = model("TemporalShift", ["x"], ["y"], n_segment=6, fold=4, bidirectional=0)
    np.testing.assert_array_equal(np.concatenate(frames), by_onnxruntime(clip, {"x": x})[0])


@pytest.mark.parametrize("name", functions.FUNCTIONS)
def test_the_body_is_plain_opset_13(name):
    body = functions.function(name)
    assert (body.domain, body.name) == (functions.DOMAIN, name)
    assert [(o.domain, o.version) for o in body.opset_import] == [("", 13)]
    assert not any(node.domain for node in body.node)


def test_attach_replaces_what_is_there_and_adds_only_what_is_used():
    made = model("TemporalShiftStep", ["x", "cache"], ["y", "next"])
    functions.attach(made)
    assert [f.name for f in made.functions] == ["TemporalShiftStep"]
    made.graph.node[0].domain = ""
    functions.attach(made)
    assert not made.functions
