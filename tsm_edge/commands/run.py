"""`tsm-edge run`: stream videos or cameras through a model."""

import argparse
from typing import Any, Dict, List, NamedTuple, Tuple

from tsm_edge.commands.arguments import add_engine_options, number, whole_number
from tsm_edge.errors import InputError
from tsm_edge.files import check_apart
from tsm_edge.interrupt import Interrupted, Interruptible
from tsm_edge.manifest import sidecar_path
from tsm_edge.session import SessionRequest, first_line, open_session
from tsm_edge.sinks import SINKS, open_sinks, output_files
from tsm_edge.sinks.console import print_summary
from tsm_edge.sources import kind_of
from tsm_edge.sources.request import StreamRequest, read_cameras, stream_names


class RunRequest(NamedTuple):
    """A run: a session, and for each key of `tsm_edge.sinks.SINKS` what its option was given."""

    session: SessionRequest
    sinks: Dict[str, Any] = {}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_engine_options(parser)
    sources = parser.add_argument_group("sources, each as often as wanted")
    several: Dict[str, Any] = {"dest": "sources", "action": "append"}
    sources.add_argument("--camera", metavar="N", type=whole_number(0), help="camera number", **several)
    text = "a video file, a folder of frames, rtsp://..., http://..., or csi://0 on a Jetson"
    sources.add_argument("--source", metavar="S", help=text, **several)
    sources.add_argument("--cameras", metavar="FILE", help="a TOML file with a [[camera]] table for each stream")
    sources.add_argument("--loop", action="store_true", help="begin a file again at its end")
    text = "frames/s of each source to run (default: the model's)"
    sources.add_argument("--fps", metavar="R", type=number(0.001), help=text)
    sources.add_argument("--max-frames", metavar="N", type=whole_number(1), help="stop each stream after N frames")
    outputs = parser.add_argument_group("outputs")
    for entry in SINKS:
        group: Any = outputs.add_mutually_exclusive_group() if len(entry.options) > 1 else outputs
        for option in entry.options:
            group.add_argument(*option.flags, dest="sink_" + entry.key, **option.keywords)
        if len(entry.options) > 1:
            parser.set_defaults(**{"sink_" + entry.key: False})


def run(options: argparse.Namespace) -> int:
    """Run the command. Returns its exit code."""
    settings = {name: getattr(options, name) for name in ("threads", "device", "preprocess", "max_frames")}
    session = SessionRequest(options.engine, tuple(_streams(options)), **settings)
    values = {entry.key: getattr(options, "sink_" + entry.key, None) for entry in SINKS}
    return run_session(RunRequest(session, values))


def run_session(request: RunRequest) -> int:
    """Stream until the end, an error or a signal; print the summary. Returns the exit code.

    Raises an error only after the sinks were ended; the summary then says how far the run came.
    """
    names = stream_names(request.session.streams)
    _check_outputs(request, names)
    with Interruptible() as interruptible, open_session(request.session) as session:
        session.sinks += open_sinks(request.sinks, session.infos())
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
        print_summary(session.finish(stopped))
    if session.errors:
        raise session.errors[0]
    return code


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
    return [stream._replace(fps=options.fps if stream.fps is None else stream.fps) for stream in streams]


def _check_outputs(request: RunRequest, names: List[str]) -> None:
    """Raise InputError where an output would overwrite what the run reads, or another output."""
    model = request.session.engine
    taken: List[Tuple[str, str]] = [("the model", model), ("the model's manifest", sidecar_path(model))]
    taken += [("a source", one.source) for one in request.session.streams if kind_of(one.source)[0] == "file"]
    for option, path in output_files(request.sinks, names):
        check_apart(option, path, taken)
        taken.append((option, path))
