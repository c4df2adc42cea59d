"""The groups that a detector is measured by: motion, size, and the tags of the true boxes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tsm_edge.heads.boxes import iou
from tsm_edge.sources.images import natural_key

from .truth import Truth

NEAR_FRAMES = 10  # on either side, whose boxes a track's motion is computed from
SLOW, FAST = 0.9, 0.7  # mean overlap above which an object is slow, and below which it is fast
MOTIONS, SIZES = ("slow", "medium", "fast"), ("small", "medium", "large")
COMPUTED = {*MOTIONS, *SIZES, "middle"}  # tags that say what is computed here
# Shares of the picture's area. COCO's 32^2 and 96^2 pixels are these shares of its usual picture of 640 x 480.
SMALL, LARGE = 32**2 / (640 * 480), 96**2 / (640 * 480)


class Group(NamedTuple):
    """The true boxes of one kind.

    Attributes:
        kind: "motion", "size", "tag" or "tags".
        name: "fast", "small", the tag, or what the tags say together.
        least, most: shares of the picture's area that a size has, from `least` on and below `most`; None for no size.
        tags: a box is in the group if it has all tags of one of these sets; for the kinds "tag" and "tags".
    """

    kind: str
    name: str
    least: float | None = None
    most: float | None = None
    tags: tuple[frozenset[str], ...] = ()


def tag_group(tag: str) -> Group:
    """Return the group of the boxes with a tag."""
    return Group("tag", tag, tags=(frozenset({tag}),))


# Of rendered clips: where memory cannot help, and where it should. Measured where the boxes have all of these tags.
SLOW_AND_CLEAN = Group("tags", "slow and clean", tags=(frozenset({"slow", "clean"}),))
_HARD = "fast", "dark", "occluded 1-4", "occluded 5-8"
HARD = Group("tags", "fast, dark or occluded 1-8", tags=tuple(frozenset({tag}) for tag in _HARD))
MOTION_GROUPS = tuple(Group("motion", name) for name in MOTIONS)
SIZE_GROUPS = tuple(
    Group("size", name, least, most)
    for name, least, most in zip(SIZES, (0.0, SMALL, LARGE), (SMALL, LARGE, float("inf")), strict=True)
)


def motion(truths: Sequence[Truth]) -> list[np.ndarray]:
    """Return how much each true box of a clip moves: for each frame (n,) float64, 0 to 1, and NaN where unknown.

    It is the mean overlap of the box with the box of the same object in the frames up to ten away, which is 1 for an
    object that rests. It is unknown for a box without a track, and for an object in a single frame.
    Source: Zhu et al., "Flow-Guided Feature Aggregation for Video Object Detection", 2017, section 5.1.

    Args:
        truths: the true boxes of all frames of one clip, in order.
    """
    values = [np.full(len(truth.tracks), np.nan) for truth in truths]
    places: dict[int, list[tuple[int, int]]] = {}
    for frame, truth in enumerate(truths):
        for row, track in enumerate(truth.tracks.tolist()):
            if track >= 0:
                places.setdefault(track, []).append((frame, row))
    for found in places.values():
        frames = np.array([frame for frame, _ in found])
        boxes = np.stack([truths[frame].boxes[row] for frame, row in found])
        first = np.searchsorted(frames, frames - NEAR_FRAMES, "left")
        last = np.searchsorted(frames, frames + NEAR_FRAMES, "right")
        for place, (frame, row) in enumerate(found):
            others = np.arange(first[place], last[place])
            others = others[others != place]
            if len(others):
                values[frame][row] = iou(boxes[place], boxes[others]).mean()
    return values


def areas(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the area of each box as a share of the picture: (n, 4) -> (n,) float64. size: (height, width)."""
    sides = np.asarray(boxes, np.float64).reshape(-1, 4)
    return (sides[:, 2:] - sides[:, :2]).prod(1) / (size[0] * size[1])


class Members(NamedTuple):
    """The groups of the true boxes of one clip."""

    motion: list[np.ndarray]  # of `motion`
    truths: Sequence[Truth]
    size: tuple[int, int]

    def of(self, group: Group, frame: int) -> np.ndarray:
        """Return which true boxes of a frame are in a group: (n,) bool."""
        truth = self.truths[frame]
        if group.tags:
            return np.array([any(wanted <= tags for wanted in group.tags) for tags in truth.tags], bool)
        if group.least is not None and group.most is not None:
            share = areas(truth.boxes, self.size)
            return (group.least <= share) & (share < group.most)
        value = self.motion[frame]
        with np.errstate(invalid="ignore"):
            return {"slow": value > SLOW, "fast": value < FAST}.get(group.name, (value >= FAST) & (value <= SLOW))


def members(truths: Sequence[Truth], size: tuple[int, int]) -> Members:
    """Return the groups of one clip. size: (height, width) of its frames."""
    return Members(motion(truths), truths, size)


def groups_in(clips: Sequence[Members]) -> tuple[Group, ...]:
    """Return the groups to measure: motion where tracks are known, sizes, and every tag, in the order of their names.

    A tag that is a word for motion or size is left out, because both are computed here.
    """
    moving = any(not np.isnan(value).all() for clip in clips for value in clip.motion if len(value))
    tags = {tag for clip in clips for truth in clip.truths for of_box in truth.tags for tag in of_box}
    named = [tag_group(tag) for tag in sorted(tags - COMPUTED, key=natural_key)]
    joint = [group for group in (SLOW_AND_CLEAN, HARD) if frozenset().union(*group.tags) <= tags]
    return (MOTION_GROUPS if moving else ()) + SIZE_GROUPS + (*named, *joint)
