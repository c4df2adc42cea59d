"""Random found and true boxes of clips, for tests of the matching and the figures."""

import numpy as np

from tsm_edge_export.detection.matching import Predicted
from tsm_edge_export.detection.scoring import ClipResult
from tsm_edge_export.detection.truth import Truth

SIZE = (480, 640)


def clips(seed, count=3, frames=8, classes=3, most=6, whole=False, ignored=0.2):
    """`count` clips of random boxes. whole: all coordinates and scores are coarse, so that many are equal."""
    rng = np.random.default_rng(seed)
    return [clip(rng, f"clip {number}", frames, classes, most, whole, ignored) for number in range(count)]


def clip(rng, name, frames, classes, most, whole, ignored):
    truths, found = [], []
    for _ in range(frames):
        count = int(rng.integers(0, most + 1))
        true = boxes(rng, count, whole)
        truths.append(
            Truth(
                true,
                rng.integers(0, classes, count),
                rng.permutation(most)[:count].astype(np.int64),
                rng.random(count) < ignored,
                tuple(frozenset(rng.choice(["dark", "clean"], 1)) for _ in range(count)),
            )
        )
        kept = rng.random(count) < 0.9
        near = true[kept] + (rng.integers(-1, 2, (kept.sum(), 4)) * 10 if whole else rng.normal(0, 4, (kept.sum(), 4)))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 10)
        others = boxes(rng, int(rng.integers(0, 4)), whole)
        guesses = np.concatenate([near, near[:1], others]).astype(np.float32)
        drawn = rng.integers(0, classes, len(guesses))
        drawn[: len(near)] = np.where(rng.random(len(near)) < 0.8, truths[-1].classes[kept], drawn[: len(near)])
        scores = rng.random(len(guesses)) * np.where(np.arange(len(guesses)) < len(near), 1, 0.7)
        scores = np.round(scores, 1) if whole else scores
        found.append(Predicted(guesses, scores.astype(np.float32), drawn))
    return ClipResult(name, SIZE, truths, found)


def boxes(rng, count, whole):
    """(count, 4) float32 of all sizes of COCO."""
    side = np.exp(rng.uniform(np.log(12), np.log(200), (count, 2)))
    corner = rng.random((count, 2)) * (np.array(SIZE[::-1]) - side)
    made = np.concatenate([corner, corner + side], 1)
    made = np.round(made / 10) * 10 + (np.arange(4) > 1) * 10 if whole else made
    return made.astype(np.float32)
