"""tsm-edge: run a trained Temporal Shift Module (TSM) video model live on an edge device.

Every heavy library (OpenCV, ONNX Runtime, TensorRT) is imported by the one file that needs it, when it is needed.
"""

from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from tsm_edge.engines.base import Engine
    from tsm_edge.session import Session

__version__ = "0.1.0"


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


__all__ = ["__version__", "load_engine", "open_session"]
