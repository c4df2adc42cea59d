"""Checksums of model files. Every loader compares one before it answers, so that no damaged weight answers wrongly.

An ONNX file holds its own (`tsm_edge.onnx.digest`), and so does the record of a TensorRT engine. For a file of any
other kind it stands in the manifest beside the file: `write_manifest` writes it, `tsm_edge.engines.load_manifest`
checks it.
"""

import hashlib
import json
import os
import time
from typing import Any, Callable, Dict, Tuple, TypeVar

from tsm_edge.errors import InputError
from tsm_edge.files import sha256_of, write_whole
from tsm_edge.manifest import Manifest, sidecar_path
from tsm_edge.schema import encode, shortened

KEY = "sha256"  # of the checksum, beside the values that it covers
# A file that changed this recently may change again within one tick of the file system's clock, unseen.
SETTLED_SECONDS = 2.0

T = TypeVar("T")
_answers: Dict[Tuple[str, Callable], Tuple[Any, Any]] = {}


def once(path: str, read: Callable[[str], T]) -> T:
    """Return `read(path)`, or its last answer where the file is the same as then, by its inode, size and times.

    A command reads a model's manifest before it loads the model; the file is then hashed once. `read` may raise.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # no such file, or a name that no file can have: for `read` to say
        return read(path)
    signature = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    known = _answers.get((path, read))
    if known is not None and known[0] == signature:
        return known[1]
    settled = abs(time.time() - max(status.st_mtime, status.st_ctime)) > SETTLED_SECONDS
    answer = read(path)
    if settled:
        _answers[path, read] = signature, answer
    return answer


def checksum_of(values: Dict[str, Any], file_sha256: str = "") -> str:
    """Return the SHA-256 of JSON values and of the SHA-256 of a file; order and layout of the JSON do not count."""
    text = json.dumps({name: value for name, value in values.items() if name != KEY}, sort_keys=True)
    return hashlib.sha256((text + file_sha256).encode("utf-8")).hexdigest()


def check(values: Any, where: str, do: str, file_sha256: str = "") -> Dict[str, Any]:
    """Return JSON values without their checksum.

    Args:
        values: as `json.loads` gave them.
        where: the file they are from, for messages.
        do: what to do if they are damaged.
        file_sha256: as in `checksum_of`.

    Raises:
        InputError: no object, no checksum, or another one than that of the values and the file.
    """
    stated = values.get(KEY) if isinstance(values, dict) else None
    if stated is None:
        raise InputError(where, "no checksum", "an object with " + KEY, do)
    actual = checksum_of(values, file_sha256)
    if stated != actual:
        got = "damaged or changed: the checksum is {}, the file says {}".format(actual, shortened(stated))
        raise InputError(where, got, "the file that was written", do)
    return {name: value for name, value in values.items() if name != KEY}


def write_manifest(path: str, manifest: Manifest) -> None:
    """Write the manifest beside the model file at `path`, with a checksum over both. Raises InputError."""
    values = encode(manifest)
    values[KEY] = checksum_of(values, sha256_of(path))
    write_whole(sidecar_path(path), json.dumps(values, indent=1) + "\n")
