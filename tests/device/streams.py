"""The frames of the engines' tests, the same on the host that made the expected logits and on the device; steps."""

import tracemalloc

import numpy as np


def noise(frame, count, streams=1):
    """Return (count, streams, 3, height, width) float32 noise, the same on every NumPy. frame: a FrameSpec."""
    shape = (count, streams, 3, frame.height, frame.width)
    return np.random.RandomState(7).randn(*shape).astype(np.float32)


def steps(engine, state, frames, streams=None):
    """Step `frames` (count, n, …) one by one. Return the logits (count, n, classes). streams: None for all."""
    return np.stack([engine.step(frame, state, streams)["logits"] for frame in frames])


def traced(engine, frame, state, count):
    """Return what `count` steps allocate on the host: (bytes that stay, the most at any moment), arrays included."""
    tracemalloc.start()
    try:
        for _ in range(10):  # Python, too, allocates in the first calls
            engine.step(frame, state)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(count):
            engine.step(frame, state)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before, peak - before
