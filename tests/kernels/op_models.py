"""Small ONNX models of the two ops, with inputs and the outputs of tsm_edge/shift.py.

python -m tests.kernels.op_models FOLDER      writes NAME.onnx and NAME.npz there, for tests/kernels/op_runner.py
"""

import os
import sys

import numpy as np
import onnx
from onnx import helper

from tsm_edge.shift import shift_clip, shift_step

DOMAIN = "tsm_edge"
TYPES = {"float32": onnx.TensorProto.FLOAT, "float16": onnx.TensorProto.FLOAT16, "float64": onnx.TensorProto.DOUBLE}
OPEN = ("n", "c", "h", "w")


def model(nodes, inputs, outputs, functions=()):
    """Return a ModelProto with opset 13 and IR 8, as exports have. inputs, outputs: [(name, dtype name, shape)]."""
    infos = [
        [helper.make_tensor_value_info(name, TYPES[t], shape) for name, t, shape in side] for side in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "op", *infos)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions)


def step_model(dtype="float32", x=OPEN, cache=("n", "f", "h", "w")):
    node = helper.make_node("TemporalShiftStep", ["x", "cache"], ["y", "next"], domain=DOMAIN)
    return model([node], [("x", dtype, x), ("cache", dtype, cache)], [("y", dtype, x), ("next", dtype, cache)])


def clip_model(dtype="float32", x=OPEN, **attributes):
    node = helper.make_node("TemporalShift", ["x"], ["y"], domain=DOMAIN, **attributes)
    return model([node], [("x", dtype, x)], [("y", dtype, x)])


def residual_model(dtype="float32"):
    """Return a residual block: the residual reads x too, so the op must not write into x."""
    nodes = [
        helper.make_node("Neg", ["frame"], ["x"]),
        helper.make_node("TemporalShiftStep", ["x", "cache"], ["shifted", "next"], domain=DOMAIN),
        helper.make_node("Neg", ["shifted"], ["branch"]),
        helper.make_node("Add", ["x", "branch"], ["y"]),
    ]
    caches = ("n", "f", "h", "w")
    return model(
        nodes, [("frame", dtype, OPEN), ("cache", dtype, caches)], [("y", dtype, OPEN), ("next", dtype, caches)]
    )


def chain_model(dtype="float32", **attributes):
    """Return a chain of ops. Nothing else reads their inputs, so a runtime may let them work in place."""
    nodes = [
        helper.make_node("Neg", ["x"], ["a"]),
        helper.make_node("TemporalShift", ["a"], ["b"], domain=DOMAIN, **attributes),
        helper.make_node("TemporalShift", ["b"], ["c"], domain=DOMAIN, **attributes),
        helper.make_node("TemporalShiftStep", ["c", "cache"], ["d", "next"], domain=DOMAIN),
        helper.make_node("Neg", ["d"], ["y"]),
    ]
    caches = ("n", "f", "h", "w")
    return model(nodes, [("x", dtype, OPEN), ("cache", dtype, caches)], [("y", dtype, OPEN), ("next", dtype, caches)])


def cases(dtype):
    """Yield (name, ModelProto, {name: input array}, {name: output array})."""
    random = np.random.RandomState(0)
    for fold in (0, 3, 13):
        x, cache = random.randn(8, 13, 3, 5).astype(dtype), random.randn(8, fold, 3, 5).astype(dtype)
        y, following = shift_step(x, cache)
        yield "step_fold{}".format(fold), step_model(dtype), {"x": x, "cache": cache}, {"y": y, "next": following}
    for both_ways in (0, 1):
        attributes = {"n_segment": 4, "fold": 3, "bidirectional": both_ways}
        y = shift_clip(x, 4, 3, both_ways)
        yield "clip_{}".format(both_ways), clip_model(dtype, **attributes), {"x": x}, {"y": y}
        cache = random.randn(8, 2, 3, 5).astype(dtype)
        y, following = shift_step(shift_clip(shift_clip(-x, 4, 3, both_ways), 4, 3, both_ways), cache)
        model_ = chain_model(dtype, **attributes)
        yield "chain_{}".format(both_ways), model_, {"x": x, "cache": cache}, {"y": -y, "next": following}
    y, following = shift_step(-x, cache)
    yield "residual", residual_model(dtype), {"frame": x, "cache": cache}, {"y": -x - y, "next": following}


def write(folder, dtypes):
    os.makedirs(folder, exist_ok=True)
    for dtype in dtypes:
        for name, model_, inputs, outputs in cases(dtype):
            path = os.path.join(folder, "{}_{}".format(name, dtype))
            onnx.save(model_, path + ".onnx")
            arrays = {"in_" + k: v for k, v in inputs.items()}
            arrays.update({"out_" + k: v for k, v in outputs.items()})
            np.savez(path + ".npz", **arrays)


if __name__ == "__main__":
    write(sys.argv[1], ("float32", "float16"))
