"""CUDA graphs by ctypes on the driver, since pycuda has none: capture what a stream is given, replay it in one call.

A graph holds addresses, so it fits one set of buffers. Source: CUDA Driver API, "Stream Management" and "Graph
Management"; cuStreamBeginCapture_v2 is of CUDA 10.1, so a Nano's CUDA 10.2 has all of it. What instantiates a graph has
changed its arguments twice, and each change has its own symbol.
"""

import ctypes

from tsm_edge.errors import TsmEdgeError

THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE: calls of other threads do not break the capture
_NEEDED = (
    "cuStreamBeginCapture_v2",
    "cuStreamEndCapture",
    "cuGraphLaunch",
    "cuGraphExecDestroy",
    "cuGraphDestroy",
    "cuGetErrorName",
)
_INSTANTIATE = ("cuGraphInstantiateWithFlags", "cuGraphInstantiate_v2", "cuGraphInstantiate")


class CudaError(TsmEdgeError):
    """A call of the CUDA driver failed."""


class Graphs:
    """The graph calls of a driver library. library: a ctypes library; None opens libcuda.

    available: whether this driver has them all.
    """

    def __init__(self, library=None):
        self._library = _libcuda() if library is None else library
        names = [name for name in _INSTANTIATE if hasattr(self._library, name)]
        self.available = bool(names) and all(hasattr(self._library, name) for name in _NEEDED)
        self._instantiate_by = names[0] if names else None

    def capture(self, stream, work):
        """Record the calls of `work()` on a stream (its handle) instead of running them. Returns a :class:`Graph`.

        Raises CudaError, or what `work` raises, where they cannot be recorded; the stream is then as it was.
        """
        self.call("cuStreamBeginCapture_v2", ctypes.c_void_p(stream), ctypes.c_int(THREAD_LOCAL))
        graph = ctypes.c_void_p()
        try:
            work()
        except BaseException:
            # Ends the capture, whatever it holds. An invalid one has no graph, and the first error is the one to tell.
            if self._library.cuStreamEndCapture(ctypes.c_void_p(stream), ctypes.byref(graph)) == 0 and graph:
                self.call("cuGraphDestroy", graph)
            raise
        self.call("cuStreamEndCapture", ctypes.c_void_p(stream), ctypes.byref(graph))
        try:
            return Graph(self, self._instantiated(graph))
        finally:
            self.call("cuGraphDestroy", graph)

    def _instantiated(self, graph):
        made = ctypes.c_void_p()
        more = (ctypes.c_ulonglong(0),)
        if self._instantiate_by != "cuGraphInstantiateWithFlags":
            more = (None, None, ctypes.c_size_t(0))  # error node, log and its length: not wanted
        self.call(self._instantiate_by, ctypes.byref(made), graph, *more)
        return made

    def call(self, name, *arguments):
        code = getattr(self._library, name)(*arguments)
        if code:
            text = ctypes.c_char_p()
            self._library.cuGetErrorName(ctypes.c_int(code), ctypes.byref(text))
            raise CudaError("CUDA: {}: {}".format(name, (text.value or b"error %d" % code).decode("ascii")))


class Graph:
    """A graph that can be launched. Belongs to the CUDA context that was current when it was captured."""

    def __init__(self, graphs, handle):
        self._graphs, self._handle = graphs, handle

    def launch(self, stream):
        """Put it on a stream (its handle). Raises CudaError."""
        self._graphs.call("cuGraphLaunch", self._handle, ctypes.c_void_p(stream))

    def close(self):
        if self._handle:
            handle, self._handle = self._handle, None
            self._graphs.call("cuGraphExecDestroy", handle)


def _libcuda():
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise CudaError("CUDA: {}".format(error)) from error
