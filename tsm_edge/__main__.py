"""`python -m tsm_edge` and the console script `tsm-edge`."""

import sys

from tsm_edge.cli import main as run_command
from tsm_edge.interrupt import ignore_signals


def main() -> int:
    """Run the command line of this process. Returns the exit code."""
    code = run_command()
    if code > 128:  # ended by a signal
        ignore_signals()
    return code


if __name__ == "__main__":
    sys.exit(main())
