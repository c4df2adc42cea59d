"""What the system says of itself: its files (/proc, /sys, /etc) as text, below any root; processors."""

import os
import re


def read_text(root, path):
    """The file `path` below `root` as text, "" where it cannot be read."""
    try:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def memory_mb(root="/", key="MemTotal"):
    """Megabytes of `key` in /proc/meminfo, None where it is not there."""
    kilobytes = search(r"^{}:\s+(\d+)".format(key), read_text(root, "proc/meminfo"))
    return None if kilobytes is None else int(kilobytes) // 1024


def processors():
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def search(pattern, text):
    """The first group of the first match of `pattern` in `text`, line by line; None where there is none."""
    match = re.search(pattern, text, re.MULTILINE)
    return match.group(1) if match else None
