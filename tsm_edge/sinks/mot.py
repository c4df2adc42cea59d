"""Boxes as MOT text: one line a box, as the tools of MOTChallenge read it.

Source: Milan et al., "MOT16: A Benchmark for Multi-Object Tracking", 2016, section 3.3.
"""

from typing import List, Sequence

from tsm_edge.errors import InputError
from tsm_edge.records import Result
from tsm_edge.sinks.base import StreamInfo
from tsm_edge.sinks.boxes import BoxSink

OPTION = "--mot"


class MotSink(BoxSink):
    """Writes a line for each box: frame, track, left, top, width, height, confidence, class, -1.

    Frames, classes, and the pixels of left and top count from 1. The track is -1 where the box has none. The last value
    is the visibility, which is not known.

    Args:
        path: of the file.

    Raises:
        InputError: see :class:`BoxSink`.
    """

    def __init__(self, path: str) -> None:
        super(MotSink, self).__init__(path, OPTION)

    def write(self, result: Result) -> None:
        form, text = "{},{},{:.2f},{:.2f},{:.2f},{:.2f},{:.6f},{},-1\n", ""
        for box in self._boxes(result):
            x1, y1, x2, y2 = box.box
            track = -1 if box.track is None else box.track
            values = x1 + 1, y1 + 1, x2 - x1, y2 - y1, box.confidence
            text += form.format(int(result.frame.index) + 1, track, *values, box.class_id + 1)
        self._put(text)


def open_sink(value: str, streams: Sequence[StreamInfo]) -> MotSink:
    """Open the sink for `--mot FILE`. Raises InputError where there are several streams."""
    _need_one(len(streams))
    return MotSink(value)


def output_paths(value: str, names: Sequence[str]) -> List[str]:
    """Return the files that the sink writes. Raises InputError where there are several streams."""
    _need_one(len(names))
    return [value]


def _need_one(streams: int) -> None:
    if streams != 1:
        got, do = "{} streams".format(streams), "run each stream on its own, or use --coco"
        raise InputError(OPTION, got, "one: its lines do not name their stream", do)
