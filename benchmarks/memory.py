"""python benchmarks/memory.py WAY MODEL.onnx THREADS STREAMS: print the process's own resident peak in MB.

The process steps some streams three times. It imports what a device would and nothing else.
"""

import concurrent.futures
import contextlib
import functools
import subprocess
import sys

import numpy as np

import tsm_edge
from tsm_edge.machine.sampler import resident

# How several streams can be stepped; bench_streams.py says what each is.
BATCHED, SPREAD, STATES, SESSIONS = WAYS = ("batched", "spread", "separate states", "separate sessions")


def stepper(way, model, threads, streams, stack):
    """Return a function that steps one frame of every stream.

    Args:
        way: of WAYS.
        model: the file.
        threads: of all engines together.
        streams: how many.
        stack: an ExitStack that closes the engines.
    """
    count, each = (streams, 1) if way == SESSIONS else (1, threads)
    engines = [stack.enter_context(tsm_edge.load_engine(model, threads=each)) for _ in range(count)]
    engine, frame = engines[0], engines[0].manifest.frame
    frames = np.random.RandomState(0).randn(streams, 3, frame.height, frame.width).astype(np.float32)
    if way == BATCHED:
        return batch_stepper(engine, frames)
    if way == SPREAD:
        return functools.partial(engine.step, frames, engine.new_state(streams))
    if way == STATES:
        states = [engine.new_state() for _ in range(streams)]
        return lambda: [engine.step(frames[:1], state) for state in states]
    steps = [functools.partial(one.step, frames[:1], one.new_state()) for one in engines]
    pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(threads))
    return lambda: [done.result() for done in [pool.submit(step) for step in steps]]


def batch_stepper(engine, frames):
    """Return a function that runs the network once for all streams. The engine itself runs each stream alone."""
    session, specs = engine.session, engine.manifest.caches
    names = [output.name for output in session.get_outputs()]
    feeds = {"frame": frames}
    feeds.update({s.input: np.zeros((len(frames), *s.shape), s.dtype) for s in specs})

    def call():
        outputs = dict(zip(names, session.run(names, feeds), strict=True))
        feeds.update({spec.input: outputs[spec.output] for spec in specs})

    return call


def peak_megabytes(way, model, threads, streams):
    """Return what such a process prints."""
    command = [sys.executable, __file__, way, model, str(threads), str(streams)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def peak():
    """Return the MB that this process has held at the most: VmHWM, since what getrusage says begins with the parent."""
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
