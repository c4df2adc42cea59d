"""The command line: it parses, dispatches by the table of commands, and turns errors into exit codes."""

import argparse
import logging
import os
import sys
from typing import Any, Optional, Sequence

from tsm_edge import __version__
from tsm_edge.commands import COMMANDS
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.machine import install_hints
from tsm_edge.registry import Entry


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command line `arguments` (None: that of this process). Returns the exit code; see docs/design.md."""
    try:
        options = _parse(sys.argv[1:] if arguments is None else arguments)
        level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(options.verbose, 2)]
        logging.basicConfig(level=level, format="%(name)s: %(message)s")
        if not options.verbose:
            # Our errors say what FFmpeg and OpenCV would print. OpenCV reads these variables when it is imported.
            os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
            os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
        code = options.command(options)
        sys.stdout.flush()  # while a broken pipe can still be caught
        return code
    except TsmEdgeError as error:
        sys.stderr.write("tsm-edge: error: {}\n".format(error))
        logging.getLogger(__name__).debug("the error above came from here", exc_info=True)
        return error.exit_code
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        if package not in install_hints.PACKAGES:
            raise
        sys.stderr.write("tsm-edge: error: {}\n".format(install_hints.missing(package, error)))
        return InputError.exit_code
    except KeyboardInterrupt as interrupt:
        return getattr(interrupt, "exit_code", 130)
    except BrokenPipeError:  # `tsm-edge info model.onnx | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        return 1


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
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
