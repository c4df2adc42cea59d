"""`tsm-edge build`: an exported model and this machine's TensorRT in, an engine and its record out; or nothing.

The shift can be our plugin or a few standard operations. Which is faster depends on the GPU and on what TensorRT fuses
around it, so `auto` builds both, times both here, and keeps the faster one.
"""

import contextlib
import errno
import os
import shlex
import tempfile
import threading
import time
from typing import NamedTuple, Optional

import numpy as np

from tsm_edge import __version__
from tsm_edge.commands.build import WORKSPACE
from tsm_edge.engines import load_manifest
from tsm_edge.engines.tensorrt import compat as trt_compat
from tsm_edge.engines.tensorrt.cuda_device import open_device
from tsm_edge.engines.tensorrt.record import (
    EXTENSIONS,
    FORMAT_VERSION,
    EngineRecord,
    FileSpec,
    LoweringTime,
    file_spec,
    to_json,
)
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.machine.board import read_board
from tsm_edge.machine.install_hints import KERNELS
from tsm_edge.manifest import sidecar_path
from tsm_edge.native import library as kernel_library
from tsm_edge.onnx import graph as onnx_graph
from tsm_edge.onnx.float16 import in_float16
from tsm_edge.tolerances import allowed

LOWERINGS = ("auto", "plugin", "standard")
WARM_UP, TIMED, TICK = 10, 100, 15  # steps, steps, seconds

Request = NamedTuple(
    "Request",
    [
        ("onnx", str),
        ("output", str),
        ("precision", str),  # "fp32", "fp16" or "int8"
        ("lowering", str),  # of LOWERINGS
        ("streams", str),  # "2", or "1:1:4" for least, usual and most
        ("workspace", int),  # MB
        ("timing_cache", Optional[str]),  # a file to read and write, or None
        ("log_level", str),  # of trt_compat.LEVELS
    ],
)


def build(request, say=lambda text: None, compat=None, graphs=None):
    """Build the engine that `request` asks for, and prove that its two forms agree. Returns its :class:`EngineRecord`.

    say: called with a line of text at each stage, and every 15 s while the builder works. compat, graphs: as for
    :class:`tsm_edge.engines.tensorrt.engine.TensorRTEngine`.
    Raises InputError for what cannot be built here, and TsmEdgeError where the two forms disagree. Either way nothing
    is written, and an engine that was there before stays.
    """
    manifest, streams = load_manifest(request.onnx), parse_streams(request.streams)
    if os.path.splitext(request.output)[1] not in EXTENSIONS:
        do = "name it like model.trt"
        raise InputError(request.output, "no name of an engine", "a file named *" + ", *".join(EXTENSIONS), do)
    with open(request.onnx, "rb") as file:
        data = file.read()
    if request.precision == "int8" and ("", "QuantizeLinear") not in onnx_graph.operations(data, request.onnx):
        raise InputError(
            "precision int8",
            "a model without scales (QuantizeLinear, DequantizeLinear)",
            "a quantised model: scales would have to come from calibration, and no frames to calibrate with are here",
            "quantise before the export, or build with --fp16",
        )
    compat = compat or trt_compat.load()
    job = _Job(request, manifest, streams, data, compat, open_device(), say, graphs)
    with _draft_folder(request.output) as folder:
        return job.run(folder)


def parse_streams(text):
    """(least, usual, most) of "N" or "MIN:OPT:MAX". Raises InputError."""
    parts = text.split(":")
    numbers = [int(part) if part.isdigit() else 0 for part in parts]
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or not 1 <= numbers[0] <= numbers[1] <= numbers[2]:
        raise InputError(
            "--streams", text, "N, or MIN:OPT:MAX that do not fall, from 1 on", "for example --streams 1:1:4"
        )
    return tuple(numbers)


class _Job:
    """One build, while it runs."""

    def __init__(self, request, manifest, streams, data, compat, device, say, graphs):
        self.request, self.streams, self.data = request, streams, data
        self.compat, self.device, self.say, self.graphs = compat, device, say, graphs
        self.log = compat.log(request.log_level)
        # int8 leaves to float16 what the model does not quantise, where the builder is the one to choose.
        half = request.precision == "fp16" or (request.precision == "int8" and compat.by_flags)
        caches = tuple(c._replace(dtype="float16" if half else c.dtype) for c in manifest.caches)
        self.manifest = manifest._replace(caches=caches, precision=request.precision)
        self.half = tuple(name for c in caches if half for name in (c.input, c.output))
        self.source = manifest

    def run(self, folder):
        forms, times = self._forms()
        cache = self._read_timing_cache()
        built, errors = [], []
        for lowering, plugin in forms:
            error, cache = self._attempt(folder, lowering, plugin, cache, built)
            if error is not None:
                errors.append(error)
                times.append(LoweringTime(lowering, None, None, 0, "not built: {}".format(error.got)))
                self.say("{}: not built: {}".format(lowering, error.got))
        if not built:
            raise self._failed(errors)
        self._compare(built)
        times = [item[2] for item in built] + times
        lowering, path = min(built, key=lambda item: item[2].p50)[:2]
        record = self._record(path, lowering, dict(forms)[lowering], tuple(times))
        self._write(path, record, cache)
        return record

    def _attempt(self, folder, lowering, plugin, cache, built):
        """Build and time one form, added to `built`. Returns (None, or the InputError against it; timing cache)."""
        try:
            path, cache = self._build(folder, lowering, plugin, cache)
            built.append((lowering, path) + self._time(path, lowering))
        except InputError as error:
            return error, cache
        return None, cache

    def _failed(self, errors):
        """The one error for a model of which no form builds."""
        if len({error.got for error in errors}) == 1:
            return errors[-1]
        got = "; ".join("{}: {}".format(error.where, error.got) for error in errors)
        return InputError(self.request.onnx, got, "a form that builds", errors[-1].do)

    def _forms(self):
        """([(lowering, path of the plugin library or None)] to build, [LoweringTime] of what cannot be)."""
        wanted = self.request.lowering
        plugin = kernel_library.find("tensorrt") if wanted != "standard" else None
        why = None
        if self.source.lowering == "standard":
            why = "the model has standard operations in place of our op (exported with --lowering standard)"
        elif plugin is None:
            why = "no libtsm_edge_tensorrt.so (make kernels builds it where TensorRT's headers are)"
        if wanted == "plugin" and why:
            raise InputError("--lowering plugin", why, "the plugin", KERNELS + ", or give --lowering auto")
        if wanted == "standard":
            return [("standard", None)], []
        missing = [LoweringTime("plugin", None, None, 0, why)] if why else []
        return ([] if why else [("plugin", plugin)]) + ([("standard", None)] if wanted == "auto" else []), missing

    def _build(self, folder, lowering, plugin, cache):
        """Build one form into `folder`. Returns (its path, timing cache)."""
        request = self.request
        where = "{} ({} lowering)".format(request.onnx, lowering)
        data = onnx_rewritten(self.data, where, lowering, self.streams)
        if self.half and not self.compat.by_flags:
            data = in_float16(data, where, ("frame", "logits"))
        options = trt_compat.BuildOptions(
            request.precision, self.half, self.streams, request.workspace << 20, self.device.compute_capability
        )
        self.say("{}: building in {} (minutes on a small board)".format(lowering, request.precision))
        with self.device, _ticking(self.say, lowering):
            if plugin is not None:
                self.compat.load_plugins(plugin)
            plan, cache = self.compat.build(data, where, options, self.log, cache)
        path = os.path.join(folder, lowering + ".trt")
        with open(path, "wb") as file:
            file.write(plan)
        _write_record(path, self._record(path, lowering, plugin, ()))
        return path, cache

    def _time(self, path, lowering):
        """(LoweringTime, logits of the first steps) of a built form."""
        from tsm_edge.engines.tensorrt.engine import TensorRTEngine

        frame, streams = self.manifest.frame, self.streams[1]
        shape = (streams, 3, frame.height, frame.width)
        if self.manifest.mode == "offline":
            shape = (streams, self.manifest.shift.n_segment) + shape[1:]
        frames = np.random.RandomState(0).randn(*((4,) + shape)).astype(np.float32)
        with TensorRTEngine(path, self.compat, self.graphs) as engine:
            run = engine.clip
            if self.manifest.mode == "online":
                state = engine.new_state(streams)

                def run(frames):
                    return engine.step(frames, state)

            logits = np.stack([run(frames[i % 4]) for i in range(WARM_UP)])
            seconds = np.empty(TIMED)
            for i in range(TIMED):
                begun = time.perf_counter()
                run(frames[i % 4])
                seconds[i] = time.perf_counter() - begun
        p50, p95 = (float(1e3 * np.percentile(seconds, p)) for p in (50, 95))
        self.say("{}: {:.2f} ms a step of {} streams (p95 {:.2f})".format(lowering, p50, streams, p95))
        return LoweringTime(lowering, p50, p95, TIMED, None), logits

    def _compare(self, built):
        """Both forms must give the same logits. Two int8 engines may round apart, and are not compared."""
        if len(built) < 2 or self.request.precision == "int8":
            return
        (one, _, _, a), (other, _, _, b) = built
        most, limit = (
            float(np.abs(a - b).max()),
            allowed(b, "float32" if self.request.precision == "fp32" else "float16"),
        )
        if not most <= limit:
            raise TsmEdgeError(
                "{}: not written: its {} and {} forms differ by {:g} over {} steps, allowed are {:g}".format(
                    self.request.output, one, other, most, len(a), limit
                )
            )

    def _record(self, path, lowering, plugin, times):
        from tsm_edge.engines.tensorrt.engine import gpu_of

        request, board = self.request, read_board()
        folder = os.path.dirname(os.path.abspath(request.output))
        plan = FileSpec(os.path.basename(request.output), os.path.getsize(path), kernel_library.sha256(path))
        return EngineRecord(
            format_version=FORMAT_VERSION,
            manifest=self.manifest,
            plan=plan,
            onnx=file_spec(request.onnx, folder),
            tensorrt=self.compat.version,
            gpu=gpu_of(self.device),
            jetpack=board and board["jetpack"],
            plugin_sha256=None if plugin is None else kernel_library.sha256(plugin),
            precision=request.precision,
            lowering=lowering,
            times=times,
            streams=self.streams,
            workspace=request.workspace << 20,
            command=command_of(request),
            tsm_edge=__version__,
        )

    def _read_timing_cache(self):
        path = self.request.timing_cache
        if path is None or not os.path.exists(path):
            return b""
        with open(path, "rb") as file:
            return file.read()

    def _write(self, path, record, cache):
        request = self.request
        _write_record(path, record)
        sidecar = sidecar_path(request.output)
        if os.path.exists(sidecar):
            os.remove(
                sidecar
            )  # a kill between the moves must leave an engine that is refused, not one of another record
        os.replace(path, request.output)
        os.replace(sidecar_path(path), sidecar)
        if request.timing_cache is not None:
            draft = request.timing_cache + ".new"
            with open(draft, "wb") as file:
                file.write(cache)
            os.replace(draft, request.timing_cache)


def onnx_rewritten(data, where, lowering, streams):
    """The model's bytes as a builder is given them: in one form of the shift, its batch fixed where it is one size."""
    data = (onnx_graph.without_functions if lowering == "plugin" else onnx_graph.expanded)(data, where)
    if streams[0] == streams[2]:
        return onnx_graph.with_streams(data, where, streams[0])
    return data


def command_of(request):
    """What to type to build this again; --streams stands last."""
    words = ["tsm-edge", "build", request.onnx, "-o", request.output, "--lowering", request.lowering]
    words += ["--" + request.precision] if request.precision != "fp32" else []
    words += ["--workspace", str(request.workspace)] if request.workspace != WORKSPACE else []
    return " ".join(shlex.quote(word) for word in words + ["--streams", request.streams])


def _write_record(path, record):
    with open(sidecar_path(path), "w", encoding="utf-8") as file:
        file.write(to_json(record) + "\n")


@contextlib.contextmanager
def _ticking(say, what):
    """Say every TICK seconds that the builder still works: it says nothing by itself for minutes."""
    ended, begun = threading.Event(), time.monotonic()

    def tick():
        while not ended.wait(TICK):
            say("{}: still building, {:.0f} s".format(what, time.monotonic() - begun))

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def _draft_folder(output):
    """A new folder beside `output`, gone at the end. Opened first: a place that cannot be written is told at once."""
    try:
        if os.path.isdir(output):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        parent = os.path.dirname(os.path.abspath(output))
        os.makedirs(parent, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".build-") as name:
            yield name
    except OSError as error:
        got = error.strerror or str(error)
        raise InputError(output, got, "a place that can be written", "give another -o, or make room") from error
