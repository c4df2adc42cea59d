"""The random generators of the synthetic gestures: one for each split, seed and purpose.

No generator depends on global state, on the process, or on what was rendered before. `numpy.random.SeedSequence` hashes
the whole key, so generators with different keys are independent, and two splits never share a key.
"""

from typing import Any

import numpy as np

from tsm_edge.errors import InputError

SPLITS = ("train", "validation", "test")
# What a generator is for. The numbers are part of the data set: another number gives other pictures.
CLIP, ROOM, HAND, SCENE, MOTION, FRAME, STREAM, LIST, WINDOW = range(9)
STROKE, STROKE_LIST, POINTING, PLACE = range(9, 13)  # of the strokes
BOX_SCENE, BOX_FRAME, BOX_LIST = range(13, 16)  # of the clips with boxes (detection/rendered.py)


def check_number(name: str, value: Any, least: float, most: float, whole: bool = True) -> Any:
    """Return `value`. Raises InputError unless it is a (whole) number from `least` to `most`."""
    kinds = (int, np.integer) if whole else (int, float, np.number)
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        expected = f"a{' whole' if whole else ''} number from {least} to {most}"
        raise InputError(name, repr(value), expected, "correct the argument")
    return value


def check_seed(seed: int) -> int:
    """Return `seed` as an int. Raises InputError unless it is a whole number from 0 to 2**63 - 1."""
    return int(check_number("seed", seed, 0, 2**63 - 1))


def split_code(split: str) -> int:
    """Return the number of a split. Raises InputError for an unknown name."""
    if split not in SPLITS:
        raise InputError("split", split, "one of " + ", ".join(SPLITS), "correct the argument")
    return SPLITS.index(split)


def split_range(split: str, counts: dict[str, int]) -> range:
    """Return the numbers of a split, where the splits divide all numbers among themselves by `counts`."""
    start = sum(counts[name] for name in SPLITS[: split_code(split)])
    return range(start, start + counts[split])


def generator(split: str, seed: int, purpose: int, *more: int) -> np.random.Generator:
    """Return the generator of this split, seed and purpose; `more` adds whole numbers from 0 to the key."""
    key = [split_code(split), purpose]
    for number in (seed, *more):
        # Always two words: SeedSequence splits a large integer itself, which would make (2**32,) and (0, 1) one key.
        key += int(number) & 0xFFFFFFFF, int(number) >> 32
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
