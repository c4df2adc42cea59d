"""What the fakes read and change of ONNX files, by the onnx package where it is installed.

A fault of the product's own parser (`tsm_edge.onnx`) must not be shared by the fakes that it is tested with. Python 3.6
has no onnx package, so there the product's parser serves; `test_fakes.py` compares the two where both are.
"""

from tsm_edge.onnx.graph import operations
from tsm_edge.onnx.node import DOMAIN, FUNCTION_NAME, FUNCTIONS
from tsm_edge.onnx.protobuf import fields, packet

try:
    import onnx
except ImportError:
    onnx = None


class ByOnnx:
    """By the onnx package."""

    @staticmethod
    def our_ops(data):
        """Return the names of our ops that the graph's own nodes call, a set."""
        return {node.op_type for node in onnx.load_model_from_string(data).graph.node if node.domain == DOMAIN}

    @staticmethod
    def bodies(data):
        """Return the function bodies in the file: op -> FunctionProto's bytes."""
        return {body.name: body.SerializeToString() for body in onnx.load_model_from_string(data).functions}

    @staticmethod
    def with_bodies(data, bodies):
        """Return the file with other function bodies (a list of FunctionProto's bytes) in place of its own."""
        model = onnx.load_model_from_string(data)
        del model.functions[:]
        for body in bodies:
            model.functions.add().ParseFromString(body)
        return model.SerializeToString()


class ByProduct:
    """By `tsm_edge.onnx`; the functions are those of :class:`ByOnnx`."""

    @staticmethod
    def our_ops(data):
        return {op for domain, op in operations(data, "a model") if domain == DOMAIN}

    @staticmethod
    def bodies(data):
        found = [field for field in fields(data) if field.number == FUNCTIONS]
        return {next(f.text() for f in body.fields() if f.number == FUNCTION_NAME): bytes(body.value) for body in found}

    @staticmethod
    def with_bodies(data, bodies):
        kept = [bytes(field.raw) for field in fields(data) if field.number != FUNCTIONS]
        return b"".join(kept + [packet(FUNCTIONS, body) for body in bodies])


READER = ByProduct if onnx is None else ByOnnx
