"""Requests to the CUDA preprocessing kernel, and the runtime's parameters for them. For the tests and the GPU check."""

import numpy as np

from tests.kernels.cuda_driver import PILLOW, PYRAMID, PYRAMID_SMOOTHED
from tsm_edge import geometry, preprocess
from tsm_edge.manifest import FrameSpec

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LEVEL = 1 / 255  # largest difference from the runtime before the normalisation; float16 adds its own rounding
ROUNDING = {np.float32: 1e-5, np.float16: 2.0**-10}


def frame_spec(height, width, short_side, colour="RGB"):
    return FrameSpec("NCHW", colour, height, width, short_side, "center", MEAN, STD)


def picture(height, width, seed=0):
    """Return an image of noise (the worst case of a resize) below a gradient (an easy case)."""
    random = np.random.RandomState(seed)
    image = random.randint(0, 256, (height, width, 3)).astype(np.uint8)
    image[: height // 2] = (np.linspace(0, 255, width)[:, None] * [1, 0.5, 0.25]).astype(np.uint8)
    return image


def fast_axes(spec, shape):
    """Return the rows, the columns, the filter and the number of halvings of the fast path."""
    plan = preprocess._Plan(shape, spec)
    axes = [
        (s.source.start, s.source.stop - s.source.start, s.length, s.keep.start, size)
        for s, size in ((plan.rows, spec.height), (plan.columns, spec.width))
    ]
    return axes + [PYRAMID if plan.smooth is None else PYRAMID_SMOOTHED, len(plan.halves)]


def exact_axes(spec, shape):
    """Return the rows, the columns, the filter and the number of halvings of the exact path."""
    resized = geometry.resized_size(spec, shape[0], shape[1])
    sizes = (spec.height, spec.width)
    return [(0, s, r, geometry.crop_offset(r, c), c) for s, r, c in zip(shape, resized, sizes)] + [PILLOW, 0]


def levels(tensor):
    """Undo the normalisation: return values from 0 to 1."""
    mean, std = (np.array(v, np.float64)[:, None, None] for v in (MEAN, STD))
    return tensor.astype(np.float64) * std + mean


SIZES = [
    ((240, 320), (224, 224, 256)),  # enlarged
    ((256, 340), (224, 224, 256)),  # not resized
    ((480, 640), (112, 112, 128)),
    ((512, 512), (224, 224, 256)),  # halved, for which OpenCV has its own code
    ((360, 203), (64, 48, 72)),  # upright, odd
    ((720, 1280), (64, 64, 73)),
    ((720, 1280), (224, 224, 256)),
    ((1080, 1920), (224, 224, 256)),
    ((90, 160), (33, 31, 40)),
    ((1, 1), (8, 8, 8)),
]
