"""Cold start: how long a fresh process takes to its first answer, and on what.

`measure` starts `python -m tsm_edge.profile.cold …` several times and takes medians. The files are warm in the page
cache: what a start from a cold disk adds is the disk's business.
"""

import time

BEGUN = time.perf_counter()  # before anything else is imported

import importlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402

import numpy as np  # noqa: E402

PHASES = ("start", "imports", "load", "first_step", "second_step")
TIMEOUT = 600  # seconds


def measure(engine, module, settings, runs):
    """{phase: median ms} of `runs` starts.

    engine: the model's path. module: that of its back end, to be imported. settings: of load_engine, as keywords.
    Raises TsmEdgeError where a process fails.
    """
    from tsm_edge.errors import TsmEdgeError

    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.pathsep.join(part for part in (folder, os.environ.get("PYTHONPATH")) if part)
    found = []
    for _ in range(runs):
        given = {"engine": engine, "module": module, "settings": settings, "begun": time.perf_counter()}
        done = subprocess.run(
            [sys.executable, "-m", __name__, json.dumps(given)],
            env=dict(os.environ, PYTHONPATH=path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT,
        )
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()[-2000:]
            raise TsmEdgeError("cold start: the fresh process ended with {}: {}".format(done.returncode, said))
        found.append(json.loads(done.stdout.decode("ascii").strip().split("\n")[-1]))
    return {phase: float(np.median([one[phase] for one in found])) for phase in PHASES}


def _main(given):
    """One start, in the fresh process. perf_counter counts from the machine's start, so the parent's goes on here."""
    marks = [given["begun"], BEGUN]
    importlib.import_module(given["module"])
    from tsm_edge.engines import load_engine

    marks.append(time.perf_counter())
    engine = load_engine(given["engine"], **given["settings"])
    marks.append(time.perf_counter())
    frame = engine.manifest.frame
    frames, state = np.zeros((1, 3, frame.height, frame.width), np.float32), engine.new_state()
    for _ in range(2):
        engine.step(frames, state)
        marks.append(time.perf_counter())
    print(json.dumps({phase: 1e3 * (b - a) for phase, a, b in zip(PHASES, marks, marks[1:])}))


if __name__ == "__main__":
    from tsm_edge.errors import TsmEdgeError

    try:
        _main(json.loads(sys.argv[1]))
    except TsmEdgeError as error:
        sys.exit(str(error))
