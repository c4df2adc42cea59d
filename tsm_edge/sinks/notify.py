"""Tells systemd that a service of Type=notify has started, still works, and ends.

Source of the protocol: sd_notify(3) and sd_watchdog_enabled(3): datagrams of "KEY=value" lines to the unix socket that
$NOTIFY_SOCKET names, within $WATCHDOG_USEC microseconds of each other.
"""

import os
import socket
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from tsm_edge.records import Event, Result
from tsm_edge.sinks.base import Sink, StreamInfo
from tsm_edge.text import masked, one_line

STATUS_PERIOD = 10.0  # seconds between two status lines where no watchdog asks for more


class NotifySink(Sink):
    """Says READY=1 at the first result, then WATCHDOG=1 and a STATUS line, but only while results come.

    So a camera that is stuck, or an engine that hangs, ends in a restart by the service manager. A service manager that
    is gone is no reason to end a run.

    Args:
        address: $NOTIFY_SOCKET: a path, or "@" and an abstract name.
        period: seconds between two signs of life.
        clock: seconds (tests).
    """

    def __init__(
        self, address: str, period: float = STATUS_PERIOD, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # a service manager that does not read must not hold up a frame
        self._period, self._clock = period, clock
        self._frames = 0
        self._next: Optional[float] = None

    def write(self, result: Result) -> None:
        self._frames += 1
        now = self._clock()
        if self._next is None:
            self._send("READY=1")
        elif now < self._next:
            return
        self._next = now + self._period
        rate = "" if result.fps is None else ", {:.1f} frames/s".format(result.fps)
        self._send("WATCHDOG=1", "STATUS={} frames{}, {}".format(self._frames, rate, result.prediction.caption()))

    def event(self, event: Event) -> None:
        """Say nothing: the status line has the current label."""

    def finish(self, summaries: List[Dict[str, Any]]) -> None:
        self._send("STOPPING=1", "STATUS={} frames, stopped: {}".format(self._frames, summaries[-1]["stopped"]))

    def close(self) -> None:
        self._socket.close()

    def _send(self, *lines: str) -> None:
        message = "\n".join(one_line(masked(line)) for line in lines)
        try:
            self._socket.sendto(message.encode("utf-8"), self._address)
        except OSError:
            pass


def open_sink(value: Any, streams: Sequence[StreamInfo]) -> Optional[NotifySink]:
    """Open the sink where the service manager asks for one; it has no option."""
    del value, streams
    return from_environment()


def from_environment(environment: Mapping[str, str] = os.environ, pid: Optional[int] = None) -> Optional[NotifySink]:
    """Return the sink that the service manager asks for, None where it asks for none.

    A sign of life is due every third of the watchdog's time, and the status every 10 s. A watchdog meant for another
    process (WATCHDOG_PID) is none. A value that cannot be read counts as absent, as in sd_watchdog_enabled(3).

    Args:
        environment: of the process.
        pid: of this process (tests).
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    ours = environment.get("WATCHDOG_PID", str(os.getpid() if pid is None else pid))
    watched = microseconds.isdigit() and ours == str(os.getpid() if pid is None else pid) and int(microseconds) > 0
    return NotifySink(address, min(STATUS_PERIOD, int(microseconds) / 3e6) if watched else STATUS_PERIOD)
