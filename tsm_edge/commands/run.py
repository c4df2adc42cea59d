"""`tsm-edge run`: stream videos or cameras through a model."""

import argparse
import glob
import logging
import os
import sys
from typing import Any, Dict, List, NamedTuple, Tuple

from tsm_edge.commands.arguments import add_engine_options, camera_number, file_name, number, parts_of, whole_number
from tsm_edge.errors import InputError
from tsm_edge.interrupt import Interrupted, Interruptible
from tsm_edge.manifest import files_of_model
from tsm_edge.native import library
from tsm_edge.session import Session, SessionRequest, first_line, open_session
from tsm_edge.sinks import SINKS, check_outputs, open_sinks
from tsm_edge.sinks.base import OVERLAY
from tsm_edge.sinks.console import RecentEvents, print_summary
from tsm_edge.sources import files_of
from tsm_edge.sources.request import StreamRequest, read_cameras, stream_names

_LOG = logging.getLogger(__name__)
LIKE_RATES = 1.1  # a rate that differs from the model's by up to this factor changes little


class RunRequest(NamedTuple):
    """A run.

    session: what runs. sinks: for each key of `tsm_edge.sinks.SINKS` what its option was given. inputs: (what, path) of
    files that were read for the run besides those of the session, so that no output overwrites them. quiet: print
    warnings and errors only. overlay: the parts of an overlay of boxes that are drawn.
    """

    session: SessionRequest
    sinks: Dict[str, Any] = {}
    inputs: Tuple[Tuple[str, str], ...] = ()
    quiet: bool = False
    overlay: Tuple[str, ...] = OVERLAY


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_engine_options(parser)
    sources = parser.add_argument_group("sources, each as often as wanted")
    several: Dict[str, Any] = {"dest": "sources", "action": "append"}
    sources.add_argument("--camera", metavar="N", type=camera_number, help="camera number", **several)
    text = "a video file, a folder of frames, rtsp://..., http://..., or csi://0 on a Jetson"
    sources.add_argument("--source", metavar="S", type=file_name, help=text, **several)
    sources.add_argument(
        "--cameras", metavar="FILE", type=file_name, help="a TOML file with a [[camera]] table for each stream"
    )
    sources.add_argument("--loop", action="store_true", help="begin a file again at its end")
    text = "frames/s of each source to run (default: the model's)"
    sources.add_argument("--fps", metavar="R", type=number(0.001), help=text)
    text = "frames/s at which the pictures of a folder were taken (default: 30)"
    sources.add_argument("--source-fps", metavar="R", type=number(0.001), help=text)
    sources.add_argument("--max-frames", metavar="N", type=whole_number(1), help="stop each stream after N frames")
    pace = sources.add_mutually_exclusive_group()
    text = "read files and folders at their own pace, not faster; drops no frame (the default with --display)"
    pace.add_argument("--realtime", action="store_true", default=None, help=text)
    text = "read them as fast as the engine runs (the default without --display)"
    pace.add_argument("--no-realtime", dest="realtime", action="store_false", help=text)
    outputs = parser.add_argument_group("outputs")
    text = "least confidence of what is shown, 0 to 1 (default: the model's)"
    outputs.add_argument("--threshold", metavar="R", type=number(0, maximum=1), help=text)
    text = "what is drawn of each box: {} (default: all)".format(",".join(OVERLAY))
    outputs.add_argument("--overlay", metavar="PARTS", type=parts_of(OVERLAY), default=OVERLAY, help=text)
    text = "print warnings and errors only: no progress, no events, no summary"
    outputs.add_argument("--quiet", action="store_true", help=text)
    for entry in SINKS:
        group: Any = outputs.add_mutually_exclusive_group() if len(entry.options) > 1 else outputs
        for option in entry.options:
            keywords = dict(option.keywords)
            if "action" not in keywords:
                keywords.setdefault("type", file_name)
            group.add_argument(*option.flags, dest="sink_" + entry.key, **keywords)
        if len(entry.options) > 1:
            parser.set_defaults(**{"sink_" + entry.key: False})


def run(options: argparse.Namespace) -> int:
    """Run the command. Returns its exit code."""
    settings = {name: getattr(options, name) for name in ("threads", "device", "preprocess", "max_frames")}
    session = SessionRequest(options.engine, tuple(_streams(options)), **settings)
    values = {entry.key: getattr(options, "sink_" + entry.key, None) for entry in SINKS}
    inputs = () if options.cameras is None else (("the cameras file", options.cameras),)
    return run_session(RunRequest(session, values, inputs, options.quiet, options.overlay))


def run_session(request: RunRequest) -> int:
    """Stream until the end, an error or a signal; print the summary. Returns the exit code.

    Raises an error only after the sinks were ended; the summary then says how far the run came.
    """
    if request.quiet:
        request = request._replace(sinks=dict(request.sinks, progress=False))
    taken, events = _files_in_use(request), RecentEvents()
    check_outputs(request.sinks, stream_names(request.session.streams), taken)  # before the model is loaded
    with Interruptible() as interruptible, open_session(request.session) as session:
        infos = [info._replace(overlay=request.overlay) for info in session.infos()]
        sinks = open_sinks(request.sinks, infos, taken)
        session.sinks += sinks + [events]
        warn_of_rates(request.session, session)
        stopped, code = None, 0
        interruptible.hold()
        try:
            for batch in iter(lambda: session.wait(interruptible.waiting), []):
                session.serve(batch)
        except Interrupted as signal:
            stopped, code = signal.stopped, signal.exit_code
        except Exception as error:  # ours or not: what was done until then is closed and reported
            stopped = "error: {}".format(first_line(error))
            session.errors.insert(0, error)
        summaries = session.finish(stopped)
        facts = [fact for sink in sinks for fact in sink.facts()]
        output = sys.stderr if any(sink.on_standard_output for sink in sinks) else sys.stdout
        try:
            if not request.quiet:
                print_summary(summaries, output, facts, events)
        except OSError:  # a full disk, or a reader that has left
            if not session.errors:
                raise
    if session.errors:
        raise session.errors[0]
    return code


def warn_of_rates(request: SessionRequest, session: Session) -> None:
    """Warn once where streams do not give the model the frames/s that it was made for, or where it states none.

    Args:
        request: what the session was opened with.
        session: of the request; it has its sources open, and has not begun.
    """
    expected, found = session.engine.manifest.fps, []
    for asked, stream in zip(request.streams, session.streams):
        rate = stream.source.fps
        chosen = asked.fps is not None or asked.paced is not None
        if expected is None:
            if not chosen:
                given = "every frame" if rate is None else "all {:.4g} frames/s".format(rate)
                found.append((stream.name, given, "if its labels flicker, give --fps the rate of its training clips"))
        elif rate is not None and max(rate / expected, expected / rate) > LIKE_RATES:
            do = "leave out the rate that was asked for" if chosen else "take a source of at least that rate"
            found.append((stream.name, "{:.4g} frames/s".format(rate), "its labels may be wrong: " + do))
    if found:
        (name, given, do), others = found[0], len(found) - 1
        states = "no frames/s" if expected is None else "{:.4g} frames/s".format(expected)
        more = " (and of {} more)".format(others) if others else ""
        _LOG.warning("the model states %s and gets %s of %s%s; %s; see docs/running.md", states, given, name, more, do)


def _streams(options: argparse.Namespace) -> List[StreamRequest]:
    """Return the streams that the command line and the cameras file ask for."""
    streams = [StreamRequest(source) for source in options.sources or ()]
    if options.cameras is not None:
        streams += read_cameras(options.cameras)
    if not streams:
        do = "add --camera N, --source S or --cameras FILE.toml"
        raise InputError("tsm-edge run", "no source", "at least one", do)
    if options.loop:
        streams = [stream._replace(loop=True) for stream in streams]
    if options.source_fps is not None:
        streams = [stream._replace(source_fps=stream.source_fps or options.source_fps) for stream in streams]
    realtime = options.sink_display if options.realtime is None else options.realtime
    streams = [stream._replace(realtime=realtime) if stream.realtime is None else stream for stream in streams]
    if options.threshold is not None:  # a camera of the cameras file may have its own
        chosen = {"threshold": options.threshold}
        streams = [stream._replace(decision=dict(chosen, **stream.decision)) for stream in streams]
    return [stream._replace(fps=options.fps if stream.fps is None else stream.fps) for stream in streams]


def _files_in_use(request: RunRequest) -> List[Tuple[str, str]]:
    """Return (what, path) of all files that the run reads."""
    files = files_of_model(request.session.engine)
    for folder in (library.PACKAGE_FOLDER, os.environ.get(library.FOLDER_VARIABLE)):
        found = glob.glob(os.path.join(glob.escape(folder), "*.so")) if folder else []
        files += [("a kernel library", path) for path in found]
    for stream in request.session.streams:
        files += [("a source", path) for path in files_of(stream.source)]
    return files + list(request.inputs)
