"""How far logits may differ and still count as the same, for each dtype: one table for tests, verify and benchmarks.

A shift is a copy, so caches of one dtype compare bit-exact and have no entry here.
"""

LOGITS = {"float32": 1e-4, "float16": 5e-2}


def allowed(reference, dtype="float32"):
    """The largest absolute error allowed against `reference` logits (an array): relative to their largest, at least 1."""
    return LOGITS[dtype] * max(1.0, float(abs(reference).max()))
