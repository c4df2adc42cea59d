"""The command line: it parses, dispatches by the table of commands, and turns errors into exit codes."""

import argparse
import contextlib
import errno
import logging
import os
import re
import signal
import sys
import textwrap
import threading
import traceback
from typing import Any, Iterator, List, NoReturn, Optional, Sequence

from tsm_edge import __version__
from tsm_edge.commands import COMMANDS, completion
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.machine import install_hints
from tsm_edge.machine.library_log import safe_library_log
from tsm_edge.registry import Entry
from tsm_edge.text import masked_address, masked_lines, one_line, shown

_DROPPED_HOOK = "unraisablehook"  # of sys, since Python 3.8
QUIET_LIBRARIES = {"OPENCV_FFMPEG_LOGLEVEL": "-8", "OPENCV_LOG_LEVEL": "ERROR"}


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command line `arguments` (None: that of this process). Returns the exit code; see docs/design.md."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this process
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (open until the process ends)
    ctrl_c = _CtrlC()
    try:
        with ctrl_c:
            options = _parse(sys.argv[1:] if arguments is None else arguments)
            with _log(options.verbose):
                code = options.command(options)
                sys.stdout.flush()  # while a broken pipe or a full disk can still be caught
                return code
    except KeyboardInterrupt as interrupt:
        return getattr(interrupt, "exit_code", 130)
    except Exception as error:
        return 130 if ctrl_c.pressed else _ended(error)


class _CtrlC:
    """Notices Ctrl-C: a package that is interrupted while it loads may raise an ImportError that names no cause."""

    def __init__(self) -> None:
        self.pressed = False

    def __enter__(self) -> "_CtrlC":
        ours = threading.current_thread() is threading.main_thread()
        self._before = signal.getsignal(signal.SIGINT)
        self._set = ours and self._before is signal.default_int_handler
        if self._set:
            signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *error: Any) -> None:
        if self._set:
            signal.signal(signal.SIGINT, self._before)

    def _press(self, *_: Any) -> None:
        if not self.pressed:
            _hide_lost_interrupts()
        self.pressed = True
        raise KeyboardInterrupt


def _hide_lost_interrupts() -> None:
    """Say nothing of an interrupt that Python drops because it came in a callback, such as that of an import's lock."""
    before = getattr(sys, _DROPPED_HOOK, None)
    if before is not None:
        setattr(sys, _DROPPED_HOOK, lambda dropped: None if _is_interrupt(dropped) else before(dropped))


def _is_interrupt(dropped: Any) -> bool:
    return isinstance(dropped.exc_type, type) and issubclass(dropped.exc_type, KeyboardInterrupt)


def _ended(error: Exception) -> int:
    """Report the error that ended a command. Returns the exit code."""
    if isinstance(error, TsmEdgeError):
        logging.getLogger(__name__).debug("the error below came from here", exc_info=True)
        return _failed(error, error.exit_code)
    if isinstance(error, BrokenPipeError):  # `tsm-edge info model.onnx | head`: the reader has what it wanted
        _discard_output()
        return 1
    return _unexpected(error)


@contextlib.contextmanager
def _log(verbose: int) -> Iterator[None]:
    """Log as -v and -vv ask while the context is open: our own lines, and those of the libraries, made safe to show."""
    # Our errors say what FFmpeg and OpenCV would print. OpenCV reads these variables when it is imported.
    if not verbose:
        for name, level in QUIET_LIBRARIES.items():
            os.environ.setdefault(name, level)
    quiet = not verbose and all(os.environ[name] == level for name, level in QUIET_LIBRARIES.items())
    with contextlib.ExitStack() as stack:
        if not quiet:
            stack.enter_context(safe_library_log())
        handler = logging.StreamHandler()
        handler.setFormatter(_SafeFormatter("%(name)s: %(message)s"))
        levels = (logging.WARNING, logging.INFO, logging.DEBUG)
        logging.basicConfig(level=levels[min(verbose, 2)], handlers=[handler])
        yield


def _unexpected(error: Exception) -> int:
    """Report an error that is none of ours: a missing package, a full standard output, or a fault of tsm-edge."""
    if isinstance(error, ImportError):
        package = (error.name or "").split(".")[0]
        if package and not package.startswith("tsm_edge"):  # of ours, each module is there
            return _failed(install_hints.missing(package, error), InputError.exit_code)
    if isinstance(error, OSError) and error.filename is None and error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF):
        _discard_output()
        expected, do = "an output that takes text", "free space, or send the output elsewhere"
        return _failed(InputError("standard output", error.strerror, expected, do), InputError.exit_code)
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    sys.stderr.write(
        shown(masked_lines(text) + "tsm-edge: error: this is a fault of tsm-edge; please report it\n", sys.stderr)
    )
    return 1


def _failed(error: TsmEdgeError, code: int) -> int:
    try:
        sys.stderr.write(shown(masked_lines("tsm-edge: error: {}\n".format(error)), sys.stderr))
        sys.stderr.flush()
    except OSError:  # nowhere left to say it: the exit code does
        _discard_output()
    return code


def _discard_output() -> None:
    """Send standard output to nowhere: Python flushes it once more when it ends, and would fail again."""
    with open(os.devnull, "w") as nowhere:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):  # noqa: PERF203 (two streams)
                os.dup2(nowhere.fileno(), stream.fileno())


class _SafeFormatter(logging.Formatter):
    """Log lines, with secrets masked and control characters written as escapes."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (a name of logging's)
        return one_line(super(_SafeFormatter, self).formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        return shown(masked_lines(super(_SafeFormatter, self).format(record)))


class _HelpFormatter(argparse.HelpFormatter):
    """Help within the width of the terminal: argparse alone does not wrap a long list of alternatives."""

    def _format_usage(self, usage: Any, actions: Any, groups: Any, prefix: Optional[str]) -> str:
        width, self._width = self._width, sys.maxsize  # one long line, which is wrapped here
        line = super(_HelpFormatter, self)._format_usage(usage, actions, groups, prefix).strip()
        self._width = width
        indent = " " * (len("usage: " if prefix is None else prefix) + len(self._prog) + 1)
        lines = textwrap.wrap(
            _kept_together(line), width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        return "\n".join(lines).replace("\0", " ") + "\n\n"


def _kept_together(usage: str) -> str:
    """Return a usage with NUL in place of the spaces that may not end a line: an option stays with its value."""
    found, depth = [], 0
    for before, character in zip(" " + usage, usage):
        depth += (character in "[(") - (character in "])")
        found.append("\0" if character == " " and depth and before != "|" else character)
    return re.sub(r"((?:^| )--?[a-z][a-z-]*) (?=[A-Z{])", "\\1\0", "".join(found))


class _Parser(argparse.ArgumentParser):
    """A parser whose messages, which repeat what was typed, are safe to print, and whose help fits the terminal."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", _HelpFormatter)
        super(_Parser, self).__init__(**options)
        self.color = False  # of Python 3.14: colours are control characters, which `shown` escapes

    def error(self, message: str) -> NoReturn:
        super(_Parser, self).error(one_line(masked_address(message)))
        raise SystemExit(2)

    def _get_values(self, action: argparse.Action, arg_strings: List[str]) -> Any:
        """Return the value of an option. Python up to 3.12 makes `--option=--` an empty list, which is refused here."""
        values = super(_Parser, self)._get_values(action, arg_strings)  # type: ignore[misc]
        if action.nargs is None and values == []:
            raise argparse.ArgumentError(action, "expected one argument")
        return values

    def _print_message(self, message: str, file: Any = None) -> None:
        file = sys.stderr if file is None else file
        file.write(shown(message or "", file))
        file.flush()  # while a full disk can still be caught


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="tsm-edge", description="Run a Temporal Shift Module (TSM) video model live on an edge device."
    )
    parser.add_argument("--version", action="version", version="tsm-edge " + __version__)
    parser.add_argument("-v", "--verbose", action="count", default=0, help="say more; twice: everything")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command_name")
    subparsers.required = True
    words = completion.typed_words() if completion.is_asked() else arguments
    chosen = next((word for word in words if word in COMMANDS), None)
    for entry in COMMANDS:
        command = subparsers.add_parser(entry.key, help=entry.summary, description=_sentence(entry.summary))
        if entry.key == chosen:
            _add_options(command, entry)
    if completion.is_asked():
        completion.answer(parser)
    return parser.parse_args(arguments)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _add_options(parser: argparse.ArgumentParser, entry: Entry) -> None:
    """Add the options of a command. The options' `command` becomes the function to call with them."""
    try:
        command = COMMANDS.load(entry.key)
    except ImportError as error:
        package = entry.module.split(".")[0]
        if error.name != package:
            raise
        got, expected = "no package " + package, "a host that has it (Python 3.10 or later), not the device"
        do = install_hints.HOST_PACKAGE + "; the device needs only the exported model"
        raise InputError("tsm-edge " + entry.key, got, expected, do) from error
    command.add_options(parser)
    parser.set_defaults(command=command.run)
