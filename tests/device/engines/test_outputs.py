"""Engines return every output that the manifest declares, whatever its number, name, shape and type."""

import os

import numpy as np
import pytest

from tests.device.engines.onnxruntime.test_cuda import needs_update, on_cpu
from tests.device.fakes.machine import Machine, request
from tests.device.streams import noise
from tsm_edge import load_engine
from tsm_edge.engines import load_manifest
from tsm_edge.engines.tensorrt.build import build
from tsm_edge.errors import InputError
from tsm_edge.manifest import METADATA_KEY, OutputSpec, to_json
from tsm_edge.onnx.digest import with_digest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

OUTPUTS = (
    OutputSpec("best", (), "int32"),
    OutputSpec("logits", (5,), "float32"),
    OutputSpec("boxes", (5, 1), "float32"),
)
KINDS = {"int32": TensorProto.INT32, "float32": TensorProto.FLOAT}


@pytest.fixture(scope="module", params=["tiny_custom", "tiny_offline"])
def model(request, models, tmp_path_factory):
    """An exported model with two outputs more: the best label of each frame, and the logits as a column."""
    source = os.path.join(models, request.param + ".onnx")
    model, path = onnx.load(source), str(tmp_path_factory.mktemp("outputs") / "model.onnx")
    model.graph.node.extend(
        [
            helper.make_node("ArgMax", ["logits"], ["best64"], axis=1, keepdims=0),
            helper.make_node("Cast", ["best64"], ["best"], to=TensorProto.INT32),
            helper.make_node("Unsqueeze", ["logits", "last"], ["boxes"]),
        ]
    )
    model.graph.initializer.append(helper.make_tensor("last", TensorProto.INT64, [1], [2]))
    caches = [value for value in model.graph.output if value.name != "logits"]
    del model.graph.output[:]
    made = [helper.make_tensor_value_info(o.name, KINDS[o.dtype], ("N",) + o.shape) for o in OUTPUTS]
    model.graph.output.extend(made + caches)
    del model.metadata_props[:]
    manifest = load_manifest(source)._replace(outputs=OUTPUTS)
    helper.set_model_props(model, {METADATA_KEY: to_json(manifest)})
    with open(path, "wb") as file:
        file.write(with_digest(model.SerializeToString()))
    return path


def check(engine, reference):
    """All outputs of three streams, or clips, and of two streams in another order, are those that the logits imply."""
    online = engine.manifest.mode == "online"
    frames = noise(engine.manifest.frame, 3, 3) if online else noise(engine.manifest.frame, 3, 4)
    if online:
        state, other = engine.new_state(3), reference.new_state(3)
        pairs = [
            (engine.step(frame[: len(rows)], state, rows), reference.step(frame[: len(rows)], other, rows)["logits"])
            for frame, rows in zip(frames, ([0, 1, 2], [2, 0], [1]))
        ]
    else:
        pairs = [(engine.clip(frames), reference.clip(frames)["logits"])]
    for outputs, logits in pairs:
        assert sorted(outputs) == ["best", "boxes", "logits"]
        assert np.abs(outputs["logits"] - logits).max() <= 1e-4 * np.abs(logits).max()
        assert np.array_equal(outputs["boxes"], outputs["logits"][..., None])
        assert outputs["best"].dtype == np.int32
        assert np.array_equal(outputs["best"], outputs["logits"].argmax(1))


@pytest.fixture
def reference(models, model):
    name = "tiny_custom" if load_manifest(model).mode == "online" else "tiny_offline"
    with load_engine(os.path.join(models, name + ".onnx"), threads=1) as engine:
        yield engine


@pytest.mark.parametrize("threads", [1, 2])
def test_onnxruntime(model, reference, threads):
    with load_engine(model, threads=threads) as engine:
        check(engine, reference)


@needs_update
def test_onnxruntime_with_device_buffers(model, reference):
    with on_cpu(model) as engine:
        check(engine, reference)


@pytest.mark.parametrize("release, cuda", [("8.2", "10.2"), ("10", "12"), ("11", "12")])
def test_tensorrt(monkeypatch, models, tmp_path, model, reference, release, cuda):
    Machine(monkeypatch, models, tmp_path, release, cuda)
    path = str(tmp_path / "model.trt")
    record = build(request(model, path, streams="1:1:4"))
    assert record.manifest.outputs == OUTPUTS
    with load_engine(path) as engine:
        check(engine, reference)


def test_an_output_of_another_shape_than_declared_is_refused(model, tmp_path):
    changed, path = onnx.load(model), str(tmp_path / "model.onnx")
    outputs = (OUTPUTS[0], OUTPUTS[1], OutputSpec("boxes", (1, 5), "float32"))
    del changed.metadata_props[:]
    helper.set_model_props(changed, {METADATA_KEY: to_json(load_manifest(model)._replace(outputs=outputs))})
    with open(path, "wb") as file:
        file.write(with_digest(changed.SerializeToString()))
    with pytest.raises(InputError, match="output boxes"):
        load_engine(path)
