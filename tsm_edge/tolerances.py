"""How far logits may differ and still count as the same: one table for tests, verify and benchmarks.

The tolerances are relative to the largest logit. A shift is a copy, so caches of one dtype are compared bit for bit.
"""

from typing import Any

LOGITS = {"float32": 1e-4, "float16": 5e-2}


def allowed(reference: Any, dtype: str = "float32") -> float:
    """Return the largest absolute error allowed against `reference`, an array of logits."""
    return LOGITS[dtype] * float(abs(reference).max())
