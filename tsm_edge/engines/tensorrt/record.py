"""The record of a TensorRT engine: MODEL.trt.json says what it was built from, by whom, for which machine and how.

An engine fits one GPU, one TensorRT, one plugin library and one model. TensorRT notices some of what does not fit late,
and some never. So all of it is checked first, from this file.
"""

import json
import logging
import os
from typing import Any, NamedTuple, Optional, Tuple

from tsm_edge.engines import checksums
from tsm_edge.errors import InputError
from tsm_edge.files import read_limited, sha256_of
from tsm_edge.machine.install_hints import KERNELS
from tsm_edge.manifest import MAX_BYTES, Manifest, from_json, sidecar_path
from tsm_edge.schema import decode, encode

EXTENSIONS = (".trt", ".plan", ".engine")
FORMAT_VERSION = 2  # 1 had no comparison with ONNX Runtime
# Of `tsm-edge build`.
LOWERINGS = ("auto", "plugin", "standard")
WORKSPACE_MB = 256  # that the builder may take beside the network; a Nano shares 4 GB with everything

_LOG = logging.getLogger(__name__)


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


class FormCheck(NamedTuple):
    """How far one form of the shift differs from a reference.

    reference: what the form was compared with; "" where it was not compared. steps: of each number in `streams`; of an
    offline model, runs of clips. where: the output or cache that differs most, for what is allowed. error: its largest
    difference, relative to its largest value; None where it is not finite. Of whole numbers: the share that differs.
    """

    lowering: str
    reference: str
    steps: int
    streams: Tuple[int, ...]
    where: str
    error: Optional[float]
    allowed: float

    @property
    def passed(self) -> bool:
        """Whether the form was compared and differs by no more than is allowed."""
        return bool(self.reference) and self.error is not None and self.error <= self.allowed


class EngineRecord(NamedTuple):
    """What MODEL.trt.json holds.

    plan: the engine's own file; onnx: the model it was built from; gpu: name and compute capability.
    streams: least, usual and most. workspace: bytes. command: what builds the engine again. checks: of each form that
    ran. float32_caches: why the caches of a float16 engine are float32, if they are.
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
    checks: Tuple[FormCheck, ...] = ()
    float32_caches: Optional[str] = None

    def check(self) -> Optional[FormCheck]:
        """Return the comparison of the engine's own form; None for a draft, which has none yet."""
        return next((check for check in self.checks if check.lowering == self.lowering), None)


def write_record(path: str, record: EngineRecord) -> None:
    """Write the record of the engine at `path`, with a checksum."""
    values = encode(record)
    values[checksums.KEY] = checksums.checksum_of(values)
    with open(sidecar_path(path), "w", encoding="utf-8") as file:
        file.write(json.dumps(values, indent=1) + "\n")


def read_record(path: str) -> EngineRecord:
    """Read and check the record of the engine at `path`. Raises InputError where it is missing or damaged."""
    where = sidecar_path(path)
    for needed, what in ((path, "an engine"), (where, "what it was built for")):
        if not os.path.isfile(needed):
            got = "a folder" if os.path.isdir(needed) else "no such file"
            raise InputError(needed, got, what, "build it: tsm-edge build MODEL.onnx -o {}".format(path))
    text = read_limited(where, MAX_BYTES, "the record of an engine", "build the engine again")
    try:
        data = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(where, "damaged JSON ({})".format(error), "a whole one", "build the engine again") from error
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        command = data.get("command") if isinstance(data, dict) else None
        do = "build the engine again" + (": " + command if isinstance(command, str) else "")
        raise InputError(where + ": format_version", repr(version), FORMAT_VERSION, do)
    data = checksums.check(data, where, "build it again: tsm-edge build MODEL.onnx -o {}".format(path))
    manifest = from_json(json.dumps(data.get("manifest")), where)  # checked, and upgraded where it is of version 1
    return decode(EngineRecord, dict(data, manifest=encode(manifest)), where)


def check_text(check: FormCheck) -> str:
    """Return how a form compares with its reference, in words."""
    if not check.reference:
        return "NOT compared with ONNX Runtime (--no-check)"
    streams = " and ".join(filter(None, (", ".join(map(str, check.streams[:-1])), str(check.streams[-1]))))
    extent = "{} steps of {} stream{}".format(check.steps, streams, "" if check.streams == (1,) else "s")
    error = "a number that is not finite" if check.error is None else "{:.2g} %".format(100 * check.error)
    verdict = "agrees with {}" if check.passed else "DIFFERS from {}"
    text = verdict + " over {}: largest difference {} in {}, allowed {:.2g} %"
    return text.format(check.reference, extent, error, check.where, 100 * check.allowed)


def check_record(record: EngineRecord, path: str, version: str, gpu: Tuple[str, str], plugin: Optional[str]) -> None:
    """Raise InputError, with the command that builds it again, where the engine at `path` is not for this machine.

    The machine: `version` of TensorRT, `gpu` as (name, compute capability), `plugin` as the library's path or None.
    Logs a warning for an engine that was not compared with ONNX Runtime.
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
    check_plan(record, path)
    compared = record.check()
    if compared is not None and not compared.passed:
        _LOG.warning("%s: %s", path, check_text(compared))


def check_plan(record: EngineRecord, path: str) -> None:
    """Raise InputError, with the command that builds it again, where the engine's file is damaged or another one."""
    size = os.path.getsize(path)
    if (size, checksums.once(path, sha256_of)) != (record.plan.bytes, record.plan.sha256):
        got = "another file than the one that was built ({} bytes, not {})".format(size, record.plan.bytes)
        raise InputError(path, got, "the engine that {} describes".format(sidecar_path(path)), record.command)
