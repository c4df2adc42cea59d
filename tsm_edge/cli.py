"""The command line: it parses, dispatches by the table of commands, and turns errors into exit codes."""

import argparse
import errno
import logging
import os
import sys
import traceback
from typing import Any, Optional, Sequence

from tsm_edge import __version__
from tsm_edge.commands import COMMANDS
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.machine import install_hints
from tsm_edge.registry import Entry
from tsm_edge.text import shown


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command line `arguments` (None: that of this process). Returns the exit code; see docs/design.md."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this process
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (open until the process ends)
    try:
        options = _parse(sys.argv[1:] if arguments is None else arguments)
        level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(options.verbose, 2)]
        handler = logging.StreamHandler()
        handler.setFormatter(_SafeFormatter("%(name)s: %(message)s"))
        logging.basicConfig(level=level, handlers=[handler])
        if not options.verbose:
            # Our errors say what FFmpeg and OpenCV would print. OpenCV reads these variables when it is imported.
            os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
            os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
        code = options.command(options)
        sys.stdout.flush()  # while a broken pipe or a full disk can still be caught
        return code
    except TsmEdgeError as error:
        logging.getLogger(__name__).debug("the error below came from here", exc_info=True)
        return _failed(error, error.exit_code)
    except KeyboardInterrupt as interrupt:
        return getattr(interrupt, "exit_code", 130)
    except BrokenPipeError:  # `tsm-edge info model.onnx | head`: the reader has what it wanted
        _discard_output()
        return 1
    except Exception as error:
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    """Report an error that is none of ours: a missing package, a full standard output, or a fault of tsm-edge."""
    if isinstance(error, ImportError):
        package = (error.name or "").split(".")[0]
        if package in install_hints.PACKAGES:
            return _failed(install_hints.missing(package, error), InputError.exit_code)
    if isinstance(error, OSError) and error.filename is None and error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF):
        _discard_output()
        expected, do = "an output that takes text", "free space, or send the output elsewhere"
        return _failed(InputError("standard output", error.strerror, expected, do), InputError.exit_code)
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    sys.stderr.write(shown(text + "tsm-edge: error: this is a fault of tsm-edge; please report it\n", sys.stderr))
    return 1


def _failed(error: TsmEdgeError, code: int) -> int:
    try:
        sys.stderr.write(shown("tsm-edge: error: {}\n".format(error), sys.stderr))
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
            except (OSError, ValueError):
                os.dup2(nowhere.fileno(), stream.fileno())


class _SafeFormatter(logging.Formatter):
    """Log lines, with secrets masked and control characters written as escapes."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super(_SafeFormatter, self).format(record))


class _Parser(argparse.ArgumentParser):
    """A parser whose messages, which repeat what was typed, are safe to print."""

    def _print_message(self, message: str, file: Any = None) -> None:
        super(_Parser, self)._print_message(shown(message, file), file)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="tsm-edge", description="Run a Temporal Shift Module (TSM) video model live on an edge device."
    )
    parser.add_argument("--version", action="version", version="tsm-edge " + __version__)
    parser.add_argument("-v", "--verbose", action="count", default=0, help="say more; twice: everything")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command_name")
    subparsers.required = True
    chosen = next((argument for argument in arguments if argument in COMMANDS), None)
    for entry in COMMANDS:
        if entry.key == chosen:
            _add_command(subparsers, entry)
        else:
            subparsers.add_parser(entry.key, help=entry.summary)
    return parser.parse_args(arguments)


def _add_command(subparsers: Any, entry: Entry) -> None:
    """Add a command with its options. The options' `command` becomes the function to call with them."""
    try:
        command = COMMANDS.load(entry.key)
    except ImportError as error:
        package = entry.module.split(".")[0]
        if error.name != package:
            raise
        got, expected = "no package " + package, "a host that has it (Python 3.10 or later), not the device"
        do = 'pip install "tsm-edge[{}]"; the device needs only the exported model'.format(entry.extra)
        raise InputError("tsm-edge " + entry.key, got, expected, do) from error
    parser = subparsers.add_parser(entry.key, help=entry.summary)
    command.add_options(parser)
    parser.set_defaults(command=command.run)
