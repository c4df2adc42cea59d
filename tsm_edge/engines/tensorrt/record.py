"""What lies beside a TensorRT engine: `model.trt.json`, the model's manifest and what the engine was built for.

An engine fits one TensorRT, one GPU, one plugin library and one model. TensorRT itself notices some of what does not
fit, after it has deserialised it, and some never. So all of it is checked first, from this file.
"""

import json
import os
from typing import NamedTuple, Optional, Tuple

from tsm_edge import manifest as manifests
from tsm_edge.errors import InputError
from tsm_edge.machine.install_hints import KERNELS
from tsm_edge.manifest import Manifest, sidecar_path
from tsm_edge.native import library as kernel_library
from tsm_edge.schema import decode, encode

EXTENSIONS = (".trt", ".plan", ".engine")
FORMAT_VERSION = 1


class FileSpec(NamedTuple):
    """A file. name: its path from the engine's folder."""

    name: str
    bytes: int
    sha256: str


class LoweringTime(NamedTuple):
    """How fast one form of the shift was here: median and 95th percentile of a step in ms, over `steps` steps.

    lowering: "plugin" or "standard". None, and why, for a form that was not built.
    """

    lowering: str
    p50: Optional[float]
    p95: Optional[float]
    steps: int
    why_not: Optional[str]


class EngineRecord(NamedTuple):
    """All of it. plan: the engine's own file; onnx: the model it was built from; gpu: name and compute capability.

    streams: least, usual and most. workspace: bytes. command: what builds it again.
    """

    format_version: int
    manifest: Manifest
    plan: FileSpec
    onnx: FileSpec
    tensorrt: str
    gpu: Tuple[str, str]
    jetpack: Optional[str]
    plugin_sha256: Optional[str]
    precision: str
    lowering: str
    times: Tuple[LoweringTime, ...]
    streams: Tuple[int, int, int]
    workspace: int
    command: str
    tsm_edge: str


def file_spec(path, folder):
    """The :class:`FileSpec` of the file at `path`, for an engine in `folder`."""
    name = os.path.relpath(os.path.abspath(path), os.path.abspath(folder))
    return FileSpec(name, os.path.getsize(path), kernel_library.sha256(path))


def to_json(record):
    return json.dumps(encode(record), indent=1)


def read_record(path):
    """The :class:`EngineRecord` of the engine at `path`, checked for itself. Raises InputError where there is none."""
    for needed, what in ((path, "an engine"), (sidecar_path(path), "what it was built for")):
        if not os.path.isfile(needed):
            got = "a folder" if os.path.isdir(needed) else "no such file"
            raise InputError(needed, got, what, "build it: tsm-edge build MODEL.onnx -o {}".format(path))
    where = sidecar_path(path)
    with open(where, "rb") as file:
        text = file.read()
    try:
        data = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(where, "damaged JSON ({})".format(error), "a whole one", "build the engine again") from error
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        raise InputError(where + ": format_version", repr(version), FORMAT_VERSION, "build the engine again")
    record = decode(EngineRecord, data, where)
    manifests.check(record.manifest, where)
    return record


def check_record(record, path, version, gpu, plugin):
    """Raise InputError where the engine at `path` is not for this machine, with what builds it again.

    version: of TensorRT; gpu: (name, compute capability); plugin: path of our plugin library, or None.
    """

    def need(what, got, expected):
        if got != expected:
            raise InputError(
                "{}: stale engine: {}".format(path, what), got, "{} (this machine)".format(expected), record.command
            )

    need("TensorRT", record.tensorrt, version)
    need("GPU", ", compute capability ".join(record.gpu), ", compute capability ".join(gpu))
    if record.lowering == "plugin":
        if plugin is None:
            raise InputError(path, "an engine that runs our plugin", "libtsm_edge_tensorrt.so", KERNELS)
        need("plugin library", record.plugin_sha256, kernel_library.sha256(plugin))
    folder = os.path.dirname(os.path.abspath(path))
    onnx = os.path.join(folder, record.onnx.name)
    if os.path.isfile(onnx):  # a device may have been given the engine alone
        need("model " + onnx, record.onnx.sha256, kernel_library.sha256(onnx))
    size = os.path.getsize(path)
    if (size, kernel_library.sha256(path)) != (record.plan.bytes, record.plan.sha256):
        got = "another file than the one that was built ({} bytes, not {})".format(size, record.plan.bytes)
        raise InputError(path, got, "the engine that {} describes".format(sidecar_path(path)), record.command)
