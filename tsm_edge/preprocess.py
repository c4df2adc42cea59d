"""From a camera frame to the input tensor: resize, centre crop, colour order, normalise, by the manifest's FrameSpec.

Two paths with one meaning. `exact` is what the training code did: Pillow's antialiased bilinear resize of the whole
frame, then the crop (torchvision's Resize and CenterCrop, as `GroupScale` and `GroupCenterCrop` in `ops/transforms.py`
and `online_demo/main.py` of mit-han-lab/temporal-shift-module call them). `fast` reads only the part of the frame that
the crop keeps, resizes that with OpenCV after the little smoothing that stands in for Pillow's filter, and normalises
each channel in one pass into a buffer that it reuses. Where nothing is resized the two differ by float32 rounding only.
"""

from typing import NamedTuple

import numpy as np

from tsm_edge.errors import InputError

PATHS = ("fast", "exact")


class Preprocessor:
    """Turns frames into the tensor that `Engine.step` takes. Any number of frame sizes, one thread at a time.

    frame: the manifest's :class:`tsm_edge.manifest.FrameSpec`. path: "fast" (needs OpenCV) or "exact" (needs Pillow).
    Raises ValueError for another path, InputError where the path's library is not installed.
    """

    def __init__(self, frame, path="fast"):
        if path not in PATHS:
            raise ValueError("path: got {!r}, expected one of {}".format(path, ", ".join(PATHS)))
        self.frame = frame
        self.path = path
        self._buffer = np.zeros((1, 3, frame.height, frame.width), np.float32)
        # _resize: (H, W, 3) uint8 -> (h, w, 3) uint8, and _normalise: that, and (3, h, w) float32 to fill.
        self._resize, self._normalise = (_fast if path == "fast" else _exact)(frame)

    def __call__(self, image, out=None):
        """Preprocess one frame.

        image: (H, W, 3) uint8 in OpenCV's BGR order, any size from 1x1 up; not changed.
        out: None, or (3, h, w) or (1, 3, h, w) float32, C-contiguous, to write into (a slot of a batch of streams).
        Returns (1, 3, h, w) float32, C-contiguous: a view of `out`, or this object's own buffer, which the next call
        without `out` overwrites. Raises ValueError where image or out have another shape or dtype.
        """
        if not (isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3):
            raise ValueError("image: got {}, expected a (H, W, 3) uint8 array".format(_describe(image)))
        if image.shape[2] != 3 or 0 in image.shape:
            raise ValueError("image: got shape {}, expected (H, W, 3) with at least one pixel".format(image.shape))
        if out is None:
            out = self._buffer
        elif out.size != self._buffer.size or out.shape[-3:] != self._buffer.shape[1:]:
            raise ValueError("out: got shape {}, expected {}".format(out.shape, self._buffer.shape[1:]))
        elif out.dtype != np.float32 or not out.flags.c_contiguous or not out.flags.writeable:
            raise ValueError("out: got {}, expected writeable C-contiguous float32".format(_describe(out)))
        self._normalise(self._resize(image), out.reshape(self._buffer.shape[1:]))
        return out.reshape(self._buffer.shape)


def resized_size(height, width, short_side):
    """The size of a (height, width) frame after its short side became `short_side`; the long side rounds down.

    Source: torchvision's Resize with one integer (`int(size * long / short)`).
    """
    if height <= width:
        return short_side, short_side * width // height
    return short_side * height // width, short_side


def crop_offset(size, crop):
    """Where a centre crop of length `crop` starts on an axis of length `size`.

    Source: torchvision's CenterCrop (`int(round((size - crop) / 2.0))`; Python rounds a half to the even number).
    """
    return int(round((size - crop) / 2.0))


def _exact(frame):
    """The two steps of the exact path, written as the published pipeline does them; NumPy and Pillow only."""
    try:
        from PIL import Image
    except ImportError:
        raise _missing("exact", "Pillow", "pip install pillow") from None
    bilinear = getattr(Image, "Resampling", Image).BILINEAR  # Pillow 8 (Python 3.6) has no Resampling
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (frame.mean, frame.std))
    flip = frame.colour == "RGB"

    def resize(image):
        height, width = resized_size(image.shape[0], image.shape[1], frame.short_side)
        top, left = crop_offset(height, frame.height), crop_offset(width, frame.width)
        # Pillow takes the three channels for RGB; it treats all alike, so their order may change afterwards.
        whole = Image.fromarray(np.ascontiguousarray(image)).resize((width, height), bilinear)
        return np.asarray(whole.crop((left, top, left + frame.width, top + frame.height)))

    def normalise(pixels, out):
        planes = (pixels[:, :, ::-1] if flip else pixels).transpose(2, 0, 1).astype(np.float32)
        np.divide((planes / np.float32(255) - mean), std, out=out)

    return resize, normalise


def _fast(frame):
    """The two steps of the fast path: crop first, OpenCV's resizes, one pass for each channel."""
    try:
        import cv2
    except ImportError:
        raise _missing(
            "fast", "OpenCV", "pip install opencv-python-headless (on a Jetson: apt install libopencv-python)"
        ) from None
    size = plan = None
    planes = [np.empty((frame.height, frame.width), np.uint8) for _ in range(3)]
    # (level / 255 - m) / s = gain * level + bias
    lines = [(1 / (255.0 * s), -m / s) for m, s in zip(frame.mean, frame.std)]

    def resize(image):
        nonlocal size, plan
        if image.shape != size:
            size, plan = image.shape, _Plan(image.shape, frame)
        region = image[plan.rows.source, plan.columns.source]
        for half in plan.halves:
            region = cv2.resize(region, half.shape[1::-1], half, interpolation=cv2.INTER_AREA)
        if plan.smooth is not None:
            region = cv2.GaussianBlur(region, (3, 3), 0, plan.smooth)  # sigma 0: the weights 1/4, 1/2, 1/4
        cv2.resize(region, plan.scaled.shape[1::-1], plan.scaled, interpolation=cv2.INTER_LINEAR)
        return plan.scaled[plan.rows.keep, plan.columns.keep]

    def normalise(pixels, out):
        cv2.split(pixels, planes)
        for plane, (gain, bias), target in zip(planes[::-1] if frame.colour == "RGB" else planes, lines, out):
            cv2.addWeighted(plane, gain, plane, 0, bias, target, cv2.CV_32F)  # faster than a table of 256 floats

    return resize, normalise


class _Plan:
    """What the fast path does with frames of one size, and the buffers for it.

    Pillow's filter for a reduction by s is a triangle of half-width s pixels, of variance s*s/6. OpenCV's bilinear
    always reads two pixels an axis (a triangle of half-width 1), so for s above 1 something must widen it: halving by
    2x2 means adds 1/4 and makes all after it count fourfold, smoothing with (1, 2, 1)/4 adds 1/2. The combinations
    match s = 1 (neither), 2.0 (smooth), 2.3 (halve), 4.2 (both), 4.8 (halve twice), ...; the nearest one is taken.
    """

    def __init__(self, shape, frame):
        height, width = resized_size(shape[0], shape[1], frame.short_side)
        scale, halvings = min(shape[0] / height, shape[1] / width), 0
        while scale >= 2.2:
            scale, halvings = scale / 2, halvings + 1
        self.rows = _span(shape[0], height, frame.height, 2**halvings)
        self.columns = _span(shape[1], width, frame.width, 2**halvings)
        sizes = [
            [(axis.source.stop - axis.source.start) >> n for axis in (self.rows, self.columns)]
            for n in range(halvings + 1)
        ]
        self.halves = [np.empty(size + [3], np.uint8) for size in sizes[1:]]
        self.smooth = np.empty(sizes[-1] + [3], np.uint8) if scale > 1.55 else None
        self.scaled = np.empty((self.rows.length, self.columns.length, 3), np.uint8)


_Span = NamedTuple(
    "_Span",
    [
        ("source", slice),  # pixels of the frame to read
        ("length", int),  # what they are resized to
        ("keep", slice),  # the crop within that
    ],
)


def _span(source, resized, crop, multiple, reach=8):
    """One axis of "crop first": which pixels to read, so that resizing them alone gives what the whole frame would.

    source, resized: the axis' length in the frame and after the resize; crop: the centre crop's length.
    OpenCV resizes whole pixels, but the crop's edges seldom fall between two. So each edge moves outwards by up to
    `reach` resized pixels, to where it lies nearest to a whole source pixel, and the surplus is cut off again. Where
    it can be had, the number of pixels to read is a multiple of `multiple` (halving an odd number is slow).
    """
    scale = source / resized
    start = crop_offset(resized, crop)
    stop = start + crop
    if scale < 1:  # enlarging blends pixels from beyond the crop's edge: read the whole axis, it is short
        return _Span(slice(0, source), resized, slice(start, stop))

    def off_grid(edge):
        return round(abs(edge * scale - round(edge * scale)), 6)

    first = min(range(start, max(start - reach, 0) - 1, -1), key=off_grid)
    begin = int(round(first * scale))
    last = min(
        range(stop, min(stop + reach, resized) + 1),
        key=lambda edge: ((int(round(edge * scale)) - begin) % multiple, off_grid(edge)),
    )
    return _Span(slice(begin, int(round(last * scale))), last - first, slice(start - first, stop - first))


def _missing(path, library, command):
    return InputError("preprocessing path " + path, "no " + library, library, command)


def _describe(value):
    if not isinstance(value, np.ndarray):
        return type(value).__name__
    return "{} {}{}".format(value.shape, value.dtype, "" if value.flags.c_contiguous else " (strided)")
