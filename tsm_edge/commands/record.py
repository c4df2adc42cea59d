"""`tsm-edge record`: record labelled clips of one's own with a camera, or cut them from videos."""

import argparse
import contextlib
import os
import shlex
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from tsm_edge.commands.arguments import camera_number, file_name, number, whole_number
from tsm_edge.commands.output import print_text
from tsm_edge.errors import InputError
from tsm_edge.interrupt import Interrupted, Interruptible
from tsm_edge.recording import plan as planning
from tsm_edge.recording.cutting import Cut, cut_clips, discard_clips, place_clips
from tsm_edge.recording.folder import DataFolder, open_folder
from tsm_edge.recording.plan import LONGEST, MOST_CLIPS, SHORTEST, Plan
from tsm_edge.recording.prompt import Screen, open_keys
from tsm_edge.recording.recorder import Recorder
from tsm_edge.sources import SOURCES, kind_of, open_source
from tsm_edge.sources.base import FALLBACK_FPS, Source
from tsm_edge.text import masked_address, one_line

LONGEST_COUNTDOWN = 60.0
# Options of a recording with a camera, which mean nothing where clips are cut.
_OF_CAMERA = ("clips", "seconds", "pressed", "longest", "countdown", "review", "nothing", "no_nothing", "display")


class RecordRequest(NamedTuple):
    """A recording session.

    output: the data folder. plan: of a recording with a camera; its labels are empty where clips are cut. source: what
    `tsm_edge.sources.open_source` takes, of a recording. cuts: videos and their marks. session: its name, None for date
    and time. display: whether there is a window; None for one where there can be one.
    """

    output: str
    plan: Plan
    source: Any = None
    cuts: Tuple[Cut, ...] = ()
    session: Optional[str] = None
    display: Optional[bool] = None


class _Input(argparse.Action):
    """Keeps sources and marks in the order in which they were given: (option, value)."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: Optional[str] = None) -> None:
        del parser
        namespace.inputs = list(namespace.inputs or ()) + [(str(option).lstrip("-"), values)]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    text = "the folder of data; it gets a folder for each label"
    parser.add_argument("-o", "--output", metavar="FOLDER", type=file_name, required=True, help=text)
    text = "what is shown; as often as wanted, the labels take turns"
    parser.add_argument("--label", metavar="NAME", dest="labels", action="append", type=file_name, help=text)
    text = "the name of the recording session in the names of the files (default: date and time)"
    parser.add_argument("--session", metavar="NAME", type=file_name, help=text)
    sources = parser.add_argument_group("source")
    of_inputs: Dict[str, Any] = {"dest": "inputs", "action": _Input}
    sources.add_argument("--camera", metavar="N", type=camera_number, help="camera number", **of_inputs)
    text = "as --camera: rtsp://..., http://..., csi://0; or a video, played as a camera or cut at marks"
    sources.add_argument("--source", metavar="S", type=file_name, help=text, **of_inputs)
    text = "a clip of the --source before it, in seconds; as often as wanted"
    sources.add_argument("--mark", metavar="START-END", type=file_name, help=text, **of_inputs)
    text = "a CSV file start,end,label: clips of the --source before it"
    sources.add_argument("--marks", metavar="FILE.csv", type=file_name, help=text, **of_inputs)
    clips = parser.add_argument_group("clips (of a camera)")
    default = Plan(())
    text = "clips of each label (default: {})".format(default.clips)
    clips.add_argument("--clips", metavar="N", type=whole_number(1, MOST_CLIPS), help=text)
    text = "length of a clip (default: {:g})".format(default.seconds)
    clips.add_argument("--seconds", metavar="S", type=number(SHORTEST, maximum=LONGEST), help=text)
    clips.add_argument("--pressed", action="store_true", help="Space or Enter begins and ends each clip")
    text = "longest clip with --pressed (default: {:g})".format(default.longest)
    clips.add_argument("--longest", metavar="S", type=number(SHORTEST, maximum=LONGEST), help=text)
    text = "seconds before each clip (default: {:g})".format(default.countdown)
    clips.add_argument("--countdown", metavar="S", type=number(0, maximum=LONGEST_COUNTDOWN), help=text)
    clips.add_argument("--review", action="store_true", help="ask after each clip: keep it, or record it again")
    nothing = clips.add_mutually_exclusive_group()
    text = "label of the clips that are taken in the pauses (default: {})".format(default.nothing)
    nothing.add_argument("--nothing", metavar="NAME", type=file_name, help=text)
    nothing.add_argument("--no-nothing", action="store_true", help="take no clips in the pauses")
    window = clips.add_mutually_exclusive_group()
    text = "show the picture in a window (default: where there is a display)"
    window.add_argument("--display", dest="display", action="store_true", default=None, help=text)
    window.add_argument("--no-display", dest="display", action="store_false", help="open no window")


def run(options: argparse.Namespace) -> int:
    """Run the command. Returns its exit code."""
    return record_session(_request(options))


def record_session(request: RecordRequest) -> int:
    """Record or cut, until the end, an error or a signal; print what was kept. Returns the exit code.

    Raises an error only after the table of the clips was printed.
    """
    code = 0
    with Interruptible() as interruptible, open_folder(request.output) as folder:
        folder.check(_labels(request))
        session = folder.new_session() if request.session is None else request.session
        try:
            if request.cuts:
                _cut(request, folder, session, interruptible)
            else:
                code = _record(request, folder, session, interruptible)
        except Interrupted as signal:
            code, name = signal.exit_code, "Ctrl-C" if signal.stopped == "interrupt" else signal.stopped
            _print_kept(folder, request.plan.nothing, "stopped by " + name)
        except Exception:
            with contextlib.suppress(OSError):  # the error that ended it says more than a broken output
                if folder.clips:
                    _print_kept(folder, request.plan.nothing, "stopped by an error")
            raise
        else:
            _print_kept(folder, request.plan.nothing)
    return code


def _labels(request: RecordRequest) -> List[str]:
    """Return all labels that get a folder."""
    labels = list(request.plan.labels) + [mark.label for cut in request.cuts for mark in cut.marks]
    return list(dict.fromkeys(labels + ([request.plan.nothing] if request.plan.nothing else [])))


def _record(request: RecordRequest, folder: DataFolder, session: str, interruptible: Interruptible) -> int:
    """Record with a camera. Returns the exit code."""
    plan = request.plan
    with _open_camera(request.source) as source:
        screen = _open_screen(request.display)
        try:
            if (plan.pressed or plan.review) and not screen.has_keys:
                option, got = "--pressed" if plan.pressed else "--review", "neither a terminal for keys nor a window"
                do = "run it in a terminal (ssh -t), or leave {} away".format(option)
                raise InputError(option, got, "keys that can be typed", do)
            _announce(plan, session, folder, source, screen)
            interruptible.hold()
            done = Recorder(plan, source, folder, session, screen, interruptible.waiting).run()
        finally:
            screen.close()
    if not done:
        print_text("ended by q before all clips were recorded")
    return 0


def _cut(request: RecordRequest, folder: DataFolder, session: str, interruptible: Interruptible) -> None:
    screen = Screen()
    try:
        clips = cut_clips(request.cuts, folder, session, screen)
        interruptible.hold()  # from here on all of them
        try:
            place_clips(clips, folder, screen)
        finally:
            discard_clips(clips)
    finally:
        screen.close()


def _open_camera(spec: Any) -> Source:
    source = open_source(spec)
    if source.live:
        return source
    from tsm_edge.sources.paced import Paced

    return Paced(source, source.fps or FALLBACK_FPS)


def _open_screen(display: Optional[bool]) -> Screen:
    window = None
    if display is not False:
        try:
            from tsm_edge.recording.window import Window

            window = Window()
        except InputError:
            if display:
                raise
    return Screen(keys=open_keys(), window=window)


def _announce(plan: Plan, session: str, folder: DataFolder, source: Source, screen: Screen) -> None:
    """Say what will be recorded, in which order, and which keys there are."""
    length = "up to {:g} s".format(plan.longest) if plan.pressed else "{:g} s".format(plan.seconds)
    form = "session {} with {}, into {}: {} clips of {} for each label"
    screen.say(form.format(session, masked_address(source.name), folder.path, plan.clips, length))
    order = ", ".join(plan.labels)
    screen.say("order: {}".format(order if len(plan.labels) == 1 else "{}; {} times in turn".format(order, plan.clips)))
    if plan.nothing is not None:
        screen.say(
            "in the pauses: {} clips of {}; keep still, or do what is no gesture".format(plan.clips, plan.nothing)
        )
    if screen.has_keys:
        begin = "Space or Enter begins and ends a clip, " if plan.pressed else ""
        screen.say("keys: {}r records the last clip again, q ends".format(begin))


def _print_kept(folder: DataFolder, nothing: Optional[str], stopped: str = "") -> None:
    """Print the table of the clips of this session, and what to do next."""
    rows: List[Tuple[str, str, str, str]] = [("label", "clips", "seconds", "in the folder")]
    labels = dict.fromkeys(clip.label for clip in folder.clips)
    for label in sorted(labels, key=lambda one: one == nothing):  # the gestures first
        own = [clip for clip in folder.clips if clip.label == label]
        seconds = "{:.1f}".format(sum(clip.seconds for clip in own))
        rows.append((one_line(label), str(len(own)), seconds, str(folder.count(label))))
    wide = max(len(row[0]) for row in rows)
    lines = ["{:<{}}  {:>5}  {:>7}  {:>13}".format(row[0], wide, *row[1:]) for row in rows]
    if not folder.clips:
        lines = ["no clip was kept"]
    else:
        lines += ["", "next: " + _next_command(folder)]
    print_text("\n".join(([stopped] if stopped else []) + lines))


def _next_command(folder: DataFolder) -> str:
    """Return the command to train on the folder, or to record another label where there is one alone."""
    path = shlex.quote(folder.path)
    if len(folder.labels()) < 2:
        return "tsm-edge record --camera 0 -o {} --label ANOTHER".format(path)
    return "tsm-edge train {}".format(path)


# ---------------------------------------------------------------- the command line


def _request(options: argparse.Namespace) -> RecordRequest:
    """Return what the command line asks for. Raises InputError where its parts do not fit together."""
    if options.session is not None:
        planning.check_session(options.session)
    planning.check_place(options.output)
    inputs = options.inputs or []
    if any(option in ("mark", "marks") for option, _ in inputs):
        nothing = {name: getattr(options, name) for name in _OF_CAMERA}
        given = ["--" + name.replace("_", "-") for name, value in nothing.items() if value not in (None, False)]
        if given:
            expected = "no option of a recording with a camera"
            raise InputError(given[0], "marks, which say all of a clip", expected, "leave {} away".format(given[0]))
        plan = Plan((), nothing=None)
        return RecordRequest(options.output, plan, cuts=_cuts(inputs, options.labels or []), session=options.session)
    if len(inputs) != 1:
        got, do = "{} sources".format(len(inputs)), "add --camera 0; to cut clips from videos, add --mark START-END"
        raise InputError("tsm-edge record", got, "one camera or video", do)
    plan = _plan(options)
    planning.check_labels(plan.labels, plan.nothing)
    return RecordRequest(options.output, plan, inputs[0][1], (), options.session, options.display)


def _plan(options: argparse.Namespace) -> Plan:
    names = ("clips", "seconds", "longest", "countdown", "nothing")
    given: Dict[str, Any] = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.no_nothing:
        given["nothing"] = None
    if options.pressed and options.seconds is not None:
        do = "leave one of them away; --longest S bounds a clip"
        raise InputError("--seconds", "a fixed length with --pressed", "one of them", do)
    if options.longest is not None and not options.pressed:
        raise InputError("--longest", "no --pressed", "both of them", "give the length of a clip with --seconds")
    return Plan(tuple(options.labels or ()), pressed=options.pressed, review=options.review, **given)


def _cuts(inputs: List[Tuple[str, Any]], labels: List[str]) -> Tuple[Cut, ...]:
    """Return the videos and their marks, in the order of the command line."""
    if len(labels) > 1:
        do = "write the label of each clip into a file: --marks FILE.csv"
        raise InputError("--label", "{} labels with marks".format(len(labels)), "at most one", do)
    label = labels[0] if labels else None
    if label is not None:
        planning.check_label(label, "--label")
    marks: Dict[str, List[planning.Mark]] = {}
    sources: Dict[str, str] = {}  # real path -> as given first
    current = ""
    for option, value in inputs:
        if option in ("camera", "source"):
            current = _video(value)
            sources.setdefault(current, str(value))
            marks.setdefault(current, [])
        elif not current:
            got, do = "no --source before it", "write it as --source video.mp4 --{} {}".format(option, value[:40])
            raise InputError("--" + option, got, "a video before its marks", do)
        elif option == "marks":
            marks[current] += planning.read_marks(value, label)
        elif label is None:
            raise InputError("--mark", "no label", "the label of the clip", "add --label NAME")
        else:
            marks[current].append(planning.parse_mark(value, label))
    for path, own in marks.items():
        if not own:
            do = "add --mark START-END behind it, or leave it away"
            raise InputError("--source {}".format(sources[path]), "no marks", "marks for each video", do)
    _check_marks([mark for own in marks.values() for mark in own])
    return tuple(Cut(sources[path], tuple(planning.in_order(own))) for path, own in marks.items())


def _video(value: Any) -> str:
    """Return the real path of a video. Raises InputError for a live source, which has no marks."""
    kind, target = kind_of(value)
    if SOURCES[kind].live:
        got, do = "marks for a live source", "leave the marks away to record from it"
        raise InputError(masked_address(str(value)), got, "a video file or a folder of pictures", do)
    return os.path.realpath(target)


def _check_marks(marks: List[planning.Mark]) -> None:
    if len(marks) > planning.MOST_MARKS:
        expected = "at most {}".format(planning.MOST_MARKS)
        raise InputError("tsm-edge record", "{} marks".format(len(marks)), expected, "cut in several runs")
    seen: Dict[str, str] = {}
    for mark in marks:
        other = seen.setdefault(planning.folded(mark.label), mark.label)
        if other != mark.label:
            got, expected = "{!r} and {!r}".format(other, mark.label), "labels that differ by more than case"
            raise InputError(mark.where, got, expected, "write one of them everywhere")
