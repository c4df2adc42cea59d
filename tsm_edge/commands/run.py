"""`tsm-edge run`: put a source, an engine and sinks together, run them, and end them so that all is whole."""

import contextlib
import os
import sys

from tsm_edge import session as pipeline
from tsm_edge.engines import load_engine, load_manifest
from tsm_edge.errors import TsmEdgeError
from tsm_edge.heads.classification import Decider
from tsm_edge.interrupt import Interrupted, Interruptible
from tsm_edge.machine.system_files import processors
from tsm_edge.manifest import require_online, sidecar_path
from tsm_edge.preprocess import Preprocessor
from tsm_edge.sinks.console import ProgressSink, print_summary
from tsm_edge.sinks.files import check_apart
from tsm_edge.sources import kind_of, open_source
from tsm_edge.sources.capture import Capture
from tsm_edge.sources.sampling import sample
from tsm_edge.timing import StageTimes

# Half of the cores: a further decoder thread takes time from the engine (at 1080p two cost 40 % more CPU than one).
DECODE_THREADS = max(1, processors() // 2)
DEFAULT_FPS = 30.0  # of a saved video whose source does not say its rate
# Frames up to here are decoded in so little time that the engine's threads may spin beside it: benchmarks/README.md.
LIGHT_PIXELS = 640 * 480


def run(options):
    """Run as `options` say (the parsed command line). Prints the summary. Returns the exit code.

    Raises InputError or TsmEdgeError after the sinks were ended; the summary then says how far the run came.
    """
    spec = options.camera if options.source is None else options.source
    manifest = online_manifest(options.engine)
    _check_outputs(options, spec)
    with Interruptible() as interruptible, contextlib.ExitStack() as stack:
        # The source first: its thread decodes the first frames while the engine loads.
        source = open_source(spec, loop=options.loop, decode_threads=DECODE_THREADS)
        source = sample(source, manifest.fps if options.fps is None else options.fps)
        capture = stack.enter_context(Capture(source))
        spin = may_spin(source.frame_size, options.threads, processors())
        engine = load_engine(options.engine, threads=options.threads, device=options.device, spin=spin)
        stack.enter_context(engine)
        stages = pipeline.Stages(
            Preprocessor(manifest.frame, options.preprocess), engine, Decider(manifest.decision, manifest.labels)
        )
        sinks = _open_sinks(options, source, capture, stack)
        times, counts, errors = StageTimes(), pipeline.Counts(), []
        stopped, code = "end", 0
        try:
            frames = interruptible.while_waiting(capture)
            stopped = pipeline.run(frames, stages, sinks, times, counts, options.max_frames)
        except Interrupted as signal:
            stopped, code = signal.stopped, signal.exit_code
        except Exception as error:  # one of ours or not: what was done until then is closed and reported
            stopped = "error: {}".format(_first_line(error))
            errors.append(error)
        interruptible.hold()
        summary = _summary(stages, capture, times, counts, stopped, options)
        _end(sinks, stages.decider.finish(), summary, stack, errors)
        print_summary(summary)
    if errors:
        raise errors[0]
    return code


def online_manifest(path):
    """The manifest of the model at `path`. Raises InputError where a stream cannot be run through it."""
    manifest = load_manifest(path)
    require_online(manifest, path)
    return manifest


def may_spin(frame_size, threads, cores):
    """Whether the engine's waiting threads may spin: where cores are left over, or decoding leaves the engine's alone.

    frame_size: (width, height) of the source, None where it does not say. threads: of the engine, None for all cores.
    """
    spare = threads is not None and threads < cores
    return spare or frame_size is not None and frame_size[0] * frame_size[1] <= LIGHT_PIXELS


def _check_outputs(options, spec):
    """Raise InputError where an output would overwrite what the run reads, or another output."""
    taken = [("the model", options.engine), ("the model's manifest", sidecar_path(options.engine))]
    if kind_of(spec)[0] == "file":
        taken.append(("the source", options.source))
    for name, path in (("--jsonl", options.jsonl), ("--save", options.save)):
        if path:
            check_apart(name, path, taken)
            taken.append((name, path))


def _open_sinks(options, source, capture, stack):
    """The sinks asked for, in the order in which they take a result. They are closed with `stack`.

    The JSONL file is opened last of those that can fail: what an earlier run wrote there is lost only to a run that
    begins.
    """
    sinks = []
    if options.save:
        from tsm_edge.sinks.video import VideoSink

        sinks.append(stack.enter_context(VideoSink(options.save, source.fps or DEFAULT_FPS)))
    if options.display:
        from tsm_edge.sinks.display import DisplaySink

        sinks.append(stack.enter_context(DisplaySink()))
    if options.jsonl:
        from tsm_edge.sinks.jsonl import JsonlSink

        sinks.insert(0, stack.enter_context(JsonlSink(options.jsonl)))
    if "NOTIFY_SOCKET" in os.environ:
        from tsm_edge.sinks import notify

        manager = notify.from_environment()
        sinks += [] if manager is None else [stack.enter_context(manager)]
    total = source.frame_count
    if options.max_frames is not None:
        total = options.max_frames if total is None else min(total, options.max_frames)
    dropped = (lambda: capture.dropped) if source.live else None
    sinks.append(stack.enter_context(ProgressSink(total, sys.stderr, source.live, dropped)))
    return sinks


def _summary(stages, capture, times, counts, stopped, options):
    """The summary of the run (DESIGN.md "Commands and records")."""
    return {
        "kind": "summary",
        "frames": counts.frames,
        "fps": counts.fps,
        "seconds": counts.seconds,
        "stages": times.summary(),
        "dropped": capture.dropped,
        "corrupt": capture.source.corrupt,
        "resets": counts.resets,
        "events": counts.events,
        "engine": stages.engine.backend,
        "shift_by": stages.engine.shift_by,
        "model": options.engine,
        "weights_trained": stages.engine.manifest.weights.trained,
        "stopped": stopped,
    }


def _end(sinks, event, summary, stack, errors):
    """Give every sink the last event (or None) and the summary, and close all that is open.

    What fails is added to `errors`; it keeps no other sink from its end.
    """
    summary["events"] += event is not None
    for sink in sinks:
        with _collected(errors):
            if event is not None:
                sink.event(event)
            sink.finish(summary)
    with _collected(errors):
        stack.close()
    if errors and not summary["stopped"].startswith("error"):
        summary["stopped"] = "error: {}".format(_first_line(errors[0]))


@contextlib.contextmanager
def _collected(errors):
    try:
        yield
    except TsmEdgeError as error:
        errors.append(error)


def _first_line(error):
    """The first line of what an error says; for ours, where it is and what was got."""
    got = getattr(error, "got", None)
    return str(error).split("\n")[0] + ("" if got is None else ": {}".format(got))
