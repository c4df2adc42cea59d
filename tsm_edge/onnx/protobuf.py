"""Protobuf's wire format, as far as ONNX files need it: read the fields of a message, and write fields again.

A message is a run of fields, each a key (field number << 3 | wire type) and a value (protobuf's "Encoding" page). What
is read here keeps its own bytes, so that whatever nobody touches is written back as it stood, unknown fields included.
"""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Field:
    """One field of a message. number; wire: its wire type; raw: its bytes, key and length included.

    value: an int for a varint (as unsigned), else a memoryview of the payload.
    """

    __slots__ = ("number", "raw", "value", "wire")

    def __init__(self, number, wire, value, raw):
        self.number, self.wire, self.value, self.raw = number, wire, value, raw

    def text(self):
        """The payload as str. Raises ValueError where it is none."""
        if self.wire != BYTES:
            raise ValueError("field {} is no string".format(self.number))
        return bytes(self.value).decode("utf-8")

    def fields(self):
        """The fields of the message that the payload is. Raises ValueError where it is none."""
        return list(fields(self.value))


def fields(data):
    """Yield each :class:`Field` of the message `data` (bytes, memoryview, mmap). Raises ValueError where it is none."""
    if isinstance(data, int):
        raise ValueError("a number where a message belongs")
    data = memoryview(data)
    position, end = 0, len(data)
    while position < end:
        start = position
        key, position = varint(data, position, end)
        wire = key & 7
        if wire == VARINT:
            value, position = varint(data, position, end)
            yield Field(key >> 3, wire, value, data[start:position])
            continue
        if wire == BYTES:
            size, position = varint(data, position, end)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise ValueError("not protobuf at byte {}".format(start))
        if position + size > end:
            raise ValueError("cut off: {} bytes missing".format(position + size - end))
        position += size
        yield Field(key >> 3, wire, data[position - size : position], data[start:position])


def varint(data, position, end):
    """(value, the position after it) of the varint at `position`. Raises ValueError where there is none."""
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


def number(field, value):
    """The bytes of a varint field. value: an int; below 0 as protobuf writes an int64."""
    return _varint(field << 3 | VARINT) + _varint(value & 0xFFFFFFFFFFFFFFFF)


def packet(field, payload):
    """The bytes of a length-delimited field: a string, bytes, or a message's bytes."""
    if isinstance(payload, str):
        payload = payload.encode("utf-8")
    return b"".join((_varint(field << 3 | BYTES), _varint(len(payload)), payload))


def signed(value):
    """A varint's value as the int64 that it is."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
