"""What the engines' tests stream: the same noise on the host that made the expected logits and on the device."""

import tracemalloc

import numpy as np


def noise(frame, count, streams=1):
    """(count, streams, 3, height, width) float32, normal, the same on every NumPy. frame: a manifest's FrameSpec."""
    shape = (count, streams, 3, frame.height, frame.width)
    return np.random.RandomState(7).randn(*shape).astype(np.float32)


def steps(engine, state, frames):
    """Logits (count, streams, classes) of `frames` (count, streams, …), stepped one by one."""
    return np.stack([engine.step(frame, state) for frame in frames])


def traced(engine, frame, state, count):
    """What `count` steps allocate on the host: (bytes that stay, the most at any moment), NumPy's arrays included."""
    tracemalloc.start()
    try:
        engine.step(frame, state)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(count):
            engine.step(frame, state)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before, peak - before
