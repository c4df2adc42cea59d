"""One table of tolerances: the largest absolute difference of logits that counts as "the same", for each dtype.

Shifts and caches at one dtype are copies and compare bit-exact; they have no entry here.
"""

LOGITS = {"float32": 1e-4, "float16": 5e-2}
