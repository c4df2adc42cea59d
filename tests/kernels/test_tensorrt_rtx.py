"""TensorRT's own parser and builder take our graphs: both lowerings, parsed and built into an engine without a GPU.

tensorrt-rtx is of the TensorRT family and has no plugin layers, so this shows that the function body which travels with
our ops is what TensorRT expands them to. `make kernels-check` fetches it and sets TSM_EDGE_KERNELS_CHECK; without that
these tests skip.
"""

import os
import sys

import onnx
import pytest
from onnx import TensorProto, helper

from tsm_edge_export import functions, models, recipe
from tsm_edge_export.exporter import load_network
from tsm_edge_export.onnx_export import to_onnx

CHECK = os.environ.get("TSM_EDGE_KERNELS_CHECK")
pytestmark = pytest.mark.skipif(not CHECK, reason="needs what `make kernels-check` fetches")


@pytest.fixture(scope="module")
def trt():
    sys.path.insert(0, os.path.join(CHECK, "rtx"))
    import tensorrt_rtx_bindings

    return tensorrt_rtx_bindings


def build(trt, data, batch=1):
    """Parse an ONNX file's bytes and build an engine for SM86. Returns (types of the layers, bytes of the engine)."""

    class Log(trt.ILogger):
        def __init__(self):
            trt.ILogger.__init__(self)
            self.errors = []

        def log(self, severity, message):
            if severity <= trt.ILogger.Severity.ERROR:
                self.errors.append(message)

    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    assert parser.parse(data), [parser.get_error(i).desc() for i in range(parser.num_errors)] + log.errors
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = [batch if length < 0 else length for length in tensor.shape]
        profile.set_shape(tensor.name, shape, shape, shape)
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    assert engine is not None, log.errors
    return [network.get_layer(i).type for i in range(network.num_layers)], engine.nbytes


def model_of(node, inputs, outputs):
    """A model of one of our nodes and its function body."""
    infos = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in side] for side in (inputs, outputs)]
    opsets = [helper.make_opsetid("", functions.OPSET), helper.make_opsetid(functions.DOMAIN, functions.VERSION)]
    model = helper.make_model(helper.make_graph([node], "one", *infos), opset_imports=opsets)
    model.ir_version = functions.IR_VERSION
    functions.attach(model)
    onnx.checker.check_model(model)
    return model


def test_step_by_its_body(trt):
    node = helper.make_node("TemporalShiftStep", ["x", "cache"], ["y", "next"], domain=functions.DOMAIN)
    x, cache = ["N", 24, 7, 7], ["N", 3, 7, 7]
    model = model_of(node, [("x", x), ("cache", cache)], [("y", x), ("next", cache)])
    layers, size = build(trt, model.SerializeToString(), batch=2)
    assert size > 0 and layers.count(trt.LayerType.CONCATENATION) == 1


@pytest.mark.parametrize("bidirectional", [0, 1])
def test_clip_by_its_body(trt, bidirectional):
    attributes = {"n_segment": 8, "fold": 3, "bidirectional": bidirectional, "domain": functions.DOMAIN}
    node = helper.make_node("TemporalShift", ["x"], ["y"], **attributes)
    model = model_of(node, [("x", [16, 24, 7, 7])], [("y", [16, 24, 7, 7])])
    assert build(trt, model.SerializeToString())[1] > 0


def test_node_without_a_body_is_refused(trt):
    """The proof that the tests above can fail, and why a model always carries the bodies."""
    node = helper.make_node("TemporalShiftStep", ["x", "cache"], ["y", "next"], domain=functions.DOMAIN)
    x, cache = [1, 24, 7, 7], [1, 3, 7, 7]
    model = model_of(node, [("x", x), ("cache", cache)], [("y", x), ("next", cache)])
    del model.functions[:]
    with pytest.raises(AssertionError, match="TemporalShiftStep|plugin|Plugin"):
        build(trt, model.SerializeToString())


@pytest.mark.parametrize("lowering", ["custom", "standard"])
def test_exported_network(trt, lowering):
    spec = recipe.load("mobilenetv2_tsm")
    network, weights, labels = load_network(spec, None, "online")
    spec = spec._replace(labels=labels)
    manifest = recipe.manifest_of(spec, "online", lowering, network, weights, "mobilenetv2_tsm")
    model = to_onnx(models.fuse(network), manifest)
    ours = sum(node.domain == functions.DOMAIN for node in model.graph.node)
    assert ours == (10 if lowering == "custom" else 0)
    layers, size = build(trt, model.SerializeToString())
    assert layers.count(trt.LayerType.CONVOLUTION) == 52 and layers.count(trt.LayerType.CONCATENATION) == 10
    assert size > 2 * 2**20
