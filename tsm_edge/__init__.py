"""tsm-edge: run a trained Temporal Shift Module (TSM) video model live on an edge device.

`import tsm_edge` is enough to reach `tsm_edge.Preprocessor` and every module of the package, such as
`tsm_edge.preprocess`. Each module is imported when it is first used. Every heavy library (OpenCV, ONNX Runtime,
TensorRT) is imported by the one file that needs it, when it is needed.
"""

import importlib
import importlib.util
import os
import sys
import types
from typing import TYPE_CHECKING, Any, List, Optional

if TYPE_CHECKING:
    from tsm_edge import preprocess  # noqa: F401 (the class below imports it)
    from tsm_edge.engines.base import Engine
    from tsm_edge.preprocess import Preprocessor
    from tsm_edge.session import Session

__version__ = "0.1.0"

# ONNX Runtime from 1.31 on sends usage data, and writes an identifier into the user's cache folder, unless this is set
# before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def load_engine(
    path: Any, threads: Optional[int] = None, kernels: bool = True, device: str = "cpu", spin: bool = True
) -> "Engine":
    """Open a model file as an engine. See :func:`tsm_edge.engines.load_engine`."""
    from tsm_edge.engines import load_engine as load

    return load(path, threads=threads, kernels=kernels, device=device, spin=spin)


def open_session(engine: Any, *sources: Any, **options: Any) -> "Session":
    """Open sources on an engine; iterate over the session for the results.

    Raises InputError where the model, a source or an option is wrong.

    Args:
        engine: a model file, or an opened engine.
        *sources: what :func:`tsm_edge.sources.open_source` takes, opened sources, or
            :class:`tsm_edge.sources.request.StreamRequest` s.
        **options: the other fields of :class:`tsm_edge.session.SessionRequest`.
    """
    from tsm_edge.session import SessionRequest, open_session
    from tsm_edge.sources.request import StreamRequest

    streams = tuple(one if isinstance(one, StreamRequest) else StreamRequest(one) for one in sources)
    return open_session(SessionRequest(engine, streams, **options))


__all__ = ["Preprocessor", "__version__", "load_engine", "open_session"]


class _LazyPackage(types.ModuleType):
    """This package, with an import of what is not there yet. Python 3.6 knows no `__getattr__` of a module."""

    def __getattr__(self, name: str) -> Any:
        if name == "Preprocessor":
            from tsm_edge.preprocess import Preprocessor

            return Preprocessor
        module = "{}.{}".format(self.__name__, name)
        if name.startswith("_") or importlib.util.find_spec(module) is None:
            raise AttributeError("module {!r} has no attribute {!r}".format(self.__name__, name))
        return importlib.import_module(module)

    def __dir__(self) -> List[str]:
        return sorted(set(super(_LazyPackage, self).__dir__()) | set(__all__))


sys.modules[__name__].__class__ = _LazyPackage
