"""Which frames of a video make a clip: the published rules, to the letter, counted from 0.

Source: TSNDataSet._sample_indices and _get_test_indices in ops/dataset.py of mit-han-lab/temporal-shift-module (there
counted from 1), with new_length 1, that is RGB.
"""

import numpy as np


def train_indices(kind, count, n_segment, rng, span=64):
    """The frames of one training clip.

    kind: "uniform" (one random frame of each of n_segment equal parts) or "dense" (equal steps over `span` frames from
    a random start, round the end where the video is shorter). count: frames of the video, at least 1. rng: a
    numpy.random.Generator. Returns (n_segment,) int64, 0 <= index < count.

    A uniform clip of a video with fewer than n_segment frames is its first frame n_segment times, as published.
    """
    if kind == "dense":
        last = max(count - span, 0)  # the published code never draws the last start, but for the only one
        return _dense(0 if last == 0 else int(rng.integers(last)), count, n_segment, span)
    part = count // n_segment
    if part == 0:
        return np.zeros(n_segment, np.int64)
    return np.arange(n_segment) * part + rng.integers(part, size=n_segment)


def eval_indices(kind, count, n_segment, clips=1, span=64):
    """The frames of the test clips. Returns (clips, n_segment) int64, 0 <= index < count.

    uniform: 1 clip takes the middle of each part, a second one its beginning (the published twice_sample).
    dense: `clips` starts spread evenly from the first to the last (published: 10). One alone starts in the middle,
    where the published validation draws a random start. Raises ValueError for another number of uniform clips.
    """
    if kind == "dense":
        last = max(count - span, 0)
        starts = [last // 2] if clips == 1 else np.linspace(0, last, num=clips, dtype=int).tolist()
        return np.stack([_dense(start, count, n_segment, span) for start in starts])
    if clips not in (1, 2):
        raise ValueError(f"clips: got {clips}, expected 1 or 2 uniform ones")
    tick = count / float(n_segment)
    chosen = [[int(tick / 2.0 + tick * part) for part in range(n_segment)]]
    if clips == 2:
        chosen.append([int(tick * part) for part in range(n_segment)])
    return np.array(chosen, np.int64)


def _dense(start, count, n_segment, span):
    return (np.arange(n_segment) * (span // n_segment) + start) % count
