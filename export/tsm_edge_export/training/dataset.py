"""From clips to batches. Random choices depend on (seed, epoch, clip) alone, never on the number of workers."""

import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from tsm_edge.errors import SourceError
from tsm_edge.interrupt import SIGNALS, blocked_signals
from tsm_edge.manifest import FrameSpec
from tsm_edge_export.synthetic.labels import UNLABELLED

from .clips import Clip, Clips, Reversed
from .colour import random_colour
from .config import Config, Sampling
from .crops import eval_crops, train_crop, view_crop
from .sampling import eval_indices, train_indices

_SHUFFLE, _DRAW = 0, 1  # what a random generator is for

Device = torch.device | str
Key = tuple[int, int]  # epoch, index of the clip
Item = tuple[int, np.ndarray, int, np.ndarray | None]  # index, (V, T, h, w, 3) uint8, label, (T,) labels of the frames


class Batch(NamedTuple):
    """Clips of one step. Where all of them are broken, frames and labels are None."""

    frames: torch.Tensor | None  # (N, V, T, h, w, 3) uint8 in the input's colour order; V views (crops x clips) each
    labels: torch.Tensor | None  # (N,) int64
    indices: tuple[int, ...]  # of the clips in their list
    broken: tuple[tuple[str, str], ...]  # name and reason of the clips that were left out
    frame_labels: torch.Tensor | None = None  # (N, T) int64 or UNLABELLED; None where no clip has labels of frames


class TrainSet(Dataset):
    """Random clips with random crops, flips and colours. flips: see crops.flip_table."""

    def __init__(self, clips: Clips, config: Config, flips: list[int] | None) -> None:
        self.clips, self.flips = clips, flips
        self.frame, self.n_segment = config.frame, config.shift.n_segment
        self.sampling, self.augment, self.seed = config.sampling, config.augment, config.seed

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: Key) -> Item | tuple[str, str]:
        """Return one clip with one view, or the name and the reason of a broken clip."""
        epoch, index = key
        clip, rng = self.clips[index], np.random.default_rng([self.seed, _DRAW, epoch, index])
        kind, span = self.sampling
        chosen = _turned(clip, train_indices(kind, clip.count, self.n_segment, rng, span, self.augment.margin))
        try:
            frames = clip.read(chosen)
        except SourceError as error:
            return clip.name, str(error)
        frames, label = self._crop(frames, rng), clip.label
        frame_labels = clip.frame_labels(chosen) if hasattr(clip, "frame_labels") else None
        if self.flips is not None and rng.random() < 0.5:
            frames, label = frames[:, :, ::-1], self.flips[label]
            if frame_labels is not None:
                frame_labels = np.where(frame_labels == UNLABELLED, UNLABELLED, np.asarray(self.flips)[frame_labels])
        if self.augment.colour:
            frames = random_colour(frames, self.augment.colour, rng)
        return index, _in_colour(frames, self.frame)[None], label, frame_labels

    def _crop(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.augment.crop == "view":
            return view_crop(frames, self.frame, self.augment, rng)
        return train_crop(frames, self.frame, self.augment.scales, rng)


class EvalSet(Dataset):
    """Fixed clips and crops: `n_clips` (see sampling.eval_indices) times `crops` (see crops.eval_crops) views."""

    def __init__(
        self, clips: Clips, frame: FrameSpec, n_segment: int, sampling: Sampling, n_clips: int = 1, crops: int = 1
    ) -> None:
        self.clips, self.frame, self.n_segment, self.sampling = clips, frame, n_segment, sampling
        self.n_clips, self.crops = n_clips, crops

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: Key) -> Item | tuple[str, str]:
        """Return one clip, or the name and the reason of a broken clip. The epoch changes nothing."""
        clip, sampling = self.clips[key[1]], self.sampling
        chosen = eval_indices(sampling.kind, clip.count, self.n_segment, self.n_clips, sampling.span)
        try:
            views = [eval_crops(clip.read(row), self.frame, self.crops) for row in _turned(clip, chosen)]
        except SourceError as error:
            return clip.name, str(error)
        return key[1], _in_colour(np.concatenate(views), self.frame), clip.label, None


def _turned(clip: Clip, indices: np.ndarray) -> np.ndarray:
    return clip.turned(indices) if isinstance(clip, Reversed) else indices


def _in_colour(frames: np.ndarray, frame: FrameSpec) -> np.ndarray:
    return np.ascontiguousarray(frames if frame.colour == "RGB" else frames[..., ::-1])


def train_batches(count: int, batch: int, seed: int, epoch: int) -> list[list[Key]]:
    """Return the batches of one epoch: every clip once, without the incomplete last batch."""
    order = np.random.default_rng([seed, _SHUFFLE, epoch]).permutation(count).tolist()
    whole = count - count % batch if count >= batch else count
    return [[(epoch, index) for index in order[at : at + batch]] for at in range(0, whole, batch)]


def eval_batches(count: int, batch: int) -> list[list[Key]]:
    """Return the batches of a whole list, in its order."""
    return [[(0, index) for index in range(at, min(at + batch, count))] for at in range(0, count, batch)]


def loader(
    dataset: Any, batches: list[list[Key]], workers: int, pin_memory: bool = False, collate_items: Any = None
) -> Iterable[Any]:
    """Return a DataLoader over these batches. It uses no random numbers of anybody else.

    collate_items: makes a batch of items; `collate` if it is None.
    """
    fixed: Any = {
        "collate_fn": collate_items or collate,
        "worker_init_fn": _begin_worker,
        "generator": torch.Generator(),
    }
    return _Loader(DataLoader(dataset, batch_sampler=batches, num_workers=workers, pin_memory=pin_memory, **fixed))


class _Loader:
    """A DataLoader whose processes do not print a traceback of their own after Ctrl-C, which reaches all of them."""

    def __init__(self, batches: DataLoader) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Batch]:
        with blocked_signals():  # a new process begins with this mask
            return iter(self._batches)


def _begin_worker(_worker: int) -> None:
    for signum in SIGNALS:
        if signum != signal.SIGTERM:  # by which the main process ends this one
            signal.signal(signum, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    cv2.setNumThreads(0)
    sys.excepthook = _without_lost_connections


def _without_lost_connections(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Print an error of a worker, unless the main process has gone: its signal ends the worker a moment later."""
    if not issubclass(kind, (ConnectionError, EOFError)):
        sys.__excepthook__(kind, error, trace)


def collate(items: Sequence[Any]) -> Batch:
    """Return items of one of the sets above as a batch."""
    whole = [item for item in items if len(item) == 4]
    broken = tuple(item for item in items if len(item) == 2)
    if not whole:
        return Batch(None, None, (), broken)
    indices, frames, labels, rows = zip(*whole, strict=True)
    frame_labels = None
    if any(row is not None for row in rows):
        none = np.full(frames[0].shape[1], UNLABELLED)
        frame_labels = torch.from_numpy(np.stack([none if row is None else row for row in rows]))
    return Batch(torch.from_numpy(np.stack(frames)), torch.tensor(labels), indices, broken, frame_labels)


def normalised(frames: torch.Tensor, frame: FrameSpec) -> torch.Tensor:
    """Return the network's input, bit for bit as tsm_edge.preprocess makes it, on the same device.

    (…, h, w, 3) uint8 -> (…, 3, h, w) float32, in the memory order of the pictures (channels last).
    """
    mean, std = (torch.tensor(values, device=frames.device) for values in (frame.mean, frame.std))
    return ((frames.float() / 255 - mean) / std).movedim(-1, -3)
