"""The little of an ONNX file that the device half reads itself, since a Nano has no onnx package.

An ONNX file is one protobuf message, `ModelProto` (onnx/onnx.proto): fields of a key (field number << 3 | wire type)
and a value. Field 14 holds the metadata properties, each a message of a key (1) and a value (2). Everything else is
passed over unread, so this costs milliseconds whatever the size of the weights.
"""

import mmap
import os

from tsm_edge.errors import InputError

_METADATA_PROPS, _GRAPH = 14, 7
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


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
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                properties, graphs = [], 0
                for number, start, end in _fields(data, 0, len(data)):
                    graphs += number == _GRAPH
                    if number == _METADATA_PROPS:
                        properties.append({n: bytes(data[s:e]) for n, s, e in _fields(data, start, end)})
                if not graphs:
                    raise ValueError("no graph in it")
                return {p.get(1, b"").decode("utf-8"): p.get(2, b"").decode("utf-8") for p in properties}
            except ValueError as error:
                raise _damaged(path, str(error)) from error


def _fields(data, position, end):
    """Yield (field number, start, end) of every length-delimited field of the message data[position:end]."""
    while position < end:
        key, position = _varint(data, position, end)
        wire = key & 7
        if wire == _VARINT:
            position = _varint(data, position, end)[1]
            continue
        if wire == _BYTES:
            size, position = _varint(data, position, end)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("not protobuf at byte {}".format(position))
        if position + size > end:
            raise ValueError("cut off: {} bytes missing".format(position + size - end))
        if wire == _BYTES:
            yield key >> 3, position, position + size
        position += size


def _varint(data, position, end):
    value = shift = 0
    while True:
        if position >= end or shift > 63:
            raise ValueError("cut off or not protobuf at byte {}".format(position))
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _damaged(path, what):
    return InputError(path, what, "a whole ONNX model", "copy or export the file again")
