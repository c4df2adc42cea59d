"""Where a camera frame lies in the input tensor, by the crop rule of the manifest's FrameSpec, and the way back."""

from typing import NamedTuple, Tuple

import numpy as np

from tsm_edge.manifest import FrameSpec


class Placement(NamedTuple):
    """Where a frame lies in the input tensor: input x = source x * scale_x + left, and the same for y.

    Coordinates are those of pixel edges: the first pixel of a frame reaches from 0 to 1.
    """

    scale_x: float  # pixels of the input for one pixel of the frame
    scale_y: float  # the same for the height, which is rounded on its own
    left: float  # pixels of the input; negative where a crop cuts off the frame's left
    top: float  # pixels of the input; negative where a crop cuts off the frame's top

    def to_source(self, boxes: np.ndarray) -> np.ndarray:
        """Return boxes of the input in pixels of the frame: (n, 4) x1 y1 x2 y2 -> (n, 4) float32, not clipped."""
        scales, offsets = self._scales_and_offsets()
        return ((np.asarray(boxes, np.float64).reshape(-1, 4) - offsets) / scales).astype(np.float32)

    def to_input(self, boxes: np.ndarray) -> np.ndarray:
        """Return boxes of the frame in pixels of the input: (n, 4) x1 y1 x2 y2 -> (n, 4) float32, not clipped."""
        scales, offsets = self._scales_and_offsets()
        return (np.asarray(boxes, np.float64).reshape(-1, 4) * scales + offsets).astype(np.float32)

    def _scales_and_offsets(self) -> Tuple[np.ndarray, np.ndarray]:
        return np.array([self.scale_x, self.scale_y] * 2), np.array([self.left, self.top] * 2)


def placement(frame: FrameSpec, height: int, width: int) -> Placement:
    """Return where a frame of (height, width) pixels lies in the input tensor."""
    resized_height, resized_width = resized_size(frame, height, width)
    top, left = crop_offset(resized_height, frame.height), crop_offset(resized_width, frame.width)
    return Placement(resized_width / width, resized_height / height, -float(left), -float(top))


def resized_size(frame: FrameSpec, height: int, width: int) -> Tuple[int, int]:
    """Return the (height, width) to which a frame of (height, width) pixels is resized, before the crop or the border.

    The crop rule "center" makes the short side `frame.short_side`. "letterbox" makes the frame fit into the input
    tensor. In both, the other side keeps the proportion and rounds down, to one pixel at least.
    Source: torchvision's Resize with one integer (`int(size * long / short)`).
    """
    if frame.crop == "letterbox":
        if frame.height * width <= frame.width * height:  # the height is what limits the size
            return frame.height, max(1, frame.height * width // height)
        return max(1, frame.width * height // width), frame.width
    if height <= width:
        return frame.short_side, frame.short_side * width // height
    return frame.short_side * height // width, frame.short_side


def unresized_size(frame: FrameSpec) -> Tuple[int, int]:
    """Return the (height, width) of a frame that is not resized on its way into the input tensor."""
    return (frame.height, frame.width) if frame.crop == "letterbox" else (frame.short_side, frame.short_side)


def crop_offset(size: int, crop: int) -> int:
    """Return where a centre crop of length `crop` starts on an axis of length `size`; negative where it adds a border.

    Source: torchvision's CenterCrop (`int(round((size - crop) / 2.0))`; Python rounds a half to the even number).
    """
    return int(round((size - crop) / 2.0))
