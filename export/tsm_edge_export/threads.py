"""How many CPU threads the host's commands use: as many as the machine has free processors.

Threads that share a processor with another program wait for each other at the end of each layer. So one thread too many
can make a step several times slower.
"""

import contextlib
import logging
import math
import os
import re
import time
from collections.abc import Iterator

import torch

from tsm_edge.machine.system_files import processors, read_text

SAMPLE_SECONDS = 0.25  # in which the load is measured
_LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def free_threads() -> Iterator[int]:
    """Run torch in this block on as many threads as there are free processors, and yield their number.

    A user's OMP_NUM_THREADS wins: torch follows it by itself. `verify` gives ONNX Runtime torch's number of threads.
    """
    before = torch.get_num_threads()
    if os.environ.get("OMP_NUM_THREADS"):
        _LOG.info("%d CPU threads: OMP_NUM_THREADS is set", before)
        yield before
        return
    count, reason = choose()
    _LOG.info("%d CPU threads: %s", count, reason)
    torch.set_num_threads(count)
    try:
        yield count
    finally:
        torch.set_num_threads(before)


def take_up_threads(count: int) -> None:
    """Go on with the `count` threads of an interrupted run, since another number rounds differently.

    A user's OMP_NUM_THREADS wins, and so does a machine with fewer processors.
    """
    if not os.environ.get("OMP_NUM_THREADS") and 1 <= count <= processors():
        _LOG.info("%d CPU threads, as before the interruption", count)
        torch.set_num_threads(count)


def choose() -> tuple[int, str]:
    """Return the number of threads, at least 1, and the reason in words."""
    allowed = processors()
    load = busy_processors()
    if load is None:
        load = min(os.getloadavg()[0], allowed) if hasattr(os, "getloadavg") else 0.0
    count = max(1, min(allowed, math.floor(allowed - load + 0.5)))
    return count, f"other programs keep {load:.1f} of {allowed} processors busy"


def busy_processors(root: str = "/", seconds: float = SAMPLE_SECONDS) -> float | None:
    """Return how many of this process's processors others use, measured over `seconds`. None where that is unknown.

    The load average would count the last minute, so also a training that has just ended. `root` stands for "/".
    """
    before = _ticks(read_text(root, "proc/stat"))
    time.sleep(seconds)
    after = _ticks(read_text(root, "proc/stat"))
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(after)
    if not allowed or not allowed <= before.keys() & after.keys():
        return None
    busy = 0.0
    for number in allowed:
        idle, total = (after[number][place] - before[number][place] for place in (0, 1))
        busy += 0.0 if total <= 0 else min(max(1 - idle / total, 0.0), 1.0)
    return busy


def _ticks(text: str) -> dict[int, tuple[int, int]]:
    """Return number of a processor -> its idle ticks and all ticks, from the text of /proc/stat (see proc(5))."""
    found = {}
    for number, figures in re.findall(r"^cpu([0-9]{1,6}) ([0-9 ]{1,400})$", text, re.MULTILINE):
        ticks = [int(figure) for figure in figures.split()][:8]  # the last two are counted in the first two already
        if len(ticks) >= 5:
            found[int(number)] = ticks[3] + ticks[4], sum(ticks)  # idle, and waiting for a disk
    return found
