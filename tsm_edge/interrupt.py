"""Ctrl-C and a service manager's stop, let in only where they lose nothing."""

import contextlib
import signal
from typing import Any, Dict, Iterator, Optional

from tsm_edge.errors import TsmEdgeError

# A closed terminal (SIGHUP) ends a run on a device that was started over ssh.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def ignore_signals() -> None:
    """Ignore them from here on: the process ends, and a further Ctrl-C would only break off Python's own end."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


@contextlib.contextmanager
def blocked_signals() -> Iterator[None]:
    """Block them for this block. A program that is started in it never receives one: it ends when its input ends."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Interrupted(KeyboardInterrupt):
    """A signal that asks the run to end. exit_code: a shell's, 130 for Ctrl-C. stopped: its word in a summary."""

    def __init__(self, signum: int) -> None:
        super(Interrupted, self).__init__(signum)
        self.exit_code = 128 + signum
        self.stopped = "interrupt" if signum == signal.SIGINT else signal.Signals(signum).name


class Interruptible:
    """While this is entered, a signal raises :class:`Interrupted` at once, except as the methods say.

    A signal that the parent process had ignored (nohup, a shell's background job) stays ignored. Main thread only.
    A package that is interrupted while it loads may raise an error of its own instead: what leaves the block then is
    :class:`Interrupted` all the same.
    """

    def __init__(self) -> None:
        self._at_once = True
        self._pending: Optional[int] = None
        self._raised: Optional[int] = None
        self._previous: Dict[int, Any] = {}

    def __enter__(self) -> "Interruptible":
        for signum in SIGNALS:
            if signal.getsignal(signum) is not signal.SIG_IGN:
                self._previous[signum] = signal.signal(signum, self._on_signal)
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        if self._raised is not None and _may_hide_a_signal(error):
            raise Interrupted(self._raised) from error

    def hold(self) -> None:
        """Keep signals back from here on: half the work on a frame, or half a file, would be lost."""
        self._at_once = False

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Let signals in for this block, the one that was kept back first; afterwards keep them back again."""
        self._at_once = True
        try:
            if self._pending is not None:
                self._raised = self._pending
                raise Interrupted(self._pending)
            yield
        finally:
            self._at_once = False

    def _on_signal(self, signum: int, frame: Any) -> None:
        del frame
        if self._at_once:
            self._at_once = False  # a second Ctrl-C must not break off what the first one set in motion
            self._raised = signum
            raise Interrupted(signum)
        self._pending = signum


def _may_hide_a_signal(error: Optional[BaseException]) -> bool:
    """Return whether an error may be what a package made of a signal, rather than one that followed the signal."""
    if not isinstance(error, TsmEdgeError):
        return isinstance(error, Exception)
    cause: Optional[BaseException] = error
    while cause is not None and not isinstance(cause, ImportError):  # of a package that seemed to be missing
        cause = cause.__cause__ or cause.__context__
    return cause is not None
