"""The recording loop: countdown, clip, keep or redo, label by label, with clips of "nothing" in the pauses.

All times are those of the frames. So a video that is played as a camera gives the same clips each time, however busy
the machine is.
"""

import threading
from typing import Any, Callable, List, Optional

from tsm_edge.errors import InputError, StreamError
from tsm_edge.recording.draft import Draft
from tsm_edge.recording.folder import Clip, DataFolder
from tsm_edge.recording.plan import Plan
from tsm_edge.recording.prompt import GO, KEEP, QUIT, REDO, Screen
from tsm_edge.records import Frame
from tsm_edge.sources.base import Source
from tsm_edge.sources.capture import Capture

SETTLE_SECONDS = 0.5  # after a clip, until "nothing" may begin: the hand goes back
CLOSING_SECONDS = 3.0  # after the last clip, in which it can be recorded again
POLL_SECONDS = 0.05  # between two looks at the keys where no frame comes
DEPTH = 8  # frames of a camera that may wait while one is encoded or a clip is written
LEAST_FRAMES = 2  # of a clip: one frame shows no movement
SHARE_OF_NOTHING = 0.5  # of its length that a clip of "nothing" must have where a key ends the pause
TIME_STEP = 0.001  # seconds to which containers round time stamps


class Recorder:
    """Records the clips of a plan.

    Args:
        plan: what to record.
        source: a camera, or a video that is played as one; closed at the end of `run`.
        folder: takes the clips.
        session: the name of the recording session, in the names of the files.
        screen: shows and asks.
        waiting: makes a context in which signals may raise (`tsm_edge.interrupt.Interruptible.waiting`).
    """

    def __init__(
        self, plan: Plan, source: Source, folder: DataFolder, session: str, screen: Screen, waiting: Callable[[], Any]
    ) -> None:
        self._plan, self._folder, self._session, self._screen = plan, folder, session, screen
        self._source, self._waiting = source, waiting
        self._changed = threading.Condition()
        self._capture: Any = None
        self._turns = plan.turns()
        self._kept: List[Clip] = []  # of the gestures, in the order of their turns
        self._nothing_count = 0

    def run(self) -> bool:
        """Record until the plan is done or the user ends it. Returns whether the plan is done.

        Raises:
            StreamError: the camera was lost, or the video ended. Clips that were kept stay.
            InputError: a clip cannot be written; whole ones stay.
        """
        with Capture(self._source, DEPTH, changed=self._changed) as self._capture:
            while True:
                turn = len(self._kept)
                if turn == len(self._turns) and not self._needs_closing():
                    return True
                answer = self._pause(turn)
                if answer == QUIT:
                    return turn == len(self._turns)
                if answer == REDO:
                    clip = self._kept.pop()
                    self._folder.remove(clip)
                    self._screen.say("{}: removed, it is recorded again".format(clip.file))
                elif turn == len(self._turns):
                    return True
                elif self._record(turn) == QUIT:
                    return False

    # ---------------------------------------------------------------- between the clips

    def _needs_closing(self) -> bool:
        lacks_nothing = self._plan.nothing_is_due(len(self._turns), self._nothing_count)
        return lacks_nothing or (self._screen.has_keys and not self._plan.review)

    def _pause(self, turn: int) -> str:
        """Count down to a turn, and take a clip of "nothing" where one is due. Returns GO, REDO or QUIT."""
        last = turn == len(self._turns)
        nothing = self._nothing(turn)
        length = (CLOSING_SECONDS if self._screen.has_keys else 0.0) if last else self._plan.countdown
        length = max(length, 0.0 if nothing is None else SETTLE_SECONDS + nothing.seconds)
        by_key = self._plan.pressed and not last
        begin: Optional[float] = None
        self._screen.forget_keys()
        try:
            while True:
                key = self._screen.key()
                if key == QUIT or (key == REDO and self._kept and not self._plan.review):
                    return key
                if key == GO and (by_key or last):
                    if nothing is not None and nothing.is_long_enough():
                        self._keep_nothing(nothing)
                    return GO
                frame = self._next_frame()
                if frame is None:
                    continue
                if begin is None or frame.gaps:
                    begin = frame.time
                    if nothing is not None:
                        nothing.restart()
                elapsed = frame.time - begin
                if nothing is not None and elapsed >= SETTLE_SECONDS - TIME_STEP and nothing.add(frame):
                    self._keep_nothing(nothing)
                    nothing = None
                if not by_key and nothing is None and elapsed >= length - TIME_STEP:
                    return GO
                self._show_pause(frame, turn, None if by_key else length - elapsed)
        finally:
            if nothing is not None:
                nothing.restart()

    def _nothing(self, turn: int) -> Optional["_Nothing"]:
        """Return the clip of "nothing" to take before a turn, None where none is due."""
        if not self._plan.nothing_is_due(turn, self._nothing_count):
            return None
        seconds = self._plan.seconds
        if self._plan.pressed and self._kept:
            seconds = sum(clip.seconds for clip in self._kept) / len(self._kept)
        return _Nothing(self._folder.path, seconds, self._capture)

    def _keep_nothing(self, nothing: "_Nothing") -> None:
        assert self._plan.nothing is not None
        clip = self._keep(nothing.draft, self._plan.nothing, nothing.dropped())
        self._nothing_count += 1
        self._say_saved("{}, clip {} of {}".format(clip.label, self._nothing_count, self._plan.clips), clip)

    def _show_pause(self, frame: Frame, turn: int, left: Optional[float]) -> None:
        again = "r: the last one again" if self._kept and not self._plan.review else ""
        if turn == len(self._turns):
            phase, again = "done", again or "the last clip of {}".format(self._plan.nothing)
        else:
            phase = self._name(turn) + (": Space begins" if left is None else ": get ready")
        count = "" if left is None else "{:.0f}".format(max(left, 0) + 0.5)
        keys = ", ".join(part for part in (again, "q: end") if part) if self._screen.has_keys else ""
        self._screen.show(frame.image, "{} {}".format(phase, count))
        self._screen.status(phase, ", ".join(part for part in (count, keys) if part))

    # ---------------------------------------------------------------- a clip

    def _record(self, turn: int) -> str:
        """Record one clip. Returns KEEP, REDO or QUIT; a clip that is not kept is gone."""
        draft, dropped = Draft(self._folder.path), self._capture.dropped
        self._screen.bell()
        try:
            answer = self._fill(draft, turn)
            dropped = self._capture.dropped - dropped
            if answer == KEEP:
                self._screen.bell()
                answer = self._judge(draft, turn)
            if answer == KEEP:
                self._kept.append(self._keep(draft, self._turns[turn], dropped))
                self._say_saved(self._name(turn), self._kept[-1])
            return answer
        finally:
            draft.discard()

    def _fill(self, draft: Draft, turn: int) -> str:
        """Add frames until the clip is long enough or a key ends it. Returns KEEP, REDO or QUIT."""
        limit = self._plan.longest if self._plan.pressed else self._plan.seconds
        phase = self._name(turn) + ": recording" + (", Space ends" if self._plan.pressed else "")
        while True:
            key = self._screen.key()
            if key in (QUIT, REDO):
                return key
            if key == GO and self._plan.pressed:
                return KEEP
            frame = self._next_frame()
            if frame is None:
                continue
            if frame.gaps and draft.frames:
                self._screen.say("{}: {}; the clip is recorded again".format(self._name(turn), frame.gaps[0].reason))
                return REDO
            seconds = 0.0 if draft.start is None else frame.time - draft.start
            if seconds >= limit - TIME_STEP:
                return KEEP
            draft.add(frame)
            self._screen.show(frame.image, "{} {:.1f} s".format(phase, seconds))
            self._screen.status(phase, "{:.1f} s".format(seconds))

    def _judge(self, draft: Draft, turn: int) -> str:
        """Return KEEP, REDO or QUIT for a clip that was recorded; asks where the plan says so."""
        if draft.frames < LEAST_FRAMES:
            got, expected = "{} frame".format(draft.frames), "at least {}".format(LEAST_FRAMES)
            if not self._plan.pressed:
                where = "a clip of {:g} s of {}".format(self._plan.seconds, self._source.name)
                raise InputError(where, got, expected + " frames", "record longer clips: --seconds 5")
            self._screen.say("{}: {}, {} are needed; once more".format(self._name(turn), got, expected))
            return REDO
        if not self._plan.review:
            return KEEP
        phase = "{}: {:.1f} s, keep it?".format(self._name(turn), draft.seconds)
        self._screen.forget_keys()
        shown = 0
        while True:
            key = self._screen.key()
            if key in (GO, KEEP):
                return KEEP
            if key in (REDO, QUIT):
                return key
            frame = self._next_frame()  # the camera goes on
            self._screen.status(phase, "Enter or k: keep, r: record it again, q: end without it")
            if frame is not None and self._screen.has_window:
                self._screen.show(draft.picture(shown % draft.frames), phase)
                shown += 1

    def _keep(self, draft: Draft, label: str, dropped: int) -> Clip:
        return self._folder.keep(draft, label, self._session, self._source.name, dropped)

    def _name(self, turn: int) -> str:
        number, clips = turn // len(self._plan.labels) + 1, self._plan.clips
        return "{}, clip {} of {}".format(self._turns[turn], number, clips)

    def _say_saved(self, name: str, clip: Clip) -> None:
        lost = ", {} frames dropped".format(clip.dropped) if clip.dropped else ""
        form = "{}: saved {}, {:.1f} s, {} frames{}"
        self._screen.say(form.format(name, clip.file, clip.seconds, clip.frames, lost))

    def _next_frame(self) -> Optional[Frame]:
        """Return the next frame, or None where none came for a moment. Raises StreamError at the end of the source."""
        with self._waiting(), self._changed:
            if not self._capture.ready():
                self._changed.wait(POLL_SECONDS)
            ready = self._capture.ready()
        if not ready:
            if self._source.interrupted:
                self._screen.status("{}: interrupted, connecting again".format(self._source.name))
            return None
        frame = self._capture.take()
        if frame is None:
            form = "{}: it ended after {} of {} clips; those that were saved stay"
            raise StreamError(form.format(self._source.name, len(self._kept), len(self._turns)))
        return frame


class _Nothing:
    """A clip of "nothing" that is taken in a pause.

    Args:
        folder: the data folder.
        seconds: how long the clip shall be.
        capture: counts the frames that were dropped.
    """

    def __init__(self, folder: str, seconds: float, capture: Capture) -> None:
        self.seconds = seconds
        self._folder, self._capture = folder, capture
        self.draft, self._dropped, self._reached = Draft(folder), capture.dropped, 0.0

    def add(self, frame: Frame) -> bool:
        """Add a frame. Returns whether the clip is whole; this frame is then no part of it."""
        if self.draft.start is None:
            self._dropped = self._capture.dropped
        else:
            self._reached = frame.time - self.draft.start
        if self.draft.frames >= LEAST_FRAMES and self._reached >= self.seconds - TIME_STEP:
            return True
        self.draft.add(frame)
        return False

    def is_long_enough(self) -> bool:
        """Return whether a clip that a key ended is worth keeping."""
        return self.draft.frames >= LEAST_FRAMES and self._reached >= SHARE_OF_NOTHING * self.seconds

    def dropped(self) -> int:
        """Return the frames that were dropped since the clip began."""
        return self._capture.dropped - self._dropped

    def restart(self) -> None:
        """Forget the frames so far."""
        self.draft.discard()
        self.draft, self._reached = Draft(self._folder), 0.0
