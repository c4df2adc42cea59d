"""`tsm-edge profile`: the loop of `tsm-edge run`, watched. What disturbs a run is measured in a run of its own."""

import contextlib
import datetime
import os
import platform
import sys

import numpy as np

from tsm_edge import __version__
from tsm_edge import session as pipeline
from tsm_edge.commands.run import DECODE_THREADS, may_spin, online_manifest
from tsm_edge.engines import load_engine
from tsm_edge.errors import InputError
from tsm_edge.heads.classification import Decider
from tsm_edge.machine import sampler as machine
from tsm_edge.machine.board import read_board
from tsm_edge.machine.system_files import memory_mb, processors
from tsm_edge.manifest import sidecar_path
from tsm_edge.preprocess import Preprocessor
from tsm_edge.profile import cold, layers, record, stats
from tsm_edge.profile.recorder import STEADY_RULE, Recorder
from tsm_edge.profile.turns import in_turn
from tsm_edge.profile.watch import SyntheticSource, Watched, WatchedSource
from tsm_edge.sinks.base import Sink
from tsm_edge.sinks.files import check_apart, check_output
from tsm_edge.sinks.jsonl import JsonlSink
from tsm_edge.sources import kind_of, open_source
from tsm_edge.sources.capture import Capture
from tsm_edge.sources.sampling import sample

LAYER_WARM_UP, LAYER_STEPS = 5, 30
TRANSFERS = 100
VERSIONED = ("numpy", "onnxruntime", "cv2", "tensorrt")  # what counts for speed, where it is loaded
BUSY_OTHERS = 0.1  # of the processors: from here on a note says that the machine was not ours
DRIFT = 0.05


def profile(options, say=lambda text: None):
    """Profile as `options` say (the parsed command line). Returns a :class:`tsm_edge.profile.record.Profile`.

    say: told what is going on, a line at a time. Raises InputError where something given is wrong.
    """
    manifest = online_manifest(options.engine)
    if options.json:  # before the minutes are spent
        taken = [("the model", options.engine), ("the model's manifest", sidecar_path(options.engine))]
        taken += [("the source", options.source)] if options.source else []
        check_apart("--json", options.json, taken)
        check_output(options.json)
    with contextlib.ExitStack() as stack:
        source, kind = _open(options, manifest)
        watched = WatchedSource(source, options.paced)
        with contextlib.closing(watched):
            spin = may_spin(source.frame_size, options.threads, processors())
            settings = {"threads": options.threads, "device": options.device, "spin": spin}
            engine = stack.enter_context(load_engine(options.engine, **settings))
            if options.streams > 1:
                engine.new_state(options.streams)  # raises now, not after the minutes, where it does not take so many
            stages = pipeline.Stages(
                Preprocessor(manifest.frame, options.preprocess), engine, Decider(manifest.decision, manifest.labels)
            )
            say("measuring, {:g} s after the warm-up".format(options.seconds))
            run = _Run(watched, stages, options)
            run.go()
        memory = _memory(engine)
        run.recorder.add_transfers(engine.transfer_times(TRANSFERS) or ())
        if options.layers:
            say("layers, in a run of their own")
        timed, refused = _layer_times(engine) if options.layers else (None, ())
        several = None
        if options.streams > 1:
            say("{} streams, batched and one by one".format(options.streams))
            several = measure_streams(engine, options.streams, options.seconds)
        if options.cold:
            say("cold start, {} fresh processes".format(options.cold))
    started = None
    if options.cold:
        module = type(engine).__module__
        started = record.Start(options.cold, **_named(cold.measure(options.engine, module, settings, options.cold)))
    return run.profile(
        subject=_subject(options, manifest, engine),
        source=record.Origin(kind, source.name, run.frames.size, source.fps, options.paced, watched.latency_from),
        memory=memory,
        layers=None if timed is None else layers.sorted_out(places=manifest.shift.places, **timed._asdict()),
        streams=several,
        cold=started,
        notes=refused,
    )


def _layer_times(engine):
    """(LayerTimes or None, notes). The run is done: that its layers cannot be timed must not cost it."""
    try:
        return engine.layer_times(LAYER_WARM_UP, LAYER_STEPS), ()
    except InputError as error:
        return None, ("No layers: {}: got {}; {}.".format(error.where, error.got, error.do),)


def _named(phases):
    return {"start": phases["start"], **{name: phases[name] for name in cold.PHASES[1:]}}


def _open(options, manifest):
    """(source, kind of it)."""
    spec = options.camera if options.source is None else options.source
    if spec is None:
        return SyntheticSource(manifest), "synthetic"
    kind = kind_of(spec)[0]
    recorded = kind in ("file", "folder")
    if options.paced is not None and not recorded:
        raise InputError("--paced", "a live source, {}".format(spec), "a file or a folder", "leave --paced away")
    source = open_source(spec, loop=recorded, decode_threads=DECODE_THREADS)
    if options.paced is None:
        source = sample(source, manifest.fps)
    return source, kind


class _Stop(Sink):
    """Ends the run where the recorder has what it wants."""

    def __init__(self, recorder):
        self._recorder = recorder

    def write(self, result):
        return False if self._recorder.done else None


class _Run:
    """The measured run, and what came of it."""

    def __init__(self, source, stages, options):
        self._source, self._stages, self._options = source, stages, options
        self.counts = pipeline.Counts()

    def go(self):
        options = self._options
        with contextlib.closing(Capture(self._source)) as capture, machine.Sampler() as sampler:
            self.frames = Watched(capture, self._source)

            def on_steady():
                self._before = (capture.dropped, self.counts.resets)
                sampler.begin()

            recorder = Recorder(self.frames, options.seconds, options.warm_up, on_steady)
            with JsonlSink(os.devnull) as jsonl:
                pipeline.run(self.frames, self._stages, [jsonl, _Stop(recorder)], recorder, self.counts)
            if not recorder.count:
                raise InputError(
                    self._source.name,
                    "its end after {} frames, within the warm-up".format(self.counts.frames),
                    "a source that lasts for the warm-up and longer",
                    "give a longer one, or a shorter --warm-up",
                )
            self.recorder, self.sampled = recorder, sampler.finish()
            self.dropped = capture.dropped - self._before[0]
            self.resets = self.counts.resets - self._before[1]

    def profile(self, **parts):
        recorder = self.recorder
        columns, rows, readings, load = self.sampled
        details = recorder.details()
        work = {name: details[name]["mean"] for name in record.LOOP}
        ours = sum(work[name] for name in record.OURS)
        out = record.Profile(
            format=record.FORMAT,
            format_version=record.FORMAT_VERSION,
            tsm_edge=__version__,
            versions=_versions(),
            date=datetime.datetime.now().replace(microsecond=0).isoformat(),
            machine=this_machine(),
            sinks=("JSON lines to the null device",),
            frames=recorder.count,
            seconds=recorder.seconds,
            fps=recorder.count / recorder.seconds,
            dropped=self.dropped,
            resets=self.resets,
            accounted=sum(work.values()) * recorder.count / (1e3 * recorder.seconds),
            ours=ours / (ours + work["infer"]),
            steady=_steady(recorder),
            stages=tuple(_stage(name, details[name]) for name in _ORDER if name in details),
            blocks=record.Blocks(recorder.blocks.frames, recorder.blocks.columns, recorder.blocks.rows()),
            trace=recorder.spans(),
            load=record.Load(*load),
            samples=record.Samples(columns, rows),
            sensing=record.Sensing(
                *[machine.spread(readings, kind) for kind in ("temperatures", "clocks", "power")],
                throttling=machine.throttling(readings),
            ),
            **parts,
        )
        return out._replace(notes=tuple(notes(out)) + out.notes)


_ORDER = (
    "capture",
    "decode",
    "wait",
    "preprocess",
    "host-to-device",
    "infer",
    "decide",
    "sink",
    "frame",
    "latency",
    "interval",
)


def _stage(name, detail):
    histogram = tuple((low, high, count) for low, high, count in detail.pop("histogram"))
    return record.Stage(name=name, histogram=histogram, **detail)


def _steady(recorder):
    steady = recorder.steady
    frame = recorder.blocks.columns.index("frame") + 1
    times = [row[frame] for row in recorder.blocks.rows()]
    drift = None
    if len(times) >= 8:
        quarter = len(times) // 4
        drift = float(np.median(times[-quarter:]) / np.median(times[:quarter]) - 1)
    return record.Steady(steady.reached, STEADY_RULE, steady.spread, steady.frames, steady.seconds, drift)


def _subject(options, manifest, engine):
    return record.Subject(
        engine=str(options.engine),
        backend=engine.backend,
        shift_by=engine.shift_by,
        recipe=manifest.recipe,
        weights_sha256=manifest.weights.sha256,
        weights_trained=manifest.weights.trained,
        precision=manifest.precision,
        lowering=manifest.lowering,
        threads=options.threads,
        preprocess=options.preprocess,
        frame=(manifest.frame.width, manifest.frame.height),
    )


def _memory(engine):
    caches = sum(int(np.prod(c.shape)) * np.dtype(c.dtype).itemsize for c in engine.manifest.caches)
    now, peak = machine.resident()
    return record.Memory(now, peak, engine.device_bytes(), 2 * caches)


def this_machine():
    """The :class:`tsm_edge.profile.record.Machine` that this is."""
    board = read_board()
    mode = None if board is None or board["power_mode"] is None else board["power_mode"]
    return record.Machine(
        machine.cpu_name(),
        processors(),
        platform.machine(),
        memory_mb(),
        None if board is None else board["model"],
        None if mode is None else str(mode["name"] or mode["id"]),
    )


def _versions():
    loaded = {name: sys.modules[name] for name in VERSIONED if name in sys.modules}
    found = {name: str(getattr(module, "__version__", "unknown")) for name, module in loaded.items()}
    return dict(found, python=platform.python_version())


def measure_streams(engine, count, seconds):
    """:class:`tsm_edge.profile.record.Streams` of `count` streams, batched against separate, in turn for `seconds`."""
    frame = engine.manifest.frame
    batch = np.random.RandomState(0).randn(count, 3, frame.height, frame.width).astype(np.float32)
    singles = [np.ascontiguousarray(batch[i : i + 1]) for i in range(count)]
    together, apart = engine.new_state(count), [engine.new_state() for _ in range(count)]

    def separate():
        for one, state in zip(singles, apart):
            engine.step(one, state)

    times = in_turn((lambda: engine.step(batch, together), separate), seconds)
    batched, single = ([1e3 * value for value in side] for side in times)
    ratio = stats.paired_ratio(single, batched)
    return record.Streams(count, len(batched), float(np.median(batched)), float(np.median(single)), *ratio)


def notes(profile):
    """What a reader must know before believing the figures, as sentences."""
    steady, load, cores = profile.steady, profile.load, profile.machine.cores
    if profile.sensing.throttling:
        yield "THROTTLED during the run by: {}. Cool it or feed it better, then measure again.".format(
            ", ".join(profile.sensing.throttling)
        )
    if not steady.reached:
        spread = "too few frames" if steady.spread is None else "a spread of {:.1%}".format(steady.spread)
        yield "Not steady within {:.1f} s: {}, where 2 % was asked for.".format(steady.seconds, spread)
    if steady.drift is not None and abs(steady.drift) > DRIFT:
        more = "more" if steady.drift > 0 else "less"
        yield "A frame took {:.0%} {} at the end of the run than at its beginning.".format(abs(steady.drift), more)
    if load.others is not None and load.others > BUSY_OTHERS * cores:
        yield "Other processes kept {:.1f} of {} processors busy.".format(load.others, cores)
    if profile.dropped:
        yield "{} frames were dropped: the source was faster than {:.1f} frames/s.".format(profile.dropped, profile.fps)
    if profile.source.latency_from == "read begun":
        yield "Latency holds the wait among frames decoded ahead; --paced FPS measures that of a camera."
    if not 0.98 <= profile.accounted <= 1.02:
        yield "The stages add up to {:.1%} of the wall time.".format(profile.accounted)
