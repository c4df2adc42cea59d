"""How far logits may differ and still count as the same, for each dtype: one table for tests, verify and benchmarks.

The figures are relative to the largest logit. A shift is a copy, so caches of one dtype compare bit-exact across it
and have no entry here.
"""

LOGITS = {"float32": 1e-4, "float16": 5e-2}


def allowed(reference, dtype="float32"):
    """The largest absolute error allowed against `reference` logits (an array)."""
    return LOGITS[dtype] * float(abs(reference).max())
