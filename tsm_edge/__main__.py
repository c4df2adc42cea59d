# PYTHON_ARGCOMPLETE_OK
"""`python -m tsm_edge` and the console script `tsm-edge`."""

import sys

from tsm_edge.interrupt import ignore_signals


def main() -> int:
    """Run the command line of this process. Returns the exit code."""
    try:
        from tsm_edge.cli import main as run_command

        code = run_command()
    except KeyboardInterrupt:  # while Python still imports
        code = 130
    if code > 128:  # ended by a signal
        ignore_signals()
    return code


if __name__ == "__main__":
    sys.exit(main())
