"""Compute sizes in the file, before a builder reads it: slices get constant bounds.

The body of our ops asks a tensor for its shape, to learn how many channels it moves. Where the file states that shape,
the answer is a constant, whatever a version of TensorRT can do with computed sizes. Only nodes that came from a body
are folded, and only the operations that our bodies use on sizes (`tsm_edge_export/functions.py`).
"""

import operator
from typing import Dict, List, Optional, Sequence, Set, Union

import numpy as np

from tsm_edge.onnx import node as proto
from tsm_edge.onnx.node import Node
from tsm_edge.onnx.protobuf import BYTES, VARINT, Bytes, Field, fields, number, packet, signed, varint

_ELEMENTWISE = {"Add": operator.add, "Sub": operator.sub, "Mul": operator.mul}

Sizes = List[Optional[int]]  # the value of a tensor with one axis; None in place of a size that is not known


def folded(items: Sequence[Union[Bytes, Node]], parts: Sequence[Field]) -> bytes:
    """Return a graph's bytes with its sizes folded, without nodes of a body whose outputs nothing reads.

    items: the new graph, in order: the bytes of a field that stays, or a Node of a body. parts: the graph before.
    """
    values: Dict[str, Union[Sizes, int]] = {}  # an int for a tensor without an axis
    shapes: Dict[str, Sizes] = {}
    used: Set[str] = set()
    for field in parts:
        if field.number in (proto.GRAPH_INPUT, proto.VALUE_INFO):
            dims = proto.axes(field)
            if dims is not None:
                sizes = [_integers(dim, proto.DIM_VALUE) for dim in dims]
                shapes[field.text_of(proto.VALUE_NAME)] = [size[0] if size else None for size in sizes]
        elif field.number == proto.GRAPH_OUTPUT:
            used.add(field.text_of(proto.VALUE_NAME))
    for item in items:
        if isinstance(item, Node):
            made = _evaluated(item, values, shapes)
            if made is not None:
                values[item.outputs[0]] = made
        else:
            field = next(fields(item))
            used.update(Node(field.value).reads() if field.number == proto.NODE else ())
    encoded: List[Bytes] = []
    for item in reversed(items):  # all readers of a value stand after the node that makes it
        if not isinstance(item, Node):
            encoded.append(item)
        elif any(name in used for name in item.outputs):
            made = values.get(item.outputs[0]) if item.op_type != "Constant" else None
            if isinstance(made, list) and None not in made:
                tensor = number(proto.DIMS, len(made)) + number(proto.DATA_TYPE, proto.INT64)
                tensor += packet(proto.RAW_DATA, np.array(made, "<i8").tobytes())
                attribute = packet(proto.ATTRIBUTE_NAME, "value") + packet(proto.ATTRIBUTE_TENSOR, tensor)
                attribute += number(proto.ATTRIBUTE_TYPE, proto.TYPE_TENSOR)
                item = proto.make_node("Constant", [], item.outputs[0], attribute)
            used.update(item.inputs)
            encoded.append(item.encode())
    return b"".join(reversed(encoded))


def _evaluated(node: Node, values: Dict[str, Union[Sizes, int]], shapes: Dict[str, Sizes]) -> Union[Sizes, int, None]:
    """Return the output of a node where it is sizes that follow from what is known, else None."""
    if node.domain or len(node.outputs) != 1:
        return None
    if node.op_type == "Constant":
        return _constant(node)
    if node.op_type == "Shape" and not node.attributes and len(node.inputs) == 1:
        return shapes.get(node.inputs[0])
    given = [values.get(name) for name in node.inputs]
    if node.op_type == "Reshape" and len(given) == 2 and given[1] in ([1], [-1]) and not node.attributes:
        source: Optional[Sizes] = [given[0]] if isinstance(given[0], int) else given[0]
        return source if source and len(source) == 1 else None
    lists = [value for value in given if isinstance(value, list)]
    if not lists or len(lists) < len(given):
        return None
    if node.op_type == "Concat":
        return [value for part in lists for value in part]  # each part has one axis
    if node.op_type in _ELEMENTWISE and len(lists) == 2 and len(lists[0]) == len(lists[1]):
        operation = _ELEMENTWISE[node.op_type]
        return [None if a is None or b is None else operation(a, b) for a, b in zip(*lists)]
    if node.op_type == "Slice" and len(lists) == 4 and all(len(v) == 1 and None not in v for v in lists[1:]):
        data, (start,), (stop,), (axis,) = lists
        return data[start:stop] if axis in (0, -1) else None
    return None


def _constant(node: Node) -> Union[Sizes, int, None]:
    """Return the value of a Constant of int64 with one axis or none, None for any other Constant."""
    for name, attribute in node.attributes.items():
        if name == "value_int":
            return next(iter(_integers(attribute, proto.ATTRIBUTE_INT)), None)
        for tensor in attribute.fields(proto.ATTRIBUTE_TENSOR):
            dims, kinds = _integers(tensor, proto.DIMS), [field.value for field in tensor.fields(proto.DATA_TYPE)]
            if len(dims) <= 1 and kinds == [proto.INT64]:
                raw = tensor.bytes_of(proto.RAW_DATA)
                data = _integers(tensor, proto.INT64_DATA) or np.frombuffer(raw, "<i8").tolist()
                if len(data) == (dims or [1])[0]:
                    return data if dims else data[0]
    return None


def _integers(message: Field, field_number: int) -> Sizes:
    """Return the int64 values of a repeated field, packed or not."""
    out: Sizes = []
    for field in message.fields(field_number):
        if field.wire == VARINT:
            out.append(signed(field.value))
        position, end = 0, len(field.value) if field.wire == BYTES else 0
        while position < end:
            value, position = varint(field.value, position, end)
            out.append(signed(value))
    return out
