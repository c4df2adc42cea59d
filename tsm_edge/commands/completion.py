"""`tsm-edge completion`: what makes a shell complete commands and options; and the answer to the shell that asks."""

import argparse
import os
from typing import List

from tsm_edge.commands.output import print_text

SHELLS = ("bash", "zsh", "fish")
ASKED = "_ARGCOMPLETE"  # of the environment: set by the shell's script that asks for completions
LINE = "COMP_LINE"  # of the environment: what was typed until now


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    text = 'print the script of this shell; bash and zsh read it by: eval "$(tsm-edge completion bash)"'
    parser.add_argument("shell", choices=SHELLS, help=text)


def run(options: argparse.Namespace) -> int:
    """Print the script. Raises ImportError without argcomplete."""
    import argcomplete

    print_text(argcomplete.shellcode(["tsm-edge"], shell=options.shell))
    return 0


def is_asked() -> bool:
    """Return whether a shell started this process for completions instead of a command."""
    return ASKED in os.environ


def typed_words() -> List[str]:
    """Return the words of the line that the shell completes."""
    return os.environ.get(LINE, "").split()


def answer(parser: argparse.ArgumentParser) -> None:
    """Print the completions of the typed line and end the process. Does nothing without argcomplete."""
    try:
        import argcomplete
    except ImportError:
        return
    argcomplete.autocomplete(parser)
