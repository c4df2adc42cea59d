"""Engines: one registry entry a back end, found by the extension of the model file and the device."""

import logging
import os
from typing import Any, Dict, List, NamedTuple, Optional, Set, Union

from tsm_edge.engines import checksums
from tsm_edge.engines.base import Engine, EngineOptions
from tsm_edge.engines.tensorrt.record import EXTENSIONS, check_plan, read_record
from tsm_edge.errors import InputError
from tsm_edge.files import read_limited, sha256_of
from tsm_edge.machine.system_files import processors
from tsm_edge.manifest import HALF, MAX_BYTES, METADATA_KEY, Manifest, from_data, from_json, parsed, sidecar_path
from tsm_edge.onnx import node as proto
from tsm_edge.onnx.digest import DIGEST_KEY
from tsm_edge.onnx.metadata import ModelFile as OnnxFile
from tsm_edge.onnx.metadata import read_model
from tsm_edge.registry import Entry, Registry
from tsm_edge.schema import shortened
from tsm_edge.shift import fold_of

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

THREADS_PER_PROCESSOR = 4  # more only take turns
LEAST_MOST_THREADS = 64  # allowed on every machine: scripts name one number for several machines

ModelPath = Union[str, "os.PathLike[str]"]
_LOG = logging.getLogger(__name__)
_warned: Set[str] = set()  # models without a checksum that the user was warned of


def load_engine(
    path: ModelPath, threads: Optional[int] = None, kernels: bool = True, device: str = "cpu", spin: bool = True
) -> Engine:
    """Open a model file as an engine.

    Args:
        path: `model.onnx`, `model.trt` of `tsm-edge build`, or a file of another registered engine.
        threads: CPU threads of one step, at most 64 or 4 a processor; None or 0 leaves the number to the back end.
        kernels: whether to use our native kernels where they are built (`make kernels`), or standard operations alone.
        device: "cpu", or "cuda" for the first NVIDIA GPU. A file for one device only needs no choice.
        spin: whether CPU threads spin while they wait for each other within a step. Spinning is faster; sleeping
            leaves the core to other work, such as a video decoder.

    Returns:
        The engine: see :class:`tsm_edge.engines.base.Engine`. Close it, or use it in a `with` statement.

    Raises:
        InputError: the file is missing, damaged, not ours, or its parts disagree; or the device is not available. No
            other device is taken instead. Or more threads than the machine can use.
    """
    check_threads(threads)
    path = os.fspath(path)  # ONNX Runtime 1.10 takes no pathlib.Path
    entries = _entries_for(path)
    if device == "cpu" and len(entries) == 1:
        device = entries[0].device
    for entry in entries:
        if entry.device == device:
            return ENGINES.load(entry.key).open_engine(path, EngineOptions(threads, kernels, device, spin))
    raise InputError("device", device, " or ".join(entry.device for entry in entries), "choose one of them")


class ModelFile(NamedTuple):
    """What a model file says of itself."""

    manifest: Manifest  # checked
    sha256: Optional[str]  # the checksum that was compared with the file's bytes; None in a model of an older release


def load_manifest(path: ModelPath) -> Manifest:
    """Read and check the manifest of a model file, without loading a back end. Raises as `read_model_file`."""
    return read_model_file(path).manifest


def read_model_file(path: ModelPath) -> ModelFile:
    """Read the manifest of a model file and check it, its checksum and the manifest beside it.

    An ONNX file and a TensorRT engine have a format of their own. For every other kind of file the manifest stands
    beside it, in FILE.json, as `tsm_edge.engines.checksums.write_manifest` writes it.

    Raises:
        InputError: the file is damaged or not ours, its checksum is not that of its bytes, or the manifest contradicts
            itself, the graph, or the manifest beside it.
    """
    path = os.fspath(path)
    _entries_for(path)
    extension = os.path.splitext(path)[1]
    if extension in EXTENSIONS:
        record = read_record(path)
        check_plan(record, path)
        return ModelFile(record.manifest, record.plan.sha256)
    if extension == ".onnx":
        return _read_onnx(path)
    if not os.path.isfile(path):
        got = "a folder" if os.path.isdir(path) else "no such file"
        raise InputError(path, got, "a model file", "check the path")
    sidecar, do = sidecar_path(path), "write it again: tsm_edge.engines.checksums.write_manifest"
    values = parsed(_read_beside(sidecar), sidecar)
    digest = checksums.once(path, sha256_of)
    return ModelFile(from_data(checksums.check(values, sidecar, do, digest), sidecar), digest)


def _read_onnx(path: str) -> ModelFile:
    found = checksums.once(path, read_model)
    text = found.metadata.get(METADATA_KEY)
    if text is None:
        do = "export it with tsm-edge export; a foreign ONNX file does not say its colour order, caches and labels"
        raise InputError(path, "an ONNX model without our manifest", "metadata property " + METADATA_KEY, do)
    values = parsed(text, path)
    if found.sha256 is None and values["format_version"] != 1:
        raise InputError(path, "no checksum", "metadata property " + DIGEST_KEY, "copy or export the model again")
    manifest = from_data(values, path)
    _check_graph(manifest, found, path)
    sidecar = sidecar_path(path)
    beside = from_json(_read_beside(sidecar), sidecar) if os.path.exists(sidecar) else manifest
    if beside != manifest:
        names = [n for n in manifest._fields if getattr(beside, n) != getattr(manifest, n)]
        got = "another {} than the model beside it".format(", ".join(names))
        do = "one of the two is stale: export again, or delete the .json (the model carries its own)"
        raise InputError(sidecar, got, "the manifest inside {}".format(path), do)
    if found.sha256 is None and path not in _warned:
        _warned.add(path)
        _LOG.warning("%s: no checksum (exported by an older release); damage would go unnoticed: export it again", path)
    return ModelFile(manifest, found.sha256)


def _check_graph(manifest: Manifest, found: OnnxFile, path: str) -> None:
    """Raise InputError where the manifest states another shift or another precision than the graph has."""
    ours, shifts = proto.DOMAIN in found.domains, manifest.shift.direction != "none" and bool(manifest.shift.places)
    if ours != (manifest.lowering == "custom" and shifts):
        got = "{} in a graph {} nodes of domain {}".format(
            manifest.lowering, "with" if ours else "without", proto.DOMAIN
        )
        raise InputError(path + ": manifest lowering", got, "the graph's own", "export the model again")
    shift = manifest.shift
    for index, (channels, stated) in enumerate(found.folds):
        cached = manifest.caches[index].shape[0] if index < len(manifest.caches) else None
        fold = cached if stated is None else stated
        if fold is not None and fold != fold_of(channels, shift.fold_div):
            got = "{}, where {} of {} channels are shifted".format(shift.fold_div, fold, channels)
            raise InputError(path + ": manifest shift.fold_div", got, "the graph's own", "export the model again")
    half = bool(found.weight_types) and proto.FLOAT16 in found.weight_types
    whole = proto.FLOAT in found.weight_types
    if (half and manifest.precision in ("float32", "fp32")) or (whole and not half and manifest.precision in HALF[:2]):
        got = "{} on weights of {}".format(manifest.precision, "float16" if half else "float32")
        raise InputError(path + ": manifest precision", got, "the precision of the weights", "export the model again")


def _entries_for(path: str) -> List[Entry]:
    """Return the entries whose extensions include that of `path`. Raises InputError where there is none."""
    extension = os.path.splitext(path)[1]
    found = [entry for entry in ENGINES if extension in entry.matches]
    if not found:
        known = dict.fromkeys(extension for entry in ENGINES for extension in entry.matches)
        expected = "a file named *" + ", *".join(known)
        raise InputError(path, "an engine of unknown kind", expected, "export one: make export MODEL=…")
    return found


def _read_beside(path: str) -> bytes:
    return read_limited(path, MAX_BYTES, "the manifest of the model beside it", "export the model again")


def check_threads(threads: Optional[int]) -> None:
    """Raise InputError for a number of threads that this machine cannot use: thousands crash ONNX Runtime."""
    cores = processors()
    most = max(LEAST_MOST_THREADS, THREADS_PER_PROCESSOR * cores)
    if threads is not None and (type(threads) is not int or not 0 <= threads <= most):
        expected = "1 to {} (this process may use {} processors)".format(most, cores)
        raise InputError("threads", shortened(threads), expected, "give fewer, or leave --threads out")
