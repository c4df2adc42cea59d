"""From clips to batches. What is drawn depends on (seed, epoch, clip) alone, never on the workers."""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from tsm_edge.errors import SourceError

from .clips import ANY, Reversed
from .crops import eval_crops, train_crop
from .sampling import eval_indices, train_indices

_SHUFFLE, _DRAW = 0, 1  # two streams of random numbers from one seed


class Batch(NamedTuple):
    """frames: (N, V, T, h, w, 3) uint8 in the colour order of the input, V views (crops x clips) of each clip.

    labels: (N,) int64. indices: place of each clip in the list. broken: (name, reason) of those left out; where all
    are, frames and labels are None. frame_labels: (N, T) int64, the label of each frame, clips.ANY where no answer is
    wrong or where the clip has one label for all; None where that holds for the whole batch.
    """

    frames: torch.Tensor | None
    labels: torch.Tensor | None
    indices: tuple[int, ...]
    broken: tuple[tuple[str, str], ...]
    frame_labels: torch.Tensor | None = None


class TrainSet(Dataset):
    """Random clips with random crops and flips. flips: class -> class after a flip, None for no flips."""

    def __init__(self, clips, config, flips):
        self.clips, self.flips = clips, flips
        self.frame, self.n_segment = config.frame, config.shift.n_segment
        self.sampling, self.scales, self.seed = config.sampling, config.augment.scales, config.seed

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, key):
        """key: (epoch, index). Returns (index, (1, T, h, w, 3) uint8, label, (T,) frame labels or None), or
        (name, reason) of a broken clip.
        """
        epoch, index = key
        clip, rng = self.clips[index], np.random.default_rng([self.seed, _DRAW, epoch, index])
        chosen = _turned(clip, train_indices(self.sampling.kind, clip.count, self.n_segment, rng, self.sampling.span))
        try:
            frames = clip.read(chosen)
        except SourceError as error:
            return clip.name, str(error)
        frames, label = train_crop(frames, self.frame, self.scales, rng), clip.label
        frame_labels = clip.frame_labels(chosen) if hasattr(clip, "frame_labels") else None
        if self.flips is not None and rng.random() < 0.5:
            frames, label = frames[:, :, ::-1], self.flips[label]
            if frame_labels is not None:
                frame_labels = np.where(frame_labels == ANY, ANY, np.asarray(self.flips)[frame_labels])
        return index, _in_colour(frames, self.frame)[None], label, frame_labels


class EvalSet(Dataset):
    """Fixed clips and crops. views: `n_clips` (see sampling.eval_indices) times `crops` (see crops.eval_crops)."""

    def __init__(self, clips, frame, n_segment, sampling, n_clips=1, crops=1):
        self.clips, self.frame, self.n_segment, self.sampling = clips, frame, n_segment, sampling
        self.n_clips, self.crops = n_clips, crops

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, key):
        """key: (epoch, index), the epoch without effect. Returns as TrainSet does, with V views and no frame labels."""
        index = key[1]
        clip, kind = self.clips[index], self.sampling.kind
        chosen = _turned(clip, eval_indices(kind, clip.count, self.n_segment, self.n_clips, self.sampling.span))
        try:
            views = [eval_crops(clip.read(row), self.frame, self.crops) for row in chosen]
        except SourceError as error:
            return clip.name, str(error)
        return index, _in_colour(np.concatenate(views), self.frame), clip.label, None


def _turned(clip, indices):
    return clip.turned(indices) if isinstance(clip, Reversed) else indices


def _in_colour(frames, frame):
    return np.ascontiguousarray(frames if frame.colour == "RGB" else frames[..., ::-1])


def train_batches(count, batch, seed, epoch):
    """The batches of one epoch, lists of (epoch, index): every clip once, the incomplete last batch left out."""
    order = np.random.default_rng([seed, _SHUFFLE, epoch]).permutation(count).tolist()
    whole = count - count % batch if count >= batch else count
    return [[(epoch, index) for index in order[at : at + batch]] for at in range(0, whole, batch)]


def eval_batches(count, batch):
    """The batches of a whole list in its order, lists of (0, index)."""
    return [[(0, index) for index in range(at, min(at + batch, count))] for at in range(0, count, batch)]


def loader(dataset, batches, workers, pin_memory=False):
    """A DataLoader over `batches`, a list of lists of keys. Its own random numbers touch nobody else's."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_one_thread,
        pin_memory=pin_memory,
        generator=torch.Generator(),
    )


def _one_thread(worker):
    cv2.setNumThreads(0)


def collate(items) -> Batch:
    """Items of one of the sets above as a Batch."""
    whole = [item for item in items if len(item) == 4]
    broken = tuple(item for item in items if len(item) == 2)
    if not whole:
        return Batch(None, None, (), broken)
    indices, frames, labels, rows = zip(*whole, strict=True)
    frame_labels = None
    if any(row is not None for row in rows):
        none = np.full(frames[0].shape[1], ANY)
        frame_labels = torch.from_numpy(np.stack([none if row is None else row for row in rows]))
    return Batch(torch.from_numpy(np.stack(frames)), torch.tensor(labels), indices, broken, frame_labels)


def normalised(frames, frame):
    """Pictures -> network input, as tsm_edge.preprocess does it, to the bit.

    frames: (…, h, w, 3) uint8; frame: a FrameSpec. Returns (…, 3, h, w) float32 on the same device, in the memory
    order of the pictures (channels last).
    """
    mean, std = (torch.tensor(values, device=frames.device) for values in (frame.mean, frame.std))
    return ((frames.float() / 255 - mean) / std).movedim(-1, -3)
