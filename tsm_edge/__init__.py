"""tsm-edge: run a trained Temporal Shift Module (TSM) video model live on an edge device.

Importing this package loads NumPy and nothing else; every heavy library (OpenCV, ONNX Runtime, TensorRT)
is imported by the one file that needs it, when it is needed.
"""

__version__ = "0.1.0"


def load_engine(path, threads=None, kernels=True, device="cpu", spin=True):
    """Open a model file as an engine. See :func:`tsm_edge.engines.load_engine`."""
    from tsm_edge.engines import load_engine as load

    return load(path, threads=threads, kernels=kernels, device=device, spin=spin)


__all__ = ["__version__", "load_engine"]
