"""Build kernels/tests/cuda_driver.cpp with the CUDA shim and sanitizers, and talk to it. Also the layouts in NumPy."""

import contextlib
import os
import shutil
import subprocess

import numpy as np

KERNELS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "kernels")
PILLOW, PYRAMID, PYRAMID_SMOOTHED = range(3)
LINEAR, HWC8, CHW2, CHW4, CHW32 = LAYOUTS = range(5)
FLAGS = ["-std=c++14", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-fno-strict-aliasing"]
FLAGS += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def lanes_of(layout, channels):
    """Return the number of channels that lie side by side at one pixel (kernels/core/temporal_shift.h)."""
    return {LINEAR: 1, HWC8: (channels + 7) // 8 * 8, CHW2: 2, CHW4: 4, CHW32: 32}[layout]


def pack(array, layout, padding=0):
    """Return an array (N, C, H, W) as flat memory in `layout`. Padding lanes hold `padding`."""
    n, c, h, w = array.shape
    lanes = lanes_of(layout, c)
    blocks = -(-c // lanes) if lanes else 0
    full = np.full((n, blocks * lanes, h, w), padding, array.dtype)
    full[:, :c] = array
    return full.reshape(n, blocks, lanes, h, w).transpose(0, 1, 3, 4, 2).reshape(-1)


def build(folder, edit=None):
    """Compile the driver with g++ into `folder` and return the path of the program.

    edit: None, or (file under kernels/, old text, new text) to compile a copy of the sources with that planted fault.
    """
    kernels = KERNELS
    if edit:
        kernels = os.path.join(str(folder), "planted")
        shutil.copytree(KERNELS, kernels, ignore=shutil.ignore_patterns("onnxruntime", "tensorrt"))
        path = os.path.join(kernels, edit[0])
        with open(path) as file:
            text = file.read()
        assert edit[1] in text, "{}: no {!r} in it".format(path, edit[1])
        with open(path, "w") as file:
            file.write(text.replace(edit[1], edit[2]))
    program = os.path.join(str(folder), "planted_driver" if edit else "driver")
    names = ("cuda/temporal_shift.cu", "cuda/preprocess.cu", "cuda/c_api.cpp", "tests/cuda_driver.cpp")
    sources = [os.path.join(kernels, name) for name in names]
    include = "-I" + os.path.join(kernels, "tests", "cuda_shim")
    subprocess.run(["g++", *FLAGS, include, "-x", "c++", *sources, "-o", program], check=True)
    return program


class Fault(AssertionError):
    """A sanitizer stopped the driver. The message is the sanitizer's report."""


class Driver:
    """One running driver. `step`, `clip` and `preprocess` take flat arrays and return the status and flat arrays."""

    def __init__(self, program):
        self._program = program
        self._process = None

    def close(self):
        """End the process."""
        if self._process:
            self._process.kill()
            with contextlib.suppress(BrokenPipeError):
                self._process.communicate()  # closes the pipes too
            self._process = None

    def step(self, x, cache, shape, layout, fold, offset=0, y_is_x=False, next_is_cache=False):
        numbers = (x.itemsize, layout) + shape + (fold, offset, int(y_is_x), int(next_is_cache))
        return self._ask("step", numbers, [x, cache], [x, cache])

    def clip(self, x, shape, layout, segment, fold, bidirectional, offset=0):
        numbers = (x.itemsize, layout) + shape + (segment, fold, int(bidirectional), offset)
        return self._ask("clip", numbers, [x], [x])

    def preprocess(self, image, shape, pitch, rows, columns, how, halvings, rgb, mean, std, dtype):
        out = np.empty((3, rows[4], columns[4]), dtype)
        numbers = (pitch,) + shape + rows + columns + (how, halvings, int(rgb)) + mean + std + (out.itemsize,)
        return self._ask("preprocess", numbers, [image], [out])

    def refuses_step(self, element_size, layout, shape, fold, addresses=(1 << 40, 2 << 40, 3 << 40, 4 << 40)):
        """Return the status of a step that must be refused. `addresses`: of x, cache, y, next, not to be accessed."""
        return self._ask("refuse_step", (element_size, layout) + shape + (fold,) + addresses, [], [])[0]

    def refuses_clip(self, element_size, layout, shape, segment, fold, bidirectional, addresses=(1 << 40, 2 << 40)):
        numbers = (element_size, layout) + shape + (segment, fold, int(bidirectional)) + addresses
        return self._ask("refuse_clip", numbers, [], [])[0]

    def _ask(self, word, numbers, inputs, like):
        if self._process is None:
            self._process = subprocess.Popen(
                [self._program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        pipe = self._process
        with contextlib.suppress(BrokenPipeError):  # if the driver died, its report is read below
            pipe.stdin.write((" ".join([word] + [repr(n) for n in numbers]) + "\n").encode())
            for array in inputs:
                pipe.stdin.write(array.tobytes())
            pipe.stdin.flush()
        header = pipe.stdout.readline()
        outputs = [pipe.stdout.read(array.nbytes) for array in like]
        if not header.endswith(b"\n") or any(len(o) != a.nbytes for o, a in zip(outputs, like)):
            report = pipe.stderr.read().decode(errors="replace")
            self.close()
            raise Fault(report)
        arrays = [np.frombuffer(o, a.dtype).reshape(a.shape) for o, a in zip(outputs, like)]
        return [int(header.split()[0])] + arrays
