"""The `fast` preprocessing against the `exact` one: time, pixels, and the top-1 of a trained network.

The network is a 2D MobileNetV2 with weights for 19 dog breeds (../shared/data/README.md). The clips show no dogs, so
the network is unsure and its top-1 changes easily: a hard test of "the same answer".
"""

import ctypes
import functools
from statistics import mean, median

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import common
from tsm_edge.manifest import ArchSpec, FrameSpec
from tsm_edge.preprocess import Preprocessor
from tsm_edge_export import models
from tsm_edge_export.checkpoints import load

FRAME = FrameSpec("NCHW", "RGB", 224, 224, 256, "center", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIPS = ("mmaction2_demo.mp4", "mmaction2_test.mp4", "decord_flipping_a_pancake.mkv", "mmaction2_demo_skeleton.mp4")
SIZES = {"340x256": (340, 256), "640x480": (640, 480), "720p": (1280, 720), "1080p": (1920, 1080)}
WEIGHTS = common.CLIPS.parent / "weights" / "mobilenetv2_labdog19_from_keras.pth"
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
BATCH = 8
EVERY = 5  # neighbours in a video are nearly the same frame


def frames(clip):
    """Return every EVERY-th frame of a clip, (H, W, 3) uint8 BGR."""
    capture, found = cv2.VideoCapture(str(common.CLIPS / clip)), []
    while capture.grab():
        found.append(capture.retrieve()[1] if len(found) % EVERY == 0 else None)
    return [image for image in found if image is not None]


def resized(image, size):
    """Return the frame as a camera of `size` (width, height) might have seen it; None changes nothing."""
    if size is None or image.shape[1::-1] == size:
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_CUBIC)


def dog_network():
    """Return the 2D network, with TensorFlow's padding and epsilon: its weights were trained with these."""
    arch = ArchSpec("mobilenetv2", 1.0, 19)
    network = models.build(arch).eval()
    network.load_state_dict(load(WEIGHTS, arch, start=True).state)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.padding = (0, 0)
            module.register_forward_pre_hook(lambda _, inputs: (F.pad(inputs[0], (0, 1, 0, 1)),))
    return network


def times(paths, sizes, rounds):
    """Time both paths in turn, BATCH calls a turn: on one frame (warm: in the caches), and on as many frames (cold)."""
    rows, images = {}, frames(CLIPS[0])[:BATCH]
    for name, size in sizes.items():
        scaled = [resized(image, size) for image in images]
        for warmth, batch in (("warm", scaled[:1] * BATCH), ("cold", scaled)):
            sides = {path: functools.partial(preprocess_all, preprocess, batch) for path, preprocess in paths.items()}
            seconds = common.in_turn(sides, rounds)
            rows |= {f"{name} {warmth}: {path}, ms": 1e3 * median(values) / BATCH for path, values in seconds.items()}
            rows[f"{name} {warmth}: exact / fast"] = common.ratio(seconds, "exact", "fast")
    return rows


def preprocess_all(preprocess, images):
    for image in images:
        preprocess(image)


def differences(paths, clips, network):
    """Compare both paths: the mean absolute difference in levels of 255, and how often the top-1 is the same."""
    rows, levels = {}, 255 * np.array(FRAME.std)[:, None, None]
    for size_name in (None, "720p"):
        for clip in clips:
            distance, same, step = [], [], []
            for image in frames(clip):
                pair = np.concatenate(
                    [preprocess(resized(image, SIZES.get(size_name))) for preprocess in paths.values()]
                )
                distance.append(float((np.abs(pair[0] - pair[1]) * levels).mean()))
                with torch.inference_mode():
                    (logits,) = network.frame(torch.from_numpy(pair))
                fast, exact = logits.numpy()
                same.append(float(fast.argmax() == exact.argmax()))
                step.append(float(np.abs(fast - exact).mean()))
            case = f"{clip} {size_name or 'as it is'}"
            rows[f"{case}: mean difference of 255"] = mean(distance)
            rows[f"{case}: mean difference of logits"] = mean(step)
            rows[f"{case}: same top-1 of {len(same)}, %"] = 100 * mean(same)
    return rows


def keep_freed_memory():
    """Make glibc keep freed memory. Whether it returns memory at every call, and faults it in again, is chance.

    That chance would double the time of `exact` on small frames. Nothing is changed with another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the most that it takes
        mallopt(M_TRIM_THRESHOLD, 1 << 30)


def main():
    chosen = common.options(__doc__, rounds=30)
    keep_freed_memory()
    cv2.setNumThreads(chosen.threads)
    torch.set_num_threads(1)  # not timed; more threads than free cores would wait for each other
    paths = {path: Preprocessor(FRAME, path) for path in ("fast", "exact")}
    sizes, clips = (dict(list(SIZES.items())[:1]), CLIPS[:1]) if chosen.quick else (SIZES, CLIPS)
    rows = times(paths, sizes, chosen.rounds) | differences(paths, clips, dog_network())
    common.finish("preprocess", rows, chosen)


if __name__ == "__main__":
    main()
