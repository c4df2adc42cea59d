"""The tolerances of the tests are those of the product; see tsm_edge/tolerances.py."""

from tsm_edge.tolerances import LOGITS, allowed

__all__ = ["LOGITS", "NORMALISE", "PREPROCESS", "PROBABILITY", "allowed"]

# Fast against exact preprocessing: mean absolute difference of one frame, pixels counted from 0 to 1.
PREPROCESS = 1.5 / 255
# The same two where nothing is resized: largest difference of the normalised values (ImageNet's mean and std, so up to
# 2.7), by float32 rounding. Measured with OpenCV 4.6 and 5.0: 4.8e-7 between them; against float64, fast is off by
# 2.3e-7 at most and exact by 3.7e-7.
NORMALISE = 1e-6
# A label's probability, of one run on x86-64 and on aarch64 (emulated), each with its own OpenCV and ONNX Runtime.
# Measured: 1e-6, the last digit that a run writes.
PROBABILITY = 1e-5
