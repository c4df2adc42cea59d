"""Random views of clips with boxes: the boxes move with the picture. Pictures and boxes in, pictures and boxes out."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from tsm_edge.geometry import crop_offset, placement, resized_size
from tsm_edge.manifest import FrameSpec

from .truth import Truth

LEAST_VISIBLE = 0.3  # share of a box's area; a box of which the view shows less is ignored
LEAST_SIDE = 2.0  # pixels of the input tensor; a box with a shorter side is ignored


class View(NamedTuple):
    """A part of a frame as the input tensor shows it: input x = scale_x * source x + left, in pixel edges."""

    scale_x: float
    scale_y: float
    left: float
    top: float
    flipped: bool = False  # left to right, after all else


def plain_view(frame: FrameSpec, height: int, width: int) -> View:
    """Return the view that the device has of a frame of (height, width) pixels."""
    return View(*placement(frame, height, width))


def random_view(
    frame: FrameSpec, size: tuple[int, int], zoom: float, move: float, flip: bool, rng: np.random.Generator
) -> View:
    """Return a random view near the one of the device. Four numbers are drawn from `rng`.

    Args:
        frame: the input tensor.
        size: (height, width) of the clip's frames.
        zoom: the view is at most 1 + zoom times larger or smaller.
        move: it is moved by at most this share of the input's width and height.
        flip: whether half of the views are flipped.
        rng: draws the view.
    """
    at = placement(frame, *size)
    scale = float(np.exp(rng.uniform(-1, 1) * np.log1p(zoom)))
    x, y = rng.uniform(-move, move, 2) * (frame.width, frame.height)
    left = (at.left - frame.width / 2) * scale + frame.width / 2 + x
    top = (at.top - frame.height / 2) * scale + frame.height / 2 + y
    turned = bool(rng.random() < 0.5)
    return View(at.scale_x * scale, at.scale_y * scale, left, top, flip and turned)


def device_frames(frames: np.ndarray, frame: FrameSpec) -> np.ndarray:
    """Return frames as the device resizes, crops or letterboxes them: (T, H, W, 3) uint8 RGB -> (T, h, w, 3) uint8 RGB.

    The border of a letterbox has the mean colour, rounded to whole levels.
    """
    height, width = resized_size(frame, *frames.shape[1:3])
    if (height, width) != frames.shape[1:3]:
        pictures = [Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR) for picture in frames]
        frames = np.stack([np.asarray(picture) for picture in pictures])
    top, left = crop_offset(height, frame.height), crop_offset(width, frame.width)
    made = np.empty((len(frames), frame.height, frame.width, 3), np.uint8)
    made[:] = np.rint(mean_colour(frame)).astype(np.uint8)
    rows = slice(max(-top, 0), min(height - top, frame.height))
    columns = slice(max(-left, 0), min(width - left, frame.width))
    made[:, rows, columns] = frames[:, rows.start + top : rows.stop + top, columns.start + left : columns.stop + left]
    return made


def view_frames(frames: np.ndarray, view: View, frame: FrameSpec) -> np.ndarray:
    """Return frames as a view shows them, (T, H, W, 3) uint8 RGB -> (T, h, w, 3) uint8 RGB.

    What lies beyond the frame has the mean colour, which the device's letterbox also has.
    """
    reduce = min(1.0, 1.25 * max(view.scale_x, view.scale_y))  # a bilinear warp must not skip pixels
    if reduce < 0.8:
        width, height = (max(1, round(side * reduce)) for side in frames.shape[2:0:-1])
        view = view._replace(
            scale_x=view.scale_x * frames.shape[2] / width, scale_y=view.scale_y * frames.shape[1] / height
        )
        frames = np.stack([cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) for picture in frames])
    # OpenCV's coordinates are those of the middles of pixels.
    matrix = np.array(
        [
            [view.scale_x, 0, view.left + 0.5 * view.scale_x - 0.5],
            [0, view.scale_y, view.top + 0.5 * view.scale_y - 0.5],
        ]
    )
    size, colour = (frame.width, frame.height), mean_colour(frame)
    made = np.stack(
        [cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderValue=colour) for picture in frames]
    )
    return np.ascontiguousarray(made[:, :, ::-1]) if view.flipped else made


def view_truth(truth: Truth, view: View, frame: FrameSpec) -> Truth:
    """Return the boxes that a view shows, in pixels of the input tensor, cut off at its edges.

    A box of which little is left (LEAST_VISIBLE, LEAST_SIDE) is ignored. A box outside of the view is left out.
    """
    scales, offsets = (view.scale_x, view.scale_y) * 2, (view.left, view.top) * 2
    boxes = truth.boxes.astype(np.float64) * scales + offsets
    if view.flipped:
        boxes[:, [0, 2]] = frame.width - boxes[:, [2, 0]]
    whole = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    cut = boxes.clip(0, (frame.width, frame.height) * 2)
    sides = cut[:, 2:] - cut[:, :2]
    inside = (sides > 0).all(1)
    small = (sides.prod(1) < LEAST_VISIBLE * whole) | (sides.min(1, initial=np.inf) < LEAST_SIDE)
    tags: Sequence[frozenset[str]] = [words for words, kept in zip(truth.tags, inside, strict=False) if kept]
    return Truth(
        cut[inside].astype(np.float32),
        truth.classes[inside],
        truth.tracks[inside],
        (truth.ignored | small)[inside],
        tuple(tags),
    )


def mean_colour(frame: FrameSpec) -> tuple[float, ...]:
    """Return the RGB colour that is 0 after normalisation, in levels of 0 to 255."""
    mean = frame.mean if frame.colour == "RGB" else frame.mean[::-1]
    return tuple(255.0 * value for value in mean)
