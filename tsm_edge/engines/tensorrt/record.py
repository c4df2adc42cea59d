"""The record of a TensorRT engine: MODEL.trt.json says what it was built from, by whom, for which machine and how.

An engine fits one GPU, one TensorRT, one plugin library and one model. TensorRT notices some of what does not fit late,
and some never. So all of it is checked first, from this file.
"""

import json
import os
from typing import Any, NamedTuple, Optional, Tuple

from tsm_edge.errors import InputError
from tsm_edge.files import sha256_of
from tsm_edge.machine.install_hints import KERNELS
from tsm_edge.manifest import Manifest, from_json, sidecar_path
from tsm_edge.schema import decode, encode

EXTENSIONS = (".trt", ".plan", ".engine")
FORMAT_VERSION = 1
# Of `tsm-edge build`.
LOWERINGS = ("auto", "plugin", "standard")
WORKSPACE_MB = 256  # that the builder may take beside the network; a Nano shares 4 GB with everything


class FileSpec(NamedTuple):
    """A file. name: its path from the engine's folder."""

    name: str
    bytes: int
    sha256: str


class LoweringTime(NamedTuple):
    """How fast one form of the shift was here, in ms a step; None and `why_not` for a form that was not built."""

    lowering: str
    p50: Optional[float]
    p95: Optional[float]
    steps: int
    why_not: Optional[str]


class EngineRecord(NamedTuple):
    """What MODEL.trt.json holds.

    plan: the engine's own file; onnx: the model it was built from; gpu: name and compute capability.
    streams: least, usual and most. workspace: bytes. command: what builds the engine again.
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


def write_record(path: str, record: EngineRecord) -> None:
    """Write the record of the engine at `path`."""
    with open(sidecar_path(path), "w", encoding="utf-8") as file:
        file.write(json.dumps(encode(record), indent=1) + "\n")


def read_record(path: str) -> EngineRecord:
    """Read and check the record of the engine at `path`. Raises InputError where it is missing or damaged."""
    where = sidecar_path(path)
    for needed, what in ((path, "an engine"), (where, "what it was built for")):
        if not os.path.isfile(needed):
            got = "a folder" if os.path.isdir(needed) else "no such file"
            raise InputError(needed, got, what, "build it: tsm-edge build MODEL.onnx -o {}".format(path))
    with open(where, "rb") as file:
        text = file.read()
    try:
        data = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(where, "damaged JSON ({})".format(error), "a whole one", "build the engine again") from error
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        raise InputError(where + ": format_version", repr(version), FORMAT_VERSION, "build the engine again")
    manifest = from_json(json.dumps(data.get("manifest")), where)  # checked, and upgraded where it is of version 1
    return decode(EngineRecord, dict(data, manifest=encode(manifest)), where)


def check_record(record: EngineRecord, path: str, version: str, gpu: Tuple[str, str], plugin: Optional[str]) -> None:
    """Raise InputError, with the command that builds it again, where the engine at `path` is not for this machine.

    The machine: `version` of TensorRT, `gpu` as (name, compute capability), `plugin` as the library's path or None.
    """

    def need(what: str, got: Any, expected: Any) -> None:
        if got != expected:
            where = "{}: stale engine: {}".format(path, what)
            raise InputError(where, got, "{} (this machine)".format(expected), record.command)

    need("TensorRT", record.tensorrt, version)
    need("GPU", ", compute capability ".join(record.gpu), ", compute capability ".join(gpu))
    if record.lowering == "plugin":
        if plugin is None:
            raise InputError(path, "an engine that runs our plugin", "libtsm_edge_tensorrt.so", KERNELS)
        need("plugin library", record.plugin_sha256, sha256_of(plugin))
    onnx = os.path.join(os.path.dirname(os.path.abspath(path)), record.onnx.name)
    if os.path.isfile(onnx):  # a device may have been given the engine alone
        need("model " + onnx, record.onnx.sha256, sha256_of(onnx))
    size = os.path.getsize(path)
    if (size, sha256_of(path)) != (record.plan.bytes, record.plan.sha256):
        got = "another file than the one that was built ({} bytes, not {})".format(size, record.plan.bytes)
        raise InputError(path, got, "the engine that {} describes".format(sidecar_path(path)), record.command)
