"""CUDA graphs by ctypes on the driver, since pycuda has none: capture what a stream is given, replay it in one call.

A graph holds addresses, so it fits one set of buffers. Source: CUDA Driver API, "Stream Management" and "Graph
Management"; a Nano's CUDA 10.2 has all of it. Each form of the call that instantiates a graph has its own symbol.
"""

import ctypes
from typing import Any, Callable

from tsm_edge.errors import TsmEdgeError

THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE: calls of other threads do not break the capture
_NEEDED = ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphLaunch", "cuGraphExecDestroy", "cuGraphDestroy"]
_NEEDED += ["cuGetErrorName"]
_INSTANTIATE = ("cuGraphInstantiateWithFlags", "cuGraphInstantiate_v2", "cuGraphInstantiate")


class CudaError(TsmEdgeError):
    """A call of the CUDA driver failed."""


class Graphs:
    """The graph calls of the CUDA driver. Raises CudaError where it has none."""

    def __init__(self) -> None:
        self._library = _libcuda()
        names = [name for name in _INSTANTIATE if hasattr(self._library, name)]
        if not names or not all(hasattr(self._library, name) for name in _NEEDED):
            raise CudaError("this CUDA driver has none")
        self._instantiate_by = names[0]

    def capture(self, stream: int, work: Callable[[], None]) -> "Graph":
        """Capture the calls of `work()` on a stream (its handle) instead of running them.

        Raises CudaError, or what `work` raises, where they cannot be captured; the stream is then as it was.
        """
        self.call("cuStreamBeginCapture_v2", ctypes.c_void_p(stream), ctypes.c_int(THREAD_LOCAL))
        graph = ctypes.c_void_p()
        try:
            work()
        except BaseException:
            # Always ends the capture. An invalid capture has no graph, and the first error is the one to report.
            if self._library.cuStreamEndCapture(ctypes.c_void_p(stream), ctypes.byref(graph)) == 0 and graph:
                self.call("cuGraphDestroy", graph)
            raise
        self.call("cuStreamEndCapture", ctypes.c_void_p(stream), ctypes.byref(graph))
        made, more = ctypes.c_void_p(), (ctypes.c_ulonglong(0),)  # type: Any, Any
        if self._instantiate_by != "cuGraphInstantiateWithFlags":
            more = (None, None, ctypes.c_size_t(0))  # error node, log and its length: not wanted
        try:
            self.call(self._instantiate_by, ctypes.byref(made), graph, *more)
            return Graph(self, made)
        finally:
            self.call("cuGraphDestroy", graph)

    def call(self, name: str, *arguments: Any) -> None:
        """Call the driver. Raises CudaError where it fails."""
        code = getattr(self._library, name)(*arguments)
        if code:
            text = ctypes.c_char_p()
            self._library.cuGetErrorName(ctypes.c_int(code), ctypes.byref(text))
            raise CudaError("CUDA: {}: {}".format(name, (text.value or b"error %d" % code).decode("ascii")))


class Graph:
    """A graph that can be launched. Belongs to the CUDA context that was current when it was captured."""

    def __init__(self, graphs: Graphs, handle: Any) -> None:
        self._graphs, self._handle = graphs, handle

    def launch(self, stream: int) -> None:
        """Put it on a stream (its handle). Raises CudaError."""
        self._graphs.call("cuGraphLaunch", self._handle, ctypes.c_void_p(stream))

    def close(self) -> None:
        """Free the graph. A second call does nothing."""
        if self._handle:
            handle, self._handle = self._handle, None
            self._graphs.call("cuGraphExecDestroy", handle)


def _libcuda() -> Any:
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise CudaError("CUDA: {}".format(error)) from error
