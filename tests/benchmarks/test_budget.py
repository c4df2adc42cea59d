"""benchmarks/budget.py: by hand on a small graph, against the paper on the real one, and as the page shows it."""

import os
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.conftest import ROOT

sys.path.insert(0, os.path.join(ROOT, "benchmarks"))
import budget  # noqa: E402
import common  # noqa: E402

PAGE = Path(ROOT, "devices", "jetson_nano", "README.md")


def graph(nodes, weights, inputs, outputs):
    def values(shapes):
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    tensors = [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in weights.items()]
    made = helper.make_graph(nodes, "g", values(inputs), values(outputs), tensors)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)])


def test_by_hand():
    nodes = [
        helper.make_node("Identity", ["b0"], ["b"]),
        helper.make_node("Conv", ["x", "w", "b"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("Conv", ["z", "d"], ["v"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=4),
        helper.make_node("Add", ["v", "z"], ["s"]),
        helper.make_node("Conv", ["s", "p"], ["out"], kernel_shape=[1, 1]),
    ]
    weights = {"w": (4, 3, 3, 3), "b0": (4,), "d": (4, 1, 3, 3), "p": (2, 4, 1, 1)}
    found = budget.layers(graph(nodes, weights, {"x": ["N", 3, 5, 5]}, {"out": ["N", 2, 5, 5]}))
    assert found == [
        budget.Layer("other convolution", 100 * (2 * 27 + 1), 108 + 4, 75 + 100),
        budget.Layer("depthwise convolution", 100 * 2 * 9, 36, 100 + 100),
        budget.Layer("addition", 100, 0, 100),
        budget.Layer("1x1 convolution", 50 * 2 * 4, 8, 100 + 50),
    ]


def test_an_operator_without_a_rule_is_refused():
    node = helper.make_node("Tanh", ["x"], ["out"])
    with pytest.raises(ValueError, match="no rule for the operator :Tanh"):
        budget.layers(graph([node], {}, {"x": ["N", 3]}, {"out": ["N", 3]}))


def test_floors():
    layer = budget.Layer("1x1 convolution", int(472e6), int(12.8e6), 0)  # 1 ms of operations, 1 ms of bytes in fp16
    assert budget.floor_ms([layer], "fp16") == pytest.approx((1, 1, 1))
    assert budget.floor_ms([layer], "fp32") == pytest.approx((2, 2, 2))
    compute, memory = layer._replace(weights=0), layer._replace(operations=0)
    assert budget.floor_ms([compute, memory], "fp16") == pytest.approx((1, 1, 2))  # one after the other


@pytest.fixture
def network(models):
    return budget.layers(onnx.load(os.path.join(models, "mobilenetv2_tsm.onnx")))


def test_the_network(network):
    """MobileNetV2 1.0 (its paper, table 4): 300 M multiply-adds, 3.4 M parameters, 1.281 M of them for 1000 classes."""
    assert sum(layer.operations for layer in network) / 2 == pytest.approx(300e6, rel=0.02)
    body = [layer for layer in network if layer.kind != "head"]
    assert sum(layer.weights for layer in body) == pytest.approx(3.4e6 - 1.281e6, rel=0.05)
    assert sum(layer.kind == "shift" for layer in network) == 10


def test_the_page_says_what_is_computed(network):
    page = PAGE.read_text(encoding="utf-8")
    assert common.read_between(PAGE, budget.BEGIN) == budget.tables(network)
    floor = budget.floor_ms(network, "fp16")[2]
    assert re.search(rf"\| infer \|.*\b{floor:.1f} ms \(computed", page)
