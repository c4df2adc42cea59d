"""Cold start: how long a fresh process takes to its first answer, and on what.

The files are warm in the page cache: what a start from a cold disk adds depends on the disk.
"""

import time

BEGUN = time.perf_counter()  # before anything else is imported

import importlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
from typing import Any, Dict, List  # noqa: E402

import numpy as np  # noqa: E402

TIMEOUT = 600  # seconds


def measure_cold_starts(engine: str, module: str, settings: Dict[str, Any], runs: int) -> List[float]:
    """Return the median time of each phase over `runs` fresh processes, one after the other, in ms.

    The phases: the start of the interpreter, the imports, the load of the model, its first step, its second step.
    `module` is that of the model's back end, `settings` are keywords of `load_engine`. Raises TsmEdgeError where a
    process fails.
    """
    from tsm_edge.errors import TsmEdgeError

    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.pathsep.join(part for part in (folder, os.environ.get("PYTHONPATH")) if part)
    environment = dict(os.environ, PYTHONPATH=path)
    pipes: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    phases = []
    for _ in range(runs):
        given = json.dumps([time.perf_counter(), engine, module, settings])
        done = subprocess.run([sys.executable, "-m", __name__, given], env=environment, timeout=TIMEOUT, **pipes)
        if done.returncode:
            output = done.stderr.decode("utf-8", "replace").strip()[-2000:]
            raise TsmEdgeError("cold start: the fresh process ended with {}: {}".format(done.returncode, output))
        phases.append(json.loads(done.stdout.decode("ascii").strip().split("\n")[-1]))
    return [float(value) for value in np.median(phases, axis=0)]


def _main(begun: float, path: str, module: str, settings: Dict[str, Any]) -> None:
    """Start once, in the fresh process. `begun` is the parent's: perf_counter counts from the machine's start."""
    marks = [begun, BEGUN]
    importlib.import_module(module)
    from tsm_edge.engines import load_engine

    marks.append(time.perf_counter())
    engine = load_engine(path, **settings)
    marks.append(time.perf_counter())
    frame = engine.manifest.frame
    frames, state = np.zeros((1, 3, frame.height, frame.width), np.float32), engine.new_state()
    for _ in range(2):
        engine.step(frames, state)
        marks.append(time.perf_counter())
    print(json.dumps([1e3 * (b - a) for a, b in zip(marks, marks[1:])]))


if __name__ == "__main__":
    from tsm_edge.errors import TsmEdgeError

    try:
        _main(*json.loads(sys.argv[1]))
    except TsmEdgeError as error:
        sys.exit(str(error))
