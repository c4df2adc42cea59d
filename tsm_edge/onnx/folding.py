"""Arithmetic on sizes, done before a builder sees it: slices get constant bounds.

A body of ours asks a tensor for its shape to learn how many channels it moves. Where the file says that shape, the
answer is a constant; TensorRT is then given the same slices as by a network that never had a custom op, whatever its
version makes of sizes that are computed. Only nodes that a body gave are folded; the graph's own stay as they are.
"""

from typing import List, NamedTuple, Optional

import numpy as np

from tsm_edge.onnx.node import (
    ATTRIBUTE,
    ATTRIBUTE_INT,
    ATTRIBUTE_INTS,
    ATTRIBUTE_NAME,
    ATTRIBUTE_TENSOR,
    DATA_TYPE,
    DIM_VALUE,
    DIMS,
    GRAPH_INPUT,
    GRAPH_OUTPUT,
    INITIALIZER,
    INT64,
    INT64_DATA,
    NODE,
    OP_TYPE,
    OUTPUT,
    RAW_DATA,
    TENSOR_NAME,
    TO_SHAPE,
    VALUE_INFO,
    VALUE_NAME,
    Node,
)
from tsm_edge.onnx.protobuf import BYTES, VARINT, fields, number, packet, signed, varint

Sizes = NamedTuple(
    "Sizes",
    [
        ("numbers", List[Optional[int]]),  # None for one that is not known
        ("scalar", bool),  # one number without an axis
    ],
)


def folded(items, parts):
    """A graph's bytes, its sizes folded, without nodes of a body that nothing reads.

    items: in order, the bytes of a field that stays, or a Node that a body gave. parts: the graph's Fields before.
    """
    values, shapes = {}, {}
    for field in parts:
        if field.number in (GRAPH_INPUT, VALUE_INFO):
            name, dims = declared(field)
            shapes[name] = dims
        elif field.number == INITIALIZER:
            values.update(_tensor(field))
    for item in items:
        if isinstance(item, Node):
            _evaluate(item, values, shapes)
    used = {declared(field)[0] for field in parts if field.number == GRAPH_OUTPUT}
    for item in items:
        if not isinstance(item, Node):
            field = next(fields(item))
            used.update(Node(field.value).reads() if field.number == NODE else ())
    encoded = []
    for item in reversed(items):  # what is read is known once everything after it is
        if not isinstance(item, Node):
            encoded.append(item)
        elif any(name in used for name in item.outputs):
            item = _simplest(item, values)
            used.update(item.inputs)
            encoded.append(item.encode())
    return b"".join(reversed(encoded))


def declared(info):
    """(name, axes) of a ValueInfoProto: a list of sizes, None for an open one; None where no shape is stated."""
    name, level = "", [info]
    for field in info.fields():
        if field.number == VALUE_NAME:
            name = field.text()
    for step in TO_SHAPE:
        level = [f for parent in level for f in parent.fields() if f.number == step and f.wire == BYTES]
    if not level:
        return name, None
    dims = [dim.fields() for dim in level[-1].fields() if dim.number == 1]
    return name, [next((signed(f.value) for f in d if (f.number, f.wire) == (DIM_VALUE, VARINT)), None) for d in dims]


def _simplest(node, values):
    """The node, or a Constant in its place where it makes numbers that are known."""
    made = values.get(node.outputs[0]) if len(node.outputs) == 1 and node.op_type != "Constant" else None
    if made is None or None in made.numbers:
        return node
    tensor = number(DIMS, len(made.numbers)) + number(DATA_TYPE, INT64)
    tensor += packet(RAW_DATA, np.array(made.numbers, "<i8").tobytes())
    attribute = packet(ATTRIBUTE_NAME, "value") + packet(ATTRIBUTE_TENSOR, tensor) + number(20, 4)  # its type: TENSOR
    return Node(packet(OUTPUT, node.outputs[0]) + packet(OP_TYPE, "Constant") + packet(ATTRIBUTE, attribute))


def _evaluate(node, values, shapes):
    """Add to `values` what a node makes, if that is sizes."""
    if node.domain or len(node.outputs) != 1:
        return
    made, given = None, [values.get(name) for name in node.inputs]
    if node.op_type == "Constant":
        made = _constant(node)
    elif node.op_type == "Shape" and not node.attributes and shapes.get(node.inputs[0]) is not None:
        made = Sizes(list(shapes[node.inputs[0]]), False)
    elif node.op_type == "Reshape" and len(given) == 2 and None not in given and not node.attributes:
        ones = given[1].numbers in ([1], [-1]) and len(given[0].numbers) == 1
        made = Sizes(given[0].numbers, False) if ones else None
    elif node.op_type in _FOLDS and given and not any(v is None or v.scalar for v in given):
        numbers = _FOLDS[node.op_type]([v.numbers for v in given])
        made = None if numbers is None else Sizes(numbers, False)
    if made is not None:
        values[node.outputs[0]] = made


def _slice(given):
    """Of (data, starts, ends[, axes[, steps]])."""
    if not 3 <= len(given) <= 5 or any(None in v or len(v) != 1 for v in given[1:]):
        return None
    (start,), (stop,), (axis,), (step,) = given[1:] + [[0], [1]][len(given) - 3 :]
    return given[0][start:stop:step] if axis in (0, -1) and step > 0 else None


def _elementwise(operation):
    def fold(given):
        if len(given) != 2 or len(given[0]) != len(given[1]):
            return None
        return [None if a is None or b is None else operation(a, b) for a, b in zip(*given)]

    return fold


_FOLDS = {
    "Slice": _slice,
    "Concat": lambda given: [value for part in given for value in part],  # of lists there is one axis
    "Add": _elementwise(lambda a, b: a + b),
    "Sub": _elementwise(lambda a, b: a - b),
    "Mul": _elementwise(lambda a, b: a * b),
}


def _constant(node):
    """What a Constant of int64 holds; None for another one."""
    for name, attribute in node.attributes.items():
        parts = attribute.fields()
        if name == "value":
            return next((v for f in parts if f.number == ATTRIBUTE_TENSOR for v in _tensor(f).values()), None)
        if name == "value_int":
            numbers = [n for f in parts if f.number == ATTRIBUTE_INT for n in _numbers(f)]
            return Sizes(numbers, True) if len(numbers) == 1 else None
        if name == "value_ints":
            return Sizes([n for f in parts if f.number == ATTRIBUTE_INTS for n in _numbers(f)], False)
    return None


def _tensor(field):
    """{name: its numbers} of a TensorProto of int64 with one axis or none; nothing of another one."""
    name, kind, dims, data, raw = "", 0, [], [], b""
    for f in field.fields():
        if f.number == DIMS:
            dims += _numbers(f)
        elif f.number == DATA_TYPE:
            kind = f.value
        elif f.number == INT64_DATA:
            data += _numbers(f)
        elif f.number == TENSOR_NAME:
            name = f.text()
        elif f.number == RAW_DATA:
            raw = f.value
    if kind != INT64 or len(dims) > 1:
        return {}
    data = data or np.frombuffer(raw, "<i8").tolist()
    return {name: Sizes(data, not dims)} if len(data) == (dims or [1])[0] else {}


def _numbers(field):
    """The int64 values of a repeated field, packed or not."""
    if field.wire == VARINT:
        return [signed(field.value)]
    out, position, end = [], 0, len(field.value)
    while field.wire == BYTES and position < end:
        value, position = varint(field.value, position, end)
        out.append(signed(value))
    return out
