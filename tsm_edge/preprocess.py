"""From a camera frame to the input tensor: resize, crop or border, colour order, normalise, by the FrameSpec.

`exact` does what the training code did: Pillow's antialiased bilinear resize of the whole frame, then the crop
(torchvision's Resize and CenterCrop, as `GroupScale` and `GroupCenterCrop` in `ops/transforms.py` and
`online_demo/main.py` of mit-han-lab/temporal-shift-module call them). `fast` reads only the part of the frame that the
crop keeps, smooths it a little in place of Pillow's filter, and resizes it with OpenCV. Where nothing is resized, the
two differ by float32 rounding only. `tsm_edge.geometry` says where a frame lies in the tensor. The border of a
letterbox has the mean colour, which is 0 after the normalisation.
"""

from typing import Any, Callable, NamedTuple, Optional, Tuple

import numpy as np

from tsm_edge.errors import InputError
from tsm_edge.geometry import crop_offset, resized_size
from tsm_edge.manifest import FrameSpec

PATHS = ("fast", "exact")
MOST_RESIZED_PIXELS = 1 << 26  # of a frame whose short side became the model's: one of 1 x 60000 pixels has more

Resize = Callable[[np.ndarray], np.ndarray]  # (H, W, 3) uint8 -> (h, w, 3) uint8, cropped, without the border
Normalise = Callable[[np.ndarray, np.ndarray], None]  # the result of Resize, and the (3, h, w) float32 to fill with it


class Preprocessor:
    """Turns frames of any size into the tensor that `Engine.step` takes. For one thread at a time.

    path: "fast" (needs OpenCV) or "exact" (needs Pillow). Raises ValueError for another path, InputError where the
    path's library is not installed.
    """

    def __init__(self, frame: FrameSpec, path: str = "fast") -> None:
        if path not in PATHS:
            raise ValueError("path: got {!r}, expected one of {}".format(path, ", ".join(PATHS)))
        self._shape = (1, 3, frame.height, frame.width)
        self._resize, self._normalise = (_fast if path == "fast" else _exact)(frame)

    def __call__(self, image: np.ndarray, out: Optional[np.ndarray] = None) -> np.ndarray:
        """Preprocess one frame.

        Raises ValueError where `image` or `out` has another shape or dtype, InputError where the frame is so long and
        narrow that its resized form does not fit the memory.

        Args:
            image: (H, W, 3) uint8 in OpenCV's BGR order, any size from 1x1 up; not changed.
            out: (3, h, w) or (1, 3, h, w) float32, C-contiguous, to write into (a slot of a batch of streams). It
                saves an allocation a frame.

        Returns:
            (1, 3, h, w) float32, C-contiguous: `out`, or a new array where there is no `out`.
        """
        if not (isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3):
            raise ValueError("image: got {}, expected a (H, W, 3) uint8 array".format(_describe(image)))
        if image.shape[2] != 3 or 0 in image.shape:
            raise ValueError("image: got shape {}, expected (H, W, 3) with at least one pixel".format(image.shape))
        if out is None:
            out = np.empty(self._shape, np.float32)
        elif out.shape not in (self._shape, self._shape[1:]):
            raise ValueError("out: got shape {}, expected {}".format(out.shape, self._shape[1:]))
        elif out.dtype != np.float32 or not out.flags.c_contiguous or not out.flags.writeable:
            raise ValueError("out: got {}, expected writeable C-contiguous float32".format(_describe(out)))
        pixels, tensor = self._resize(image), out.reshape(self._shape[1:])
        height, width = pixels.shape[:2]
        if (height, width) != self._shape[2:]:
            top, left = (-crop_offset(length, whole) for length, whole in zip((height, width), self._shape[2:]))
            tensor.fill(0)
            tensor = tensor[:, top : top + height, left : left + width]
        self._normalise(pixels, tensor)
        return out.reshape(self._shape)


def _checked_size(shape: Tuple[int, ...], frame: FrameSpec) -> Tuple[int, int]:
    """Return `resized_size` of an image. Raises InputError where it is too large."""
    height, width = resized_size(frame, shape[0], shape[1])
    if height * width > MOST_RESIZED_PIXELS:
        got = "{}x{} pixels, which become {}x{}".format(shape[1], shape[0], width, height)
        expected = "at most {} pixels after the resize".format(MOST_RESIZED_PIXELS)
        raise InputError("frame", got, expected, "crop the pictures first")
    return height, width


def _exact(frame: FrameSpec) -> Tuple[Resize, Normalise]:
    """Return the two steps of the exact path, written as the published pipeline does them; NumPy and Pillow only."""
    try:
        from PIL import Image
    except ImportError:
        raise InputError("preprocessing path exact", "no Pillow", "Pillow", "pip install pillow") from None
    bilinear = getattr(Image, "Resampling", Image).BILINEAR  # Pillow 8 (Python 3.6) has no Resampling
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (frame.mean, frame.std))
    flip = frame.colour == "RGB"

    def resize(image: np.ndarray) -> np.ndarray:
        height, width = _checked_size(image.shape, frame)
        top, bottom = _kept(height, frame.height)
        left, right = _kept(width, frame.width)
        # Pillow believes that the channels are RGB. It treats all alike, so `normalise` may reorder them.
        whole = Image.fromarray(np.ascontiguousarray(image)).resize((width, height), bilinear)
        return np.asarray(whole.crop((left, top, right, bottom)))

    def normalise(pixels: np.ndarray, out: np.ndarray) -> None:
        planes = (pixels[:, :, ::-1] if flip else pixels).transpose(2, 0, 1).astype(np.float32)
        np.divide((planes / np.float32(255) - mean), std, out=out)

    return resize, normalise


def _fast(frame: FrameSpec) -> Tuple[Resize, Normalise]:
    """Return the two steps of the fast path: crop first, OpenCV's resizes, one pass for each channel."""
    try:
        import cv2
    except ImportError:
        do = "pip install opencv-python-headless (on a Jetson: apt install libopencv-python)"
        raise InputError("preprocessing path fast", "no OpenCV", "OpenCV", do) from None
    plan: Optional[_Plan] = None
    planes = [np.empty((0, 0), np.uint8)]
    # (level / 255 - mean) / std = gain * level + bias
    gains_and_biases = [(1 / (255.0 * std), -mean / std) for mean, std in zip(frame.mean, frame.std)]

    def resize(image: np.ndarray) -> np.ndarray:
        nonlocal plan
        if plan is None or image.shape != plan.shape:
            plan = _Plan(image.shape, frame)
        region = image[plan.rows.source, plan.columns.source]
        for half in plan.halves:
            region = cv2.resize(region, half.shape[1::-1], half, interpolation=cv2.INTER_AREA)
        if plan.smooth is not None:
            region = cv2.GaussianBlur(region, (3, 3), 0, plan.smooth)  # sigma 0: the weights 1/4, 1/2, 1/4
        cv2.resize(region, plan.scaled.shape[1::-1], plan.scaled, interpolation=cv2.INTER_LINEAR)
        return plan.scaled[plan.rows.keep, plan.columns.keep]

    def normalise(pixels: np.ndarray, out: np.ndarray) -> None:
        nonlocal planes
        if planes[0].shape != pixels.shape[:2]:
            planes = [np.empty(pixels.shape[:2], np.uint8) for _ in range(3)]
        cv2.split(pixels, planes)
        ordered = planes[::-1] if frame.colour == "RGB" else planes
        for plane, (gain, bias), target in zip(ordered, gains_and_biases, out):
            cv2.addWeighted(plane, gain, plane, 0, bias, target, cv2.CV_32F)  # faster than a table of 256 floats

    return resize, normalise


class _Plan:
    """What the fast path does with frames of one size, and its buffers.

    shape: (H, W, 3) of the frames.

    Pillow's filter for a reduction by s is a triangle of half-width s pixels, of variance s*s/6. OpenCV's bilinear
    resize always reads two pixels an axis (half-width 1), so for s above 1 the filter must be widened. Halving by 2x2
    means adds a variance of 1/4 and makes all later variance count fourfold; smoothing with (1, 2, 1)/4 adds 1/2. The
    combinations match s = 1 (neither), 2.0 (smooth), 2.3 (halve), 4.2 (both), 4.8 (halve twice), ...; the nearest
    combination is used.
    """

    def __init__(self, shape: Tuple[int, ...], frame: FrameSpec) -> None:
        self.shape = shape
        height, width = _checked_size(shape, frame)
        scale, halvings = min(shape[0] / height, shape[1] / width), 0
        while scale >= 2.2:
            scale, halvings = scale / 2, halvings + 1
        self.rows = _span(shape[0], height, frame.height, 2**halvings)
        self.columns = _span(shape[1], width, frame.width, 2**halvings)
        read = [axis.source.stop - axis.source.start for axis in (self.rows, self.columns)]
        sizes = [[length >> n for length in read] for n in range(halvings + 1)]
        self.halves = [np.empty(size + [3], np.uint8) for size in sizes[1:]]
        self.smooth = np.empty(sizes[-1] + [3], np.uint8) if scale > 1.55 else None
        self.scaled = np.empty((self.rows.length, self.columns.length, 3), np.uint8)


def _kept(resized: int, crop: int) -> Tuple[int, int]:
    """Return from where to where a centre crop of length `crop` keeps an axis; all of an axis that is not longer."""
    start = max(0, crop_offset(resized, crop))
    return start, min(resized, start + crop)


class _Span(NamedTuple):
    source: slice  # pixels of the frame to read, on one axis
    length: int  # to which they are resized
    keep: slice  # the crop within that


def _span(source: int, resized: int, crop: int, multiple: int, reach: int = 8) -> _Span:
    """Return which pixels of an axis to read, so that resizing them alone gives what the whole frame would give.

    `source` and `resized` are the axis' lengths in the frame and after the resize, `crop` is that of the centre crop.
    OpenCV resizes whole pixels, but the crop's edges seldom fall between two source pixels. So each edge moves outwards
    by up to `reach` resized pixels, to where it lies nearest to such a boundary, and the surplus is cut off again. The
    number of pixels to read is a multiple of `multiple` where possible (halving an odd number is slow).
    """
    scale = source / resized
    start, stop = _kept(resized, crop)
    if scale < 1 or stop - start == resized:  # enlarging blends in pixels beyond the crop's edge; that axis is short
        return _Span(slice(0, source), resized, slice(start, stop))

    def off_grid(edge: int) -> float:
        return round(abs(edge * scale - round(edge * scale)), 6)

    first = min(range(start, max(start - reach, 0) - 1, -1), key=off_grid)
    begin = int(round(first * scale))
    last = min(
        range(stop, min(stop + reach, resized) + 1),
        key=lambda edge: ((int(round(edge * scale)) - begin) % multiple, off_grid(edge)),
    )
    return _Span(slice(begin, int(round(last * scale))), last - first, slice(start - first, stop - first))


def _describe(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return type(value).__name__
    return "{} {}{}".format(value.shape, value.dtype, "" if value.flags.c_contiguous else " (strided)")
