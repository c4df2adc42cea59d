"""Boxes as COCO results: a JSON array that pycocotools' `COCO.loadRes` reads.

Source: cocodataset.org/#format-results.
"""

import json
from typing import Any, Dict, List, Sequence

from tsm_edge.records import Box, Result
from tsm_edge.sinks.base import StreamInfo
from tsm_edge.sinks.boxes import BoxSink


class CocoSink(BoxSink):
    """Writes each box of each frame as one object.

    `image_id` is the frame's index in its source, from 0. With n streams it is index * n + k, where k is the number of
    the stream, from 0 in the order of the run. `category_id` is the number of the label, from 1. `bbox` is left, top,
    width and height in pixels of the frame. `track_id` is there where the box has a track.

    `close` ends the array, after an error of another part or Ctrl-C too. After SIGKILL or a full disk the array has no
    end, so no reader takes the file for a whole one.

    Args:
        path: of the file.
        streams: the names of all streams, in the order of the run.

    Raises:
        InputError: see :class:`BoxSink`.
    """

    def __init__(self, path: str, streams: Sequence[str]) -> None:
        super(CocoSink, self).__init__(path, "--coco")
        self._numbers = {name: number for number, name in enumerate(streams)}
        self._count = 0  # of objects
        self._open = False  # whether the array is begun, not ended, and all of its writes succeeded

    def write(self, result: Result) -> None:
        boxes, frame = self._boxes(result), result.frame
        if not self._open:
            self._put("[")
        self._open = False  # until the write has succeeded
        for box in boxes:
            image_id = int(frame.index) * len(self._numbers) + self._numbers[frame.stream]
            self._put(("," if self._count else "") + "\n" + json.dumps(_row(image_id, box), allow_nan=False))
            self._count += 1
        self._open = True

    def close(self) -> None:
        try:
            if self._open:
                self._open = False
                self._put("\n]\n")
        finally:
            super(CocoSink, self).close()


def _row(image_id: int, box: Box) -> Dict[str, Any]:
    x1, y1, x2, y2 = box.box
    bbox = [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)]
    row = {"image_id": image_id, "category_id": box.class_id + 1, "bbox": bbox, "score": round(box.confidence, 6)}
    return row if box.track is None else dict(row, track_id=box.track)


def open_sink(value: str, streams: Sequence[StreamInfo]) -> CocoSink:
    """Open the sink for `--coco FILE`."""
    return CocoSink(value, [stream.name for stream in streams])


def output_paths(value: str, names: Sequence[str]) -> List[str]:
    """Return the files that the sink writes."""
    del names
    return [value]
