"""Ctrl-C and a service manager's stop, let in only where they lose nothing."""

import signal

# A closed terminal (SIGHUP) ends a run on a device that was started over ssh.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(KeyboardInterrupt):
    """A signal that asks the run to end.

    exit_code: what a shell gives for it, 130 for Ctrl-C. stopped: the word for it in a summary.
    """

    def __init__(self, signum):
        super(Interrupted, self).__init__(signum)
        self.exit_code = 128 + signum
        self.stopped = "interrupt" if signum == signal.SIGINT else signal.Signals(signum).name


class Interruptible:
    """With this around a run, a signal raises :class:`Interrupted` at once, except as its methods say.

    A signal that the parent process had ignored (nohup, a shell's background job) stays so. Main thread only.
    """

    def __init__(self):
        self._at_once = True
        self._pending = None
        self._previous = {}

    def __enter__(self):
        for signum in SIGNALS:
            if signal.getsignal(signum) is not signal.SIG_IGN:
                self._previous[signum] = signal.signal(signum, self._on_signal)
        return self

    def __exit__(self, *exc):
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def while_waiting(self, frames):
        """Iterate over `frames` such that a signal breaks off the wait for a frame, but never the work on one.

        So every frame that a run counts has reached all of its sinks.
        """
        self._at_once = False
        return _Breakable(self, frames)

    def hold(self):
        """From here on signals are ignored: files are being closed, and half closed they would be broken."""
        self._at_once = False

    def _on_signal(self, signum, frame):
        if self._at_once:
            self._at_once = False  # a second Ctrl-C must not break off what the first one set in motion
            raise Interrupted(signum)
        self._pending = signum


class _Breakable:
    """An iterator; `last_read_seconds` is that of the Capture inside."""

    def __init__(self, owner, frames):
        self._owner, self._frames = owner, frames

    def __iter__(self):
        return self

    def __next__(self):
        owner = self._owner
        owner._at_once = True
        try:
            if owner._pending is not None:
                raise Interrupted(owner._pending)
            return next(self._frames)
        finally:
            owner._at_once = False

    @property
    def last_read_seconds(self):
        return self._frames.last_read_seconds
