"""One GPU by pycuda: its context, memory, pinned memory and a stream, with every failure as a TsmEdgeError.

TensorRT works in the device's primary context, so this module takes that one. A context belongs to the thread that
pushed it, so every use stands within `with device:`. The context stays until the process ends: pycuda has no sound way
to give a primary context back earlier (its detach leaves it current).
"""

from typing import Any, Dict, Sequence, Tuple

from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.machine.install_hints import missing

ALIGNMENT = 256  # of every buffer in a block: what cudaMalloc promises, and TensorRT relies on
NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: no call on the default stream waits for the stream, or is waited for

_open: Dict[int, "Device"] = {}  # by number


def open_device(number: int = 0) -> "Device":
    """Return GPU `number`, always the same object. Raises InputError where pycuda or the GPU is missing."""
    if number not in _open:
        try:
            import pycuda.driver as driver
        except ImportError as error:
            raise missing("pycuda", error) from error
        _open[number] = Device(driver, number)
    return _open[number]


class Device:
    """A GPU, used within a `with` block. driver: pycuda.driver. compute_capability: (major, minor)."""

    def __init__(self, driver: Any, number: int) -> None:
        self.driver = driver
        try:
            driver.init()
            device = driver.Device(number)
            retain = getattr(device, "retain_primary_context", None)
            if retain is None:
                raise InputError("CUDA", "a pycuda before 2020.1", "2020.1 or later", "pip install --upgrade pycuda")
            self.context = retain()
        except driver.Error as error:
            raise InputError("CUDA", str(error), "an NVIDIA GPU", "see tsm-edge doctor") from error
        self.name: str = device.name()
        self.compute_capability: Tuple[int, int] = tuple(device.compute_capability())

    def __enter__(self) -> "Device":
        try:
            self.context.push()
        except self.driver.Error as error:
            raise TsmEdgeError("CUDA: {}".format(error)) from error
        return self

    def new_stream(self) -> Any:
        """Return a stream that the default stream has no part in, within a `with` block.

        CUDA forbids calls on the default stream, by any thread, while a stream of the other kind is captured. pycuda
        passes the flags to cuStreamCreate (src/cpp/cuda.hpp, the same since 2014.1).
        """
        return self.driver.Stream(NON_BLOCKING)

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        try:
            self.driver.Context.pop()
        except self.driver.Error as lost:  # after some errors every further call fails: tell the first one
            kind, error = (type(lost), lost) if kind is None else (kind, error)
        if kind is not None and issubclass(kind, self.driver.Error):
            raise TsmEdgeError("CUDA: {}".format(error)) from error


class Block:
    """One allocation on the GPU, cut into buffers of `sizes` bytes. at: their addresses. size: of it all, in bytes."""

    def __init__(self, driver: Any, sizes: Sequence[int]) -> None:
        starts, end = [], 0
        for size in sizes:
            starts.append(end)
            end += -(-size // ALIGNMENT) * ALIGNMENT
        self.size = max(end, 1)
        self._memory = driver.mem_alloc(self.size)
        self.at = [int(self._memory) + start for start in starts]

    def free(self) -> None:
        """Give the memory back. Nothing else does."""
        self._memory.free()
