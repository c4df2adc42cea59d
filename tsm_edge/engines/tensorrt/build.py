"""`tsm-edge build`: build an engine of an exported model with this machine's TensorRT, or leave nothing behind.

The shift can be our plugin or a few standard operations. Which is faster depends on the GPU and on what TensorRT fuses
around it, so the lowering `auto` builds and times both, and keeps the faster one.
"""

import contextlib
import functools
import os
import shlex
import threading
import time
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from tsm_edge import __version__
from tsm_edge.engines import load_manifest
from tsm_edge.engines.base import FRAME, FRAMES
from tsm_edge.engines.tensorrt import compat as trt_compat
from tsm_edge.engines.tensorrt import record as records
from tsm_edge.engines.tensorrt.cuda_device import open_device
from tsm_edge.engines.tensorrt.engine import TensorRTEngine, gpu_of
from tsm_edge.engines.tensorrt.record import EngineRecord, FileSpec, LoweringTime
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.files import draft_folder, sha256_of
from tsm_edge.machine.board import read_board
from tsm_edge.machine.install_hints import KERNELS
from tsm_edge.manifest import Manifest, sidecar_path
from tsm_edge.native import library as kernel_library
from tsm_edge.onnx import graph as onnx_graph
from tsm_edge.onnx.float16 import in_float16
from tsm_edge.tolerances import allowed

WARM_UP_STEPS, TIMED_STEPS = 10, 100
PROGRESS_SECONDS = 15  # between two messages while the builder works

Streams = Tuple[int, int, int]  # least, usual, most
Outputs = Dict[str, np.ndarray]  # of the warm-up steps: (steps, N, ...)


class Request(NamedTuple):
    """What to build.

    precision: "fp32", "fp16" or "int8". lowering: of `record.LOWERINGS`. streams: as `parse_streams` takes them.
    workspace: MB. timing_cache: a file to read and write. log_level: of `compat.LEVELS`.
    """

    onnx: str
    output: str
    precision: str = "fp32"
    lowering: str = "auto"
    streams: str = "1"
    workspace: int = records.WORKSPACE_MB
    timing_cache: Optional[str] = None
    log_level: str = "warning"


class _Built(NamedTuple):
    """One form of the shift that was built. path: of the draft."""

    lowering: str
    plugin: Optional[str]
    path: str
    time: LoweringTime
    outputs: Outputs


def build(request: Request, say: Callable[[str], None] = lambda _: None) -> EngineRecord:
    """Build an engine, and prove that its two forms agree. Where this raises, nothing is written or replaced.

    `say` is called with a line of text at each stage, and every 15 s while the builder works. Raises InputError where
    this cannot be built here, TsmEdgeError where the two forms disagree.
    """
    manifest = load_manifest(request.onnx)
    parse_streams(request.streams)
    if os.path.splitext(request.output)[1] not in records.EXTENSIONS:
        expected = "a file named *" + ", *".join(records.EXTENSIONS)
        raise InputError(request.output, "no name of an engine", expected, "name it like model.trt")
    with open(request.onnx, "rb") as file:
        data = file.read()
    if request.precision == "int8" and ("", "QuantizeLinear") not in onnx_graph.operations(data, request.onnx):
        got, do = "a model without scales (QuantizeLinear)", "quantise before the export, or build with --fp16"
        raise InputError("precision int8", got, "a quantised model: no frames for calibration are here", do)
    job = _Job(request, manifest, data, say)
    with draft_folder(request.output) as folder:
        return job.run(folder)


def parse_streams(text: str) -> Streams:
    """Return (least, usual, most) of "N" or "MIN:OPT:MAX". Raises InputError."""
    numbers = [int(part) if part.isdigit() else 0 for part in text.split(":")]
    least, usual, most = numbers * 3 if len(numbers) == 1 else numbers if len(numbers) == 3 else (0, 0, 0)
    if not 1 <= least <= usual <= most:
        do = "for example --streams 1:1:4"
        raise InputError("--streams", text, "N, or MIN:OPT:MAX that do not fall, from 1 on", do)
    return least, usual, most


class _Job:
    """One build, while it runs."""

    def __init__(self, request: Request, manifest: Manifest, data: bytes, say: Callable[[str], None]) -> None:
        self.request, self.data, self.say = request, data, say
        self.streams = parse_streams(request.streams)
        self.compat, self.device = trt_compat.load(), open_device()
        self.log = self.compat.log(request.log_level)
        # With int8, a builder that chooses types may use float16 for what the model does not quantise.
        half = request.precision == "fp16" or (request.precision == "int8" and self.compat.by_flags)
        caches = tuple(c._replace(dtype="float16" if half else c.dtype) for c in manifest.caches)
        self.manifest = manifest._replace(caches=caches, precision=request.precision)
        self.half = tuple(name for c in caches if half for name in (c.input, c.output))
        self.source = manifest

    def run(self, folder: str) -> EngineRecord:
        forms, times = self._forms()
        cache, cache_path = b"", self.request.timing_cache
        if cache_path is not None and os.path.exists(cache_path):
            with open(cache_path, "rb") as file:
                cache = file.read()
        built: List[_Built] = []
        errors: List[InputError] = []
        for lowering, plugin in forms:
            self.say("{}: building in {} (minutes on a small board)".format(lowering, self.request.precision))
            try:
                path, cache = self._build(folder, lowering, plugin, cache)
                built.append(_Built(lowering, plugin, path, *self._time(path, lowering)))
            except InputError as error:
                errors.append(error)
                times.append(LoweringTime(lowering, None, None, 0, "not built: {}".format(error.got)))
                self.say("{}: not built: {}".format(lowering, error.got))
        if not built:  # one error for all forms
            if len({error.got for error in errors}) == 1:
                raise errors[-1]
            got = "; ".join("{}: {}".format(error.where, error.got) for error in errors)
            raise InputError(self.request.onnx, got, "a form that builds", errors[-1].do)
        self._compare(built)
        best = min(built, key=lambda form: form.time.p50 or 0.0)
        record = self._record(best.path, best.lowering, best.plugin, tuple([form.time for form in built] + times))
        self._write(best.path, record, cache)
        return record

    def _forms(self) -> Tuple[List[Tuple[str, Optional[str]]], List[LoweringTime]]:
        """Return the forms to build, each (lowering, path of the plugin library or None), and those that cannot be."""
        wanted = self.request.lowering
        if wanted == "standard":
            return [("standard", None)], []
        plugin, why = kernel_library.find("tensorrt"), None
        if self.source.lowering == "standard":
            why = "the model has standard operations in place of our op (exported with --lowering standard)"
        elif plugin is None:
            why = "no libtsm_edge_tensorrt.so (make kernels builds it where TensorRT's headers are)"
        if wanted == "plugin" and why:
            raise InputError("--lowering plugin", why, "the plugin", KERNELS + ", or give --lowering auto")
        if why:
            return [("standard", None)], [LoweringTime("plugin", None, None, 0, why)]
        return [("plugin", plugin)] + ([("standard", None)] if wanted == "auto" else []), []

    def _build(self, folder: str, lowering: str, plugin: Optional[str], cache: bytes) -> Tuple[str, bytes]:
        """Build one form into `folder`. Return its path and the timing cache."""
        request = self.request
        where = "{} ({} lowering)".format(request.onnx, lowering)
        data = onnx_rewritten(self.data, where, lowering, self.streams)
        if self.half and not self.compat.by_flags:
            data = in_float16(data, where, kept_in_float32(self.manifest))
        options = trt_compat.BuildOptions(
            request.precision, self.half, self.streams, request.workspace << 20, self.device.compute_capability
        )
        with self.device, _progress(self.say, lowering):
            if plugin is not None:
                self.compat.load_plugins(plugin)
            plan, cache = self.compat.build(data, where, options, self.log, cache)
        path = os.path.join(folder, lowering + ".trt")
        with open(path, "wb") as file:
            file.write(plan)
        records.write_record(path, self._record(path, lowering, plugin, ()))
        return path, cache

    def _time(self, path: str, lowering: str) -> Tuple[LoweringTime, Outputs]:
        """Time a built form. Return its time and the outputs of the warm-up steps."""
        frame, streams = self.manifest.frame, self.streams[1]
        shape: Tuple[int, ...] = (streams, 3, frame.height, frame.width)
        if self.manifest.mode == "offline":
            shape = (streams, self.manifest.shift.n_segment) + shape[1:]
        frames = np.random.RandomState(0).randn(*((4,) + shape)).astype(np.float32)
        with TensorRTEngine(path, self.compat) as engine:
            run: Callable[[np.ndarray], Outputs] = engine.clip
            if self.manifest.mode == "online":
                run = functools.partial(engine.step, state=engine.new_state(streams))
            steps = [run(frames[i % 4]) for i in range(WARM_UP_STEPS)]
            seconds = np.empty(TIMED_STEPS)
            for i in range(TIMED_STEPS):
                begun = time.perf_counter()
                run(frames[i % 4])
                seconds[i] = time.perf_counter() - begun
        p50, p95 = (float(1e3 * np.percentile(seconds, p)) for p in (50, 95))
        self.say("{}: {:.2f} ms a step of {} streams (p95 {:.2f})".format(lowering, p50, streams, p95))
        outputs = {name: np.stack([step[name] for step in steps]) for name in steps[0]}
        return LoweringTime(lowering, p50, p95, TIMED_STEPS, None), outputs

    def _compare(self, built: List[_Built]) -> None:
        """Raise where both forms give other outputs. Two int8 engines may round apart, and are not compared."""
        if len(built) < 2 or self.request.precision == "int8":
            return
        one, other = built
        for name, b in other.outputs.items():
            precision = "float32" if self.request.precision == "fp32" else "float16"
            limit = allowed(b, precision) if b.dtype.kind == "f" else 0.0
            most = float(np.abs(one.outputs[name].astype(np.float64) - b).max())
            if not most <= limit:
                text = "{}: not written: {} of its {} and {} forms differ by {:g} over {} steps, allowed are {:g}"
                values = self.request.output, name, one.lowering, other.lowering, most, len(b), limit
                raise TsmEdgeError(text.format(*values))

    def _record(self, path: str, lowering: str, plugin: Optional[str], times: Tuple[LoweringTime, ...]) -> EngineRecord:
        request, board = self.request, read_board()
        onnx = os.path.relpath(os.path.abspath(request.onnx), os.path.dirname(os.path.abspath(request.output)))
        return EngineRecord(
            format_version=records.FORMAT_VERSION,
            manifest=self.manifest,
            plan=FileSpec(os.path.basename(request.output), os.path.getsize(path), sha256_of(path)),
            onnx=FileSpec(onnx, os.path.getsize(request.onnx), sha256_of(request.onnx)),
            tensorrt=self.compat.version,
            gpu=gpu_of(self.device),
            jetpack=board["jetpack"] if board else None,
            plugin_sha256=None if plugin is None else sha256_of(plugin),
            precision=request.precision,
            lowering=lowering,
            times=times,
            streams=self.streams,
            workspace=request.workspace << 20,
            command=command_of(request),
            tsm_edge=__version__,
        )

    def _write(self, path: str, record: EngineRecord, cache: bytes) -> None:
        """Move the draft at `path` into place, with its record and the timing cache."""
        request = self.request
        records.write_record(path, record)
        sidecar = sidecar_path(request.output)
        # A kill between the moves must leave an engine without a record, which is refused, not one with a wrong record.
        if os.path.exists(sidecar):
            os.remove(sidecar)
        os.replace(path, request.output)
        os.replace(sidecar_path(path), sidecar)
        if request.timing_cache is not None:
            draft = request.timing_cache + ".new"
            with open(draft, "wb") as file:
                file.write(cache)
            os.replace(draft, request.timing_cache)


def onnx_rewritten(data: bytes, where: str, lowering: str, streams: Streams) -> bytes:
    """Return the model as a builder takes it: in one form of the shift, its batch axis fixed where it has one size."""
    data = (onnx_graph.without_functions if lowering == "plugin" else onnx_graph.expanded)(data, where)
    return onnx_graph.with_streams(data, where, streams[0]) if streams[0] == streams[2] else data


def kept_in_float32(manifest: Manifest) -> Tuple[str, ...]:
    """Return the inputs and outputs that stay float32 in a float16 model: all but the caches."""
    outputs = tuple(output.name for output in manifest.outputs if output.dtype == "float32")
    return (FRAME if manifest.mode == "online" else FRAMES, *outputs)


def command_of(request: Request) -> str:
    """Return the command that builds this again; --streams stands last."""
    words = ["tsm-edge", "build", request.onnx, "-o", request.output, "--lowering", request.lowering]
    words += ["--" + request.precision] if request.precision != "fp32" else []
    words += ["--workspace", str(request.workspace)] if request.workspace != records.WORKSPACE_MB else []
    return " ".join(shlex.quote(word) for word in words + ["--streams", request.streams])


@contextlib.contextmanager
def _progress(say: Callable[[str], None], what: str) -> Iterator[None]:
    """Say every 15 s that the builder still works: it says nothing by itself for minutes."""
    ended, begun = threading.Event(), time.monotonic()

    def report() -> None:
        while not ended.wait(PROGRESS_SECONDS):
            say("{}: still building, {:.0f} s".format(what, time.monotonic() - begun))

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
