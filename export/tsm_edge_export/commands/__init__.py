"""The host half's commands of `tsm-edge`, one file a command; `tsm_edge.commands.COMMANDS` lists them."""

import contextlib
import importlib
import sys
from collections.abc import Iterator

from tsm_edge.interrupt import Interruptible


@contextlib.contextmanager
def interruptible(*packages: str) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP end this block, so that drafts are removed and the exit code names the signal.

    Args:
        *packages: that the block needs. They are imported first, with signals kept back: an exception from a signal
            would end torch's import with abort().
    """
    try:
        with Interruptible() as signals:
            signals.hold()
            for package in packages:
                importlib.import_module(package)
            with signals.waiting():
                yield
    except KeyboardInterrupt:
        _forget_half_made()
        raise


def _forget_half_made() -> None:
    """Say nothing of objects that the interrupt left half made, such as torch's data loaders: the process ends."""
    sys.unraisablehook = lambda _: None
