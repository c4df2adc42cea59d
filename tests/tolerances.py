"""The tolerances of the tests are those of the product; see tsm_edge/tolerances.py."""

from tsm_edge.tolerances import LOGITS, allowed

__all__ = ["LOGITS", "allowed"]
