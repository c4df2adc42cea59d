"""From tracks to events: an object entered, is seen again or better, and left."""

from typing import Any, Dict, List, Sequence

from tsm_edge.heads.tracking import Track
from tsm_edge.heads.votes import UPDATE_STEP
from tsm_edge.records import Event, Frame


class TrackEvents:
    """Makes the events of one stream's tracks.

    "new" is told when a track gets its number. The event starts at the first frame that showed the object, ends at the
    latest one, and its confidence is the highest so far. "update" is told where the confidence rose by UPDATE_STEP
    since it was last told, where the object was missed in half of the frames after which its track ends (`leading` is
    then False), and where it was found again. "end" is told when the track ends. The id ends with the track's number.

    labels: of the classes. vanish: see `TrackOptions`.
    """

    def __init__(self, labels: Sequence[str], vanish: int) -> None:
        self._labels, self._vanish = labels, vanish
        self._events: Dict[Track, Event] = {}  # of all tracks; one without an id is of a candidate
        self._confidence_told: Dict[Track, float] = {}

    def update(self, tracks: Sequence[Track], found: Dict[Track, float], frame: Frame) -> List[Event]:
        """Take the tracks of one frame, and return what it tells of events.

        Args:
            tracks: all that there are now, candidates included, each of them once.
            found: the confidence of each track that has a box in this frame.
            frame: its `time` and `wall_time` date the events.
        """
        remaining = set(tracks)
        told = [self._end(track, wall_time=frame.wall_time) for track in list(self._events) if track not in remaining]
        for track in tracks:
            event = self._events.get(track)
            if event is None:
                label, confidence = self._labels[track.class_id], found[track]
                event = Event("", "new", frame.stream, label, frame.time, frame.time, confidence, True, frame.wall_time)
            returned = track in found and not event.leading
            event = event._replace(wall_time=frame.wall_time)
            if track in found:
                best = max(event.confidence, found[track])
                event = event._replace(end=frame.time, confidence=best, leading=True)
            missed = event.leading and 2 * track.misses >= self._vanish and track.misses > 0
            event = event._replace(leading=event.leading and not missed)
            if track.number is not None and not event.id:
                identity = "{}-{:.0f}-{}".format(frame.stream or "stream", 1e3 * frame.wall_time, track.number)
                event = event._replace(id=identity)
                told.append([event])
                self._confidence_told[track] = event.confidence
            elif event.id and (returned or missed or event.confidence >= self._confidence_told[track] + UPDATE_STEP):
                told.append([event._replace(type="update")])
                self._confidence_told[track] = event.confidence
            self._events[track] = event
        return [event for events in told for event in events]

    def reset(self) -> List[Event]:
        """Forget all tracks. Returns the ends of the events that were open."""
        return [event for track in list(self._events) for event in self._end(track)]

    def _end(self, track: Track, **changes: Any) -> List[Event]:
        """Forget a track. Returns the end of its event; of a candidate none."""
        event = self._events.pop(track)
        self._confidence_told.pop(track, None)
        return [event._replace(type="end", **changes)] if event.id else []
