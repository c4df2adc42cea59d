"""Check the CUDA kernels on a GPU; the exit code is 1 if a check fails.

The shift must equal tsm_edge/shift.py bit by bit in every type and layout, preprocessing must equal
tsm_edge/preprocess.py within one level of 255, and 10,000 chained steps must equal the causal clip.
"""

import argparse
import itertools

import numpy as np

from benchmarks.gpu import device
from tests.kernels.cuda_driver import lanes_of, pack
from tests.kernels.preprocess_cases import (
    LEVEL,
    MEAN,
    ROUNDING,
    SIZES,
    STD,
    exact_axes,
    fast_axes,
    frame_spec,
    levels,
    picture,
)
from tsm_edge.preprocess import Preprocessor
from tsm_edge.shift import shift_clip, shift_step

SHAPES = [((1, 24, 56, 56), 3), ((1, 160, 7, 7), 20), ((3, 30, 7, 7), 3), ((2, 65, 5, 3), 9), ((1, 8, 1, 1), 8)]


def check(shape, fold, layout, dtype, seed):
    """Return whether both ops equal the reference for x (N, C, H, W) = `shape`. The clip has 4 * N frames."""
    number = device.LAYOUTS[layout]
    random = np.random.RandomState(seed)
    draw = lambda s: random.randint(0, 1 << 8 * dtype.itemsize, s, np.int64).astype(dtype)  # noqa: E731
    n, c, h, w = shape
    x, cache = draw(shape), draw((n, fold, h, w))
    y, following = (pack(a, number) for a in shift_step(x, cache))
    on_x, on_cache = (device.upload(pack(a, number, 7)) for a in (x, cache))
    got_y, got_next = device.empty(y.shape, dtype), device.empty(following.shape, dtype)
    described = device.tensor(shape, layout, dtype.itemsize)
    device.step(described, fold, on_x, on_cache, got_y, got_next)
    same = np.array_equal(device.download(got_y), y) and np.array_equal(device.download(got_next), following)
    device.step(described, fold, on_x, on_cache, on_x, on_cache)  # in place; padding lanes keep their values
    kept = pack(np.ones(shape, bool), number)
    same &= np.array_equal(device.download(on_x)[kept], y[kept])
    same &= np.array_equal(device.download(on_cache), following)

    frames = draw((4 * n, c, h, w))
    for bidirectional in (0, 1):
        moved = fold // (1 + bidirectional)
        expected = pack(shift_clip(frames, 4, moved, bool(bidirectional)), number)
        got = device.empty(expected.shape, dtype)
        on_frames = device.upload(pack(frames, number, 7))
        device.clip(device.tensor(frames.shape, layout, dtype.itemsize), 4, moved, bidirectional, on_frames, got)
        same &= np.array_equal(device.download(got), expected)
    return bool(same)


def check_preprocess(shape, sizes, path, dtype):
    """Return whether a frame of size `shape` differs from the runtime's by at most one level, on one `path`."""
    spec, image = frame_spec(*sizes), picture(*shape)
    expected = levels(Preprocessor(spec, path)(image)[0])
    axes = (fast_axes if path == "fast" else exact_axes)(spec, shape)
    out = device.empty(expected.shape, dtype)
    device.preprocess(device.upload(image), *axes, MEAN, STD, out)
    return np.abs(levels(device.download(out)) - expected).max() <= LEVEL * (1 + 1e-3) + ROUNDING[dtype]


def check_chain(frames=10000, shape=(9, 3, 3), fold=3):
    """Return whether chained steps equal the causal clip."""
    x = np.random.RandomState(5).randint(0, 1 << 16, (frames,) + shape).astype(np.uint16)
    described = device.tensor((1,) + shape, "linear", 2)
    on_x, y = device.upload(x), device.empty(x.shape, x.dtype)
    caches = [device.upload(np.zeros((fold,) + shape[1:], x.dtype)) for _ in range(2)]
    for t in range(frames):
        device.step(described, fold, on_x[t], caches[t % 2], y[t], caches[1 - t % 2])
    return np.array_equal(device.download(y), shift_clip(x, frames, fold, False))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", action="store_true", help="two shapes only; for compute-sanitizer, which is slow")
    few = parser.parse_args().few
    shapes = SHAPES[1:3] if few else SHAPES
    cases = list(itertools.product(shapes, device.LAYOUTS, (np.uint8, np.uint16, np.uint32)))
    wrong = [c for i, c in enumerate(cases) if not check(*c[0], c[1], np.dtype(c[2]), i)]
    for (shape, fold), layout, dtype in wrong:
        print("WRONG: shape {}, fold {}, {}, {}".format(shape, fold, layout, np.dtype(dtype).name))
    print("{} of {} cases equal the reference bit for bit".format(len(cases) - len(wrong), len(cases)))
    requests = itertools.product(SIZES[2:4] if few else SIZES, ("fast", "exact"), (np.float32, np.float16))
    off = [r for r in requests if not check_preprocess(*r[0], *r[1:])]
    for request in off:
        print("WRONG: preprocessing {}".format(request))
    print("preprocessing: {}".format("within a level of the runtime" if not off else "{} wrong".format(len(off))))
    chained = few or check_chain()
    print("10,000 chained steps: {}".format("not run" if few else "the causal clip" if chained else "WRONG"))
    raise SystemExit(bool(wrong or off) or not chained)


assert lanes_of(device.LAYOUTS["CHW32"], 1) == 32  # the tests and this script use the same layout numbers

if __name__ == "__main__":
    main()
