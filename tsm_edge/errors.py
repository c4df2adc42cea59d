"""The errors of tsm-edge. Library code raises them; only the command line turns one into an exit code."""


class TsmEdgeError(Exception):
    """A fault that tsm-edge itself noticed. The command line exits with 1."""

    exit_code = 1


class InputError(TsmEdgeError):
    """What the user gave is wrong. The command line prints it without a traceback and exits with 2.

    where: what was looked at (a path, an option, "model.onnx: cache_03").
    got, expected: what stood there and what should have.
    do: what to type or change, a whole sentence.
    """

    exit_code = 2

    def __init__(self, where, got=None, expected=None, do=None):
        self.where, self.got, self.expected, self.do = where, got, expected, do
        lines = [str(where)]
        for name, value in (("got", got), ("expected", expected), ("do", do)):
            if value is not None:
                lines.append("  {:<9} {}".format(name + ":", value))
        super(InputError, self).__init__("\n".join(lines))


class SourceError(InputError):
    """A video source cannot be opened, or broke while it was read. Frames read before the damage are valid."""
