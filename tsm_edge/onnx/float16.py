"""Convert an ONNX file from float32 to float16, for builders that take types from the file alone (TensorRT 11).

Weights, constants and caches become float16. `frame` and `logits` stay float32, with one Cast each.
"""

from typing import Any, Collection, Dict

import numpy as np

from tsm_edge.onnx import node as proto
from tsm_edge.onnx.protobuf import Bytes, Change, Field, fields, number, packet, rewritten

# The operations of our exports: each takes float16 for every float32 input, and its output then is float16 too.
OPERATIONS = frozenset(
    ["Add", "AveragePool", "Clip", "Concat", "Constant", "Conv", "ConvTranspose", "Flatten", "Gemm"]
    + ["GlobalAveragePool", "Identity", "MatMul", "MaxPool", "Mul", "Pad", "ReduceMean", "Relu", "Reshape", "Shape"]
    + ["Sigmoid", "Slice", "Squeeze", "Sub"]
    + ["TemporalShift", "TemporalShiftStep", "Transpose", "Unsqueeze"]
)


def in_float16(data: Bytes, where: Any, kept: Collection[str]) -> bytes:
    """Return a whole ONNX file with float16 in place of float32, except for the inputs and outputs named in `kept`.

    Raises InputError, which names `where`, for a damaged file, an operation that is not known to compute in float16, or
    a weight that is too large.
    """
    with proto.input_errors(where, "a model that can be converted to float16", "build it without --fp16"):
        return rewritten(fields(data), {proto.GRAPH: lambda graph: _graph(graph, kept)})


def _graph(graph: Field, kept: Collection[str]) -> bytes:
    inputs, outputs = (
        [name for name in (info.text_of(proto.VALUE_NAME) for info in graph.fields(side)) if name in kept]
        for side in (proto.GRAPH_INPUT, proto.GRAPH_OUTPUT)
    )
    renamed = {name: name + "/float16" for name in inputs + outputs}
    nodes = [proto.Node(field.value) for field in graph.fields(proto.NODE)]
    taken = {name for node in nodes for name in node.reads() + node.outputs}
    missing = sorted(set(kept) - set(renamed))
    if missing or taken & set(renamed.values()):
        raise ValueError("no {}, or names that are taken".format(", ".join(missing)))

    def info(field: Field) -> Bytes:
        return field.raw if field.text_of(proto.VALUE_NAME) in kept else field.changed(proto.TO_ELEMENT_TYPE, _type)

    changes: Dict[int, Change] = {proto.NODE: lambda field: _node(field, renamed), proto.INITIALIZER: _tensor}
    changes.update(dict.fromkeys((proto.GRAPH_INPUT, proto.GRAPH_OUTPUT, proto.VALUE_INFO), info))
    first = b"".join(_cast(name, renamed[name], proto.FLOAT16) for name in inputs)
    last = b"".join(_cast(renamed[name], name, proto.FLOAT) for name in outputs)
    return packet(proto.GRAPH, first + rewritten(graph.fields(), changes) + last)


def _node(field: Field, renamed: Dict[str, str]) -> bytes:
    node = proto.Node(field.value)
    if node.op_type not in OPERATIONS:
        raise ValueError("{} is not known to compute in float16".format(node.op_type))
    node.inputs = [renamed.get(name, name) for name in node.inputs]
    node.outputs = [renamed.get(name, name) for name in node.outputs]
    for name, attribute in list(node.attributes.items()):
        if attribute.fields(proto.ATTRIBUTE_TENSOR):
            node.attributes[name] = next(fields(attribute.changed((proto.ATTRIBUTE_TENSOR,), _tensor)))
    return node.encode()


def _cast(source: str, target: str, kind: int) -> bytes:
    attribute = (packet(proto.ATTRIBUTE_NAME, "to"), number(proto.ATTRIBUTE_INT, kind))
    return proto.make_node("Cast", [source], target, *attribute, number(proto.ATTRIBUTE_TYPE, proto.TYPE_INT)).encode()


def _tensor(field: Field) -> Bytes:
    """Return a TensorProto's field, with float16 values where they were float32."""
    if not any(f.value == proto.FLOAT for f in field.fields(proto.DATA_TYPE)):
        return field.raw
    values = np.frombuffer(field.bytes_of(proto.RAW_DATA) or field.bytes_of(proto.FLOAT_DATA), "<f4")
    with np.errstate(over="ignore"):
        halves = values.astype("<f2")
    if np.isfinite(values).all() and not np.isfinite(halves).all():
        name = field.text_of(proto.TENSOR_NAME) or "a constant"
        raise ValueError("{}: values up to {:g}; float16 ends at 65504".format(name, np.abs(values).max()))
    changed = (proto.DATA_TYPE, proto.RAW_DATA, proto.FLOAT_DATA)
    rest = b"".join(f.raw for f in field.fields() if f.number not in changed)
    made = number(proto.DATA_TYPE, proto.FLOAT16) + packet(proto.RAW_DATA, halves.tobytes())
    return packet(field.number, rest + made)


def _type(field: Field) -> Bytes:
    """Return the element type of a TypeProto.Tensor, float16 where it was float32."""
    return number(field.number, proto.FLOAT16) if field.value == proto.FLOAT else field.raw
