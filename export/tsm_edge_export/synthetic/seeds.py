"""Where the randomness of the synthetic gestures comes from: one generator a split, seed and purpose.

Nothing depends on a global state, a process, or on what was rendered before. `numpy.random.SeedSequence` hashes the
whole key, so generators of different keys are independent, and keys of different splits are never equal.
"""

import numpy as np

from tsm_edge.errors import InputError

SPLITS = ("train", "validation", "test")
# What a generator is for. The values are part of the data set: changing one changes the pictures.
CLIP, ROOM, HAND, SCENE, MOTION, FRAME, STREAM, LIST, WINDOW = range(9)


def split_code(split):
    """Return the number of a split. Raises InputError for a name that is none."""
    if split not in SPLITS:
        raise InputError("split", split, "one of " + ", ".join(SPLITS), "Name one of the splits.")
    return SPLITS.index(split)


def check_seed(seed):
    """Return `seed` as an int. Raises InputError unless it is a whole number in [0, 2**63)."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise InputError("seed", repr(seed), "a whole number from 0 to 2**63 - 1", "Give such a seed.")
    return int(seed)


def generator(split, seed, purpose, *more):
    """Return the generator of this split, seed and purpose; `more` holds further non-negative integers of the key."""
    key = [split_code(split), purpose, *_words(seed)]
    for number in more:
        key += _words(number)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def _words(number):
    # Two words always: SeedSequence splits large integers itself, which would let (2**32,) and (0, 1) collide.
    return int(number) & 0xFFFFFFFF, int(number) >> 32
