"""`pycuda.driver` over a :class:`tests.device.fakes.gpu.Gpu`: the calls of pycuda 2022.1 that we make."""

import functools
import types

import numpy as np

from tests.device.fakes.gpu import FakeStream, GpuError


def make(gpu):
    """A module with the names of pycuda.driver."""
    module = types.ModuleType("pycuda.driver")
    started = []

    class Error(Exception):
        pass

    class MemoryError_(Error):
        pass

    class LogicError(Error):
        pass

    def checked(name, needs_context=True):
        def wrap(function):
            @functools.wraps(function)
            def call(*args, **kwargs):
                try:
                    gpu.call(name, needs_context)
                    return function(*args, **kwargs)
                except GpuError as error:
                    raise (MemoryError_ if "memory" in str(error) else LogicError)(str(error)) from error

            return call

        return wrap

    @checked("init", needs_context=False)
    def init(flags=0):
        started.append(True)

    class Context:
        __slots__ = ()

        @checked("push", needs_context=False)
        def push(self):
            gpu.contexts.append(self)

        @staticmethod
        @checked("pop")
        def pop():
            gpu.contexts.pop()

    class Device:
        __slots__ = ("_number",)

        @checked("Device", needs_context=False)
        def __init__(self, number):
            if not started:
                raise GpuError("cuDeviceGet failed: initialization error")
            if number:
                raise GpuError("cuDeviceGet failed: invalid device ordinal")
            self._number = number

        def name(self):
            return gpu.name

        def compute_capability(self):
            return gpu.compute_capability

        @checked("retain_primary_context", needs_context=False)
        def retain_primary_context(self):
            return Context()

    class Stream:
        __slots__ = ("handle",)

        @checked("Stream")
        def __init__(self, flags=0):
            self.handle = 0x5000 + 16 * len(gpu.streams)
            gpu.streams[self.handle] = FakeStream(gpu, self.handle, blocking=not flags & 1)

        @checked("synchronize")
        def synchronize(self):
            gpu.stream(self.handle).synchronize()

    class DeviceAllocation:
        __slots__ = ("_address",)

        def __init__(self, address):
            self._address = address

        def __int__(self):
            return self._address

        __index__ = __int__

        @checked("free")
        def free(self):
            gpu.free(self._address)

    @checked("mem_alloc")
    def mem_alloc(bytes):
        return DeviceAllocation(gpu.allocate(bytes))

    @checked("pagelocked_empty")
    def pagelocked_empty(shape, dtype, order="C", mem_flags=0):
        array = np.empty(shape, dtype, order)
        gpu.pinned[array.__array_interface__["data"][0]] = array.nbytes
        return array

    def as_bytes(array):
        if not (isinstance(array, np.ndarray) and array.flags.c_contiguous):
            raise ValueError("ndarray is not contiguous")
        return array.reshape(-1).view(np.uint8)

    def staged(array, stream, reads):
        """Return the bytes that a copy reads or writes. Pageable memory is read at once, and written after a wait."""
        data = as_bytes(array)
        if gpu.is_pinned(array):
            return data
        gpu.call("pageable")
        if gpu.stream(stream.handle).captured is not None:
            raise GpuError("operation not permitted when stream is capturing")
        if reads:
            return data.copy()
        gpu.stream(stream.handle).synchronize()
        return data

    def later(stream, work):
        if not isinstance(stream, Stream):
            raise AssertionError("an asynchronous call that names no stream of its own")
        gpu.stream(stream.handle).put(work)

    def copy_in(dest, source):
        gpu.view(dest, len(source))[...] = source

    def copy_out(dest, src):
        dest[...] = gpu.view(src, len(dest))

    @checked("memcpy_htod")
    def memcpy_htod(dest, src):
        gpu.use_default_stream()
        copy_in(int(dest), as_bytes(src))

    @checked("memcpy_dtoh")
    def memcpy_dtoh(dest, src):
        gpu.use_default_stream()
        copy_out(as_bytes(dest), int(src))

    @checked("memcpy_htod_async")
    def memcpy_htod_async(dest, src, stream=None):
        source = staged(src, stream, reads=True)
        later(stream, lambda: copy_in(int(dest), source))

    @checked("memcpy_dtoh_async")
    def memcpy_dtoh_async(dest, src, stream=None):
        target = staged(dest, stream, reads=False)
        later(stream, lambda: copy_out(target, int(src)))
        if not gpu.is_pinned(dest):
            gpu.stream(stream.handle).synchronize()  # into pageable memory it returns when it is done

    @checked("memcpy_dtod_async")
    def memcpy_dtod_async(dest, src, size, stream=None):
        target, source = gpu.view(int(dest), size), gpu.view(int(src), size)
        later(stream, lambda: target.__setitem__(Ellipsis, source))

    @checked("memset_d8_async")
    def memset_d8_async(dest, data, size, stream=None):
        gpu.view(int(dest), size)
        later(stream, lambda: gpu.view(int(dest), size).fill(data))

    for thing in (init, Device, Context, Stream, DeviceAllocation, mem_alloc, pagelocked_empty, Error, LogicError):
        setattr(module, thing.__name__, thing)
    copies = (memcpy_htod, memcpy_dtoh, memcpy_htod_async, memcpy_dtoh_async, memcpy_dtod_async, memset_d8_async)
    for thing in copies:
        setattr(module, thing.__name__, thing)
    module.MemoryError = MemoryError_
    return module
