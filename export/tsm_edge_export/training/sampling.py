"""Which frames of a video make a clip: the published rules, counted from 0.

Source: _sample_indices and _get_test_indices in ops/dataset.py of mit-han-lab/temporal-shift-module, for RGB.
"""

import numpy as np


def train_indices(
    kind: str, count: int, n_segment: int, rng: np.random.Generator, span: int = 64, margin: float = 0.0
) -> np.ndarray:
    """Draw the frames of one training clip: (n_segment,) int64 from 0 to count - 1.

    "uniform" takes a random frame of each of n_segment equal parts, which are whole numbers of frames: the frames that
    remain at the end are never drawn, as published. "whole" has parts of count / n_segment frames, which are all of the
    clip; with a `margin` they begin up to margin * count frames before the clip, or end so much after it, where its
    first and its last frame are held. "dense" takes equal steps over `span` frames from a random start, and goes on at
    the beginning where the video ends. A uniform clip of a video of fewer than n_segment frames is its first frame
    n_segment times, as published.
    """
    if kind == "dense":
        last = max(count - span, 0)  # the published code never draws the last start, unless it is the only one
        return _dense(0 if last == 0 else int(rng.integers(last)), count, n_segment, span)
    if kind == "whole":
        before, after = rng.random(2) * margin if margin else (0.0, 0.0)
        places = (np.arange(n_segment) + rng.random(n_segment)) / n_segment * (1 + before + after) - before
        return np.floor(places * count).astype(np.int64).clip(0, count - 1)
    part = count // n_segment
    if part == 0:
        return np.zeros(n_segment, np.int64)
    return np.arange(n_segment) * part + rng.integers(part, size=n_segment)


def eval_indices(kind: str, count: int, n_segment: int, clips: int = 1, span: int = 64) -> np.ndarray:
    """Return the frames of the test clips: (clips, n_segment) int64 from 0 to count - 1.

    "uniform" and "whole" take the middle of each part; a second clip takes its beginning (the published twice_sample).
    "dense" spreads `clips` starts evenly from the first to the last (published: 10). A single dense clip starts in the
    middle, where the published validation draws a random start.
    Raises ValueError for another number of uniform clips.
    """
    if kind == "dense":
        last = max(count - span, 0)
        starts = [last // 2] if clips == 1 else np.linspace(0, last, num=clips, dtype=int).tolist()
        return np.stack([_dense(start, count, n_segment, span) for start in starts])
    if clips not in (1, 2):
        raise ValueError(f"clips: got {clips}, expected 1 or 2 uniform ones")
    part = count / float(n_segment)
    offsets = (part / 2.0, 0.0)[:clips]
    return np.array([[int(offset + part * number) for number in range(n_segment)] for offset in offsets], np.int64)


def _dense(start: int, count: int, n_segment: int, span: int) -> np.ndarray:
    return (np.arange(n_segment) * (span // n_segment) + start) % count
