"""What a sink is: it takes the results and events of a session. One file a kind stands in this folder."""

import abc
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from tsm_edge.records import Event, Frame, Gap, Result

OVERLAY = ("box", "labels", "conf", "track")  # the parts of an overlay of boxes


class StreamInfo(NamedTuple):
    """What a sink may know of a stream before its first frame."""

    name: str  # of the stream
    fps: Optional[float]  # frames/s of its source, None where unknown
    live: bool  # whether it is a camera or network stream
    total: Optional[int]  # frames to come, None where unknown
    capture: Any  # of the stream: a `tsm_edge.sources.capture.Capture`, with `dropped` and the like
    overlay: Tuple[str, ...] = OVERLAY  # the parts of an overlay of boxes that are drawn on its frames


class Sink(abc.ABC):
    """Takes every result and every event in order, then the summaries, and is closed; also after an error or Ctrl-C.

    The sink's module has a function `open_sink(value, streams)` that makes it: `value` is what its command-line option
    was given, `streams` a list of :class:`StreamInfo`. It returns None where there is nothing to do.

    Attributes:
        on_standard_output: whether it writes there, so that nothing else may.
    """

    on_standard_output = False

    @abc.abstractmethod
    def write(self, result: Result) -> Optional[bool]:
        """Take one result. Must not keep `result.frame.image` after it returns, nor change it.

        Returns:
            False to ask for the end of the run (a user closed the window), else None.
        """

    @abc.abstractmethod
    def event(self, event: Event) -> None:
        """Take one event: told when it starts, changes and ends, each after the result of the frame that told it."""

    def gap(self, frame: Frame, gap: Gap) -> None:  # noqa: B027
        """Take one gap of a stream, before the result of `frame`, the first one after it."""

    def finish(self, summaries: List[Dict[str, Any]]) -> None:  # noqa: B027 - most have nothing to do
        """Take the "summary" records, one a stream and then that of the run. Called once before `close`."""

    def facts(self) -> List[Tuple[str, str]]:
        """Return rows (name, text) for the summary on the terminal: what was written, and how. Called after `close`."""
        return []

    def close(self) -> None:  # noqa: B027
        """Finish what is open so that it is whole (a playable video, a last line). May be called more than once."""

    def __enter__(self) -> "Sink":
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()
