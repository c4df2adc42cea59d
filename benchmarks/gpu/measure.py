"""Time the CUDA kernels against a device copy of the same bytes and against an empty launch, into a JSON file."""

import argparse
import json
from functools import partial

import numpy as np

from benchmarks.gpu import device
from benchmarks.gpu.shapes import MOBILENETV2

STORAGE = [("linear", 4), ("linear", 2), ("CHW2", 2), ("HWC8", 2), ("linear", 1), ("CHW4", 1), ("CHW32", 1)]
LARGE = (2, 64, 7, 7) if device.SHIM else (2048, 256, 56, 56)  # float32: x has 6.6 GB, far more than any L2 cache
LAUNCHES = 50  # launches per CUDA graph, so that Python's time for a call is not measured


def words(count, element_size):
    """Return a device array of `count` elements of 1, 2 or 4 bytes."""
    return device.empty((count,), "u{}".format(element_size))


def elements(shape, layout):
    """Return the number of elements of a tensor in memory, with the padding of its layout."""
    lanes = {"linear": 1, "HWC8": 8, "CHW2": 2, "CHW4": 4, "CHW32": 32}[layout]
    n, c, h, w = shape
    return n * -(-c // lanes) * lanes * h * w


def copy_of(x, y):
    """Return a function that copies x to y."""

    def call():
        y[...] = x

    return call


def bandwidth():
    """Measure step and clip on a large tensor: bytes read and written per second, and their share of a device copy."""
    rows = []
    for layout, size in STORAGE:
        shape, fold = (LARGE[0] // size * 4 if not device.SHIM else LARGE[0],) + LARGE[1:], LARGE[1] // 8
        count, cache_count = elements(shape, layout), elements((shape[0], fold) + shape[2:], layout)
        x, y = words(count, size), words(count, size)
        cache, following = words(cache_count, size), words(cache_count, size)
        described = device.tensor(shape, layout, size)
        copied = 2 * count * size / device.seconds([copy_of(x, y)], 10, 4)
        step = device.seconds([partial(device.step, described, fold, x, cache, y, following)], 10, 4)
        clip = device.seconds([partial(device.clip, described, 2, fold, 1, x, y)], 10, 4)
        for name, time, moved in (("step", step, 2 * (count + cache_count)), ("clip", clip, 2 * count)):
            rate = moved * size / time
            rows.append({"op": name, "layout": layout, "element_size": size, "shape": shape, "bytes_per_second": rate})
            rows[-1].update(seconds=time, copy_bytes_per_second=copied, share_of_copy=rate / copied)
    return rows


def launch_seconds(call):
    """Return the seconds of one call, measured over LAUNCHES calls in a CUDA graph."""

    def many():
        for _ in range(LAUNCHES):
            call()

    return device.seconds([device.graph(many)]) / LAUNCHES


def latency():
    """Measure a step of batch 1 at each shape of MobileNetV2, all of them in one CUDA graph, and an empty launch."""
    tiny = [words(1, 4) for _ in range(4)]
    smallest = device.tensor((1, 1, 1, 1), "linear", 4)
    empty = launch_seconds(partial(device.step, smallest, 1, *tiny))
    buffers = [
        (c // 8, device.tensor((1, c, h, w), "linear", 2), [words(k * h * w, 2) for k in (c, c // 8, c, c // 8)])
        for c, h, w in MOBILENETV2
    ]
    rows = []
    for (c, h, w), (fold, described, arrays) in zip(MOBILENETV2, buffers, strict=True):
        time = launch_seconds(partial(device.step, described, fold, *arrays))
        rows.append({"shape": (1, c, h, w), "seconds": time, "times_an_empty_launch": time / empty})

    def all_shifts():
        for fold, described, arrays in buffers:
            device.step(described, fold, *arrays)

    replay = device.seconds([device.graph(all_shifts)])
    return {"empty_launch_seconds": empty, "step": rows, "graph_of_all_shifts_seconds": replay}


def preprocessing():
    """Measure 720p to 224x224 with both filters, and a copy of the bytes that they read and write."""
    image = device.upload(np.random.RandomState(0).randint(0, 256, (720, 1280, 3)).astype(np.uint8))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    requests = {
        "pillow": ((0, 720, 256, 16, 224), (0, 1280, 455, 115, 224), 0, 0),
        "pyramid": ((45, 630, 224, 0, 224), (315, 664, 236, 4, 224), 1, 1),
    }
    rows = []
    for name, request in requests.items():
        out = device.empty((3, 224, 224), np.float32)
        time = launch_seconds(partial(device.preprocess, image, *request, mean, std, out))
        moved = 3 * request[0][1] * request[1][1] + out.nbytes
        source = words(moved // 2, 1)
        copied = launch_seconds(copy_of(source, words(moved // 2, 1)))
        rows.append({"filter": name, "seconds": time, "bytes": moved, "copy_seconds": copied})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", required=True, help="the file to write")
    arguments = parser.parse_args()
    report = device.describe()
    report.update(latency=latency(), preprocess=preprocessing(), bandwidth=bandwidth())
    with open(arguments.json, "w") as file:
        json.dump(report, file, indent=1)
    for row in report["bandwidth"]:
        print("{op} {layout:6} {element_size} bytes: {share_of_copy:.0%} of a device copy".format(**row))
    print(json.dumps({k: v for k, v in report.items() if k != "bandwidth"}, indent=1))


if __name__ == "__main__":
    main()
