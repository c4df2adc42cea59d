"""An ONNX file in float32 as one in float16, for builders that take types from the file alone (TensorRT 11).

Weights, constants and caches become float16; `frame` and `logits` stay float32, with one Cast each. TensorRT 8 to 10
are given the float32 file and told that they may compute in float16 (`trt_compat`).
"""

import numpy as np

from tsm_edge.errors import InputError
from tsm_edge.onnx.node import (
    ATTRIBUTE_TENSOR,
    DATA_TYPE,
    FLOAT,
    FLOAT16,
    FLOAT_DATA,
    GRAPH,
    GRAPH_INPUT,
    GRAPH_OUTPUT,
    INITIALIZER,
    INPUT,
    NODE,
    OP_TYPE,
    OUTPUT,
    RAW_DATA,
    TENSOR_NAME,
    VALUE_INFO,
    VALUE_NAME,
    VALUE_TYPE,
    Node,
)
from tsm_edge.onnx.protobuf import BYTES, FIXED32, fields, number, packet

# What our exports hold: every input that is float32 may be float16, and what comes out has the type of what went in.
OPERATIONS = frozenset(
    ["Add", "AveragePool", "Clip", "Concat", "Constant", "Conv", "Flatten", "Gemm", "GlobalAveragePool", "Identity"]
    + ["MatMul", "MaxPool", "Mul", "Pad", "ReduceMean", "Relu", "Reshape", "Shape", "Slice", "Squeeze", "Sub"]
    + ["TemporalShift", "TemporalShiftStep", "Transpose", "Unsqueeze"]
)


def in_float16(data, where, kept):
    """The model with float16 in place of float32. data: a whole file's bytes; where: its name for messages.

    kept: names of inputs and outputs that stay float32 (frame, logits).
    Raises InputError for a damaged file, for an operation that is not known to compute in float16, and for a weight
    that float16 cannot hold.
    """
    try:
        model = list(fields(data))
        return b"".join(_graph(f, kept) if f.number == GRAPH else f.raw for f in model)
    except ValueError as error:
        raise InputError(where, str(error), "a model that can be had in float16", "build it without --fp16") from error


def _graph(graph, kept):
    parts = graph.fields()
    inputs = [_name(f) for f in parts if f.number == GRAPH_INPUT and _name(f) in kept]
    outputs = [_name(f) for f in parts if f.number == GRAPH_OUTPUT and _name(f) in kept]
    renamed = {name: name + "/float16" for name in inputs + outputs}
    taken = {name for f in parts if f.number == NODE for name in Node(f.value).reads() + Node(f.value).outputs}
    missing = sorted(set(kept) - set(renamed))
    if missing or taken & set(renamed.values()):
        raise ValueError("no {}, or names that are taken".format(", ".join(missing)))
    out = [_cast(name, renamed[name], FLOAT16) for name in inputs]
    for field in parts:
        if field.number == NODE:
            out.append(_node(Node(field.value), renamed))
        elif field.number == INITIALIZER:
            out.append(packet(INITIALIZER, _tensor(field)))
        elif field.number in (GRAPH_INPUT, GRAPH_OUTPUT, VALUE_INFO) and _name(field) not in kept:
            out.append(packet(field.number, _info(field)))
        else:
            out.append(field.raw)
    return packet(GRAPH, b"".join(out + [_cast(renamed[name], name, FLOAT) for name in outputs]))


def _node(node, renamed):
    if node.op_type not in OPERATIONS:
        raise ValueError("{} is not known to compute in float16".format(node.op_type))
    node.inputs = [renamed.get(name, name) for name in node.inputs]
    node.outputs = [renamed.get(name, name) for name in node.outputs]
    for name, attribute in list(node.attributes.items()):
        parts = attribute.fields()
        if any(f.number == ATTRIBUTE_TENSOR for f in parts):
            payload = b"".join(
                packet(ATTRIBUTE_TENSOR, _tensor(f)) if f.number == ATTRIBUTE_TENSOR else f.raw for f in parts
            )
            node.attributes[name] = next(fields(packet(attribute.number, payload)))
    return node.encode()


def _cast(source, target, kind):
    attribute = packet(1, "to") + number(3, kind) + number(20, 2)  # its type: INT
    node = packet(INPUT, source) + packet(OUTPUT, target) + packet(OP_TYPE, "Cast") + packet(5, attribute)
    return packet(NODE, node)


def _tensor(field):
    """A TensorProto's bytes, float16 where it was float32."""
    parts = field.fields()
    if not any(f.number == DATA_TYPE and f.value == FLOAT for f in parts):
        return field.value
    raw = b"".join(bytes(f.value) for f in parts if f.number == RAW_DATA)
    raw = raw or b"".join(bytes(f.value) for f in parts if f.number == FLOAT_DATA and f.wire in (BYTES, FIXED32))
    values = np.frombuffer(raw, "<f4")
    with np.errstate(over="ignore"):
        halves = values.astype("<f2")
    if np.isfinite(values).all() and not np.isfinite(halves).all():
        name = next((f.text() for f in parts if f.number == TENSOR_NAME), "a constant")
        raise ValueError("{}: values up to {:g}; float16 ends at 65504".format(name, np.abs(values).max()))
    changed = (DATA_TYPE, RAW_DATA, FLOAT_DATA)
    kept = [f.raw for f in parts if f.number not in changed]
    return b"".join(kept + [number(DATA_TYPE, FLOAT16), packet(RAW_DATA, halves.tobytes())])


def _info(field):
    """A ValueInfoProto's bytes, its element type float16 where it was float32."""
    return b"".join(packet(VALUE_TYPE, _type(f)) if f.number == VALUE_TYPE else f.raw for f in field.fields())


def _type(field):
    """TypeProto { tensor_type (1): { elem_type (1) } }"""
    return b"".join(
        packet(1, b"".join(number(1, FLOAT16) if (e.number, e.value) == (1, FLOAT) else e.raw for e in f.fields()))
        if f.number == 1
        else f.raw
        for f in field.fields()
    )


def _name(info):
    return next((f.text() for f in info.fields() if f.number == VALUE_NAME), "")
