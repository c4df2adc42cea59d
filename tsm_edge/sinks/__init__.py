"""Where results and events go: one file a kind, opened by the command-line option that its entry declares."""

from typing import Any, Dict, List, Sequence, Tuple

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
            options=(Option(("--jsonl",), {"metavar": "FILE", "help": "write results as JSON lines"}),),
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


def open_sinks(values: Dict[str, Any], streams: Sequence[StreamInfo]) -> List[Sink]:
    """Open the sinks that a run asks for.

    Args:
        values: for each key of SINKS what its option was given. An entry that has options is opened where that is true;
            one that has none is always opened.
        streams: of the session.

    Raises:
        InputError: an output that cannot be written; what was opened before is closed again.
    """
    sinks: List[Sink] = []
    try:
        for entry in SINKS:
            value = values.get(entry.key)
            if value or not entry.options:
                sink = SINKS.load(entry.key).open_sink(value, streams)
                sinks += [] if sink is None else [sink]
    except BaseException:
        for sink in sinks:
            sink.close()
        raise
    return sinks


def output_files(values: Dict[str, Any], names: Sequence[str]) -> List[Tuple[str, str]]:
    """Return (option, path) of every file that the sinks of a run will write.

    Args:
        values: as `open_sinks` takes them.
        names: of the streams.
    """
    found = []
    for entry in SINKS:
        value = values.get(entry.key)
        paths = getattr(SINKS.load(entry.key), "output_paths", None) if value and entry.options else None
        if paths is not None:
            found += [(entry.options[0].flags[0], path) for path in paths(value, names)]
    return found
