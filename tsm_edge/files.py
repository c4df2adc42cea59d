"""Output files: checked before the work begins, written whole or not at all. And the SHA-256 of a file."""

import contextlib
import errno
import hashlib
import os
import tempfile
from typing import Iterator, Sequence, Tuple, Union

from tsm_edge.errors import InputError


def unwritable(path: str, reason: Union[OSError, str]) -> InputError:
    """Return the error for an output that cannot be written."""
    if isinstance(reason, OSError):
        reason = reason.strerror or str(reason)
    return InputError(path, reason, "a file that can be written", "name another file, or free space or rights there")


def check_output(path: str) -> None:
    """Raise InputError where `path` is no place for a file. Creates and changes nothing."""
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        raise unwritable(path, "a folder")
    if not os.path.isdir(folder):
        raise unwritable(path, "no folder {}".format(folder))
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise unwritable(path, "no permission to write there")


def check_apart(name: str, path: str, taken: Sequence[Tuple[str, str]]) -> None:
    """Raise InputError where the output `path` of option `name` is one of the files in use, `taken`: (what, path)."""
    for what, other in taken:
        if os.path.realpath(path) == os.path.realpath(other):
            got = "the same file as {}".format(what)
            raise InputError("{} {}".format(name, path), got, "a file of its own", "name another file")


def write_whole(path: str, text: str) -> None:
    """Write `text` to `path`, whole or not at all. Raises InputError where that cannot be."""
    check_output(path)
    draft = "{}.{}.tmp".format(path, os.getpid())
    try:
        if os.path.exists(path) and not os.path.isfile(path):  # /dev/stdout, a named pipe
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            return
        with open(draft, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(draft, path)
    except OSError as error:
        if os.path.exists(draft):
            os.remove(draft)
        raise unwritable(path, error) from error


@contextlib.contextmanager
def draft_folder(output: str) -> Iterator[str]:
    """Make a new folder beside `output` that is gone at the end; what is finished there is moved into place.

    Raises InputError, before the work, for a place that cannot be written.
    """
    try:
        if os.path.isdir(output):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        parent = os.path.dirname(os.path.abspath(output))
        os.makedirs(parent, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".draft-") as folder:
            yield folder
    except OSError as error:
        got = error.strerror or str(error)
        raise InputError(output, got, "a place that can be written", "give another -o, or make room") from error


def sha256_of(path: str) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
