"""Model files that are wrong in one place, made from right ones without an onnx package."""

import struct

from tsm_edge.onnx.protobuf import varint


def with_nan_weights(model, path, initializer):
    """Copy the ONNX file `model` to `path`, every value of the float32 weight called `initializer` a NaN.

    In a TensorProto the name (field 8) stands before raw_data (field 9, key 0x4a): onnx/onnx.proto.
    """
    with open(model, "rb") as file:
        data = bytearray(file.read())
    mark = b"\x42" + bytes([len(initializer)]) + initializer.encode() + b"\x4a"
    assert data.count(mark) == 1, "no single weight called {}".format(initializer)
    length, at = varint(data, data.index(mark) + len(mark), len(data))
    data[at : at + length] = struct.pack("<f", float("nan")) * (length // 4)
    with open(path, "wb") as file:
        file.write(data)
    return path
