"""What a run wrote, read back line by line, and held against what the camera did."""

import json

from tests.device.running import EVENT_KEYS, FRAME_KEYS, STAGES, SUMMARY_KEYS
from tests.soak.camera import AGAIN, ONCE


class Written:
    """The JSONL at `path`. frames: of its frame records; last: index of the last; faults: what is wrong, in words.

    camera: what the frames came from, None for another source. Memory does not grow with the file.
    """

    def __init__(self, path, camera=None):
        self.frames, self.last, self.events, self.summary, self.faults = 0, -1, 0, None, []
        self.resets = 0  # frames that follow an interruption
        self._time, self._first, self._once, self._camera = -1.0, None, None, camera
        self._begins = list(camera.begins)[::-1] if camera is not None else []
        with open(str(path), "rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    self._fault("line {} is cut off".format(number))
                    break
                if self.summary is not None:
                    self._fault("line {} follows the summary".format(number))
                try:
                    record = json.loads(line.decode("ascii"))
                except ValueError as error:
                    self._fault("line {}: {}".format(number, error))
                    continue
                getattr(self, "_" + record["kind"])(record)

    def _fault(self, text):
        if len(self.faults) < 5:  # the first ones tell it
            self.faults.append(text)

    def _frame(self, record):
        index = record["frame"]
        if set(record) != FRAME_KEYS:
            self._fault("frame {}: keys {}".format(index, sorted(record)))
        if not (index > self.last and record["time"] > self._time):
            self._fault(
                "frame {} at {} s follows frame {} at {} s".format(index, record["time"], self.last, self._time)
            )
        if self._camera is not None:
            self._check_state(index, record["top"])
        self.frames, self.last, self._time = self.frames + 1, index, record["time"]

    def _check_state(self, index, top):
        """Frame 0 of a connection seen by a fresh state says what the first frame of the run said; by an old one not.

        (The pictures of every connection are the same.)
        """
        shown, fresh = self._camera.shown[index], index == 0
        while self._begins and self._begins[-1] <= index:
            self._begins.pop()
            fresh = True
        if shown == self._camera.CORRUPT:
            self._fault("frame {} is a corrupt one".format(index))
        pair = tuple(self._camera.shown[index - 1 : index + 1]) if self.last == index - 1 >= 0 else ()
        if pair == ONCE:
            self._once = top
        elif pair == AGAIN and top == self._once:
            self._fault("frame {}: the state does not know what came before".format(index))
        if index == 0:
            self._first = top
        else:
            self.resets += fresh
            if shown == 0 and (top == self._first) != fresh:
                self._fault("frame {}: the state was {}reset".format(index, "not " if fresh else ""))

    def _event(self, record):
        self.events += 1
        if set(record) != EVENT_KEYS or not record["start"] <= record["end"]:
            self._fault("event {}".format(record))

    def _summary(self, record):
        self.summary = record
        if set(record) != SUMMARY_KEYS or set(record["stages"]) != STAGES:
            self._fault("the summary's keys: {}, {}".format(sorted(record), sorted(record["stages"])))

    @property
    def corrupt(self):
        """Corrupt frames up to the last one that was written."""
        return self._camera.shown[: self.last + 1].count(self._camera.CORRUPT)
