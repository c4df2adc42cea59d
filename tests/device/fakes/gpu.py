"""A GPU of numbers: allocations with addresses, streams that run when waited for, captures, contexts of threads."""

import threading

import numpy as np


class GpuError(Exception):
    """What the CUDA driver answers; pycuda and the driver library each tell it in their own way."""


class Gpu:
    """name, compute_capability: what it says of itself. failures: calls that fail, name -> message.

    calls: how often each call was made. "default stream" and "pageable" count copies of these kinds, by whichever call.
    while_capturing: called, once, in the middle of the next capture.
    """

    def __init__(self, name="NVIDIA Tegra X1", compute_capability=(5, 3)):
        self.name, self.compute_capability = name, compute_capability
        self.failures, self.calls = {}, {}
        self.allocations, self.pinned, self.streams, self.while_capturing = {}, {}, {}, None
        self._next, self._local = 0x7000000, threading.local()

    def call(self, name, needs_context=True):
        self.calls[name] = self.calls.get(name, 0) + 1
        if name in self.failures:
            raise GpuError(self.failures[name])
        if needs_context and not self.contexts:
            raise GpuError("{}: no context is current in this thread".format(name))

    @property
    def contexts(self):
        """The stack of this thread."""
        if not hasattr(self._local, "stack"):
            self._local.stack = []
        return self._local.stack

    def allocate(self, size):
        if size <= 0:
            raise GpuError("cuMemAlloc failed: invalid argument")
        address, self._next = self._next, self._next + (size + 511) // 512 * 512 + 4096
        self.allocations[address] = np.full(size, 0xA5, np.uint8)  # fresh memory holds anything but zeros
        return address

    def free(self, address):
        if self.allocations.pop(address, None) is None:
            raise GpuError("cuMemFree failed: invalid argument")

    def view(self, address, size):
        """The bytes at `address`. Raises GpuError where they are not all of one allocation."""
        for base, data in self.allocations.items():
            if base <= address and address + size <= base + len(data):
                return data[address - base : address - base + size]
        raise GpuError("an illegal memory access was encountered: {} bytes at {:#x}".format(size, address))

    def is_pinned(self, array):
        start = array.__array_interface__["data"][0]
        return any(p <= start and start + array.nbytes <= p + size for p, size in self.pinned.items())

    def stream(self, handle):
        if handle not in self.streams:
            raise GpuError("invalid resource handle")
        return self.streams[handle]

    def use_default_stream(self):
        """The default stream waits for every blocking one, which breaks a capture of one of them in any thread.

        In the thread that captures, a call that waits is forbidden at any rate (CUDA Runtime API, "Stream Management",
        cudaThreadExchangeStreamCaptureMode).
        """
        self.call("default stream")
        blocking = [stream for stream in self.streams.values() if stream.blocking]
        for stream in self.streams.values():
            here = stream.capturing_thread == threading.get_ident()
            if stream.captured is not None and (stream.blocking or here):
                stream.invalidated = True
                raise GpuError("operation would make the legacy stream depend on a capturing blocking stream")
        for stream in blocking:
            stream.synchronize()


class FakeStream:
    """What was put on a stream, until somebody waits. captured: a list while it is recorded instead."""

    def __init__(self, gpu, handle, blocking=True):
        self.gpu, self.handle, self.queue, self.captured, self.blocking = gpu, handle, [], None, blocking
        self.invalidated, self.capturing_thread = False, None

    def put(self, work):
        if self.captured is not None and self.gpu.while_capturing is not None:
            meanwhile, self.gpu.while_capturing = self.gpu.while_capturing, None
            meanwhile()
        (self.queue if self.captured is None else self.captured).append(work)

    def synchronize(self):
        if self.captured is not None:
            self.invalidated = True
            raise GpuError("operation not permitted when stream is capturing")
        queue, self.queue = self.queue, []
        for work in queue:
            work()
