"""The graph calls of libcuda over a :class:`tests.device.fakes.gpu.Gpu`, with the driver's own argument lists."""

import ctypes
import threading

from tests.device.fakes.gpu import GpuError

INVALID_VALUE, UNSUPPORTED, INVALIDATED = 1, 900, 901
NAMES = {1: b"CUDA_ERROR_INVALID_VALUE", 900: b"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"}
NAMES[901] = b"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"


class LibCuda:
    """generation: "10.2" (cuGraphInstantiate), "11" (its _v2), "12" (…WithFlags), or "9", which has no graphs.

    graphs, execs: those that were made and not yet destroyed.
    """

    def __init__(self, gpu, generation="12"):
        self.gpu, self.graphs, self.execs, self._count = gpu, {}, {}, 0
        if generation != "9":
            self.cuStreamBeginCapture_v2, self.cuStreamEndCapture = self._begin, self._end
        if generation == "10.2":
            self.cuGraphInstantiate = self._instantiate
        elif generation == "11":
            self.cuGraphInstantiate_v2 = self._instantiate
        elif generation == "12":
            self.cuGraphInstantiateWithFlags = self._instantiate_with_flags

    def _code(self, name, work):
        try:
            self.gpu.call(name)
            return work() or 0
        except GpuError as error:
            return UNSUPPORTED if "unsupported" in str(error) else INVALID_VALUE

    def _begin(self, stream, mode):
        assert isinstance(stream, ctypes.c_void_p)
        assert isinstance(mode, ctypes.c_int)
        assert mode.value in (0, 1, 2)

        def work():
            found = self.gpu.stream(stream.value)
            if found.captured is not None:
                return INVALID_VALUE
            found.captured, found.invalidated, found.capturing_thread = [], False, threading.get_ident()
            return None

        return self._code("cuStreamBeginCapture_v2", work)

    def _end(self, stream, graph):
        found = self.gpu.stream(stream.value)
        recorded, found.captured, found.capturing_thread = found.captured, None, None  # over, whatever the answer is

        def work():
            if recorded is None:
                return INVALID_VALUE
            if found.invalidated:
                return INVALIDATED
            graph._obj.value = self._new(self.graphs, recorded)
            return None

        return self._code("cuStreamEndCapture", work)

    def _new(self, table, work):
        self._count += 1
        table[0x9000 + self._count] = work
        return 0x9000 + self._count

    def _instantiate(self, made, graph, node, log, length):
        assert isinstance(length, ctypes.c_size_t)
        return self._instantiate_with_flags(made, graph, ctypes.c_ulonglong(0))

    def _instantiate_with_flags(self, made, graph, flags):
        assert isinstance(flags, ctypes.c_ulonglong)

        def work():
            made._obj.value = self._new(self.execs, list(self.graphs[graph.value]))

        return self._code("cuGraphInstantiate", work)

    def cuGraphLaunch(self, handle, stream):
        def work():
            found = self.gpu.stream(stream.value)
            for item in self.execs[handle.value]:
                found.put(item)

        return self._code("cuGraphLaunch", work)

    def cuGraphExecDestroy(self, handle):
        return self._code("cuGraphExecDestroy", lambda: 0 if self.execs.pop(handle.value, None) is not None else 1)

    def cuGraphDestroy(self, graph):
        return self._code("cuGraphDestroy", lambda: 0 if self.graphs.pop(graph.value, None) is not None else 1)

    def cuGetErrorName(self, code, text):
        text._obj.value = NAMES.get(code.value)
        return 0 if code.value in NAMES else INVALID_VALUE
