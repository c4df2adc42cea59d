"""What a sink is: where the results of a run go. One file a kind stands beside this one."""

from typing import NamedTuple, Optional

from tsm_edge.heads.classification import Decision
from tsm_edge.sources.base import Frame

Result = NamedTuple(
    "Result",
    [
        ("frame", Frame),
        ("decision", Decision),
        ("fps", Optional[float]),  # frames/s of the run so far, None before the second frame
    ],
)


class Sink:
    """Takes every :class:`Result` in order, then the summary, then is closed. Also closed after an error or Ctrl-C.

    `write` must not keep ``result.frame.image`` after it returns, nor change it.
    """

    def write(self, result):
        """Take one result. Returns False to ask for the end of the run (a user closed the window), else None."""
        raise NotImplementedError

    def event(self, event):
        """Take the event that the end of the run ended, so that no result carries it."""

    def finish(self, summary):
        """Take the summary of the run (a dict, see DESIGN.md "Commands and records"). Called once before `close`."""

    def close(self):
        """Finish what is open so that it is whole (a playable video, a last line). May be called more than once."""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
