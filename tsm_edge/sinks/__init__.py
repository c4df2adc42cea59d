"""Where results and events go: one file a kind, opened by the command-line option that its entry declares."""

from typing import Any, Dict, List, Sequence, Tuple

from tsm_edge.files import check_apart, check_output
from tsm_edge.registry import Entry, Option, Registry
from tsm_edge.sinks.base import Sink, StreamInfo

# In the order in which they take a result: a record is on the disk before a window or an encoder can fail.
SINKS = Registry(
    "sink",
    [
        Entry(
            "jsonl",
            "tsm_edge.sinks.jsonl",
            "results, events and summaries as JSON lines",
            options=(
                Option(("--jsonl",), {"metavar": "FILE", "help": "write results as JSON lines; - is standard output"}),
            ),
        ),
        Entry(
            "coco",
            "tsm_edge.sinks.coco",
            "the boxes of a detector as COCO results",
            options=(Option(("--coco",), {"metavar": "FILE", "help": "write the boxes as COCO results (.json)"}),),
        ),
        Entry(
            "mot",
            "tsm_edge.sinks.mot",
            "the boxes of a detector as MOT text",
            options=(Option(("--mot",), {"metavar": "FILE", "help": "write the boxes as MOT text (.txt)"}),),
        ),
        Entry(
            "save",
            "tsm_edge.sinks.video",
            "the annotated video, one file a stream",
            packages=("cv2",),
            extra="run",
            options=(Option(("--save",), {"metavar": "VIDEO", "help": "write an annotated video (.mp4, .avi, .mkv)"}),),
        ),
        Entry(
            "display",
            "tsm_edge.sinks.display",
            "a window for each stream",
            packages=("cv2",),
            extra="run",
            options=(
                Option(("--display",), {"action": "store_true", "help": "show a window; q or Esc ends the run"}),
                Option(("--no-display",), {"action": "store_false", "help": "no window (the default)"}),
            ),
        ),
        Entry("notify", "tsm_edge.sinks.notify", "signs of life for systemd, where it asks for them"),
        Entry("progress", "tsm_edge.sinks.console", "a progress bar or status line in the terminal"),
    ],
)


def open_sinks(
    values: Dict[str, Any], streams: Sequence[StreamInfo], taken: Sequence[Tuple[str, str]] = ()
) -> List[Sink]:
    """Open the sinks that a run asks for. Their files are opened and locked, and keep what they hold.

    Args:
        values: for each key of SINKS what its option was given; None or False where it was not given. An entry that has
            no options is always opened.
        streams: of the session.
        taken: (what, path) of each file that the run reads, as `tsm_edge.files.check_apart` takes them. The outputs are
            compared with them once more, now that their files exist: one may have become a link to an input.

    Raises:
        InputError: an output that cannot be written, that another process writes, or that is an input; what was opened
            before is closed again.
    """
    sinks: List[Sink] = []
    try:
        for entry in SINKS:
            value = values.get(entry.key)
            if _asked_for(value) or not entry.options:
                sink = SINKS.load(entry.key).open_sink(value, streams)
                sinks += [] if sink is None else [sink]
        check_outputs(values, [stream.name for stream in streams], taken)
    except BaseException:
        for sink in sinks:
            sink.close()
        raise
    return sinks


def check_outputs(values: Dict[str, Any], names: Sequence[str], taken: Sequence[Tuple[str, str]]) -> None:
    """Raise InputError where an output is no place for a file, a file that the run reads, or another output.

    Args:
        values: as `open_sinks` takes them.
        names: of the streams.
        taken: as `open_sinks` takes it.
    """
    taken = list(taken)
    for option, path in output_files(values, names):
        check_output(path)
        check_apart(option, path, taken)
        taken.append((option, path))


def output_files(values: Dict[str, Any], names: Sequence[str]) -> List[Tuple[str, str]]:
    """Return (option, path) of every file that the sinks of a run will write; arguments as of `check_outputs`."""
    found = []
    for entry in SINKS:
        value = values.get(entry.key)
        if _asked_for(value) and entry.options:
            paths = getattr(SINKS.load(entry.key), "output_paths", None)
            found += [] if paths is None else [(entry.options[0].flags[0], path) for path in paths(value, names)]
    return found


def _asked_for(value: Any) -> bool:
    return value is not None and value is not False
