"""A node of an ONNX graph, and the numbers of the fields that our rewrites read (onnx/onnx.proto)."""

import contextlib
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from tsm_edge.errors import InputError
from tsm_edge.onnx.protobuf import Bytes, Field, fields, packet

DOMAIN = "tsm_edge"  # of our ops

# ModelProto
GRAPH, OPSET_IMPORT, METADATA, FUNCTIONS = 7, 8, 14, 25
# GraphProto
NODE, INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT, VALUE_INFO = 1, 5, 11, 12, 13
# NodeProto
INPUT, OUTPUT, NAME, OP_TYPE, ATTRIBUTE, NODE_DOMAIN = 1, 2, 3, 4, 5, 7
_TEXTS = {NAME: "name", OP_TYPE: "op_type", NODE_DOMAIN: "domain"}
# AttributeProto
ATTRIBUTE_NAME, ATTRIBUTE_INT, ATTRIBUTE_TENSOR, ATTRIBUTE_TYPE, REFERENCE = 1, 3, 5, 20, 21
ATTRIBUTE_GRAPHS = (6, 11)  # one graph, several graphs
TYPE_INT, TYPE_TENSOR = 2, 4  # AttributeProto.AttributeType
# ValueInfoProto, and the paths from it to its element type and to its shape
VALUE_NAME = 1
TO_ELEMENT_TYPE, TO_SHAPE = (2, 1, 1), (2, 1, 2)  # type, tensor_type, elem_type or shape
# TensorShapeProto and its Dimension
DIM = 1
DIM_VALUE, DIM_NAME = 1, 2
# TensorProto
DIMS, DATA_TYPE, FLOAT_DATA, INT64_DATA, TENSOR_NAME, RAW_DATA = 1, 2, 4, 7, 8, 9
EXTERNAL_DATA, DATA_LOCATION = 13, 14
EXTERNAL = 1  # TensorProto.DataLocation
FLOAT, UINT8, INT8, INT64, FLOAT16 = 1, 2, 3, 7, 10  # TensorProto.DataType
# FunctionProto
FUNCTION_NAME, FUNCTION_INPUT, FUNCTION_OUTPUT, FUNCTION_NODE = 1, 4, 5, 7
FUNCTION_OPSET, FUNCTION_DOMAIN, FUNCTION_DEFAULT = 9, 10, 11


class Node:
    """A NodeProto that can be changed and written again.

    Attributes:
        op_type, domain, name, inputs, outputs: as in the NodeProto; ONNX's own domain is "".
        attributes: the Field of each attribute, by its name.
        rest: all other fields, as they were read.
    """

    def __init__(self, payload: Bytes) -> None:
        self.inputs: List[str] = []
        self.outputs: List[str] = []
        self.attributes: Dict[str, Field] = {}
        self.rest: List[Field] = []
        self.op_type = self.domain = self.name = ""
        for field in fields(payload):
            if field.number in (INPUT, OUTPUT):
                (self.inputs if field.number == INPUT else self.outputs).append(field.text())
            elif field.number == ATTRIBUTE:
                self.attributes[field.text_of(ATTRIBUTE_NAME)] = field
            elif field.number in _TEXTS:
                setattr(self, _TEXTS[field.number], field.text())
            else:
                self.rest.append(field)
        self.domain = "" if self.domain == "ai.onnx" else self.domain

    @property
    def op(self) -> Tuple[str, str]:
        """The operation: (domain, op_type)."""
        return self.domain, self.op_type

    def reads(self) -> List[str]:
        """Return the names of all values that the node reads, also those that graphs in its attributes read."""
        return self.inputs + [name for inner in self.nested() for name in inner.reads()]

    def nested(self) -> List["Node"]:
        """Return the nodes of the graphs in the attributes (of If, Loop, Scan)."""
        graphs = [graph for attribute in self.attributes.values() for graph in attribute.fields(*ATTRIBUTE_GRAPHS)]
        return [Node(field.value) for graph in graphs for field in graph.fields(NODE)]

    def encode(self) -> bytes:
        """Return the node as a field of a graph."""
        parts: List[Bytes] = [packet(INPUT, name) for name in self.inputs]
        parts += [packet(OUTPUT, name) for name in self.outputs]
        parts += [packet(NAME, self.name)] if self.name else []
        parts += [packet(OP_TYPE, self.op_type)] + [field.raw for field in self.attributes.values()]
        parts += [packet(NODE_DOMAIN, self.domain)] if self.domain else []
        return packet(NODE, b"".join(parts + [field.raw for field in self.rest]))


def make_node(op_type: str, inputs: Sequence[str], output: str, *attribute: bytes) -> Node:
    """Return a new node of ONNX's own domain with one output and at most one attribute, given by its fields."""
    parts = [packet(INPUT, name) for name in inputs] + [packet(OUTPUT, output), packet(OP_TYPE, op_type)]
    return Node(b"".join(parts + ([packet(ATTRIBUTE, b"".join(attribute))] if attribute else [])))


def axes(info: Field) -> Optional[List[Field]]:
    """Return the axes of a ValueInfoProto, each the Field of a Dimension; None where the file states no shape."""
    level = [info]
    for number in TO_SHAPE:
        level = [field for parent in level for field in parent.fields(number)]
    return level[-1].fields(DIM) if level else None


@contextlib.contextmanager
def input_errors(
    where: Any, expected: str = "a whole ONNX model", do: str = "copy or export the file again"
) -> Iterator[None]:
    """Turn a ValueError raised inside the `with` block into an InputError about the file `where`."""
    try:
        yield
    except ValueError as error:
        raise InputError(where, str(error), expected, do) from error
