"""The tolerances of the tests are those of the product; see tsm_edge/tolerances.py."""

from tsm_edge.tolerances import LOGITS, allowed

__all__ = ["LOGITS", "PREPROCESS", "allowed"]

# Fast against exact preprocessing: mean absolute difference of one frame, pixels counted from 0 to 1.
PREPROCESS = 1.5 / 255
