"""The tags of rendered boxes: how fast, how large and how well visible an object is in each frame."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .groups import FAST, LARGE, SLOW, SMALL, areas, motion
from .truth import Truth

HALF = 0.5  # visible share at or below which an object counts as occluded
HIDDEN = 0.03  # visible share at or below which an object is fully hidden: its box is ignored
DARK = 0.3  # light, as a share of the usual, at or below which a frame is dark
NOISY = 6.0  # standard deviation of the noise, in levels of 0 to 255, from which on a frame is noisy
BLURRED = 0.1  # length of the motion blur from which on an object is blurred, in square roots of its box's area
# The fewest frames of an occlusion, in falling order, and its tag.
OCCLUSIONS = ((13, "occluded 13+"), (9, "occluded 9-12"), (5, "occluded 5-8"), (1, "occluded 1-4"))
UNSEEN, BEYOND_MEMORY = "occluded from the start", "occluded for 12 frames"
MEMORY_FRAMES = 12  # frames that an object has been occluded for before BEYOND_MEMORY
_CONDITIONS = ("slow", "medium", "fast", "small", "middle", "large", "dark", "blurred", "noisy", "clean")
TAGS = (*_CONDITIONS, *(tag for _, tag in OCCLUSIONS), UNSEEN, BEYOND_MEMORY)


class Seen(NamedTuple):
    """How an object is seen in each frame of a clip of T frames, for its tags.

    visible: (T,) float64, the share of it that nothing hides. blur: (T,) float64, pixels that it moves in an exposure.
    light: (T,) float64, of the frame, as a share of the usual. noise: (T,) float64, deviation in levels.
    """

    visible: np.ndarray
    blur: np.ndarray
    light: np.ndarray
    noise: np.ndarray


def occlusion_tags(occluded: Sequence[bool]) -> list[tuple[str, ...]]:
    """Return the tags of occlusion of each frame. occluded: whether the object is occluded, one for each frame.

    An occlusion is a run of such frames. One that lasts from the object's first frame has a tag of its own, because
    no memory of the object can help there.
    """
    tags: list[tuple[str, ...]] = [()] * len(occluded)
    frame = 0
    while frame < len(occluded):
        end = frame
        while end < len(occluded) and occluded[end]:
            end += 1
        word = next((tag for least, tag in OCCLUSIONS if end - frame >= least), "")
        for place in range(frame, end):
            long = frame > 0 and place - frame >= MEMORY_FRAMES
            tags[place] = (UNSEEN if frame == 0 else word, *((BEYOND_MEMORY,) if long else ()))
        frame = max(end, frame + 1)
    return tags


def tagged(truths: Sequence[Truth], seen: Sequence[Seen], size: tuple[int, int]) -> list[Truth]:
    """Return the truths with their tags, and with fully hidden boxes ignored.

    Args:
        truths: of all frames of one clip, in order; their tags are not read.
        seen: of each track, in the order of their numbers.
        size: (height, width) of the frames.
    """
    moves = motion(truths)
    present: dict[int, list[int]] = {}
    for frame, truth in enumerate(truths):
        for track in truth.tracks.tolist():
            present.setdefault(track, []).append(frame)
    hidden = {
        (track, frame): tags
        for track, frames in present.items()
        for frame, tags in zip(frames, occlusion_tags((seen[track].visible[frames] <= HALF).tolist()), strict=True)
    }
    result = []
    for frame, truth in enumerate(truths):
        shares = areas(truth.boxes, size)
        tags, ignored = [], truth.ignored.copy()
        for row, track in enumerate(truth.tracks.tolist()):
            of, share, move = seen[track], shares[row], moves[frame][row]
            words = {"slow" if move > SLOW or np.isnan(move) else "fast" if move < FAST else "medium"}
            words.add("small" if share < SMALL else "large" if share >= LARGE else "middle")
            bad = set(hidden[track, frame])
            if of.light[frame] <= DARK:
                bad.add("dark")
            if of.noise[frame] >= NOISY:
                bad.add("noisy")
            if of.blur[frame] >= BLURRED * np.sqrt(share * size[0] * size[1]):
                bad.add("blurred")
            ignored[row] |= of.visible[frame] <= HIDDEN
            tags.append(frozenset(words | (bad or {"clean"})))
        result.append(truth._replace(tags=tuple(tags), ignored=ignored))
    return result
