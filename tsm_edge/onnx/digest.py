"""The checksum of a model file: SHA-256 over everything in an ONNX file except for the checksum itself.

It stands in the metadata property ``tsm_edge.sha256``. It covers the bytes of every other field of the `ModelProto` in
the order of the file: the graph with its weights, the function bodies, and all other metadata, our manifest among it. A
program that reads such a file and writes it again unchanged keeps the checksum valid, wherever it puts the property.
"""

import hashlib
from typing import Iterable, List, Optional

from tsm_edge.onnx import node as proto
from tsm_edge.onnx.protobuf import Bytes, Field, fields, packet

DIGEST_KEY = "tsm_edge.sha256"


def digest_of(model: Iterable[Field]) -> str:
    """Return the SHA-256 of the fields of a ModelProto, 64 hexadecimal digits. May raise ValueError."""
    digest = hashlib.sha256()
    for field in model:
        if not is_digest(field):
            digest.update(field.raw)
    return digest.hexdigest()


def checked_digest(model: List[Field]) -> Optional[str]:
    """Return the checksum that a file states, None where it states none.

    Raises ValueError where the checksum is not that of the file.
    """
    stated = [field for field in model if is_digest(field)]
    if not stated:
        return None
    digest = digest_of(model)
    if [bytes(field.raw) for field in stated] != [_property(digest)]:
        text = "damaged or changed: its bytes have the SHA-256 {}…, its checksum says {}…"
        raise ValueError(text.format(digest[:12], stated[0].text_of(2)[:12]))
    return digest


def with_digest(data: Bytes) -> bytes:
    """Return the bytes of an ONNX file with its checksum, which replaces an older checksum."""
    model = [field for field in fields(data) if not is_digest(field)]
    return b"".join([field.raw for field in model] + [_property(digest_of(model))])


def is_digest(field: Field) -> bool:
    """Return whether a field of a ModelProto is the metadata property of the checksum."""
    return field.number == proto.METADATA and field.text_of(1) == DIGEST_KEY


def _property(digest: str) -> bytes:
    return packet(proto.METADATA, packet(1, DIGEST_KEY) + packet(2, digest))
