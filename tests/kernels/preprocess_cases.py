"""Requests to the CUDA preprocessing kernel, and what the runtime says of them; for the tests and for a GPU's check."""

import numpy as np

from tests.kernels.cuda_driver import PILLOW, PYRAMID, PYRAMID_SMOOTHED
from tsm_edge import preprocess
from tsm_edge.manifest import FrameSpec

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LEVEL = 1 / 255  # the bound that issue 4 sets, before the normalisation; float16 adds its own rounding
ROUNDING = {np.float32: 1e-5, np.float16: 2.0**-10}


def frame_spec(height, width, short_side, colour="RGB"):
    return FrameSpec("NCHW", colour, height, width, short_side, "center", MEAN, STD)


def picture(height, width, seed=0):
    """Noise over a gradient: both the worst case of a resize and a plain one."""
    random = np.random.RandomState(seed)
    image = random.randint(0, 256, (height, width, 3)).astype(np.uint8)
    image[: height // 2] = (np.linspace(0, 255, width)[:, None] * [1, 0.5, 0.25]).astype(np.uint8)
    return image


def fast_axes(spec, shape):
    """What the fast path reads and how often it halves that, and the filter that it then takes."""
    plan = preprocess._Plan(shape, spec)
    axes = [
        (s.source.start, s.source.stop - s.source.start, s.length, s.keep.start, size)
        for s, size in ((plan.rows, spec.height), (plan.columns, spec.width))
    ]
    return axes + [PYRAMID if plan.smooth is None else PYRAMID_SMOOTHED, len(plan.halves)]


def exact_axes(spec, shape):
    """The whole frame, resized, then cropped."""
    resized = preprocess.resized_size(shape[0], shape[1], spec.short_side)
    sizes = (spec.height, spec.width)
    return [(0, s, r, preprocess.crop_offset(r, c), c) for s, r, c in zip(shape, resized, sizes)] + [PILLOW, 0]


def levels(tensor):
    """Back to 0..1."""
    mean, std = (np.array(v, np.float64)[:, None, None] for v in (MEAN, STD))
    return tensor.astype(np.float64) * std + mean


SIZES = [
    ((240, 320), (224, 224, 256)),  # enlarged
    ((256, 340), (224, 224, 256)),  # as it is
    ((480, 640), (112, 112, 128)),
    ((512, 512), (224, 224, 256)),  # halved: OpenCV takes another way there
    ((360, 203), (64, 48, 72)),  # upright, odd
    ((720, 1280), (64, 64, 73)),
    ((720, 1280), (224, 224, 256)),
    ((1080, 1920), (224, 224, 256)),
    ((90, 160), (33, 31, 40)),
    ((1, 1), (8, 8, 8)),
]
