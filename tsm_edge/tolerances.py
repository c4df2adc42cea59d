"""How far numbers may differ and still count as the same: one table for tests, verify, builds and benchmarks.

The tolerances are relative to the largest logit. A shift is a copy, so caches of one dtype are compared bit for bit.
"""

from typing import Any

LOGITS = {"float32": 1e-4, "float16": 5e-2}

# What `tsm-edge build` allows between an engine of each precision and ONNX Runtime: for each output and each cache,
# relative to its largest value over all steps. TensorRT computes convolutions in other orders, so caches differ too.
# Measured, ONNX Runtime in float16 against float32: outputs 1.2e-3, caches 2.9e-3 (MobileNetV2, ResNet-50, the tests'
# model). A shift that is left out anywhere in the three shows as 3.6e-2 or more. So "int8" finds most of such faults,
# and the other two all of them. `tests/device/engines/tensorrt/test_check.py` plants them.
ENGINES = {"fp32": 1e-3, "fp16": 2e-2, "int8": 5e-2}
# A whole number (the index of the best cell) flips where two values nearly tie: the share of them that may differ.
ENGINES_WHOLE = {"fp32": 1e-2, "fp16": 2e-1, "int8": 5e-1}


def allowed(reference: Any, dtype: str = "float32") -> float:
    """Return the largest absolute error allowed against `reference`, an array of logits."""
    return LOGITS[dtype] * float(abs(reference).max())
