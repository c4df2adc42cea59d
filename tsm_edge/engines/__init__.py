"""Engines: one registry entry a back end, found by the extension of the model file and the device."""

import os
from typing import Any, Dict, List, Optional, Union

from tsm_edge.engines.base import Engine, EngineOptions
from tsm_edge.engines.tensorrt.record import EXTENSIONS, read_record
from tsm_edge.errors import InputError
from tsm_edge.manifest import METADATA_KEY, Manifest, from_json, sidecar_path
from tsm_edge.onnx.metadata import read_metadata
from tsm_edge.registry import Entry, Registry

# The module of an entry defines `open_engine(path: str, options: EngineOptions) -> Engine`.
_ONNX: Dict[str, Any] = {"packages": ("onnxruntime",), "matches": (".onnx",)}
_CUDA: Dict[str, Any] = {"extra": "cuda", "device": "cuda", **_ONNX}
_TENSORRT: Dict[str, Any] = {"packages": ("tensorrt", "pycuda"), "matches": EXTENSIONS, "device": "cuda"}
ENGINES = Registry(
    "engine",
    [
        Entry("onnxruntime", __name__ + ".onnxruntime.cpu", "ONNX Runtime on the CPU", extra="run", **_ONNX),
        Entry("onnxruntime-cuda", __name__ + ".onnxruntime.cuda", "ONNX Runtime on a GPU", **_CUDA),
        Entry("tensorrt", __name__ + ".tensorrt.engine", "TensorRT on a GPU", **_TENSORRT),
    ],
)
DEVICES = tuple(sorted({entry.device for entry in ENGINES}))

ModelPath = Union[str, "os.PathLike[str]"]


def load_engine(
    path: ModelPath, threads: Optional[int] = None, kernels: bool = True, device: str = "cpu", spin: bool = True
) -> Engine:
    """Open a model file as an engine.

    Args:
        path: `model.onnx`, `model.trt` of `tsm-edge build`, or a file of another registered engine.
        threads: CPU threads of one step; None leaves the number to the back end.
        kernels: whether to use our native kernels where they are built (`make kernels`), or standard operations alone.
        device: "cpu", or "cuda" for the first NVIDIA GPU. A file for one device only needs no choice.
        spin: whether CPU threads spin while they wait for each other within a step. Spinning is faster; sleeping
            leaves the core to other work, such as a video decoder.

    Raises:
        InputError: the file is missing, damaged, not ours, or its parts disagree; or the device is not available. No
            other device is taken instead.
    """
    path = os.fspath(path)  # ONNX Runtime 1.10 takes no pathlib.Path
    entries = _entries_for(path)
    if device == "cpu" and len(entries) == 1:
        device = entries[0].device
    for entry in entries:
        if entry.device == device:
            return ENGINES.load(entry.key).open_engine(path, EngineOptions(threads, kernels, device, spin))
    raise InputError("device", device, " or ".join(entry.device for entry in entries), "choose one of them")


def load_manifest(path: ModelPath) -> Manifest:
    """Read and check the manifest of a model file, without loading a back end.

    An ONNX file and a TensorRT engine have a format of their own. For every other kind of file the manifest stands
    beside it, in FILE.json. Raises InputError where the file is damaged or not ours, or the manifest beside it
    contradicts the one inside.
    """
    path = os.fspath(path)
    _entries_for(path)
    extension = os.path.splitext(path)[1]
    if extension in EXTENSIONS:
        return read_record(path).manifest
    sidecar = sidecar_path(path)
    if extension != ".onnx":
        return _read_sidecar(sidecar)
    text = read_metadata(path).get(METADATA_KEY)
    if text is None:
        do = "export it with tsm-edge export; a foreign ONNX file does not say its colour order, caches and labels"
        raise InputError(path, "an ONNX model without our manifest", "metadata property " + METADATA_KEY, do)
    manifest = from_json(text, path)
    beside = _read_sidecar(sidecar) if os.path.exists(sidecar) else manifest
    if beside != manifest:
        names = [n for n in manifest._fields if getattr(beside, n) != getattr(manifest, n)]
        got = "another {} than the model beside it".format(", ".join(names))
        do = "one of the two is stale: export again, or delete the .json (the model carries its own)"
        raise InputError(sidecar, got, "the manifest inside {}".format(path), do)
    return manifest


def _entries_for(path: str) -> List[Entry]:
    """Return the entries whose extensions include that of `path`. Raises InputError where there is none."""
    extension = os.path.splitext(path)[1]
    found = [entry for entry in ENGINES if extension in entry.matches]
    if not found:
        known = dict.fromkeys(extension for entry in ENGINES for extension in entry.matches)
        expected = "a file named *" + ", *".join(known)
        raise InputError(path, "an engine of unknown kind", expected, "export one: make export MODEL=…")
    return found


def _read_sidecar(path: str) -> Manifest:
    try:
        with open(path, "rb") as file:
            return from_json(file.read(), path)
    except OSError as error:
        expected = "the manifest of the model beside it"
        raise InputError(path, error.strerror, expected, "export the model again") from error
