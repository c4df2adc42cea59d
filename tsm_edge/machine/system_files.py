"""The system's own files (/proc, /sys, /etc) as text. `root` is the folder that stands for "/", for tests."""

import math
import os
import re
import stat
from typing import Optional

MAX_BYTES = 1 << 25  # of a file; dpkg's list of packages has a few megabytes


def read_text(root: str, path: str) -> str:
    """Return the file `path` below `root` as text, "" where it cannot be read."""
    return text_of(os.path.join(root, path))


def text_of(path: str) -> str:
    """Return at most MAX_BYTES of a regular file as text, "" where there is none or it cannot be read (EAGAIN too)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a named pipe must not block
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return ""
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(MAX_BYTES).decode("utf-8", "replace")
        finally:
            os.close(descriptor)
    except OSError:
        return ""


def number_of(text: str) -> Optional[float]:
    """Return the finite number that `text` begins with, None without one. sysfs writes some with a unit: "32760 ma"."""
    words = text[:100].split()
    try:
        value = float(words[0]) if words else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def memory_mb(root: str = "/", key: str = "MemTotal") -> Optional[int]:
    """Return the megabytes of `key` in /proc/meminfo, None where the key is not there."""
    kilobytes = search(r"^{}:\s+([0-9]{{1,15}})\b".format(key), read_text(root, "proc/meminfo"))
    return None if kilobytes is None else int(kilobytes) // 1024


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def search(pattern: str, text: str) -> Optional[str]:
    """Return the first group of the first match, None without one. ^ and $ match at each line."""
    match = re.search(pattern, text, re.MULTILINE)
    return match.group(1) if match else None
