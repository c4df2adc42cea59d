"""Rendered clips with boxes: hands of three shapes and faces, and things that look like them and have no box.

They are the benchmark of online detection, where boxes, speed, darkness, blur and occlusion are known exactly. They
show drawn people, so a model that is trained on them knows nothing about real ones.
"""

import functools
from collections.abc import Sequence
from typing import cast

import numpy as np

from ..synthetic.clip import MAX_CLIPS, Rendered, Size
from ..synthetic.seeds import BOX_LIST, check_number, check_seed, generator
from .objects import LABELS
from .scenes import Scene
from .truth import BoxClip, BoxData, Truth

FPS = 15.0
SIZE, FRAMES = 192, 24
_MOST_FRAMES = 600
_cached_scene = functools.lru_cache(maxsize=4)(Scene)


class RenderedClip(Rendered):
    """A rendered clip with boxes, a :class:`truth.BoxClip`.

    The boxes of a frame are those of the middle of its exposure. They do not include a forearm, hair or shoulders.

    seed: 0 to 2**63 - 1. split: "train", "validation" or "test". size: (height, width), each 32 to 2048. frames: 1 to
    600. Raises InputError for an argument outside its range.
    """

    def __init__(self, seed: int, split: str, size: Size, frames: int) -> None:
        super().__init__(seed, split, size, FPS)
        self.count = int(check_number("frames", frames, 1, _MOST_FRAMES))
        self.name = f"rendered/{split}/{self.seed:016x}"

    def scene(self) -> Scene:
        """Return the scene of the clip, of which the last four are kept."""
        return _cached_scene(self.split, self.seed, *self.size, self.count)

    def truth(self, index: int) -> Truth:
        """Return the true boxes of a frame. Raises IndexError beyond the clip."""
        if not 0 <= index < self.count:
            raise IndexError(f"frame {index} of {self.name}, which has {self.count}")
        return self.scene().truths[index]

    def _frame(self, index: int) -> np.ndarray:
        return self.scene().render(index)


def clips(count: int, seed: int, size: int = SIZE, frames: int = FRAMES, split: str = "train") -> BoxData:
    """Return `count` rendered clips. The first n of a longer set are the set of n.

    Args:
        count: of clips, 1 to MAX_CLIPS.
        seed: 0 to 2**63 - 1; another seed gives other clips.
        size: of the frames, in pixels: they are square.
        frames: of each clip.
        split: "train", "validation" or "test". They share no place, no skin tone and no furniture.

    Raises:
        InputError: for an argument outside its range.
    """
    check_seed(seed)
    check_number("count", count, 1, MAX_CLIPS)
    seeds = [int(generator(split, seed, BOX_LIST, index).integers(2**63)) for index in range(count)]
    made = [RenderedClip(number, split, (size, size), frames) for number in seeds]
    return BoxData(LABELS, cast(Sequence[BoxClip], made))
