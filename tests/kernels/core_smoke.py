"""The C ABI on this machine against the NumPy reference: every type, a few shapes. Python 3.6 and later, NumPy only.

python core_smoke.py LIBRARY      (with the repository on PYTHONPATH)
"""

import platform
import sys

import numpy as np

from tsm_edge.native.kernels import Kernels
from tsm_edge.shift import shift_clip, shift_step


def main(library):
    kernels, random, count = Kernels(library), np.random.RandomState(0), 0
    for dtype in (np.int8, np.float16, np.float32):
        for channels, fold, side in ((24, 3, 56), (13, 5, 7), (1, 0, 1), (160, 20, 7)):
            x = random.randn(4, channels, side, side).astype(dtype)
            cache = random.randn(4, fold, side, side).astype(dtype)
            got, expected = kernels.shift_step(x, cache), shift_step(x, cache)
            assert all(a.tobytes() == b.tobytes() for a, b in zip(got, expected)), (dtype, channels)
            for both_ways in (False, True):
                a, b = kernels.shift_clip(x, 2, fold, both_ways), shift_clip(x, 2, fold, both_ways)
                assert a.tobytes() == b.tobytes(), (dtype, channels, both_ways)
            count += 3
    print("Python {}, {}: {} calls same".format(platform.python_version(), platform.machine(), count))


if __name__ == "__main__":
    main(sys.argv[1])
