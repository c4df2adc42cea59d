"""The metadata of an ONNX file, read without the onnx package, which a Jetson Nano does not have.

Field 14 of its `ModelProto` (onnx/onnx.proto) holds the metadata properties, each a message of a key (1) and a value
(2). All other fields are skipped unread, so that reading takes milliseconds for weights of any size.
"""

import mmap
import os
from typing import Dict, Union

from tsm_edge.errors import InputError
from tsm_edge.onnx import node as proto
from tsm_edge.onnx.protobuf import BYTES, fields


def read_metadata(path: Union[str, "os.PathLike[str]"]) -> Dict[str, str]:
    """Return the metadata properties of an ONNX file. Raises InputError where it is missing, empty or damaged."""
    if not os.path.isfile(path):
        got = "a folder" if os.path.isdir(path) else "no such file"
        raise InputError(path, got, "an ONNX model", "check the path, or export one: make export MODEL=…")
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed by the with below)
    except OSError as error:
        raise InputError(path, error.strerror, "a file that can be read", "check its permissions") from error
    with proto.input_errors(path), file:
        if not os.fstat(file.fileno()).st_size:
            raise ValueError("an empty file")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # unmapped when the last Field of it is freed
        model = [f for f in fields(data) if f.number in (proto.GRAPH, proto.METADATA) and f.wire == BYTES]
        if not any(field.number == proto.GRAPH for field in model):
            raise ValueError("no graph in it")
        return {field.text_of(1): field.text_of(2) for field in model if field.number == proto.METADATA}
