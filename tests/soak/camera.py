"""A camera on a clock of its own that fails by plan: what happens, and when, follows from a seed alone.

The camera and the run go in step: a frame comes when the one before it has passed all sinks, so an hour takes no longer
than its inferences. Only a slow sink lets the camera run ahead, by as many frames as the plan says.
"""

import random
import threading
import time
from typing import NamedTuple

import cv2
import numpy as np

from tsm_edge.errors import SourceError
from tsm_edge.sources.live import LOST_PICTURES, LiveStream

FPS = 30.0
SIZE = (64, 48)  # width, height
PICTURES = 48  # each connection shows the same ones in the same order, round and round
ONCE, AGAIN = (1, 2), (20, 21)  # the same pictures after different ones: only a state can tell them apart
STALL_SECONDS = 5.0  # how long a driver sits silent before it gives up
APART = 2 * LOST_PICTURES  # frames between two faults: none meets the end of the one before

Fault = NamedTuple("Fault", [("kind", str), ("at", int), ("size", int)])  # at: counts the frames that were grabbed

# Kind of fault: the range of its size, and what the size counts.
KINDS = {
    "disconnect": (0, 3),  # tries to connect that fail
    "stall": (0, 3),  # the same, after a long silence
    "opens but sends nothing": (1, 3),  # connections that do
    "corrupt frames": (1, 5),  # in a row
    "only corrupt frames": (LOST_PICTURES, LOST_PICTURES),  # as many as count as an interruption
    "slow sink": (1, 60),  # frames that come meanwhile
    "clock forwards": (1, 7200),  # seconds: the machine slept
    "wall clock": (-86400, 86400),  # seconds: somebody set the time
}
INTERRUPTIONS = ("disconnect", "stall", "opens but sends nothing", "only corrupt frames")


def plan(seed, frames):
    """Return the faults of a run of `frames` frames, in order: every kind in turn, shuffled, about 40 of them."""
    rng = random.Random(seed)
    most = max(2 * APART, min(2000, frames // 20))
    faults, at, kinds = [], 0, []
    while True:
        at += rng.randint(APART, most)
        if at >= frames - 2 * APART:
            return faults
        if not kinds:
            kinds = list(KINDS)
            rng.shuffle(kinds)
        kind = kinds.pop()
        faults.append(Fault(kind, at, rng.randint(*KINDS[kind])))


def pictures(seed):
    """Return noise, (PICTURES, height, width, 3) uint8; the pictures of `AGAIN` are those of `ONCE`."""
    made = np.random.RandomState(seed).randint(0, 256, (PICTURES, SIZE[1], SIZE[0], 3)).astype(np.uint8)
    made[AGAIN,] = made[ONCE,]
    return made


class Camera:
    """The device behind a LiveStream, and its log. `stream` makes the source; the run's last sink calls `take`.

    Args:
        faults: of `plan`.
        pictures: of `pictures`.
        ending: None, or what happens at frame `last`: "gone" (the camera never comes back), "resized" (it comes back
            with another size) or "signal" (`on_last` is called while the run waits for the frame).
        last: index of that frame.
        on_last: see `ending`.

    Attributes:
        shown: the number of the picture of each frame that was grabbed, CORRUPT for a corrupt one.
        begins: the frames that were grabbed first after an interruption.
        happened: {kind of fault: how often}.
        run_ahead: frames that came while a sink was slow.
        overwritten: frames whose picture changed before their last sink saw it.
    """

    CORRUPT = 255

    def __init__(self, faults, pictures, ending=None, last=None, on_last=None):
        self.pictures = pictures
        self._faults = [fault for fault in faults if fault.kind != "slow sink"][::-1]
        self._slow = [fault for fault in faults if fault.kind == "slow sink"][::-1]
        self._ending, self._last, self._on_last = ending, last, on_last
        self.shown, self.begins, self.happened = bytearray(), [], {}
        self.run_ahead = self.overwritten = 0
        self.seconds, self.wall_offset = 0.0, 0.0
        self._changed = threading.Condition()  # guards what stands below
        self._permits, self._idle, self._over = 1, False, False
        self._refuse, self._silent, self._corrupt = 0, 0, 0

    def stream(self):
        return _Stream(self)

    def wall(self):
        """Return what `time.time` says on this machine."""
        return self._wall() + self.wall_offset

    _wall = staticmethod(time.time)

    # The run's side

    def take(self, result):
        """Take a result that has passed all sinks. Lets the next frame come, or several where a sink is to be slow."""
        more, frame = 0, result.frame
        number = self.shown[frame.index]
        if number != self.CORRUPT:  # that one is found in what was written
            self.overwritten += not np.array_equal(frame.image, self.pictures[number])
        while self._slow and self._slow[-1].at <= frame.index:
            more += self._slow.pop().size
            self._count("slow sink")
        with self._changed:
            self._permits += 1 + more
            self.run_ahead += more
            self._idle = False
            self._changed.notify_all()
            while more and not (self._idle or self._over):
                self._changed.wait()

    def end(self):
        with self._changed:
            self._over = True
            self._changed.notify_all()

    # The driver's side, in the thread that captures

    def connect(self):
        if self._refuse:
            self._refuse -= 1
            raise SourceError("soak", "refused")
        return _Device(self)

    def wait(self, seconds):
        self.seconds += seconds
        return self._over

    def clock(self):
        return self.seconds

    def grab(self, device):
        """Return whether there is a frame, as a driver does."""
        if self._silent:
            self._silent -= 1
            return False
        with self._changed:
            while not (self._permits or self._over):
                self._idle = True
                self._changed.notify_all()
                self._changed.wait()
            if self._over:
                return False
        at = len(self.shown)
        if self._last is not None and at >= self._last and self._ends(at):
            return False
        if self._faults and self._faults[-1].at <= at and not self._bears(self._faults.pop()):
            return False
        self.seconds += 1.0 / FPS
        if device.grabbed == 0 and at:
            self.begins.append(at)
        number = device.grabbed % PICTURES
        device.grabbed += 1
        self.shown.append(self.CORRUPT if self._corrupt else number)
        if not self._corrupt:
            with self._changed:
                self._permits -= 1
        return True

    def picture(self):
        """Return the frame that was grabbed last, (H, W, 3), or None where it is corrupt."""
        if self._corrupt:
            self._corrupt -= 1
            return None
        return self.pictures[self.shown[-1]]

    def _bears(self, fault):
        """Begin a fault. Return whether a frame comes nevertheless."""
        kind, _, size = fault
        self._count(kind)
        if kind in ("disconnect", "stall"):
            self.seconds += STALL_SECONDS if kind == "stall" else 0.0
            self._refuse = size
            return False
        if kind == "opens but sends nothing":
            self._silent = size
            return False
        if kind in ("corrupt frames", "only corrupt frames"):
            self._corrupt = size
        elif kind == "clock forwards":
            self.seconds += size
        else:
            self.wall_offset += size
        return True

    def _ends(self, at):
        """Take frame `last`. Return whether the driver gives no frame."""
        ending, self._ending = self._ending, None
        if ending is not None:
            self._count(ending)
        if ending == "gone":
            self._refuse = 10**9
        elif ending == "resized":
            self.pictures = np.ascontiguousarray(self.pictures[:, ::2])
        elif ending == "signal":
            self._on_last()
            with self._changed:
                while not self._over:
                    self._changed.wait()
        return ending is not None

    def _count(self, kind):
        self.happened[kind] = self.happened.get(kind, 0) + 1


class _Device:
    """One connection, as a cv2.VideoCapture."""

    def __init__(self, camera):
        self._camera, self._open, self.grabbed = camera, True, 0

    def isOpened(self):
        return self._open

    def get(self, what):
        stated = {cv2.CAP_PROP_FPS: FPS, cv2.CAP_PROP_FRAME_WIDTH: SIZE[0], cv2.CAP_PROP_FRAME_HEIGHT: SIZE[1]}
        return float(stated.get(what, 0))

    def grab(self):
        return self._camera.grab(self)

    def retrieve(self, into=None):
        picture = self._camera.picture()
        if picture is None:
            return False, None
        if into is None or into.shape != picture.shape:
            return True, picture.copy()
        np.copyto(into, picture)
        return True, into

    def release(self):
        self._open = False


class _Stream(LiveStream):
    """A stream of a Camera. Closing it wakes a driver that waits, as closing a device does."""

    def __init__(self, camera):
        self._camera = camera
        super(_Stream, self).__init__("soak", camera.connect, clock=camera.clock, wait=camera.wait)

    def close(self):
        super(_Stream, self).close()
        self._camera.end()
