"""Cut labelled clips from videos at marks: all of them, or none where one cannot be cut."""

import contextlib
import time
from typing import List, NamedTuple, Sequence, Tuple

from tsm_edge.errors import InputError
from tsm_edge.recording.draft import Draft
from tsm_edge.recording.folder import DataFolder
from tsm_edge.recording.plan import Mark, in_order
from tsm_edge.recording.prompt import Screen
from tsm_edge.recording.recorder import LEAST_FRAMES, TIME_STEP
from tsm_edge.records import Frame
from tsm_edge.sources import open_source
from tsm_edge.sources.base import FALLBACK_FPS, Source


class Cut(NamedTuple):
    """Clips of one video. source: what `tsm_edge.sources.open_source` takes, a file or folder. marks: of the clips."""

    source: str
    marks: Tuple[Mark, ...]


class _Clip(NamedTuple):
    draft: Draft
    mark: Mark
    session: str
    source: str


def cut_clips(cuts: Sequence[Cut], folder: DataFolder, session: str, screen: Screen) -> List[_Clip]:
    """Cut the clips of all videos into drafts. `place_clips` moves them into place; see there.

    Args:
        cuts: the videos. With several, the clips of video N are those of the session "SESSION-N", so that a split into
            training and test data can keep the videos apart.
        folder: takes the clips.
        session: the name of the recording session.
        screen: shows the progress.

    Raises:
        InputError: marks that overlap, or that a video does not reach; a video that cannot be read; a full disk. No
            draft is left.
    """
    clips: List[_Clip] = []
    with contextlib.ExitStack() as stack:
        stack.callback(discard_clips, clips)
        for number, cut in enumerate(cuts, 1):
            name = session if len(cuts) == 1 else "{}-{}".format(session, number)
            with open_source(cut.source) as source:
                _cut_source(source, in_order(cut.marks), folder, name, screen, clips)
        stack.pop_all()
    return clips


def discard_clips(clips: Sequence[_Clip]) -> None:
    """Remove the drafts that were not moved into place."""
    for clip in clips:
        clip.draft.discard()


def place_clips(clips: Sequence[_Clip], folder: DataFolder, screen: Screen) -> None:
    """Move the clips of `cut_clips` into the folders of their labels. Raises InputError where that cannot be."""
    for clip in clips:
        kept = folder.place(clip.draft, clip.mark.label, clip.session, clip.source)
        screen.say("saved {}, {:.1f} s, {} frames".format(kept.file, kept.seconds, kept.frames))


def _cut_source(
    source: Source, marks: Sequence[Mark], folder: DataFolder, session: str, screen: Screen, clips: List[_Clip]
) -> None:
    """Append a finished draft to `clips` for each mark, which are in order. Pixels outside the marks are not made."""
    step, latest, stamp = 1 / (source.fps or FALLBACK_FPS), 0.0, source.grab()
    for number, mark in enumerate(marks, 1):
        draft = Draft(folder.path)
        clips.append(_Clip(draft, mark, session, source.name))
        while stamp is not None and stamp.time < mark.end - TIME_STEP:
            if stamp.time >= mark.start - TIME_STEP:
                image = source.retrieve()
                if image is not None:
                    draft.add(Frame(stamp.index, stamp.time, image, wall_time=time.time()))
            latest, stamp = stamp.time, source.grab()
        where = "{}: {}".format(mark.where, source.name)
        if stamp is None and mark.end > latest + 2 * step + TIME_STEP:  # some state a length of a frame too much
            got = "{:g} s to {:g} s of a video of {:.2f} s".format(mark.start, mark.end, latest + step)
            raise InputError(where, got, "a part of the video", "correct the times")
        if draft.frames < LEAST_FRAMES:
            got, expected = "{} frames".format(draft.frames), "at least {}".format(LEAST_FRAMES)
            raise InputError(where, got, expected, "move start and end further apart")
        draft.finish()
        screen.status("{}: {} of {} clips".format(source.name, number, len(marks)))
