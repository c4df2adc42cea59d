"""`tsm-edge run`: put a source, an engine and sinks together, run them, and end them so that all is whole."""

import contextlib
import signal
import sys

from tsm_edge import pipeline
from tsm_edge.decision import Decider
from tsm_edge.engines import load_engine, load_manifest
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.preprocess import Preprocessor
from tsm_edge.sinks.console import ProgressSink, print_summary
from tsm_edge.sources import open_source
from tsm_edge.sources.capture import Capture
from tsm_edge.sources.sampling import sample
from tsm_edge.timing import StageTimes

DEFAULT_FPS = 30.0  # of a saved video whose source does not say its rate


class Stopped(KeyboardInterrupt):
    """SIGTERM (a service manager's stop), ended like Ctrl-C."""


def run(options):
    """Run as `options` say (the parsed command line). Prints the summary. Returns the exit code.

    Raises InputError or TsmEdgeError after the sinks were ended; the summary then says how far the run came.
    """
    manifest = load_manifest(options.engine)
    if manifest.mode != "online":
        raise InputError(
            "{}: mode".format(options.engine),
            "an offline ({}) model".format(manifest.shift.direction),
            "an online one: a live stream has no next frame",
            "export causal weights with --mode online",
        )
    times, counts = StageTimes(), pipeline.Counts()
    with contextlib.ExitStack() as stack:
        # The source first: its thread decodes the first frames while the engine loads.
        source = open_source(options.camera if options.source is None else options.source, loop=options.loop)
        source = sample(source, manifest.fps if options.fps is None else options.fps)
        capture = stack.enter_context(Capture(source))
        engine = stack.enter_context(load_engine(options.engine, threads=options.threads))
        stages = pipeline.Stages(
            Preprocessor(manifest.frame, options.preprocess), engine, Decider(manifest.decision, manifest.labels)
        )
        sinks = []
        for make in _sinks(options, source, capture):
            sinks.append(stack.enter_context(make()))
        stopped, error, code = "end", None, 0
        previous = signal.signal(signal.SIGTERM, _on_term)
        try:
            stopped = pipeline.run(capture, stages, sinks, times, counts, options.max_frames)
        except KeyboardInterrupt as interrupt:
            stopped, code = "interrupt", 143 if isinstance(interrupt, Stopped) else 130
        except TsmEdgeError as caught:
            stopped, error = "error: {}".format(str(caught).split("\n")[0]), caught
        finally:
            signal.signal(signal.SIGTERM, previous)
        with _uninterrupted():
            summary = _end(stages, sinks, capture, times, counts, stopped, options)
            stack.close()
    print_summary(summary)
    if error is not None:
        raise error
    return code


def _sinks(options, source, capture):
    """Functions that open the sinks asked for, the cheapest check first, so that a wrong path costs no run."""
    if options.jsonl:
        from tsm_edge.sinks.jsonl import JsonlSink

        yield lambda: JsonlSink(options.jsonl)
    if options.save:
        from tsm_edge.sinks.video import VideoSink

        yield lambda: VideoSink(options.save, source.fps or DEFAULT_FPS)
    if options.display:
        from tsm_edge.sinks.display import DisplaySink

        yield DisplaySink
    total = source.frame_count
    if options.max_frames is not None:
        total = options.max_frames if total is None else min(total, options.max_frames)
    yield lambda: ProgressSink(total, sys.stderr, source.live, (lambda: capture.dropped) if source.live else None)


def _end(stages, sinks, capture, times, counts, stopped, options):
    """Give the sinks the last event and the summary. Returns the summary (DESIGN.md "Commands and records")."""
    last = stages.decider.finish()
    manifest = stages.engine.manifest
    counts.events += last is not None
    summary = {
        "kind": "summary",
        "frames": counts.frames,
        "fps": counts.fps,
        "seconds": counts.seconds,
        "stages": times.summary(),
        "dropped": capture.dropped,
        "resets": counts.resets,
        "events": counts.events,
        "engine": stages.engine.backend,
        "model": options.engine,
        "weights_trained": manifest.weights.trained,
        "stopped": stopped,
    }
    for sink in sinks:
        if last is not None:
            sink.event(last)
        sink.finish(summary)
    return summary


def _on_term(signum, frame):
    raise Stopped


@contextlib.contextmanager
def _uninterrupted():
    """A second Ctrl-C while files are being closed would leave them broken."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
