"""Files that are wrong in one place, made from right ones: models without an onnx package, and videos."""

import random
import struct

from tsm_edge.onnx.digest import with_digest
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
        file.write(with_digest(bytes(data)))
    return path


def flipped(data, bit):
    """Return bytes with one bit changed; bit 0 is the lowest one of the first byte."""
    position, shift = divmod(bit, 8)
    return data[:position] + bytes([data[position] ^ 1 << shift]) + data[position + 1 :]


def flip_bit(path, bit):
    """Change one bit of a file in place."""
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(flipped(data, bit))


def damaged(data, seed):
    """Return (what was done, a damaged copy of the bytes): cut off, bits flipped, a part zeroed, noisy or missing."""
    rng = random.Random(seed)
    kind = rng.choice(["cut", "flip", "zero", "noise", "drop"])
    at, length = rng.randrange(1, len(data)), rng.choice([1, 8, 64, 512, 2048])
    end = min(at + length, len(data))
    if kind == "cut":
        return "cut at {}".format(at), data[:at]
    if kind == "flip":
        bits = [rng.randrange(8 * len(data)) for _ in range(rng.choice([1, 3, 20]))]
        for bit in bits:
            data = flipped(data, bit)
        return "bits {} flipped".format(bits), data
    filling = {"zero": bytes(end - at), "noise": bytes(rng.randrange(256) for _ in range(at, end)), "drop": b""}[kind]
    return "{} of {} bytes at {}".format(kind, end - at, at), data[:at] + filling + data[end:]
