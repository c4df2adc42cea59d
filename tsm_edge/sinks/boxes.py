"""What the files of boxes have in common: a locked output, whole writes, and a model that finds boxes."""

import os
from typing import Tuple

from tsm_edge.errors import InputError
from tsm_edge.files import OutputFile, unwritable
from tsm_edge.records import Box, Detections, Event, Result
from tsm_edge.sinks.base import Sink


class BoxSink(Sink):
    """Writes the boxes of each result to a file. A class derived from it says in which form.

    The file is locked at once and emptied at the first result.

    Args:
        path: of the file.
        option: that asked for it, for messages.

    Raises:
        InputError: from the constructor or from any write, where the output cannot be written or another process writes
            it; from `write` also where the model finds no boxes.
    """

    def __init__(self, path: str, option: str) -> None:
        self.option = option
        self._output = OutputFile(path)

    def event(self, event: Event) -> None:
        """Write nothing: the boxes of a track say when it begins and ends."""

    def close(self) -> None:
        self._output.close()

    def _boxes(self, result: Result) -> Tuple[Box, ...]:
        """Return the boxes of a result. Raises InputError where its model finds none by its nature."""
        if not isinstance(result.prediction, Detections):
            raise InputError(self.option, "a model that gives no boxes", "a detector", "leave it away, or use --jsonl")
        return result.prediction.boxes

    def _put(self, text: str) -> None:
        """Write text at the end of the file. What goes out in part (a full disk) is taken back."""
        descriptor, data, written = self._output.begin(), text.encode("ascii"), 0
        try:
            while written < len(data):
                written += os.write(descriptor, data[written:])
        except OSError as error:
            if written and self._output.regular:
                os.ftruncate(descriptor, self._output.size() - written)
            raise unwritable(self._output.path, error) from error
