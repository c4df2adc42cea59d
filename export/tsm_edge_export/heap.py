"""Keep freed memory for the next training step instead of returning it to the kernel.

A training step allocates feature maps of some megabytes and frees them again. By default glibc maps and unmaps each of
them, so the kernel clears every page in every step.
"""

import ctypes
import logging

# Source: malloc.h of glibc.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MMAP_THRESHOLDS = (1 << 30, 1 << 25)  # bytes; older versions of glibc take 32 MiB at most
NEVER_TRIM = 2**31 - 1
_LOG = logging.getLogger(__name__)


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, up to its peak. Returns False where the C library is not glibc.

    It changes the speed and no result.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
        ctypes.CDLL(None).gnu_get_libc_version  # noqa: B018  # musl has a mallopt that does nothing
    except (AttributeError, OSError, TypeError):
        _LOG.info("no mallopt: the default allocation is used")
        return False
    taken = any(mallopt(M_MMAP_THRESHOLD, size) for size in MMAP_THRESHOLDS)
    return bool(taken and mallopt(M_TRIM_THRESHOLD, NEVER_TRIM))
