"""Crops and flips of whole clips: one choice for all frames. Pictures in, pictures out; nothing is normalised here.

Source: Group{MultiScaleCrop,Scale,CenterCrop,FullResSample} in ops/transforms.py of mit-han-lab/temporal-shift-module.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

from tsm_edge.errors import InputError, SourceError
from tsm_edge.geometry import crop_offset, resized_size
from tsm_edge.manifest import FrameSpec

from .config import Augment

MAX_ASPECT = 32
_SIDED = re.compile(r"(?<![a-z])(left|right|(counter|anti)?[ _-]?clockwise)", re.IGNORECASE)


def crop_pairs(height: int, width: int, frame: FrameSpec, scales: Sequence[float]) -> list[tuple[int, int]]:
    """Return all (height, width) of a multi-scale crop: its two scales are at most one apart in their list.

    A size within 2 pixels of the network's input becomes that, so that nothing is resized for so little.
    """
    side = min(height, width)
    sizes = [max(1, int(side * scale)) for scale in scales]
    heights, widths = ([t if abs(s - t) < 3 and t <= side else s for s in sizes] for t in (frame.height, frame.width))
    return [(h, w) for i, h in enumerate(heights) for j, w in enumerate(widths) if abs(i - j) <= 1]


def crop_places(height: int, width: int, crop_height: int, crop_width: int) -> list[tuple[int, int]]:
    """Return the 13 (top, left) where a crop may lie: even and inner points of a grid of quarters."""
    down, right = (height - crop_height) // 4, (width - crop_width) // 4
    grid = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2), (2, 0), (2, 4), (4, 2), (0, 2), (1, 1), (1, 3), (3, 1), (3, 3)]
    return [(row * down, column * right) for row, column in grid]


def train_crop(frames: np.ndarray, frame: FrameSpec, scales: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Return one random multi-scale crop of a clip, resized: (T, H, W, 3) uint8 -> (T, h, w, 3) uint8."""
    height, width = frames.shape[1:3]
    pairs = crop_pairs(height, width, frame, scales)
    crop_height, crop_width = pairs[rng.integers(len(pairs))]
    places = crop_places(height, width, crop_height, crop_width)
    top, left = places[rng.integers(len(places))]
    cut = frames[:, top : top + crop_height, left : left + crop_width]
    return np.stack([_resized(picture, frame.height, frame.width) for picture in cut])


def view_crop(frames: np.ndarray, frame: FrameSpec, augment: Augment, rng: np.random.Generator) -> np.ndarray:
    """Return a random view near the one that the device sees (the single crop of `eval_crops`).

    The view is zoomed, stretched, rotated and moved by random amounts up to those of `augment`. A view that reaches
    beyond the frame shows the frame mirrored at its edge.

    Args:
        frames: (T, H, W, 3) uint8.
        frame: the network's input, h x w.
        augment: its zoom, stretch, rotate and move.
        rng: five numbers are drawn from it.

    Returns:
        (T, h, w, 3) uint8.
    """
    zoom, stretch = np.exp(rng.uniform(-1, 1, 2) * np.log1p([augment.zoom, augment.stretch]))
    angle = np.deg2rad(rng.uniform(-augment.rotate, augment.rotate))
    move = rng.uniform(-augment.move, augment.move, 2) * (frame.width, frame.height)
    frames = _reduced(frames, frame, min(resized_size(frame, *frames.shape[1:3])) * 5 // 4)
    size = np.array(frames.shape[2:0:-1])  # width, height
    resized = resized_size(frame, *frames.shape[1:3])[::-1]
    scale = (size / resized).min()  # pixels of `frames` for one pixel of the input; the side that is not rounded
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = scale * zoom * turn * (stretch, 1 / stretch)
    middle = (size - 1) / 2 + scale * move
    offset = middle - matrix @ ((frame.width - 1) / 2, (frame.height - 1) / 2)
    to_source = np.column_stack([matrix, offset])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

    def warped(picture: np.ndarray) -> np.ndarray:
        target = frame.width, frame.height
        return cv2.warpAffine(picture, to_source, target, flags=flags, borderMode=cv2.BORDER_REFLECT_101)

    return np.stack([warped(picture) for picture in frames])


def _reduced(frames: np.ndarray, frame: FrameSpec, most: int) -> np.ndarray:
    """Reduce frames to a short side of `most` pixels where it is longer, so that a bilinear warp skips few pixels."""
    height, width = frames.shape[1:3]
    if min(height, width) <= most:
        return frames
    height, width = resized_size(frame._replace(crop="center", short_side=most), height, width)
    return np.stack([cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) for picture in frames])


def eval_crops(frames: np.ndarray, frame: FrameSpec, crops: int = 1) -> np.ndarray:
    """Resize a clip, then crop it: (T, H, W, 3) uint8 RGB -> (crops, T, h, w, 3) uint8 RGB.

    One crop is what the device sees. The border of a letterbox has the mean colour in whole levels, so it differs from
    the device's border by half a level at most. Three crops are left, right and middle; a letterbox has none to choose.

    Raises:
        SourceError: frames that are more than MAX_ASPECT times as long as wide. Resized they would be huge.
        ValueError: another number of crops.
    """
    height, width = resized_size(frame, *frames.shape[1:3])
    if frame.crop == "letterbox":
        if crops != 1:
            raise ValueError(f"crops: got {crops}, expected 1 for a letterbox")
        return _letterbox(np.stack([_resized(picture, height, width) for picture in frames]), frame)[None]
    if height * width > MAX_ASPECT * frame.short_side**2:
        got = f"frames of {frames.shape[2]} x {frames.shape[1]}"
        raise SourceError("clip", got, f"frames at most {MAX_ASPECT} times as long as wide", "crop them first")
    if crops == 1:
        places = [(crop_offset(height, frame.height), crop_offset(width, frame.width))]
    elif crops == 3:
        down, right = (height - frame.height) // 4, (width - frame.width) // 4
        places = [(2 * down, 0), (2 * down, 4 * right), (2 * down, 2 * right)]
    else:
        raise ValueError(f"crops: got {crops}, expected 1 or 3")
    whole = np.stack([_resized(picture, height, width) for picture in frames])
    return np.stack([whole[:, top : top + frame.height, left : left + frame.width] for top, left in places])


def _letterbox(frames: np.ndarray, frame: FrameSpec) -> np.ndarray:
    height, width = frames.shape[1:3]
    top, left = -crop_offset(height, frame.height), -crop_offset(width, frame.width)
    mean = np.rint(np.array(frame.mean)[:: 1 if frame.colour == "RGB" else -1] * 255).clip(0, 255)
    bordered = np.empty((len(frames), frame.height, frame.width, 3), np.uint8)
    bordered[:] = mean
    bordered[:, top : top + height, left : left + width] = frames
    return bordered


def _resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    if picture.shape[:2] == (height, width):
        return picture
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def flip_table(
    labels: Sequence[str], flip: bool | None, flip_map: Mapping[str, Any], named: bool, where: Any
) -> list[int] | None:
    """Return what each class becomes when its clip is flipped left to right, None for no flips.

    `flip` None flips where that is known to be right: where `flip_map` is given, or where a person named the labels and
    none of them mentions left, right or clockwise. A label that `flip_map` leaves out stays itself.
    Raises InputError for a map of unknown labels, one that does not lead back, or one that lacks labels with a side.
    """
    where = f"{where}: augment.flip_map"
    unknown = [str(label) for pair in flip_map.items() for label in pair if label not in labels]
    if unknown:
        raise InputError(where, ", ".join(unknown), "labels of the data", "correct the labels")
    one_way = [label for label, other in flip_map.items() if flip_map.get(other) != label]
    if one_way:
        raise InputError(where, f"{one_way[0]!r} does not come back", "pairs", "name both directions")
    sided = [label for label in labels if label not in flip_map and _SIDED.search(label)]
    if sided and (flip or (flip is None and flip_map)):
        do = "complete the map (label = label where it stays), or set augment.flip = false"
        raise InputError(where, f"no entry for {sided[0]!r}", "an entry for each label that has a side", do)
    if flip is False or (flip is None and not flip_map and (sided or not named)):
        return None
    return [labels.index(flip_map.get(label, label)) for label in labels]
