"""What each layer of an ONNX Runtime engine costs, from ONNX Runtime's own profiler in a separate session.

The profiler slows a small model by a third, so it never watches the session whose steps are timed. Its file is JSON of
Chrome's trace events (ONNX Runtime's guide "Profiling Tools"): a node's kernel is an event "NAME_kernel_time" with its
op in args.op_name and `dur` in microseconds. Release 1.10 adds "_fence_before" and "_fence_after" events.
"""

import json
import os
import shutil
import tempfile
import time
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from tsm_edge.engines.base import LayerTimes

SUFFIX = "_kernel_time"


def layer_times(engine: Any, warm_up: int, steps: int) -> LayerTimes:
    """Time the layers of an online :class:`OnnxRuntimeEngine` over `steps` steps."""
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


def sums(events: Sequence[Dict[str, Any]], warm_up: int, steps: int) -> List[Tuple[str, str, float]]:
    """Return (name, op, seconds a step) of each node in the order of execution, from the profiler's events."""
    found: Dict[Tuple[str, str], List[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(SUFFIX):
            key = event["name"][: -len(SUFFIX)], event["args"]["op_name"]
            found.setdefault(key, []).append(1e-6 * event["dur"])
    # Nodes that share a name count together.
    runs = {key: np.array(times).reshape(warm_up + steps, -1).sum(axis=1) for key, times in found.items()}
    return [(name, op, _typical(times[warm_up:])) for (name, op), times in runs.items()]


def _typical(times: Sequence[float]) -> float:
    """Return the mean of the middle half: a median that keeps fractions of the profiler's microseconds."""
    ordered = np.sort(times)
    quarter = len(ordered) // 4
    return float(ordered[quarter : len(ordered) - quarter].mean())
