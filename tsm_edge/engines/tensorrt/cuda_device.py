"""One GPU by pycuda: its context, memory, pinned memory and a stream, with every failure as a TsmEdgeError.

TensorRT works in the device's primary context, so that is the one taken here. A context belongs to whichever thread has
pushed it; so `with device:` around every use, from any thread, and nothing outside of it. The context stays until the
process ends: pycuda has no sound way to give a primary context back earlier (its detach leaves it current).
"""

from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.machine.install_hints import missing

ALIGNMENT = 256  # of every buffer in a block: what cudaMalloc promises, and TensorRT relies on


_open = {}  # by number


def open_device(number=0):
    """The :class:`Device` of GPU `number`, always the same. Raises InputError where pycuda or the GPU is missing."""
    if number not in _open:
        try:
            import pycuda.driver as driver
        except ImportError as error:
            raise missing("pycuda", error) from error
        _open[number] = Device(driver, number)
    return _open[number]


class Device:
    """A GPU, in a `with` block. driver: pycuda.driver. name; compute_capability: (major, minor)."""

    def __init__(self, driver, number):
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
        self.name, self.compute_capability = device.name(), tuple(device.compute_capability())

    def __enter__(self):
        self.context.push()
        return self

    def __exit__(self, kind, error, traceback):
        self.driver.Context.pop()
        if kind is not None and issubclass(kind, self.driver.Error):
            raise TsmEdgeError("CUDA: {}".format(error)) from error

    def stream(self):
        return self.driver.Stream()

    def block(self, sizes):
        """A :class:`Block` of memory for buffers of `sizes` bytes."""
        return Block(self.driver, sizes)

    def pinned(self, shape, dtype):
        """A NumPy array in pinned memory, which copies to and from the GPU run beside the host."""
        return self.driver.pagelocked_empty(shape, dtype)


class Block:
    """One allocation on the GPU, cut into buffers. at: their addresses, ints. Freed by `free` alone."""

    def __init__(self, driver, sizes):
        starts, end = [], 0
        for size in sizes:
            starts.append(end)
            end += -(-size // ALIGNMENT) * ALIGNMENT
        self.size = max(end, 1)
        self._memory = driver.mem_alloc(self.size)
        self.at = [int(self._memory) + start for start in starts]

    def free(self):
        self._memory.free()
