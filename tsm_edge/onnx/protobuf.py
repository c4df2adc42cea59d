"""Protobuf's wire format, as far as ONNX files need it: read the fields of a message, and write fields again.

A message is a run of fields, each a key (field number << 3 | wire type) and a value (protobuf's "Encoding" page). A
field keeps the bytes that it was read from, so that a field that nobody changes is written back exactly as it was.
"""

from typing import Any, Callable, Iterable, Iterator, List, Mapping, NamedTuple, Sequence, Tuple, Union

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}

Bytes = Union[bytes, memoryview]
Change = Callable[["Field"], Bytes]  # makes the new bytes of a whole field, key included


class Field(NamedTuple):
    """One field of a message, as it was read."""

    number: int
    wire: int  # the wire type, such as VARINT
    value: Any  # an unsigned int for a varint, else a memoryview of the payload
    raw: memoryview  # the field's bytes, key and length included

    def text(self) -> str:
        """Return the payload as str. Raises ValueError where it is not a string."""
        if self.wire != BYTES:
            raise ValueError("field {} is not a string".format(self.number))
        return bytes(self.value).decode("utf-8")

    def fields(self, *numbers: int) -> List["Field"]:
        """Return the fields of the message in the payload, of these numbers if any are given. May raise ValueError."""
        if self.wire != BYTES:
            raise ValueError("field {} is not a message".format(self.number))
        return [field for field in fields(self.value) if not numbers or field.number in numbers]

    def text_of(self, number: int) -> str:
        """Return the text of the first field of this number in the payload, "" where there is none."""
        return next((field.text() for field in self.fields(number)), "")

    def bytes_of(self, number: int) -> bytes:
        """Return the joined payloads of all fields of this number in the payload, b"" where there are none."""
        return b"".join(field.value for field in self.fields(number) if field.wire != VARINT)

    def changed(self, path: Sequence[int], change: Change) -> Bytes:
        """Return the field's bytes after `change` was applied to every field at `path` (field numbers) inside it."""
        if not path:
            return change(self)
        return packet(self.number, rewritten(self.fields(), {path[0]: lambda field: field.changed(path[1:], change)}))


def fields(data: Any) -> Iterator[Field]:
    """Yield each :class:`Field` of the message `data` (bytes, memoryview, mmap). Raises ValueError where it is none."""
    if isinstance(data, int):
        raise ValueError("a number where a message belongs")
    data = memoryview(data)
    position, end = 0, len(data)
    while position < end:
        start = position
        key, position = varint(data, position, end)
        wire = key & 7
        if wire in (VARINT, BYTES):
            value, position = varint(data, position, end)
        elif wire not in _FIXED_SIZES:
            raise ValueError("not protobuf at byte {}".format(start))
        if wire != VARINT:
            size = value if wire == BYTES else _FIXED_SIZES[wire]
            value, position = data[position : position + size], position + size
            if position > end:
                raise ValueError("cut off: {} bytes missing".format(position - end))
        yield Field(key >> 3, wire, value, data[start:position])


def rewritten(parts: Iterable[Field], changes: Mapping[int, Change]) -> bytes:
    """Return a message as bytes: the fields with a number in `changes` changed, every other field as it was read.

    A change that returns b"" leaves the field out.
    """
    return b"".join(changes[field.number](field) if field.number in changes else field.raw for field in parts)


def varint(data: Bytes, position: int, end: int) -> Tuple[int, int]:
    """Return (value, the position after it) of the varint at `position`. Raises ValueError where there is none."""
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


def number(field: int, value: int) -> bytes:
    """Return the bytes of a varint field; a value below 0 is written as an int64."""
    return _varint(field << 3 | VARINT) + _varint(value & 0xFFFFFFFFFFFFFFFF)


def packet(field: int, payload: Union[str, Bytes]) -> bytes:
    """Return the bytes of a length-delimited field: a string, bytes, or a message's bytes."""
    if isinstance(payload, str):
        payload = payload.encode("utf-8")
    return b"".join((_varint(field << 3 | BYTES), _varint(len(payload)), payload))


def signed(value: int) -> int:
    """Return the int64 that an unsigned varint stands for."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
