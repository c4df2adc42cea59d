"""What the sinks that write a file share: one error for a path that cannot be written, found before the first frame."""

import os

from tsm_edge.errors import InputError


def unwritable(path, reason):
    """The InputError for an output that cannot be written. reason: an OSError or a phrase."""
    if isinstance(reason, OSError):
        reason = reason.strerror or str(reason)
    return InputError(path, reason, "a file that can be written", "name another file, or free space or rights there")


def check_output(path):
    """Raise InputError where `path` is no place for a file. Creates and changes nothing."""
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        raise unwritable(path, "a folder")
    if not os.path.isdir(folder):
        raise unwritable(path, "no folder {}".format(folder))
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise unwritable(path, "no permission to write there")


def check_apart(name, path, taken):
    """Raise InputError where `path`, of the option `name`, is one of `taken`: (what, path) pairs of files in use."""
    for what, other in taken:
        if os.path.realpath(path) == os.path.realpath(other):
            got = "the same file as {}".format(what)
            raise InputError("{} {}".format(name, path), got, "a file of its own", "name another file")
