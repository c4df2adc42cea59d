"""Rewrites of ONNX files on a device that has no onnx package: bytes in, bytes out. onnx/onnx.proto is the format.

TensorRT wants our ops in one of two forms: as nodes without their function bodies, which its parser then looks up among
the plugins (`without_functions`), or as the standard operations of those bodies (`expanded`). `with_streams` fixes the
batch axis, so that a builder sees sizes and no arithmetic on them.

Whatever a rewrite does not concern is written back byte for byte, in its place, fields that nobody knows included.
Every function takes the bytes of a whole file and `where`, its name for messages, and raises InputError for a file that
is damaged or that it cannot rewrite soundly; none returns a file that is half done.
"""

from tsm_edge.errors import InputError
from tsm_edge.onnx.folding import folded
from tsm_edge.onnx.node import (
    ATTRIBUTE,
    ATTRIBUTE_NAME,
    DIM_NAME,
    DIM_VALUE,
    FUNCTION_DEFAULT,
    FUNCTION_DOMAIN,
    FUNCTION_INPUT,
    FUNCTION_NAME,
    FUNCTION_NODE,
    FUNCTION_OPSET,
    FUNCTION_OUTPUT,
    FUNCTIONS,
    GRAPH,
    GRAPH_INPUT,
    GRAPH_OUTPUT,
    INPUT,
    NODE,
    OP_TYPE,
    OPSET_IMPORT,
    OUTPUT,
    REFERENCE,
    TO_SHAPE,
    VALUE_INFO,
    Node,
    attribute_name,
)
from tsm_edge.onnx.protobuf import BYTES, VARINT, fields, number, packet

DOMAIN = "tsm_edge"

MOST_NESTED = 16  # calls of functions within functions; ours have none


def without_functions(data, where):
    """The model without the bodies of our ops, so that a parser looks for kernels (plugins) of those names."""

    def rewrite(model):
        return b"".join(field.raw for field in model if not _is_ours(field))

    return _rewritten(data, where, rewrite)


def expanded(data, where):
    """The model with each node of our domain replaced by the standard operations of its body.

    Names inside a body get the node's first output as prefix. Arithmetic on sizes that the file states is done here, so
    that slices have constant bounds, as a network without custom ops has them. What a body reads of sizes that the file
    leaves open stays as operations.
    """

    def rewrite(model):
        bodies = {}
        for field in model:
            if _is_ours(field):
                body = _Function(field)
                bodies[body.op] = body
        versions = dict(_opset(field) for field in model if field.number == OPSET_IMPORT)
        for body in bodies.values():
            body.check_opsets(versions)
        graph = _one_graph(model)
        return b"".join(
            packet(GRAPH, folded(*_expanded_graph(graph, bodies))) if field is graph else field.raw
            for field in model
            if not _is_ours(field) and not (field.number == OPSET_IMPORT and _opset(field)[0] == DOMAIN)
        )

    return _rewritten(data, where, rewrite)


def with_streams(data, where, streams):
    """The model with its open batch axis fixed: `streams` wherever an input or output leaves its first axis open."""

    def rewrite(model):
        graph = _one_graph(model)
        names = set()
        for field in graph.fields():
            if field.number == GRAPH_INPUT:
                names.update(_open_batch(field))
        parts = [
            _with_sizes(f, names, streams) if f.number in (GRAPH_INPUT, GRAPH_OUTPUT, VALUE_INFO) else f.raw
            for f in graph.fields()
        ]
        return b"".join(packet(GRAPH, b"".join(parts)) if field is graph else field.raw for field in model)

    return _rewritten(data, where, rewrite)


def operations(data, where):
    """The set of (domain, op_type) of the graph's own nodes; ONNX's domain is ""."""
    found = set()

    def rewrite(model):
        found.update(Node(f.value).op for f in _one_graph(model).fields() if f.number == NODE)
        return b""

    _rewritten(data, where, rewrite)
    return found


def _rewritten(data, where, rewrite):
    try:
        return rewrite(list(fields(data)))
    except ValueError as error:
        raise InputError(where, str(error), "a whole ONNX model", "copy or export the file again") from error


def _one_graph(model):
    graphs = [field for field in model if field.number == GRAPH]
    if len(graphs) != 1:
        raise ValueError("{} graphs in it, where one belongs".format(len(graphs)))
    return graphs[0]


def _opset(field):
    """(domain, version) of an OperatorSetIdProto."""
    values = {f.number: f for f in field.fields()}
    domain = values[1].text() if 1 in values else ""
    version = values[2].value if 2 in values and values[2].wire == VARINT else 0
    return ("" if domain == "ai.onnx" else domain), version


def _is_ours(field):
    """Whether a field of a ModelProto is the body of an op of ours."""
    return field.number == FUNCTIONS and any(f.number == FUNCTION_DOMAIN and f.text() == DOMAIN for f in field.fields())


class _Function:
    """A FunctionProto: its op, names of inputs and outputs, nodes (payloads), defaults of attributes, opsets."""

    def __init__(self, field):
        self.inputs, self.outputs, self.nodes, self.defaults, self.opsets = [], [], [], {}, []
        name = domain = ""
        for f in field.fields():
            if f.number == FUNCTION_NAME:
                name = f.text()
            elif f.number == FUNCTION_DOMAIN:
                domain = f.text()
            elif f.number == FUNCTION_INPUT:
                self.inputs.append(f.text())
            elif f.number == FUNCTION_OUTPUT:
                self.outputs.append(f.text())
            elif f.number == FUNCTION_NODE:
                self.nodes.append(f.value)
            elif f.number == FUNCTION_OPSET:
                self.opsets.append(_opset(f))
            elif f.number == FUNCTION_DEFAULT:
                self.defaults[attribute_name(f)] = f
        self.op = domain, name

    def check_opsets(self, versions):
        """An expanded body is read by the model's opsets: they must be those that it was written for."""
        for domain, version in self.opsets:
            if versions.get(domain) != version:
                raise ValueError(
                    "the body of {} is of opset {} of domain {!r}, the model of {}".format(
                        self.op[1], version, domain, versions.get(domain, "none")
                    )
                )


def _expanded_graph(graph, bodies):
    """(items, taken): the fields of the expanded graph, a list of bytes for what stays and Node for what a body gave.

    Every name of a value that the graph has is taken.
    """
    parts, taken = graph.fields(), set()
    nodes = {id(field): Node(field.value) for field in parts if field.number == NODE}
    for node in nodes.values():
        taken.update(node.inputs + node.outputs)
    items = []
    for field in parts:
        node = nodes.get(id(field))
        if node is None:
            items.append(field.raw)
        elif node.op in bodies:
            items.extend(_call(node, bodies, taken, 0))
        else:
            _refuse_nested(node, bodies)
            items.append(field.raw)
    return items, parts


def _call(node, bodies, taken, depth):
    """The nodes that stand for a call of a function, in the body's order."""
    body = bodies[node.op]
    if depth > MOST_NESTED:
        raise ValueError("{}: functions that call each other without end".format(node.op_type))
    if len(node.inputs) > len(body.inputs) or len(node.outputs) > len(body.outputs):
        raise ValueError("{}: more inputs or outputs than its body has".format(node.op_type))
    prefix = _free_prefix(next((name for name in node.outputs if name), node.op_type), taken)
    names = {"": ""}
    names.update(zip(body.inputs, node.inputs + [""] * (len(body.inputs) - len(node.inputs))))
    wanted = {inner: outer for inner, outer in zip(body.outputs, node.outputs) if outer}
    copies = {inner: outer for inner, outer in wanted.items() if inner in names}  # an input handed through
    out = []
    for payload in body.nodes:
        inner = Node(payload)
        _refuse_nested(inner, None)
        inner.inputs = [_known(names, name, node) for name in inner.inputs]
        for name in inner.outputs:
            if name in names and name:
                raise ValueError("{}: value {} of its body is made twice".format(node.op_type, name))
            names[name] = "" if not name else wanted.get(name, prefix + name)
            taken.add(names[name])
        inner.outputs = [names[name] for name in inner.outputs]
        inner.name = prefix + inner.name if inner.name else ""
        inner.attributes = _bound(inner.attributes, node.attributes, body.defaults)
        out += _call(inner, bodies, taken, depth + 1) if inner.op in bodies else [inner]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError("{}: its body makes no {}".format(node.op_type, ", ".join(missing)))
    return out + [_identity(names[inner], outer) for inner, outer in copies.items()]


def _identity(source, target):
    payload = packet(INPUT, source) + packet(OUTPUT, target) + packet(OP_TYPE, "Identity")
    return Node(payload)


def _free_prefix(base, taken):
    """A prefix that no name of a value begins with."""
    prefix, count = base + "/", 1
    while any(name.startswith(prefix) for name in taken):
        count += 1
        prefix = "{}/{}/".format(base, count)
    return prefix


def _known(names, name, node):
    if name not in names:
        raise ValueError("{}: its body reads {}, which nothing made".format(node.op_type, name))
    return names[name]


def _bound(attributes, given, defaults):
    """Attributes of a body's node, references to the function's own attributes resolved.

    A reference to one that neither the call nor a default gives leaves the attribute out (onnx/docs/IR.md, Functions).
    """
    out = {}
    for name, field in attributes.items():
        parts = field.fields()
        reference = next((f.text() for f in parts if f.number == REFERENCE), "")
        if not reference:
            out[name] = field
            continue
        value = given.get(reference, defaults.get(reference))
        if value is not None:
            kept = [f.raw for f in value.fields() if f.number != ATTRIBUTE_NAME]
            out[name] = next(fields(packet(ATTRIBUTE, b"".join([packet(ATTRIBUTE_NAME, name)] + kept))))
    return out


def _refuse_nested(node, bodies):
    """Graphs inside of attributes (If, Loop) are left alone, which is wrong only where they call what is expanded.

    bodies: the functions; None, inside of a body, refuses every such graph, for its names would have to be changed.
    """
    inner = node.nested()
    if inner and (bodies is None or any(n.op in bodies for n in inner)):
        raise ValueError("{}: a graph inside of it that belongs to a function, or calls one".format(node.op_type))
    for n in inner:
        _refuse_nested(n, bodies)


# ---------------------------------------------------------------- sizes


def _axes(info):
    """The axes of a ValueInfoProto, each the Field of a Dimension."""
    level = [info]
    for step in TO_SHAPE:
        level = [f for parent in level for f in parent.fields() if f.number == step and f.wire == BYTES]
    return [f for parent in level for f in parent.fields() if f.number == 1]


def _open_batch(info):
    """The name of the first axis of a ValueInfoProto, in a list; nothing where the axis has a size."""
    parts = [f for dim in _axes(info)[:1] for f in dim.fields()]
    return [] if any(f.number == DIM_VALUE for f in parts) else [f.text() for f in parts if f.number == DIM_NAME]


def _with_sizes(field, names, size, path=TO_SHAPE):
    """A ValueInfoProto as bytes, each axis that is called one of `names` given a size."""
    if path:
        parts = [
            _with_sizes(f, names, size, path[1:]) if f.number == path[0] and f.wire == BYTES else f.raw
            for f in field.fields()
        ]
    else:
        parts = [_sized(f, names, size) if f.number == 1 else f.raw for f in field.fields()]
    return packet(field.number, b"".join(parts))


def _sized(dim, names, size):
    if any(f.number == DIM_NAME and f.text() in names for f in dim.fields()):
        return packet(1, number(DIM_VALUE, size))
    return dim.raw
