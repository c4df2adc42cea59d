"""From a detector's grid to boxes in pixels of the frame, to tracks, and to events."""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from tsm_edge.errors import InputError
from tsm_edge.geometry import placement
from tsm_edge.heads.base import Head
from tsm_edge.heads.boxes import STRIDE, VALUES, decode, grid_size, nms
from tsm_edge.heads.track_events import TrackEvents
from tsm_edge.heads.tracking import Track, Tracker, TrackOptions
from tsm_edge.manifest import Manifest
from tsm_edge.records import Box, Detections, Frame
from tsm_edge.schema import decode as decode_record

__all__ = ["STRIDE", "Decision", "DetectionHead", "parse_decision"]
MAX_BOXES = 1000  # of a frame; COCO counts 100
MAX_FRAMES = 10000  # of appear and of vanish; at 30 frames/s, five minutes
OUTPUT = "grid"


class Decision(NamedTuple):
    """How a grid becomes boxes and tracks.

    threshold: the least confidence of a box, 0 to 1. most: boxes of a frame at most. nms: a box that overlaps a better
    one of its class by more than this IoU, 0 to 1, is removed; None removes none, since only the hottest cell of its
    neighbours gives a box. track: whether boxes get tracks, and tracks make events. begin, overlap, appear, vanish: see
    :class:`tsm_edge.heads.tracking.TrackOptions`.
    """

    threshold: float = 0.3
    most: int = 100
    nms: Optional[float] = None
    track: bool = True
    begin: float = TrackOptions().begin
    overlap: float = TrackOptions().overlap
    appear: int = TrackOptions().appear
    vanish: int = TrackOptions().vanish


class DetectionHead(Head):
    """Turns the grids of one stream into boxes, tracks and events.

    `tsm_edge.heads.boxes` says what the grid holds, `tsm_edge.heads.tracking` how boxes become tracks, and
    `tsm_edge.heads.track_events` what is told of them. A box is cut at the edges of the frame; one outside is none.
    """

    def __init__(self, manifest: Manifest, decision: Dict[str, Any], where: str) -> None:
        super(DetectionHead, self).__init__(manifest, decision, where)
        self.decision = parse_decision(decision, where)
        check_outputs(manifest, where)
        self.labels = manifest.labels
        names = TrackOptions._fields
        self._tracker = Tracker(TrackOptions(**{name: getattr(self.decision, name) for name in names}))
        self._events = TrackEvents(self.labels, self.decision.vanish)

    def update(self, outputs: Dict[str, np.ndarray], frame: Frame) -> Detections:
        """Take the grid of one frame.

        Args:
            outputs: "grid": (classes + 4, rows, columns) float.
            frame: its image has the size in which the boxes are told; its `time` and `wall_time` date the events.

        Raises:
            ValueError: a grid of another shape.
        """
        boxes, scores, class_ids = self._boxes(outputs[OUTPUT], frame.image.shape)
        tracks: List[Optional[Track]] = [None] * len(scores)
        if self.decision.track:
            tracks = self._tracker.update(boxes, scores, class_ids)
            found = {track: float(score) for track, score in zip(tracks, scores) if track is not None}
            self._told += self._events.update(self._tracker.tracks, found, frame)
        return Detections(
            tuple(
                Box(
                    self.labels[class_id],
                    int(class_id),
                    float(score),
                    (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                    None if track is None else track.number,
                )
                for box, score, class_id, track in zip(boxes, scores, class_ids, tracks)
            )
        )

    def reset(self) -> None:
        self._tracker.reset()
        self._told += self._events.reset()

    def _boxes(self, grid: np.ndarray, shape: Tuple[int, ...]) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return boxes in pixels of a frame of `shape`, scores and class ids, best first."""
        decision, (height, width) = self.decision, shape[:2]
        boxes, scores, class_ids = decode(grid, len(self.labels), decision.threshold, decision.most)
        if decision.nms is not None:
            kept = nms(boxes, scores, class_ids, decision.nms)
            boxes, scores, class_ids = boxes[kept], scores[kept], class_ids[kept]
        boxes = placement(self.manifest.frame, height, width).to_source(boxes)
        boxes = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return boxes[inside], np.clip(scores[inside], 0, 1), class_ids[inside]

    @classmethod
    def describe(cls, manifest: Manifest) -> str:
        decision = parse_decision(manifest.decision, "")
        text = "boxes from {:.0%} on, at most {}".format(decision.threshold, decision.most)
        if decision.nms is not None:
            text += ", of those that overlap by more than {:.0%} the best".format(decision.nms)
        if not decision.track:
            return text + "; no tracks"
        return "{}; tracks of boxes from {:.0%} on, told after {} frames, ended after {} without".format(
            text, decision.begin, decision.appear, decision.vanish
        )


HEAD = DetectionHead


def check_outputs(manifest: Manifest, where: str) -> None:
    """Raise InputError where a model's outputs are not those of a detector."""
    frame, name = manifest.frame, OUTPUT
    expected = len(manifest.labels) + VALUES, grid_size(frame.height), grid_size(frame.width)
    got = {output.name: (tuple(output.shape), output.dtype) for output in manifest.outputs}
    if got.get(name) != (expected, "float32"):
        wanted = "{} float32 {}: {} labels and {} values of a box".format(name, expected, len(manifest.labels), VALUES)
        shown = ", ".join("{} {} {}".format(key, dtype, shape) for key, (shape, dtype) in got.items())
        raise InputError("{}: outputs of a detector".format(where), shown, wanted, "export the model again")


def parse_decision(decision: Dict[str, Any], where: str) -> Decision:
    """Check a detector's options.

    Args:
        decision: of the manifest.
        where: the model's name, for messages.

    Raises:
        InputError: an unknown or impossible option.
    """
    parsed: Decision = decode_record(Decision, decision, "{}: decision".format(where))
    for name, least, most in (
        ("threshold", 0, 1),
        ("most", 1, MAX_BOXES),
        ("nms", 0, 1),
        ("begin", 0, 1),
        ("overlap", 0, 1),
        ("appear", 1, MAX_FRAMES),
        ("vanish", 1, MAX_FRAMES),
    ):
        value = getattr(parsed, name)
        if value is not None and not least <= value <= most:
            expected = "{} to {}".format(least, most)
            raise InputError("{}: decision.{}".format(where, name), value, expected, "correct it")
    return parsed
