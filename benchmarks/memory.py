"""python benchmarks/memory.py WAY MODEL.onnx THREADS STREAMS: its own resident peak in MB after some steps.

A process that imports what a device would and nothing else; WAY is one of `WAYS`.
"""

import concurrent.futures
import contextlib
import functools
import subprocess
import sys

import numpy as np

import tsm_edge
from tsm_edge.machine.sampler import resident

WAYS = ("batched", "dealt out", "separate states", "separate sessions")


def stepper(way, model, threads, streams, stack):
    """A function that takes one frame of every stream. stack: an ExitStack that closes what it opens."""

    def engine(threads):
        return stack.enter_context(tsm_edge.load_engine(model, threads=threads))

    def frames(streams=1):
        return np.random.RandomState(0).randn(streams, *one._frame_shape).astype(np.float32)

    if way == "separate sessions":
        engines = [engine(1) for _ in range(streams)]
        one = engines[0]
        steps = [functools.partial(each.step, frames(), each.new_state()) for each in engines]
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(threads))
        return lambda: [done.result() for done in [pool.submit(step) for step in steps]]
    one = engine(threads)
    if way == "batched":
        one.runner = lambda streams: (one.session, None)  # which is what it does where streams and threads do not match
    if way in ("batched", "dealt out"):
        return functools.partial(one.step, frames(streams), one.new_state(streams))
    frame, states = frames(), [one.new_state() for _ in range(streams)]
    return lambda: [one.step(frame, state) for state in states]


def peak_megabytes(way, model, threads, streams):
    """What such a process says."""
    command = [sys.executable, __file__, way, model, str(threads), str(streams)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def peak():
    """MB that this process has held at the most (VmHWM: what getrusage tells begins with the parent's)."""
    return resident()[1] / 1e6


def main():
    way, model, threads, streams = sys.argv[1:]
    with contextlib.ExitStack() as stack:
        call = stepper(way, model, int(threads), int(streams), stack)
        for _ in range(3):
            call()
    print(peak())


if __name__ == "__main__":
    main()
