"""Clips in memory: each frame is decoded once and reduced, not once an epoch at its full size."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import cv2
import numpy as np
from torch.utils.data import Dataset
from tqdm import tqdm

from tsm_edge.errors import SourceError
from tsm_edge.machine.system_files import memory_mb, processors

from .clips import MAX_CLIP_BYTES, Clip

MAX_FRAMES = 600  # of a clip that is kept
SHARE_OF_MEMORY = 4  # a quarter of what is available
DEFAULT_BYTES = 1 << 30  # where the machine does not say what is available


class Reduced:
    """A clip whose frames have a short side of at most `side` pixels. It reads them from `clip` until `load` kept all.

    Frames are averaged over the pixels that become one (OpenCV's INTER_AREA), whether they were kept or not.
    """

    def __init__(self, clip: Clip, side: int) -> None:
        self.clip, self.side = clip, side
        self.name, self.label, self.count, self.fps = clip.name, clip.label, clip.count, clip.fps
        self.place, self.part, self.file_count = clip.place, clip.part, clip.file_count  # for overlap.py
        self._frames: np.ndarray | None = None

    def files(self) -> list[str]:
        """Return the paths of the clip's files."""
        return self.clip.files()

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Return these frames, (len(indices), h, w, 3) uint8 RGB."""
        if self._frames is not None:
            return self._frames[np.asarray(indices, np.int64)]
        return self._reduced(self.clip.read(indices))

    def load(self) -> int:
        """Read all frames into memory. Returns their bytes, 0 for a clip of more than MAX_FRAMES frames.

        Raises SourceError for a frame that cannot be read.
        """
        if self._frames is None and self.count <= MAX_FRAMES:
            first = self.clip.read([0])
            step = max(1, MAX_CLIP_BYTES // first.nbytes)
            parts = [range(at, min(at + step, self.count)) for at in range(0, self.count, step)]
            self._frames = np.concatenate([self._reduced(self.clip.read(part)) for part in parts])
        return 0 if self._frames is None else self._frames.nbytes

    def _reduced(self, frames: np.ndarray) -> np.ndarray:
        height, width = frames.shape[1:3]
        scale = self.side / min(height, width)
        if scale >= 1:
            return frames
        size = max(self.side, round(width * scale)), max(self.side, round(height * scale))
        return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


class Kept(Dataset):
    """A data set of fixed items, such as dataset.EvalSet, that keeps each item which was asked for in this process."""

    def __init__(self, items: Any) -> None:
        self._items, self._kept = items, {}  # type: ignore[var-annotated]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, key: tuple[int, int]) -> Any:
        index = key[1]
        if index not in self._kept:
            self._kept[index] = self._items[key]
        return self._kept[index]


def load(clips: Iterable[Clip], kept: Kept | None, broken: Callable[[str, object], object]) -> None:
    """Read training clips and test items into memory, as far as a quarter of the available memory holds them.

    Args:
        clips: those that are `Reduced` are loaded, any others are passed over.
        kept: the test items; None for none.
        broken: called with the name of a clip that cannot be read, and the reason. What it raises ends the loading.
    """
    jobs: list[Callable[[], int]] = [clip.load for clip in clips if isinstance(clip, Reduced)]
    names = [clip.name for clip in clips if isinstance(clip, Reduced)]
    if kept is not None:
        jobs += [partial(_keep, kept, index) for index in range(len(kept))]
        names += [""] * len(kept)
    free = memory_mb(key="MemAvailable")
    left = DEFAULT_BYTES if free is None else (free << 20) // SHARE_OF_MEMORY
    with ThreadPoolExecutor(processors()) as pool:
        step = 4 * processors()
        with tqdm(total=len(jobs), desc="reading clips", unit="clip", leave=False, disable=None) as bar:
            for at in range(0, len(jobs), step):
                done = pool.map(_tried, jobs[at : at + step])
                for name, (size, error) in zip(names[at : at + step], done, strict=True):
                    left -= size
                    bar.update()
                    if error is not None:
                        broken(name, error)
                if left <= 0:
                    return


def _tried(job: Callable[[], int]) -> tuple[int, SourceError | None]:
    try:
        return job(), None
    except SourceError as error:
        return 0, error


def _keep(items: Kept, index: int) -> int:
    return sum(part.nbytes for part in items[0, index] if isinstance(part, np.ndarray))
