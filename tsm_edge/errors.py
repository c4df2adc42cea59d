"""The errors of tsm-edge. Library code raises them; only the command line turns one into an exit code."""

from typing import Any

from tsm_edge.text import one_line, shown


class TsmEdgeError(Exception):
    """A fault that tsm-edge itself noticed. The command line exits with 1. Its text holds no secret of an address."""

    exit_code = 1

    def __str__(self) -> str:
        return shown(super(TsmEdgeError, self).__str__())


class InputError(TsmEdgeError):
    """What the user gave is wrong. The command line prints it without a traceback and exits with 2.

    Args:
        where: what was read: a path, an option, "model.onnx: cache_03".
        got: what stood there.
        expected: what should have stood there.
        do: what to type or change.
    """

    exit_code = 2

    def __init__(self, where: Any, got: Any = None, expected: Any = None, do: Any = None) -> None:
        where, got, expected, do = (None if part is None else shown(str(part)) for part in (where, got, expected, do))
        where = None if where is None else one_line(where)  # a path may hold a line of its own
        self.where, self.got, self.expected, self.do = where, got, expected, do
        lines = (("got:", got), ("expected:", expected), ("do:", do))
        indent = "\n" + " " * 12  # of further lines of a part, so that none looks like a line of ours
        parts = ["\n  {:<9} {}".format(name, value.replace("\n", indent)) for name, value in lines if value is not None]
        super(InputError, self).__init__(str(where) + "".join(parts))


class StreamError(TsmEdgeError):
    """A live source failed while it ran. That is no mistake of the user's: the command line exits with 1."""


class SourceError(InputError):
    """A video source cannot be opened, or broke while it was read. Frames read before the damage are valid."""
