"""What each layer of an ONNX Runtime engine costs, from ONNX Runtime's own profiler in a session of its own.

The profiler writes an event for every node of every run, which costs a small model a third of its speed: so it never
watches the session whose steps are timed. The file is JSON of Chrome's trace events (ONNX Runtime's guide "Profiling
Tools"); a node's kernel is an event "NAME_kernel_time" with its op in args.op_name, `dur` in microseconds. Release 1.10
adds "_fence_before" and "_fence_after" events, later ones do not.
"""

import json
import os
import shutil
import tempfile
import time

import numpy as np

from tsm_edge.engines.base import LayerTimes

SUFFIX = "_kernel_time"


def layer_times(engine, warm_up, steps):
    """:class:`tsm_edge.engines.base.LayerTimes` of an online :class:`OnnxRuntimeEngine`."""
    folder = tempfile.mkdtemp(prefix="tsm-edge-")
    try:
        twin = engine.profiled(os.path.join(folder, "layers"))
        frame = engine.manifest.frame
        frames = np.random.RandomState(0).randn(1, 3, frame.height, frame.width).astype(np.float32)
        state, times = twin.new_state(), []
        for _ in range(warm_up + steps):
            begun = time.perf_counter()
            twin.step(frames, state)
            times.append(time.perf_counter() - begun)
        with open(twin.session.end_profiling(), encoding="utf-8") as file:
            events = json.load(file)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return LayerTimes("ONNX Runtime", sums(events, warm_up, steps), steps, _typical(times[warm_up:]))


def sums(events, warm_up, steps):
    """(name, op, seconds a step) of each node in the order of execution, from the profiler's events."""
    found = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(SUFFIX):
            key = event["name"][: -len(SUFFIX)], event["args"]["op_name"]
            found.setdefault(key, []).append(1e-6 * event["dur"])
    out = []
    for (name, op), times in found.items():
        runs = np.array(times).reshape(warm_up + steps, -1).sum(axis=1)  # nodes that share a name count together
        out.append((name, op, _typical(runs[warm_up:])))
    return out


def _typical(times):
    """The mean of the middle half: a median that keeps fractions of the profiler's microseconds."""
    times = np.sort(times)
    quarter = len(times) // 4
    return float(times[quarter : len(times) - quarter].mean())
