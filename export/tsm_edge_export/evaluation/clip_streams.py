"""Streams made of clips: the clips one after another in random order, with pauses, so that every event is known."""

import bisect
import math
from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np

from tsm_edge.errors import InputError
from tsm_edge.manifest import Manifest
from tsm_edge_export.training import config as configs
from tsm_edge_export.training.clips import Clip, StrPath

from . import data as sets
from .matching import Truth

PAUSE_SECONDS = 1.0, 3.0  # least and most between two clips, before the first and after the last
LEAST_EVENTS = 2  # clips of each label that make a stream worth measuring
ROUND_EVENTS = 24  # clips are played again, in another order, until a stream has so many events
MAX_EVENTS, MAX_SECONDS = 60, 300.0  # of a stream: a few minutes of computing on one core
READ_FRAMES = 32  # of a clip that are read at once


class Piece(NamedTuple):
    """A part of a stream: a clip that is played, or one frame of it that is held.

    begin, end: seconds of the stream. fps: frames/s of the clip, 0 to hold. first: index of the frame shown at `begin`.
    """

    begin: float
    end: float
    clip: Clip
    fps: float
    first: int


class ClipStream:
    """Clips as one long clip: `name`, `fps`, `count`, `read(indices)` as in training/clips.py, and its `events`.

    The pieces follow one another without a gap. Frame i shows what is there at i / fps seconds.
    """

    def __init__(self, name: str, fps: float, pieces: Sequence[Piece], events: Sequence[Truth]) -> None:
        self.name, self.fps, self.pieces, self.events = name, fps, list(pieces), list(events)
        self.seconds = self.pieces[-1].end
        self.count = max(1, math.floor(self.seconds * fps))
        self._begins = [piece.begin for piece in self.pieces]
        self._kept: dict[int, np.ndarray] = {}  # frames of `_kept_of`, by their index in it
        self._kept_of: Optional[Clip] = None

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Return these frames, (len(indices), H, W, 3) uint8 RGB; of clips of several sizes, one frame at a time.

        Raises SourceError for a clip that cannot be read.
        """
        return np.stack([self._frame(int(index)) for index in indices])

    def _frame(self, index: int) -> np.ndarray:
        piece, wanted = self._shown(index)
        if self._kept_of is not piece.clip or wanted not in self._kept:
            following = (self._shown(later) for later in range(index, min(self.count, index + READ_FRAMES)))
            needed = sorted({number for part, number in following if part.clip is piece.clip})
            self._kept = dict(zip(needed, piece.clip.read(needed), strict=True))
            self._kept_of = piece.clip
        return self._kept[wanted]

    def _shown(self, index: int) -> tuple[Piece, int]:
        """Return the piece of a frame, and which frame of its clip it shows."""
        time = index / self.fps
        piece = self.pieces[max(0, bisect.bisect_right(self._begins, time) - 1)]
        return piece, min(piece.clip.count - 1, piece.first + math.floor((time - piece.begin) * piece.fps))


class ValidationClips(NamedTuple):
    """The clips that a training validated its weights on, and what makes a stream of them."""

    clips: list[Clip]
    labels: tuple[str, ...]
    ignored: tuple[str, ...]  # labels that mean "nothing is happening"
    fps: float  # frames/s of the model
    clip_seconds: float  # how long a clip lasts that does not state its frames/s
    name: str  # of the configuration, for people

    def stream(self, clips: Sequence[Clip], seed: int) -> ClipStream:
        """Make a stream of some of the clips. Raises InputError where a label has too few."""
        return of_clips(clips, self.labels, self.fps, self.clip_seconds, self.ignored, seed, self.name)


def validation_clips(path: StrPath, manifest: Manifest, ignored: Sequence[str]) -> ValidationClips:
    """Return the validation clips of a training configuration for a model.

    Raises InputError for a model that states no frames/s, for labels other than the model's, for a configuration that
    is wrong, and for clips that are gone.
    """
    config = configs.load(path)
    if manifest.fps is None:
        raise InputError(f"{manifest.recipe}: fps", "none", "the frames/s of the model", "add fps to the recipe")
    split = "validation" if config.data.kind == "synthetic" else "test"
    clips = sets.from_config(path, manifest.labels, split).clips
    seconds = manifest.shift.n_segment / (config.fps or manifest.fps)
    return ValidationClips(clips, manifest.labels, tuple(ignored), manifest.fps, seconds, f"clips of {path}")


def of_clips(
    clips: Sequence[Clip],
    labels: Sequence[str],
    fps: float,
    clip_seconds: float,
    ignored: Sequence[str] = (),
    seed: int = 0,
    name: str = "clips",
) -> ClipStream:
    """Make a stream of `fps` frames/s of clips in random order, each an event, with pauses of 1 to 3 s.

    A pause shows a clip of an ignored label ("nothing happens"). Where there is none, the last frame of the clip before
    is held, then the first frame of the next one. Few clips are played several times, of many a part of each label.

    clips: see training/clips.py. labels: of the clips' numbers. clip_seconds: how long a clip lasts that does not state
    its frames/s. seed: of orders and pauses.
    Raises InputError where a label has fewer than LEAST_EVENTS clips.
    """
    rng = np.random.default_rng(seed)
    quiet = [clip for clip in clips if labels[clip.label] in ignored]
    acts = [clip for clip in clips if labels[clip.label] not in ignored]
    _require_clips(acts, [label for label in labels if label not in ignored], labels, name)
    plan = _Plan(clip_seconds, rng, quiet)
    for clip in _in_order(acts, rng):
        if plan.now >= MAX_SECONDS:
            break
        plan.add(clip, labels[clip.label])
    plan.finish()
    return ClipStream(name, fps, plan.pieces, plan.events)


def halves(clips: Sequence[Clip]) -> Optional[tuple[list[Clip], list[Clip]]]:
    """Return clips as two parts that each have half of the clips of every label; None where a label has too few."""
    of_label: dict[int, list[Clip]] = {}
    for clip in clips:
        of_label.setdefault(clip.label, []).append(clip)
    if not of_label or min(map(len, of_label.values())) < 2 * LEAST_EVENTS:
        return None
    first, second = (
        [clip for group in of_label.values() for clip in group[half * len(group) // 2 : (half + 1) * len(group) // 2]]
        for half in (0, 1)
    )
    return first, second


class _Plan:
    """The pieces of a stream, which grows by a pause and a clip at a time."""

    def __init__(self, clip_seconds: float, rng: np.random.Generator, quiet: Sequence[Clip]) -> None:
        self.pieces: list[Piece] = []
        self.events: list[Truth] = []
        self.now = 0.0
        self._clip_seconds, self._rng, self._quiet = clip_seconds, rng, quiet
        self._before: Optional[Clip] = None

    def add(self, clip: Clip, label: str) -> None:
        """Append a pause and a clip."""
        self._pause(clip)
        begin, rate = self.now, self._rate(clip)
        self._play(clip, clip.count / rate, rate)
        self.events.append(Truth(label, begin, self.now))
        self._before = clip

    def finish(self) -> None:
        """Append the last pause, the longest, in which the label of the last event may still be shown."""
        self._pause(None, PAUSE_SECONDS[1])

    def _pause(self, following: Optional[Clip], seconds: Optional[float] = None) -> None:
        seconds = self._rng.uniform(*PAUSE_SECONDS) if seconds is None else seconds
        if self._quiet:
            clip = self._quiet[int(self._rng.integers(len(self._quiet)))]
            rate = self._rate(clip)
            spare = max(0, clip.count - math.ceil(seconds * rate))
            self._play(clip, seconds, rate, int(self._rng.integers(spare + 1)))
            return
        held = [clip for clip in (self._before, following) if clip is not None]
        for clip in held:
            self._play(clip, seconds / len(held), 0.0, 0 if clip is following else clip.count - 1)

    def _play(self, clip: Clip, seconds: float, rate: float, first: int = 0) -> None:
        self.pieces.append(Piece(self.now, self.now + seconds, clip, rate, first))
        self.now += seconds

    def _rate(self, clip: Clip) -> float:
        return getattr(clip, "fps", None) or clip.count / self._clip_seconds


def _require_clips(acts: Sequence[Clip], wanted: Sequence[str], labels: Sequence[str], name: str) -> None:
    counts = dict.fromkeys(wanted, 0)
    for clip in acts:
        counts[labels[clip.label]] += 1
    few = [f"{count} of {label!r}" for label, count in counts.items() if count < LEAST_EVENTS]
    if few or not counts:
        got = "too few clips: " + ", ".join(few[:4]) if few else "no label that makes an event"
        raise InputError(name, got, f"at least {LEAST_EVENTS} clips of each label", "record more clips")


def _in_order(acts: Sequence[Clip], rng: np.random.Generator) -> list[Clip]:
    """Return clips in random order: few clips several times, of many MAX_EVENTS, of each label alike."""
    of_label: dict[int, list[Clip]] = {}
    for clip in acts:
        of_label.setdefault(clip.label, []).append(clip)
    chosen: list[Clip] = []
    queues = [[group[i] for i in rng.permutation(len(group))] for group in of_label.values()]
    while any(queues) and len(chosen) < MAX_EVENTS:
        chosen += [queue.pop() for queue in queues if queue]
    order = [chosen[i] for i in rng.permutation(len(chosen))]
    while len(order) < ROUND_EVENTS:
        order += [chosen[i] for i in rng.permutation(len(chosen))]
    return order
