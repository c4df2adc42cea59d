"""Reads what a run wrote line by line, and compares it with what the cameras sent."""

import json

from tests.device.running import EVENT_KEYS, FRAME_KEYS, GAP_KEYS, RUN_KEYS, STREAM_KEYS
from tests.soak.camera import AGAIN, ONCE

MAX_FAULTS = 5  # of each stream: the first ones tell it


class StreamRecords:
    """What a file says of one stream.

    Args:
        name: of the stream.
        camera: the :class:`tests.soak.camera.Camera` of its frames, None for another source.

    Attributes:
        frames: how many frame records.
        last: index of the last frame.
        events: how many events began.
        gaps: how many gap records.
        resets: interruptions before the frames that were written, as the camera knows them.
        summary: of the stream.
        faults: what is wrong, in words.
    """

    def __init__(self, name, camera=None):
        self.name, self.camera = name, camera
        self.frames, self.last, self.events, self.gaps, self.resets = 0, -1, 0, 0, 0
        self._gap_of = None  # the frame that has to follow
        self.summary, self.faults = None, []
        self._time, self._first, self._once = -1.0, None, None
        self._open = None  # the event that has begun and not ended
        self._begins = list(camera.begins)[::-1] if camera is not None else []

    def fault(self, text):
        if len(self.faults) < MAX_FAULTS:
            self.faults.append("stream {}: {}".format(self.name, text))

    def frame(self, record):
        index = record["frame"]
        if set(record) != FRAME_KEYS:
            self.fault("frame {}: keys {}".format(index, sorted(record)))
        if not (index > self.last and record["time"] > self._time):
            self.fault("frame {} at {} s follows frame {} at {} s".format(index, record["time"], self.last, self._time))
        if self._gap_of not in (None, index):
            self.fault("a gap before frame {}, but frame {} follows".format(self._gap_of, index))
        self._gap_of = None
        if self.camera is not None:
            self._check_state(index, record["top"])
        self.frames, self.last, self._time = self.frames + 1, index, record["time"]

    def _check_state(self, index, top):
        """Check whether the state was reset where it had to be, and only there.

        The pictures of every connection are the same. So frame 0 of a connection, seen by a fresh state, says what the
        first frame of the run said; seen by an old state it says something else.
        """
        shown, begins = self.camera.shown[index], 0
        while self._begins and self._begins[-1] <= index:
            self._begins.pop()
            begins += 1
        fresh = index == 0 or begins > 0
        if shown == self.camera.CORRUPT:
            self.fault("frame {} is a corrupt one".format(index))
        pair = tuple(self.camera.shown[index - 1 : index + 1]) if self.last == index - 1 >= 0 else ()
        if pair == ONCE:
            self._once = top
        elif pair == AGAIN and top == self._once:
            self.fault("frame {}: the state does not know what came before".format(index))
        if index == 0:
            self._first = top
        else:
            self.resets += begins
            if shown == 0 and (top == self._first) != fresh:
                self.fault("frame {}: the state was {}reset".format(index, "not " if fresh else ""))

    def gap(self, record):
        if set(record) != GAP_KEYS or not (record["reason"] and record["seconds"] >= 0):
            self.fault("gap {}".format(record))
        self.gaps, self._gap_of = self.gaps + 1, record["frame"]

    def event(self, record):
        kind, began = record["type"], self._open is None
        if set(record) != EVENT_KEYS or not record["start"] <= record["end"]:
            self.fault("event {}".format(record))
        elif kind not in ("new", "update", "end") or began != (kind == "new"):
            self.fault("event {} is {!r}, open is {}".format(record["id"], kind, self._open))
        elif not began and record["id"] != self._open:
            self.fault("event {} is {!r} while {} is open".format(record["id"], kind, self._open))
        self.events += kind == "new"
        self._open = None if kind == "end" else record["id"]

    def end(self, summary):
        self.summary = summary
        if set(summary) != STREAM_KEYS:
            self.fault("the summary's keys: {}".format(sorted(summary)))
        if self._open is not None:
            self.fault("event {} did not end".format(self._open))
        for name, got in (("frames", self.frames), ("events", self.events), ("resets", self.gaps)):
            if summary[name] != got:
                self.fault("{} counted: got {}, expected {}".format(name, summary[name], got))

    @property
    def corrupt(self):
        """Corrupt frames of the camera up to the last one that was written."""
        return self.camera.shown[: self.last + 1].count(self.camera.CORRUPT)


class Written:
    """The JSONL of a run. Memory does not grow with the file.

    Args:
        path: of the file.
        cameras: {stream: its Camera} of those that have one.

    Attributes:
        streams: {name: StreamRecords}.
        summary: of the run, None where the run was killed or could not write it.
        frames: of all streams.
    """

    def __init__(self, path, cameras=None):
        self.streams, self.summary, self._faults = {}, None, []
        self._cameras = cameras or {}
        with open(str(path), "rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    self._faults.append("line {} is cut off".format(number))
                    break
                if self.summary is not None:
                    self._faults.append("line {} follows the run's summary".format(number))
                try:
                    record = json.loads(line.decode("ascii"))
                except ValueError as error:
                    self._faults.append("line {}: {}".format(number, error))
                    continue
                self._take(record)
        self.frames = sum(stream.frames for stream in self.streams.values())

    def _take(self, record):
        kind, name = record["kind"], record["stream"]
        if name is None:
            self.summary = record
            self._check_run(record)
            return
        stream = self.streams.get(name)
        if stream is None:
            stream = self.streams[name] = StreamRecords(name, self._cameras.get(name))
        if stream.summary is not None:
            stream.fault("a record of kind {!r} follows the summary".format(kind))
        kinds = {"frame": stream.frame, "gap": stream.gap, "event": stream.event, "summary": stream.end}
        kinds[kind](record)

    def _check_run(self, record):
        if set(record) != RUN_KEYS:
            self._faults.append("the run's summary's keys: {}".format(sorted(record)))
        counted = [stream.summary for stream in self.streams.values()]
        if None in counted or len(counted) != record["streams"]:
            self._faults.append("{} summaries of {} streams".format(len(counted), record["streams"]))
            return
        for name in ("frames", "dropped", "corrupt", "resets", "events"):
            total = sum(summary[name] for summary in counted)
            if record[name] != total:
                self._faults.append("{} of the run: got {}, expected {}".format(name, record[name], total))

    @property
    def faults(self):
        return self._faults[:MAX_FAULTS] + [fault for stream in self.streams.values() for fault in stream.faults]

    @property
    def only(self):
        """The records of the run's only stream; of none where nothing was written."""
        (stream,) = self.streams.values() or (StreamRecords("none"),)
        return stream
