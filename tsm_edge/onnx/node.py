"""A node of an ONNX graph, and the numbers of the fields that our rewrites read (onnx/onnx.proto)."""

from tsm_edge.onnx.protobuf import fields, packet

# ModelProto
GRAPH, OPSET_IMPORT, FUNCTIONS = 7, 8, 25
# GraphProto
NODE, INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT, VALUE_INFO = 1, 5, 11, 12, 13
# NodeProto
INPUT, OUTPUT, NAME, OP_TYPE, ATTRIBUTE, NODE_DOMAIN = 1, 2, 3, 4, 5, 7
# AttributeProto
ATTRIBUTE_NAME, ATTRIBUTE_INT, ATTRIBUTE_TENSOR, ATTRIBUTE_INTS, REFERENCE = 1, 3, 5, 8, 21
ATTRIBUTE_GRAPHS = (6, 11)  # one graph, several
# ValueInfoProto, and the way from it to its axes: type . tensor_type . shape
VALUE_NAME, VALUE_TYPE = 1, 2
TO_SHAPE = (2, 1, 2)
# TensorShapeProto.Dimension
DIM_VALUE, DIM_NAME = 1, 2
# TensorProto
DIMS, DATA_TYPE, FLOAT_DATA, INT64_DATA, TENSOR_NAME, RAW_DATA = 1, 2, 4, 7, 8, 9
FLOAT, INT64, FLOAT16 = 1, 7, 10  # TensorProto.DataType
# FunctionProto
FUNCTION_NAME, FUNCTION_INPUT, FUNCTION_OUTPUT, FUNCTION_NODE = 1, 4, 5, 7
FUNCTION_OPSET, FUNCTION_DOMAIN, FUNCTION_DEFAULT = 9, 10, 11


class Node:
    """A NodeProto. inputs, outputs: lists of str; attributes: dict of name to its Field; the rest as it stood."""

    def __init__(self, payload):
        self.inputs, self.outputs, self.attributes, self.rest = [], [], {}, []
        self.op_type = self.domain = self.name = ""
        for field in fields(payload):
            if field.number == INPUT:
                self.inputs.append(field.text())
            elif field.number == OUTPUT:
                self.outputs.append(field.text())
            elif field.number == NAME:
                self.name = field.text()
            elif field.number == OP_TYPE:
                self.op_type = field.text()
            elif field.number == ATTRIBUTE:
                self.attributes[attribute_name(field)] = field
            elif field.number == NODE_DOMAIN:
                self.domain = field.text()
            else:
                self.rest.append(field)
        self.domain = "" if self.domain == "ai.onnx" else self.domain

    @property
    def op(self):
        return self.domain, self.op_type

    def reads(self):
        """Names of all values that it reads, those that graphs inside of it take from outside included."""
        names = list(self.inputs)
        for inner in self.nested():
            names += inner.reads()
        return names

    def nested(self):
        """The nodes of the graphs in its attributes (of If, Loop, Scan)."""
        graphs = [g for a in self.attributes.values() for g in a.fields() if g.number in ATTRIBUTE_GRAPHS]
        return [Node(f.value) for graph in graphs for f in graph.fields() if f.number == NODE]

    def encode(self):
        """The node as a field of a graph."""
        parts = [packet(INPUT, name) for name in self.inputs] + [packet(OUTPUT, name) for name in self.outputs]
        parts += [packet(NAME, self.name)] if self.name else []
        parts += [packet(OP_TYPE, self.op_type)] + [field.raw for field in self.attributes.values()]
        parts += [packet(NODE_DOMAIN, self.domain)] if self.domain else []
        return packet(NODE, b"".join(parts + [field.raw for field in self.rest]))


def attribute_name(field):
    """The name of an attribute, from its Field."""
    return next((f.text() for f in field.fields() if f.number == ATTRIBUTE_NAME), "")
