"""Measures a profile: a session with a recorder; then, in separate runs, everything that would disturb the session."""

import datetime
import os
import platform
import sys
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from tsm_edge import __version__
from tsm_edge.engines import load_manifest
from tsm_edge.engines.base import Engine
from tsm_edge.errors import InputError
from tsm_edge.machine.board import read_board
from tsm_edge.machine.sampler import Sampler, cpu_name, resident, spread, throttling
from tsm_edge.machine.system_files import memory_mb, processors
from tsm_edge.manifest import Manifest
from tsm_edge.profile import record, stats
from tsm_edge.profile.cold import measure_cold_starts
from tsm_edge.profile.interleaved import time_interleaved
from tsm_edge.profile.layers import sort_layers
from tsm_edge.profile.recorder import STEADY_RULE, Recorder
from tsm_edge.session import Session, SessionRequest, may_spin, open_session
from tsm_edge.sinks.jsonl import JsonlSink
from tsm_edge.sources import SOURCES, kind_of
from tsm_edge.sources.request import StreamRequest
from tsm_edge.sources.synthetic import SyntheticSource

LAYER_WARM_UP_STEPS, LAYER_STEPS = 5, 30
TRANSFERS = 100
VERSIONED_PACKAGES = ("numpy", "onnxruntime", "cv2", "tensorrt")  # what matters for speed, where it is loaded
BUSY_SHARE = 0.1  # of the processors: if other processes keep more busy, a note says so
MAX_DRIFT = 0.05
MIN_DRIFT_BLOCKS = 8


class ProfileRequest(NamedTuple):
    """What `measure_profile` measures.

    engine: the model file. source: as `tsm_edge.sources.open_source` takes it, None for noise; a recording begins again
    at its end. paced: release a recording's frames at so many frames/s. warm_up: seconds at most. streams: with more
    than 1, also one batched step of so many streams against separate steps. cold_starts: of fresh processes.
    threads, device, preprocess: as in :class:`tsm_edge.session.SessionRequest`.
    """

    engine: str
    source: Any = None
    paced: Optional[float] = None
    seconds: float = 10.0
    warm_up: float = 5.0
    streams: int = 1
    cold_starts: int = 3
    layers: bool = True
    threads: Optional[int] = None
    device: str = "cpu"
    preprocess: str = "fast"


def measure_profile(request: ProfileRequest, progress: Callable[[str], object]) -> record.Profile:
    """Profile a model. `progress` is called with a line of text before each part.

    Raises InputError where a model, source or option is wrong, or a source ends within the warm-up.
    """
    manifest = load_manifest(request.engine)
    kind, stream_request = _stream_request(request, manifest)
    _check_memory(request.streams, manifest)
    recorder = Recorder(request.seconds, request.warm_up)
    settings: Dict[str, Any] = {"threads": request.threads, "device": request.device}
    session_request = SessionRequest(
        request.engine, (stream_request,), preprocess=request.preprocess, new_times=lambda: recorder, **settings
    )
    layers, streams, cold = None, None, None
    layer_notes: Tuple[str, ...] = ()
    with open_session(session_request) as session:
        engine, source = session.engine, session.streams[0].source
        if request.streams > 1:
            engine.new_state(request.streams)  # raises now, not after the minutes, where it does not take so many
        progress("measuring, {:g} s after the warm-up".format(request.seconds))
        size, run = _measure_run(session, recorder)
        memory = record.Memory(*resident(), engine.device_bytes(), _cache_bytes(manifest))
        if request.layers:
            progress("layers, in a separate run")
            layers, layer_notes = _layers(engine)
        if request.streams > 1:
            progress("{} streams, batched and separate".format(request.streams))
            streams = measure_streams(engine, request.streams, request.seconds)
    if request.cold_starts:
        progress("cold start, {} fresh processes".format(request.cold_starts))
        settings["spin"] = may_spin(source.frame_size, False, request.threads, processors())
        phases = measure_cold_starts(request.engine, type(engine).__module__, settings, request.cold_starts)
        cold = record.ColdStart(request.cold_starts, *phases)
    loaded = {name: sys.modules[name] for name in VERSIONED_PACKAGES if name in sys.modules}
    versions = {name: str(getattr(module, "__version__", "unknown")) for name, module in loaded.items()}
    latency_from = "due" if request.paced is not None else "grabbed" if source.live else "read begun"
    profile = record.Profile(
        format=record.FORMAT,
        format_version=record.FORMAT_VERSION,
        tsm_edge=__version__,
        versions=dict(versions, python=platform.python_version()),
        date=datetime.datetime.now().replace(microsecond=0).isoformat(),
        machine=this_machine(),
        subject=_subject(request, manifest, engine),
        source=record.Origin(kind, source.name, size, source.fps, request.paced, latency_from),
        sinks=("JSON lines to the null device",),
        memory=memory,
        layers=layers,
        streams=streams,
        cold=cold,
        notes=(),
        **run,
    )
    return profile._replace(notes=tuple(notes(profile)) + layer_notes)


def _check_memory(streams: int, manifest: Manifest) -> None:
    """Raise InputError where the frames and caches of so many streams, batched and separate, exceed the free memory."""
    free = memory_mb(key="MemAvailable")
    frame = 3 * manifest.frame.height * manifest.frame.width * np.dtype(np.float32).itemsize
    needed = streams * (frame + 2 * _cache_bytes(manifest)) / 1e6
    if streams > 1 and free is not None and needed > free:
        got = "{:.0f} MB for the frames and caches of {} streams".format(needed, streams)
        fitting = max(1, int(streams * free / needed / 2))
        raise InputError(
            "--streams", got, "at most the free memory, {} MB".format(free), "--streams {}".format(fitting)
        )


def _cache_bytes(manifest: Manifest) -> int:
    """Return the bytes of both sets of caches of one stream."""
    return 2 * sum(int(np.prod(c.shape)) * np.dtype(c.dtype).itemsize for c in manifest.caches)


def _stream_request(request: ProfileRequest, manifest: Manifest) -> Tuple[str, StreamRequest]:
    """Return (kind, stream) of the source to profile."""
    if request.source is None:
        return "synthetic", StreamRequest(SyntheticSource(manifest), name="synthetic", paced=request.paced)
    kind = kind_of(request.source)[0]
    live = SOURCES[kind].live
    if live and request.paced is not None:
        got = "a live source, {}".format(request.source)
        raise InputError("--paced", got, "a file or a folder", "leave --paced away")
    return kind, StreamRequest(request.source, loop=not live, paced=request.paced)


def _measure_run(session: Session, recorder: Recorder) -> Tuple[Tuple[int, int], Dict[str, Any]]:
    """Run the session until the recorder is done. Returns (width, height) of the frames, and fields of the profile."""
    stream, before = session.streams[0], (0, 0, 0)
    session.sinks.append(JsonlSink(os.devnull))

    def count() -> Tuple[int, int, int]:
        return stream.capture.dropped, stream.source.corrupt, stream.resets

    def begin() -> None:
        nonlocal before
        before = count()
        sampler.begin()

    recorder.on_steady = begin
    width = height = 0
    with Sampler() as sampler:
        for result in session:
            height, width = result.frame.image.shape[:2]
            if recorder.done:
                break
        if not recorder.count:
            got = "its end after {} frames, within the warm-up".format(stream.frames)
            raise InputError(stream.source.name, got, "a longer source", "give a longer one, or a shorter --warm-up")
        counted = zip(("dropped", "corrupt", "resets"), before, count())
        losses = {name: after - earlier for name, earlier, after in counted}
        columns, rows, readings, load = sampler.finish()
    stream.capture.close()  # its thread would take time from what is measured next
    for seconds in session.engine.transfer_times(TRANSFERS) or ():
        recorder.record("host-to-device", seconds)
    details = recorder.details()
    work = {name: details[name]["mean"] for name in record.LOOP_STAGES}
    overhead = sum(work[name] for name in record.RUNTIME_STAGES)
    blocks = recorder.blocks.blocks()
    sensors = {kind: spread(readings, kind) for kind in ("temperatures", "clocks", "power")}
    return (width, height), {
        "frames": recorder.count,
        "seconds": recorder.seconds,
        "fps": recorder.count / recorder.seconds,
        **losses,
        "accounted": sum(work.values()) * recorder.count / (1e3 * recorder.seconds),
        "overhead": overhead / (overhead + work["infer"]),
        "steady": _steady(recorder, blocks),
        "stages": tuple(record.Stage(name=name, **details[name]) for name in record.STAGES if name in details),
        "blocks": blocks,
        "trace": recorder.spans(),
        "load": record.Load(*load),
        "samples": record.Samples(columns, rows),
        "sensing": record.Sensing(**sensors, throttling=throttling(readings)),
    }


def _steady(recorder: Recorder, blocks: record.Blocks) -> record.Steady:
    steady, drift = recorder.steady, None
    times = [row[blocks.columns.index("frame") + 1] for row in blocks.rows]
    quarter = len(times) // 4
    if len(times) >= MIN_DRIFT_BLOCKS:
        drift = float(np.median(times[-quarter:]) / np.median(times[:quarter]) - 1)
    return record.Steady(steady.reached, STEADY_RULE, steady.spread, steady.frames, steady.seconds, drift)


def _layers(engine: Engine) -> Tuple[Optional[record.Layers], Tuple[str, ...]]:
    """Return (layers, notes). The run is done: layers that cannot be timed must not cost it."""
    try:
        timed = engine.layer_times(LAYER_WARM_UP_STEPS, LAYER_STEPS)
    except InputError as error:
        return None, ("No layers: {}: got {}; {}.".format(error.where, error.got, error.do),)
    return None if timed is None else sort_layers(timed, engine.manifest.shift.places), ()


def _subject(request: ProfileRequest, manifest: Manifest, engine: Engine) -> record.Subject:
    return record.Subject(
        engine=str(request.engine),
        backend=engine.backend,
        shift_by=engine.shift_by,
        recipe=manifest.recipe,
        weights_sha256=manifest.weights.sha256,
        weights_trained=manifest.weights.trained,
        precision=manifest.precision,
        lowering=manifest.lowering,
        threads=request.threads,
        preprocess=request.preprocess,
        frame=(manifest.frame.width, manifest.frame.height),
    )


def this_machine() -> record.Machine:
    """Return what the machine is that this process runs on."""
    board = read_board()
    mode = None if board is None else board["power_mode"]
    model = None if board is None else board["model"]
    power_mode = None if mode is None else str(mode["name"] or mode["id"])
    return record.Machine(cpu_name(), processors(), platform.machine(), memory_mb(), model, power_mode)


def measure_streams(engine: Engine, count: int, seconds: float) -> record.Streams:
    """Measure one batched step of `count` streams against one step of each stream, in turn for `seconds`."""
    frame = engine.manifest.frame
    batch = np.random.RandomState(0).randn(count, 3, frame.height, frame.width).astype(np.float32)
    singles = [np.ascontiguousarray(batch[i : i + 1]) for i in range(count)]
    together, apart = engine.new_state(count), [engine.new_state() for _ in range(count)]

    def step_separately() -> None:
        for one, state in zip(singles, apart):
            engine.step(one, state)

    times = time_interleaved((lambda: engine.step(batch, together), step_separately), seconds)
    batched, separate = ([1e3 * value for value in side] for side in times)
    ratio = stats.paired_ratio(separate, batched)
    return record.Streams(count, len(batched), float(np.median(batched)), float(np.median(separate)), *ratio)


def notes(profile: record.Profile) -> Iterator[str]:
    """Yield what a reader must know before believing the figures, as sentences."""
    steady, load, cores = profile.steady, profile.load, profile.machine.cores
    if profile.sensing.throttling:
        causes = ", ".join(profile.sensing.throttling)
        yield "THROTTLED during the run by: {}. Cool it or use a better power supply, then measure again.".format(
            causes
        )
    if not steady.reached:
        got = "too few frames" if steady.spread is None else "a spread of {:.1%}".format(steady.spread)
        yield "Not steady within {:.1f} s: {}; the limit is 2 %.".format(steady.seconds, got)
    if steady.drift is not None and abs(steady.drift) > MAX_DRIFT:
        more = "more" if steady.drift > 0 else "less"
        yield "A frame took {:.0%} {} at the end of the run than at its beginning.".format(abs(steady.drift), more)
    if load.others is not None and load.others > BUSY_SHARE * cores:
        yield "Other processes used {:.1f} of {} processors.".format(load.others, cores)
    if profile.dropped:
        yield "{} frames were dropped: the source is faster than {:.1f} frames/s.".format(profile.dropped, profile.fps)
    if profile.corrupt:
        yield "{} frames of the source could not be decoded.".format(profile.corrupt)
    if profile.source.latency_from == "read begun":
        yield "Latency includes the time that decoded frames wait; --paced FPS measures the latency of a camera."
    if not 0.98 <= profile.accounted <= 1.02:
        yield "The stages add up to {:.1%} of the wall time.".format(profile.accounted)
