"""The little of an ONNX file that the device half reads itself, since a Nano has no onnx package.

An ONNX file is one protobuf message, `ModelProto` (onnx/onnx.proto). Field 14 holds the metadata properties, each a
message of a key (1) and a value (2). Everything else is passed over unread, so this costs milliseconds whatever the
size of the weights.
"""

import mmap
import os

from tsm_edge.errors import InputError
from tsm_edge.onnx.protobuf import BYTES, fields

_METADATA_PROPS, _GRAPH = 14, 7


def read_metadata(path):
    """The metadata properties of the ONNX file at `path`, a dict of str to str.

    Raises InputError for a file that is missing, empty, truncated or no ONNX model.
    """
    if not os.path.isfile(path):
        got = "a folder" if os.path.isdir(path) else "no such file"
        raise InputError(path, got, "an ONNX model", "check the path, or export one: make export MODEL=…")
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed by the with below)
    except OSError as error:
        raise InputError(path, error.strerror, "a file that can be read", "check its permissions") from error
    with file:
        if not os.fstat(file.fileno()).st_size:
            raise _damaged(path, "an empty file")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # unmapped with the last view into it
    try:
        properties, graphs = [], 0
        for field in fields(data):
            graphs += field.number == _GRAPH and field.wire == BYTES
            if field.number == _METADATA_PROPS and field.wire == BYTES:
                properties.append({f.number: bytes(f.value) for f in fields(field.value) if f.wire == BYTES})
        if not graphs:
            raise ValueError("no graph in it")
        return {p.get(1, b"").decode("utf-8"): p.get(2, b"").decode("utf-8") for p in properties}
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def _damaged(path, what):
    return InputError(path, what, "a whole ONNX model", "copy or export the file again")
