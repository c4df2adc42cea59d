"""Freed memory that is kept: the same arrays again cost no page faults."""

import platform
import subprocess
import sys

import pytest

from tsm_edge_export import heap

CODE = """
import resource, sys
import numpy as np
from tsm_edge_export.heap import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(size, np.uint8) for size in (3 << 20, 9 << 20, 30 << 20)]
    del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "keep":
    assert keep_freed_memory()
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is a part of glibc")
def test_kept_memory_costs_no_page_faults():
    kept, default = (
        int(subprocess.run([sys.executable, "-c", CODE, word], capture_output=True, check=True, text=True).stdout)
        for word in ("keep", "default")
    )
    assert kept < 100
    assert default > 1000  # 42 MiB are 10752 pages of 4 KiB; glibc keeps some of them


def test_another_c_library_changes_nothing(monkeypatch):
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _name: object())
    assert heap.keep_freed_memory() is False
