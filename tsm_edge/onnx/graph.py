"""Rewrite ONNX files on a device that has no onnx package: bytes in, bytes out. onnx/onnx.proto is the format.

What a rewrite does not change is written back byte for byte and in its place, unknown fields included. Every function
takes the bytes of a whole file (`data`) and the file's name for messages (`where`). It raises InputError for a file
that is damaged or that it cannot rewrite correctly.
"""

from typing import Any, Dict, List, Mapping, Optional, Set, Tuple, Union

from tsm_edge.onnx import node as proto
from tsm_edge.onnx.folding import folded
from tsm_edge.onnx.node import Node
from tsm_edge.onnx.protobuf import VARINT, Bytes, Field, fields, number, packet, rewritten

MAX_CALL_DEPTH = 16  # calls of functions within functions; our bodies call none

Op = Tuple[str, str]  # domain, op_type


def without_functions(data: Bytes, where: Any) -> bytes:
    """Return the model without the bodies of our ops, so that a parser looks for kernels (plugins) of those names."""
    with proto.input_errors(where):
        return b"".join(field.raw for field in fields(data) if not _is_ours(field))


def expanded(data: Bytes, where: Any) -> bytes:
    """Return the model with each node of our domain replaced by the standard operations of its body.

    Names inside a body get the node's first output as prefix. Sizes that follow from shapes in the file are computed
    here, so that slices have constant bounds. Sizes that the file leaves open stay as operations.
    """
    with proto.input_errors(where):
        model = list(fields(data))
        bodies = {body.op: body for body in (_Function(field) for field in model if _is_ours(field))}
        versions = dict(_opset(field) for field in model if field.number == proto.OPSET_IMPORT)
        for body in bodies.values():
            body.check_opsets(versions)
        graph = _one_graph(model)
        return b"".join(
            packet(proto.GRAPH, folded(_expanded_items(graph, bodies), graph.fields())) if field is graph else field.raw
            for field in model
            if not _is_ours(field) and not (field.number == proto.OPSET_IMPORT and _opset(field)[0] == proto.DOMAIN)
        )


def with_streams(data: Bytes, where: Any, streams: int) -> bytes:
    """Return the model with its open batch axis fixed to `streams`, in every input, output and stated shape."""
    with proto.input_errors(where):
        model = list(fields(data))
        names = {_open_batch(info) for info in _one_graph(model).fields(proto.GRAPH_INPUT)} - {""}

        def sized(dim: Field) -> Bytes:
            open_dim = dim.text_of(proto.DIM_NAME) in names
            return packet(dim.number, number(proto.DIM_VALUE, streams)) if open_dim else dim.raw

        def info(field: Field) -> Bytes:
            return field.changed(proto.TO_SHAPE + (proto.DIM,), sized)

        infos = dict.fromkeys((proto.GRAPH_INPUT, proto.GRAPH_OUTPUT, proto.VALUE_INFO), info)
        return rewritten(model, {proto.GRAPH: lambda graph: packet(graph.number, rewritten(graph.fields(), infos))})


def operations(data: Bytes, where: Any) -> Set[Op]:
    """Return the (domain, op_type) of the graph's own nodes; ONNX's own domain is ""."""
    with proto.input_errors(where):
        return {Node(field.value).op for field in _one_graph(list(fields(data))).fields(proto.NODE)}


def _one_graph(model: List[Field]) -> Field:
    graphs = [field for field in model if field.number == proto.GRAPH]
    if len(graphs) != 1:
        raise ValueError("{} graphs in it, where one belongs".format(len(graphs)))
    return graphs[0]


def _opset(field: Field) -> Tuple[str, int]:
    """Return (domain, version) of an OperatorSetIdProto."""
    domain = field.text_of(1)
    version = next((f.value for f in field.fields(2) if f.wire == VARINT), 0)
    return ("" if domain == "ai.onnx" else domain), version


def _is_ours(field: Field) -> bool:
    """Return whether a field of a ModelProto is the body of an op of ours."""
    return field.number == proto.FUNCTIONS and field.text_of(proto.FUNCTION_DOMAIN) == proto.DOMAIN


class _Function:
    """A FunctionProto: its op, names of inputs and outputs, nodes (payloads), defaults of attributes, opsets."""

    def __init__(self, field: Field) -> None:
        self.op = field.text_of(proto.FUNCTION_DOMAIN), field.text_of(proto.FUNCTION_NAME)
        self.inputs = [f.text() for f in field.fields(proto.FUNCTION_INPUT)]
        self.outputs = [f.text() for f in field.fields(proto.FUNCTION_OUTPUT)]
        self.nodes = [f.value for f in field.fields(proto.FUNCTION_NODE)]
        self.defaults = {f.text_of(proto.ATTRIBUTE_NAME): f for f in field.fields(proto.FUNCTION_DEFAULT)}
        self.opsets = [_opset(f) for f in field.fields(proto.FUNCTION_OPSET)]

    def check_opsets(self, versions: Mapping[str, object]) -> None:
        """Raise ValueError where the model's opsets, which will apply to the body, are not those of the body."""
        for domain, version in self.opsets:
            stated = versions.get(domain, "none")
            if stated != version:
                text = "the body of {} is of opset {} of domain {!r}, the model of {}"
                raise ValueError(text.format(self.op[1], version, domain, stated))


def _expanded_items(graph: Field, bodies: Dict[Op, _Function]) -> List[Union[Bytes, Node]]:
    """Return the new graph in order: the bytes of each field that stays, and each Node that came from a body."""
    parts = [(field, Node(field.value) if field.number == proto.NODE else None) for field in graph.fields()]
    taken = {name for _, node in parts if node for name in node.inputs + node.outputs}
    items: List[Union[Bytes, Node]] = []
    for field, node in parts:
        if node is not None and node.op in bodies:
            items += _call(node, bodies, taken, 0)
        else:
            items.append(field.raw)
            if node is not None:
                _refuse_nested(node, bodies)
    return items


def _call(node: Node, bodies: Dict[Op, _Function], taken: Set[str], depth: int) -> List[Node]:
    """Return the nodes that replace a call of a function, in the body's order, and add their names to `taken`."""
    body = bodies[node.op]
    if depth > MAX_CALL_DEPTH:
        raise ValueError("{}: functions that call each other without end".format(node.op_type))
    if len(node.inputs) > len(body.inputs) or len(node.outputs) > len(body.outputs):
        raise ValueError("{}: more inputs or outputs than its body has".format(node.op_type))
    prefix = _free_prefix(next((name for name in node.outputs if name), node.op_type), taken)
    names = {"": ""}
    names.update(zip(body.inputs, node.inputs + [""] * (len(body.inputs) - len(node.inputs))))
    wanted = {inner: outer for inner, outer in zip(body.outputs, node.outputs) if outer}
    copies = {inner: outer for inner, outer in wanted.items() if inner in names}  # outputs that are inputs
    out: List[Node] = []
    for payload in body.nodes:
        inner = Node(payload)
        _refuse_nested(inner, None)
        unknown = [name for name in inner.inputs if name not in names]
        if unknown:
            raise ValueError("{}: its body reads {}, which nothing made".format(node.op_type, unknown[0]))
        inner.inputs = [names[name] for name in inner.inputs]
        for name in inner.outputs:
            if name in names and name:
                raise ValueError("{}: value {} of its body is made twice".format(node.op_type, name))
            names[name] = "" if not name else wanted.get(name, prefix + name)
            taken.add(names[name])
        inner.outputs = [names[name] for name in inner.outputs]
        inner.name = prefix + inner.name if inner.name else ""
        inner.attributes = _resolved(inner.attributes, node.attributes, body.defaults)
        out += _call(inner, bodies, taken, depth + 1) if inner.op in bodies else [inner]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError("{}: its body makes no {}".format(node.op_type, ", ".join(missing)))
    return out + [proto.make_node("Identity", [names[inner]], outer) for inner, outer in copies.items()]


def _free_prefix(base: str, taken: Set[str]) -> str:
    """Return a prefix that no name of a value begins with."""
    prefix, count = base + "/", 1
    while any(name.startswith(prefix) for name in taken):
        count += 1
        prefix = "{}/{}/".format(base, count)
    return prefix


def _resolved(attributes: Dict[str, Field], given: Dict[str, Field], defaults: Dict[str, Field]) -> Dict[str, Field]:
    """Return the attributes of a node of a body, with references to the function's attributes replaced by values.

    A value is the call's or the default. Without either the attribute is left out (onnx/docs/IR.md, Functions).
    """
    out = {}
    for name, field in attributes.items():
        reference = field.text_of(proto.REFERENCE)
        value = given.get(reference, defaults.get(reference)) if reference else None
        if value is not None:
            kept = b"".join(f.raw for f in value.fields() if f.number != proto.ATTRIBUTE_NAME)
            out[name] = next(fields(packet(proto.ATTRIBUTE, packet(proto.ATTRIBUTE_NAME, name) + kept)))
        elif not reference:
            out[name] = field
    return out


def _refuse_nested(node: Node, bodies: Optional[Dict[Op, _Function]]) -> None:
    """Raise ValueError where graphs in a node's attributes (of If, Loop) call one of `bodies`: they are not rewritten.

    In a node of a body (`bodies` is None) every such graph is refused, because its names would have to be changed.
    """
    inner = node.nested()
    if inner and (bodies is None or any(n.op in bodies for n in inner)):
        raise ValueError("{}: a graph inside of it that belongs to a function, or calls one".format(node.op_type))
    for n in inner:
        _refuse_nested(n, bodies)


def _open_batch(info: Field) -> str:
    """Return the name of the first axis of a ValueInfoProto, "" where the axis has a size or no name."""
    batch = (proto.axes(info) or [])[:1]
    return "".join(dim.text_of(proto.DIM_NAME) for dim in batch if not dim.fields(proto.DIM_VALUE))
