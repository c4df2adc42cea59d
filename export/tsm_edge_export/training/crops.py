"""Crops and flips of whole clips: one choice for all frames. Pictures in, pictures out; nothing is normalised here.

Source: GroupMultiScaleCrop, GroupScale, GroupCenterCrop and GroupFullResSample in ops/transforms.py of
mit-han-lab/temporal-shift-module.
"""

import re

import numpy as np
from PIL import Image

from tsm_edge.errors import InputError
from tsm_edge.preprocess import crop_offset, resized_size

_SIDED = re.compile(r"(?<![a-z])(left|right|(counter|anti)?[ _-]?clockwise)", re.IGNORECASE)


def crop_sizes(side, target, scales):
    """What a crop's height (or width) can be, one for each scale.

    side: the shorter side of the frame; target: the input's height (or width). A size within 2 pixels of the target
    becomes the target, so that nothing is resized for so little.
    """
    sizes = [int(side * scale) for scale in scales]
    return [target if abs(size - target) < 3 and target <= side else size for size in sizes]


def crop_pairs(height, width, frame, scales):
    """All (height, width) of a multi-scale crop: the two scales are at most one apart in their list."""
    side = min(height, width)
    heights, widths = crop_sizes(side, frame.height, scales), crop_sizes(side, frame.width, scales)
    return [(h, w) for i, h in enumerate(heights) for j, w in enumerate(widths) if abs(i - j) <= 1]


def crop_places(height, width, crop_height, crop_width):
    """The 13 (top, left) where a crop may lie: on a grid of quarters, all of its even and all of its inner points."""
    down, right = (height - crop_height) // 4, (width - crop_width) // 4
    grid = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2), (2, 0), (2, 4), (4, 2), (0, 2), (1, 1), (1, 3), (3, 1), (3, 3)]
    return [(row * down, column * right) for row, column in grid]


def train_crop(frames, frame, scales, rng):
    """One random multi-scale crop, resized to the network's input.

    frames: (T, H, W, 3) uint8; frame: a FrameSpec; rng: a numpy.random.Generator. Returns (T, h, w, 3) uint8.
    """
    height, width = frames.shape[1:3]
    pairs = crop_pairs(height, width, frame, scales)
    crop_height, crop_width = pairs[rng.integers(len(pairs))]
    places = crop_places(height, width, crop_height, crop_width)
    top, left = places[rng.integers(len(places))]
    cut = frames[:, top : top + crop_height, left : left + crop_width]
    return np.stack([_resized(picture, frame.height, frame.width) for picture in cut])


def eval_crops(frames, frame, crops=1):
    """Short side resized, then the crops: 1 is the centre, as the device sees it; 3 are left, right and middle.

    frames: (T, H, W, 3) uint8. Returns (crops, T, h, w, 3) uint8. Raises ValueError for another number.
    """
    height, width = resized_size(*frames.shape[1:3], frame.short_side)
    if crops == 1:
        places = [(crop_offset(height, frame.height), crop_offset(width, frame.width))]
    elif crops == 3:
        down, right = (height - frame.height) // 4, (width - frame.width) // 4
        places = [(2 * down, 0), (2 * down, 4 * right), (2 * down, 2 * right)]
    else:
        raise ValueError(f"crops: got {crops}, expected 1 or 3")
    whole = np.stack([_resized(picture, height, width) for picture in frames])
    return np.stack([whole[:, top : top + frame.height, left : left + frame.width] for top, left in places])


def _resized(picture, height, width):
    if picture.shape[:2] == (height, width):
        return picture
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def flip_table(labels, flip, flip_map, named, where):
    """What each class becomes when its clip is flipped left to right: a list of class numbers, or None for no flips.

    labels: all of them. flip: True, False, or None: flip where that is known to be right, that is where `flip_map` is
    given or (named: somebody named the labels) none of them speaks of left, right or clockwise.
    flip_map: label -> label after the flip; what it leaves out stays itself.
    Raises InputError for a map of unknown labels, one that does not lead back, and for flip = True with labels that
    speak of a side without saying what they flip into.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    unknown = [str(label) for pair in flip_map.items() for label in pair if label not in numbers]
    if unknown:
        raise InputError(f"{where}: augment.flip_map", ", ".join(unknown), "labels of the data", "correct the labels")
    one_way = [label for label, other in flip_map.items() if flip_map.get(other) != label]
    if one_way:
        raise InputError(
            f"{where}: augment.flip_map", f"{one_way[0]!r} does not come back", "pairs", "name both directions"
        )
    sided = [label for label in labels if label not in flip_map and _SIDED.search(label)]
    if sided and (flip or (flip is None and flip_map)):
        raise InputError(
            f"{where}: augment.flip",
            f"no word on what {sided[0]!r} flips into",
            "an entry in augment.flip_map for each label that has a side",
            "complete the map (label = label where it stays), or set flip = false",
        )
    if flip is False or (flip is None and not flip_map and (sided or not named)):
        return None
    return [numbers[flip_map.get(label, label)] for label in labels]
