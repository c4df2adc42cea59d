"""One at a time: what several test processes (pytest -n) would otherwise build in the same folder at once."""

import contextlib
import fcntl
import os


@contextlib.contextmanager
def locked(folder):
    """Hold `folder` (made where missing) against other processes that ask for it."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, ".lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
