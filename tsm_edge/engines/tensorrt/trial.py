"""One form of the shift, tried out: built, loaded, compared with ONNX Runtime, and timed.

`tsm-edge build` calls `prepare` once and `perform` for each form, each call in a separate process (`worker`).
"""

import contextlib
import functools
import os
import threading
import time
from typing import Callable, Dict, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from tsm_edge import __version__
from tsm_edge.engines import load_engine, load_manifest
from tsm_edge.engines.base import FRAME, FRAMES
from tsm_edge.engines.tensorrt import check
from tsm_edge.engines.tensorrt import compat as trt_compat
from tsm_edge.engines.tensorrt import record as records
from tsm_edge.engines.tensorrt.check import Reference
from tsm_edge.engines.tensorrt.cuda_device import open_device
from tsm_edge.engines.tensorrt.engine import TensorRTEngine, gpu_of
from tsm_edge.engines.tensorrt.record import EngineRecord, FileSpec, FormCheck, LoweringTime
from tsm_edge.engines.tensorrt.request import Request, Streams, command_of, parse_streams
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.files import sha256_of
from tsm_edge.machine.board import read_board
from tsm_edge.manifest import Manifest
from tsm_edge.onnx import graph as onnx_graph
from tsm_edge.onnx.float16 import in_float16

WARM_UP_STEPS, TIMED_STEPS = 10, 100
PROGRESS_SECONDS = 15  # between two messages while the builder works

Say = Callable[[str], None]


class Preparation(NamedTuple):
    """What comes before all forms. reference: where to write what ONNX Runtime computes; None to compute nothing."""

    request: Request
    reference: Optional[str]


class Prepared(NamedTuple):
    """What was prepared for: the release of TensorRT and the GPU's name."""

    tensorrt: str
    gpu: str


class Job(NamedTuple):
    """One form to try.

    plugin: path of the plugin library, or None. folder: for the draft and the timing cache. reference: to compare the
    form with, or None. keep: where to write what the form computes, as a reference for another form, or None.
    """

    request: Request
    lowering: str
    plugin: Optional[str]
    folder: str
    reference: Optional[Reference]
    keep: Optional[str]


class Trial(NamedTuple):
    """A form that was built, and ran. path: of the draft, with its record. time: None where `check` found a fault."""

    path: str
    check: Optional[FormCheck]
    time: Optional[LoweringTime]


def prepare(preparation: Preparation, say: Say) -> Prepared:
    """Find TensorRT and the GPU, then compute the reference. Raises InputError where one of them is missing."""
    request, compat, device = preparation.request, trt_compat.load(), open_device()
    if preparation.reference is not None:
        try:
            import onnxruntime
        except ImportError as error:
            missing = check.missing_onnxruntime(error)
            raise missing from error
        streams, manifest = parse_streams(request.streams), load_manifest(request.onnx)
        text = "reference: {} by ONNX Runtime {} on the CPU"
        say(text.format(check.extent(manifest, streams), onnxruntime.__version__))
        with load_engine(request.onnx, kernels=False) as engine:
            check.write_reference(engine, streams, preparation.reference)
    return Prepared(compat.version, device.name)


def perform(job: Job, say: Say) -> Trial:
    """Build a form, compare it and time it. Raises TsmEdgeError, InputError among them, where that fails."""
    form = _Form(job, say)
    path = form.build()
    with _opened(path, form.compat) as engine:
        found = None
        if job.reference is not None:
            found = check.compare(engine, job.lowering, job.request.precision, form.streams, job.reference)
            say("{}: {}".format(job.lowering, records.check_text(found)))
            if not found.passed:
                return Trial(path, found, None)
        if job.keep is not None:
            check.write_reference(engine, form.streams, job.keep)
        timed = _time(engine, job.lowering, form.streams[1])
    text = "{}: {:.2f} ms a step of {} streams (p95 {:.2f})"
    say(text.format(job.lowering, timed.p50, form.streams[1], timed.p95))
    return Trial(path, found, timed)


def onnx_rewritten(data: bytes, where: str, lowering: str, streams: Streams) -> bytes:
    """Return the model as a builder takes it: in one form of the shift, its batch axis fixed where it has one size."""
    data = (onnx_graph.without_functions if lowering == "plugin" else onnx_graph.expanded)(data, where)
    return onnx_graph.with_streams(data, where, streams[0]) if streams[0] == streams[2] else data


def kept_in_float32(manifest: Manifest) -> Tuple[str, ...]:
    """Return the inputs and outputs that stay float32 in a float16 model: all but the caches that are float16."""
    outputs = tuple(output.name for output in manifest.outputs if output.dtype == "float32")
    caches = tuple(name for c in manifest.caches if c.dtype == "float32" for name in (c.input, c.output))
    return (FRAME if manifest.mode == "online" else FRAMES, *outputs, *caches)


class _Form:
    """One form while it is built. manifest: of the engine, with the dtype of its caches."""

    def __init__(self, job: Job, say: Say) -> None:
        self.job, self.say = job, say
        self.where = "{} ({} lowering)".format(job.request.onnx, job.lowering)
        self.streams = parse_streams(job.request.streams)
        self.manifest = load_manifest(job.request.onnx)._replace(precision=job.request.precision)
        with open(job.request.onnx, "rb") as file:
            self.data = file.read()
        self.compat, self.device = trt_compat.load(), open_device()
        self.float32_caches: Optional[str] = None  # why the caches of a float16 engine are float32

    def build(self) -> str:
        """Build it, with float16 caches where the precision has them and TensorRT takes them. Return the draft's path.

        A builder may refuse float16 caches beside a float32 frame. The form is then built again with float32 caches.
        """
        # With int8, a builder that chooses types may use float16 for what the model does not quantise.
        precision = self.job.request.precision
        half = precision == "fp16" or (precision == "int8" and self.compat.by_flags)
        whole = self.manifest.caches
        if half and whole:
            self.manifest = self.manifest._replace(caches=tuple(c._replace(dtype="float16") for c in whole))
        try:
            plan = self._plan()
        except InputError as error:
            if not (half and whole) or error.where != self.where or "memory" in str(error.got).lower():
                raise
            self.float32_caches = error.got
        if self.float32_caches is not None:  # here, where the exception no longer keeps the first builder alive
            text = "{}: not with float16 caches, because TensorRT said: {}; building it with float32 caches"
            self.say(text.format(self.job.lowering, self.float32_caches))
            self.manifest = self.manifest._replace(caches=whole)
            plan = self._plan()
        path = os.path.join(self.job.folder, self.job.lowering + ".trt")
        with open(path, "wb") as file:
            file.write(plan)
        records.write_record(path, self._record(path))
        return path

    def _plan(self) -> bytes:
        """Build the engine. Return its plan, and keep the timing cache for the next build."""
        job, request = self.job, self.job.request
        half = tuple(name for c in self.manifest.caches if c.dtype == "float16" for name in (c.input, c.output))
        data = onnx_rewritten(self.data, self.where, job.lowering, self.streams)
        if request.precision == "fp16" and not self.compat.by_flags:
            data = in_float16(data, self.where, kept_in_float32(self.manifest))
        options = trt_compat.BuildOptions(
            request.precision, half, self.streams, request.workspace << 20, self.device.compute_capability
        )
        with self.device, _progress(self.say, job.lowering):
            if job.plugin is not None:
                self.compat.load_plugins(job.plugin)
            log = self.compat.log(request.log_level)
            plan, cache = self.compat.build(data, self.where, options, log, read_timing_cache(job.folder))
        write_timing_cache(job.folder, cache)
        return plan

    def _record(self, path: str) -> EngineRecord:
        """Return the record of the draft at `path`. The times and comparisons of all forms are added to it later."""
        request, board = self.job.request, read_board()
        onnx = os.path.relpath(os.path.abspath(request.onnx), os.path.dirname(os.path.abspath(request.output)))
        return EngineRecord(
            format_version=records.FORMAT_VERSION,
            manifest=self.manifest,
            plan=FileSpec(os.path.basename(request.output), os.path.getsize(path), sha256_of(path)),
            onnx=FileSpec(onnx, os.path.getsize(request.onnx), sha256_of(request.onnx)),
            tensorrt=self.compat.version,
            gpu=gpu_of(self.device),
            jetpack=board["jetpack"] if board else None,
            plugin_sha256=None if self.job.plugin is None else sha256_of(self.job.plugin),
            precision=request.precision,
            lowering=self.job.lowering,
            times=(),
            streams=self.streams,
            workspace=request.workspace << 20,
            command=command_of(request),
            tsm_edge=__version__,
            float32_caches=self.float32_caches,
        )


def read_timing_cache(folder: str) -> bytes:
    """Return the timing cache that the last build left in `folder`; empty where there was none."""
    path = os.path.join(folder, "timing.cache")
    if not os.path.exists(path):
        return b""
    with open(path, "rb") as file:
        return file.read()


def write_timing_cache(folder: str, cache: bytes) -> None:
    """Keep a timing cache in `folder` for the next build."""
    with open(os.path.join(folder, "timing.cache"), "wb") as file:
        file.write(cache)


def _time(engine: TensorRTEngine, lowering: str, streams: int) -> LoweringTime:
    """Time steps of a loaded engine on noise."""
    manifest = engine.manifest
    frames = [check.noise(manifest, streams, step) for step in range(4)]
    run: Callable[[np.ndarray], Dict[str, np.ndarray]] = engine.clip
    if manifest.mode == "online":
        run = functools.partial(engine.step, state=engine.new_state(streams))
    seconds = np.empty(TIMED_STEPS)
    for step in range(-WARM_UP_STEPS, TIMED_STEPS):
        begun = time.perf_counter()
        run(frames[step % len(frames)])
        if step >= 0:
            seconds[step] = time.perf_counter() - begun
    p50, p95 = (float(1e3 * np.percentile(seconds, p)) for p in (50, 95))
    return LoweringTime(lowering, p50, p95, TIMED_STEPS, None)


@contextlib.contextmanager
def _opened(path: str, compat: trt_compat.TensorRT) -> Iterator[TensorRTEngine]:
    """Open an engine for a block. Of two errors, in the block and when the engine closes, raise the first one."""
    engine = TensorRTEngine(path, compat)
    try:
        yield engine
    except BaseException:
        with contextlib.suppress(TsmEdgeError):
            engine.close()
        raise
    engine.close()


@contextlib.contextmanager
def _progress(say: Say, what: str) -> Iterator[None]:
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
