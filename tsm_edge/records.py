"""What flows through a session: frames in, results and events out. The only vocabulary that all parts share."""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np


class ReadTimes(NamedTuple):
    """When a frame was read, as readings of `time.perf_counter` in seconds."""

    since: float = 0.0  # what the frame's latency is counted from
    begun: float = 0.0  # the read began
    ready: float = 0.0  # the source had the frame (a live source waits until then)
    done: float = 0.0  # its pixels were there


class Gap(NamedTuple):
    """An interruption of a stream: what came before it is not the past of what comes after it."""

    reason: str  # a few words, such as "reconnected: it stopped sending frames"
    seconds: float  # how long the stream gave no frame


class Frame(NamedTuple):
    """One frame of one stream.

    Attributes:
        index: counts the frames of the source from 0, skipped and dropped ones included.
        time: seconds of the source: file time stamps, or the clock since a camera's first frame.
        image: (H, W, 3) uint8 BGR, upright; valid until the next frame of the stream is asked for.
        gaps: each :class:`Gap` since the frame before; where there is one, the stream's state must be reset.
        stream: the name of the stream.
        wall_time: Unix time in seconds at which the frame was read.
        times: when it was read, on `time.perf_counter`.
    """

    index: int  # type: ignore[assignment]
    time: float
    image: np.ndarray
    gaps: Tuple[Gap, ...] = ()
    stream: str = ""
    wall_time: float = 0.0
    times: ReadTimes = ReadTimes()

    @property
    def gap(self) -> bool:
        """Whether the stream was interrupted since the frame before."""
        return bool(self.gaps)

    @property
    def read_seconds(self) -> float:
        """The time that the capture thread spent on reading this frame; on a live source mostly waiting for it."""
        return self.times.done - self.times.begun


class Classification(NamedTuple):
    """What a classifier says of a frame.

    Attributes:
        label: the current label; None where nothing passed the confidence gate, or an ignored label leads.
        confidence: of the leading label, shown or not, 0 to 1.
        top: up to five (label, probability), best first.
    """

    label: Optional[str]
    confidence: float
    top: List[Tuple[str, float]]

    def record(self) -> Dict[str, Any]:
        """Return the fields of the "frame" record, as JSON values."""
        return {
            "label": self.label,
            "confidence": self.confidence,
            "top": [[label, probability] for label, probability in self.top],
        }

    @property
    def label_confidence(self) -> Optional[float]:
        """The probability of `label`, which may be held while another label leads; None where it is not in `top`."""
        return next((probability for label, probability in self.top if label == self.label), None)

    def caption(self) -> str:
        """Return a few words for a status line: the label, and how sure it is."""
        sure = self.label_confidence
        return "-" if self.label is None else self.label if sure is None else "{} {:.0%}".format(self.label, sure)

    def draw(self, canvas: Any) -> None:
        """Draw the label and the five best on a :class:`tsm_edge.sinks.overlay.Canvas`."""
        canvas.title(self.label, self.label_confidence)
        canvas.bars(self.top)


class Box(NamedTuple):
    """One object that a detector found in a frame."""

    label: str  # of its class
    class_id: int  # the number of its class, from 0
    confidence: float  # 0 to 1
    box: Tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the frame, within it
    track: Optional[int]  # the number of its track in the stream, None where it has none (yet)


class Detections(NamedTuple):
    """What a detector says of a frame.

    The properties `xyxy`, `confidence`, `class_id` and `tracker_id` are the arrays that `supervision.Detections` takes.
    """

    boxes: Tuple[Box, ...]  # best first

    def record(self) -> Dict[str, Any]:
        """Return the fields of the "frame" record, as JSON values."""
        return {"boxes": [dict(box._asdict(), box=[round(edge, 2) for edge in box.box]) for box in self.boxes]}

    def caption(self) -> str:
        """Return a few words for a status line: how many objects of each label, in the order of their numbers."""
        counts: Dict[str, int] = {}
        for box in sorted(self.boxes, key=lambda box: box.class_id):
            counts[box.label] = counts.get(box.label, 0) + 1
        return ", ".join("{} {}".format(count, label) for label, count in counts.items()) or "-"

    def draw(self, canvas: Any) -> None:
        """Draw all boxes on a :class:`tsm_edge.sinks.overlay.Canvas`, the best one last and so on top."""
        canvas.rate()
        for box in reversed(self.boxes):
            canvas.box(box.box, box.label, box.confidence, box.track, box.class_id)

    @property
    def xyxy(self) -> np.ndarray:
        """The boxes: (n, 4) float32, x1 y1 x2 y2 in pixels of the frame."""
        return np.array([box.box for box in self.boxes], np.float32).reshape(-1, 4)

    @property
    def confidence(self) -> np.ndarray:
        """The confidence of each box: (n,) float32."""
        return np.array([box.confidence for box in self.boxes], np.float32)

    @property
    def class_id(self) -> np.ndarray:
        """The class of each box: (n,) int64."""
        return np.array([box.class_id for box in self.boxes], np.int64)

    @property
    def tracker_id(self) -> Optional[np.ndarray]:
        """The track of each box: (n,) int64, -1 where a box has none; None where no box has one."""
        if all(box.track is None for box in self.boxes):
            return None
        return np.array([-1 if box.track is None else box.track for box in self.boxes], np.int64)


class Event(NamedTuple):
    """Something that happens in a stream, told when it starts, changes and ends.

    Attributes:
        id: the same for all that is told of one event, and for no other event.
        type: "new", "update" or "end".
        stream: the stream's name.
        label: what happens.
        start: seconds of the source: the first frame that showed the event.
        end: seconds of the source: the latest frame that showed the event so far.
        confidence: the highest so far, 0 to 1.
        leading: whether the label still leads.
        wall_time: Unix time in seconds of the frame with which this was told.
    """

    id: str
    type: str
    stream: str
    label: str
    start: float
    end: float
    confidence: float
    leading: bool = True
    wall_time: float = 0.0


class Result(NamedTuple):
    """What a session found in a frame.

    Attributes:
        frame: the :class:`Frame`.
        prediction: of the stream's head, such as :class:`Classification`. It has the methods `record`, `caption` and
            `draw` of that class.
        fps: frames/s of the stream so far, None before its second frame.
    """

    frame: Frame
    prediction: Any
    fps: Optional[float]
