"""From clips with boxes to batches. Random choices depend on (seed, epoch, clip) alone, never on the workers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from tsm_edge.errors import SourceError
from tsm_edge.manifest import FrameSpec
from tsm_edge_export.training.colour import random_colour

from .augment import device_frames, plain_view, random_view, view_frames, view_truth
from .config import Augment, Config
from .degrade import degraded
from .loss import GridTargets
from .targets import Targets, clip_targets
from .truth import BoxClip, Truth

_DRAW, _TEST = 2, 3  # what a random generator is for

Key = tuple[int, int]  # epoch, number of the training clip


class Item(NamedTuple):
    """One training clip of T frames."""

    frames: np.ndarray  # (T, h, w, 3) uint8 in the input's colour order
    clean: np.ndarray | None  # the same without degradation, for a teacher
    targets: Targets | None  # None where the teacher makes them


class Batch(NamedTuple):
    """Training clips of one step. Where all of them are broken, frames is None."""

    frames: torch.Tensor | None  # (N, T, h, w, 3) uint8 in the input's colour order
    clean: torch.Tensor | None  # the same without degradation, for a teacher
    targets: GridTargets | None  # None where the teacher makes them
    broken: tuple[tuple[str, str], ...]  # name and reason of the clips that were left out


class TestClip(NamedTuple):
    """One test clip as the device sees it, whole or its first frames."""

    frames: np.ndarray  # (T, h, w, 3) uint8 in the input's colour order
    clean: np.ndarray  # the same without degradation
    truths: list[Truth]  # of each frame, in source pixels


class TrainSet(Dataset):
    """Random parts of clips with random views, colours and degradation.

    clips: with boxes. labelled: whether their boxes are known; a teacher makes the targets where they are not. classes:
    the number of labels. teacher: whether a teacher needs the clean frames.
    """

    def __init__(self, clips: Sequence[BoxClip], config: Config, classes: int, labelled: bool, teacher: bool) -> None:
        self.clips, self.config, self.classes = clips, config, classes
        self.labelled, self.teacher = labelled, teacher

    def __len__(self) -> int:
        return len(self.clips) * self.config.data.repeats

    def __getitem__(self, key: Key) -> Item | tuple[str, str]:
        """Return one training clip, or the name and the reason of a broken clip."""
        config, (epoch, number) = self.config, key
        clip, rng = self.clips[number % len(self.clips)], np.random.default_rng([config.seed, _DRAW, epoch, number])
        chosen = train_indices(clip.count, config.shift.n_segment, config.data.stride, rng)
        try:
            frames = clip.read(chosen.tolist())
        except SourceError as error:
            return clip.name, str(error)
        augment, frame = config.augment, config.frame
        view = random_view(frame, clip.size, augment.zoom, augment.move, augment.flip, rng)
        frames = view_frames(frames, view, frame)
        if augment.colour:
            frames = random_colour(frames, augment.colour, rng)
        shown = random_degraded(frames, augment, rng)
        targets = None
        if self.labelled:
            truths = [view_truth(clip.truth(index), view, frame) for index in chosen.tolist()]
            targets = clip_targets(truths, self.classes, frame.height, frame.width)
        return Item(in_colour(shown, frame), in_colour(frames, frame) if self.teacher else None, targets)


def train_indices(count: int, frames: int, stride: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the frames of a training clip: (frames,) int64, in equal steps of 1 to `stride` from a random start.

    A clip of fewer frames is taken from its beginning, and its last frame is held.
    """
    fitting = max(1, min(stride, (count - 1) // max(frames - 1, 1)))
    step = int(rng.integers(1, fitting + 1))
    start = int(rng.integers(0, max(count - step * (frames - 1), 1)))
    return np.minimum(start + step * np.arange(frames), count - 1)


def random_degraded(frames: np.ndarray, augment: Augment, rng: np.random.Generator) -> np.ndarray:
    """Return a clip, degraded in one of the ways of `augment.kinds` with the probability `augment.degraded`."""
    if not augment.degraded or rng.random() >= augment.degraded:
        return frames
    return degraded(frames, augment.kinds[rng.integers(len(augment.kinds))], rng)


def test_clip(clip: BoxClip, number: int, config: Config) -> TestClip:
    """Return a test clip, degraded as the training clips are, which its number alone decides.

    Raises SourceError for frames that cannot be read.
    """
    indices = range(min(clip.count, config.data.test_frames))
    clean = device_frames(clip.read(indices), config.frame)
    shown = random_degraded(clean, config.augment, np.random.default_rng([_TEST, number]))
    truths = [clip.truth(index) for index in indices]
    return TestClip(in_colour(shown, config.frame), in_colour(clean, config.frame), truths)


def test_targets(clip: BoxClip, truths: Sequence[Truth], frame: FrameSpec, classes: int) -> Targets:
    """Return the targets of true boxes in source pixels, for the view that the device has of the clip."""
    view = plain_view(frame, *clip.size)
    seen = [view_truth(truth, view, frame) for truth in truths]
    return clip_targets(seen, classes, frame.height, frame.width)


def in_colour(frames: np.ndarray, frame: FrameSpec) -> np.ndarray:
    """Return RGB frames in the colour order of the input tensor."""
    return np.ascontiguousarray(frames if frame.colour == "RGB" else frames[..., ::-1])


def collate(items: Sequence[Any]) -> Batch:
    """Return items of TrainSet as a batch."""
    whole = [item for item in items if isinstance(item, Item)]
    broken = tuple(item for item in items if not isinstance(item, Item))
    if not whole:
        return Batch(None, None, None, broken)
    frames = torch.from_numpy(np.stack([item.frames for item in whole]))
    cleans = [item.clean for item in whole if item.clean is not None]
    clean = torch.from_numpy(np.stack(cleans)) if cleans else None
    rows = [item.targets for item in whole if item.targets is not None]
    return Batch(frames, clean, stacked(rows) if rows else None, broken)


def stacked(rows: Sequence[Targets]) -> GridTargets:
    """Return the targets of N clips as tensors."""
    return GridTargets(*(torch.from_numpy(np.stack(parts)) for parts in zip(*rows, strict=True)))
