"""Engines: one file a back end, opened by the kind of the model file."""

import os

from tsm_edge.engines.tensorrt.record import EXTENSIONS, read_record
from tsm_edge.errors import InputError
from tsm_edge.manifest import METADATA_KEY, from_json, sidecar_path
from tsm_edge.onnx.metadata import read_metadata

DEVICES = ("cpu", "cuda")


def load_engine(path, threads=None, kernels=True, device="cpu", spin=True):
    """Open the model at `path` as an :class:`tsm_edge.engines.base.Engine`.

    path: `model.onnx` (ONNX Runtime), or `model.trt` of `tsm-edge build` (TensorRT, for which the rest says nothing).
    device: "cpu", or "cuda" for the first NVIDIA GPU.
    threads: CPU threads of one step; None leaves it to the back end.
    kernels: use our native kernels where they are built (`make kernels`); False: the model's own standard operations.
    spin: CPU threads that wait for each other during a step spin, which is faster; False: they sleep, which leaves the
    core to whoever needs it more, such as a video decoder.
    Raises InputError for a file that is missing, damaged, not ours, or whose parts disagree, and for a device that this
    machine's ONNX Runtime does not have; it never takes another one instead.
    """
    if device not in DEVICES:
        raise InputError("device", device, " or ".join(DEVICES), "choose one of them")
    path = os.fspath(path)  # ONNX Runtime 1.10 takes no pathlib.Path
    extension = os.path.splitext(path)[1]
    if extension in EXTENSIONS:
        from tsm_edge.engines.tensorrt.engine import TensorRTEngine

        return TensorRTEngine(path)
    if extension != ".onnx":
        expected = "a file named *.onnx or *" + ", *".join(EXTENSIONS)
        raise InputError(path, "an engine of unknown kind", expected, "export one: make export MODEL=…")
    manifest = load_manifest(path)
    if device == "cuda":
        from tsm_edge.engines.onnxruntime.cuda import OnnxRuntimeCudaEngine, cuda_kernels

        return OnnxRuntimeCudaEngine(path, manifest, threads, cuda_kernels(manifest) if kernels else None)
    from tsm_edge.engines.onnxruntime.cpu import OnnxRuntimeEngine, usable_kernels

    return OnnxRuntimeEngine(path, manifest, threads, usable_kernels(manifest) if kernels else None, spin)


def load_manifest(path):
    """The checked manifest of the model at `path`, an ONNX file or a TensorRT engine; no back end is loaded.

    Raises InputError where the file is damaged or not ours, or where the manifest beside it says something else.
    """
    path = os.fspath(path)
    if os.path.splitext(path)[1] in EXTENSIONS:
        return read_record(path).manifest
    text = read_metadata(path).get(METADATA_KEY)
    if text is None:
        raise InputError(
            path,
            "an ONNX model without our manifest",
            "metadata property {}".format(METADATA_KEY),
            "export it with tsm-edge export; a foreign ONNX file does not say its colour order, caches and labels",
        )
    manifest = from_json(text, path)
    sidecar = sidecar_path(path)
    if os.path.exists(sidecar):
        with open(sidecar, "rb") as file:
            beside = from_json(file.read(), sidecar)
        if beside != manifest:
            names = [n for n in manifest._fields if getattr(beside, n) != getattr(manifest, n)]
            raise InputError(
                sidecar,
                "another {} than the model beside it".format(", ".join(names)),
                "the manifest inside {}".format(path),
                "one of the two is stale: export again, or delete the .json (the model carries its own)",
            )
    return manifest
