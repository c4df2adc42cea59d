"""The system's own files (/proc, /sys, /etc) as text. `root` is the folder that stands for "/", for tests."""

import os
import re
from typing import Optional


def read_text(root: str, path: str) -> str:
    """Return the file `path` below `root` as text, "" where it cannot be read."""
    try:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def memory_mb(root: str = "/", key: str = "MemTotal") -> Optional[int]:
    """Return the megabytes of `key` in /proc/meminfo, None where the key is not there."""
    kilobytes = search(r"^{}:\s+(\d+)".format(key), read_text(root, "proc/meminfo"))
    return None if kilobytes is None else int(kilobytes) // 1024


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def search(pattern: str, text: str) -> Optional[str]:
    """Return the first group of the first match, None without one. ^ and $ match at each line."""
    match = re.search(pattern, text, re.MULTILINE)
    return match.group(1) if match else None
