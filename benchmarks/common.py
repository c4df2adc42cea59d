"""What the benchmarks share: both sides in turn, medians, a record of the machine, results as JSON."""

import argparse
import functools
import json
import os
import platform
import time
from datetime import date
from pathlib import Path
from statistics import median

from tsm_edge.profile import stats

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
DIRECTIONS = {"none": "TSN", "causal": "TSM online", "bidirectional": "TSM offline"}  # of the shift, and their names
END = "<!-- end of figures -->"  # of what a script writes into a page
TURN = 0.05  # seconds that a side's turn takes at the least
CLIPS = Path(os.environ.get("TSM_EDGE_TEST_DATA") or ROOT / ".." / "shared" / "data") / "clips"


def options(description, **defaults):
    """The command line of a benchmark: --threads, --rounds, and where the JSON goes (--json FILE, or nowhere).

    quick=True: it has --quick as well, which takes a tiny network and few rounds: `quick` in the result.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of every side")
    parser.add_argument("--rounds", type=int, default=defaults.get("rounds", 30), help="turns that each side takes")
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    if defaults.get("quick"):
        parser.add_argument("--quick", action="store_true", help="only see that it runs: a tiny network, two rounds")
    chosen = parser.parse_args()
    if defaults.get("quick") and chosen.quick:
        chosen.rounds = 2
    return chosen


def rates_in_turn(sides, rounds, warm_up=1):
    """What each side says of itself (a rate, say), every side once a round so that a noisy moment hits all.

    sides: {name: function}. Returns {name: [value]}, in the order of the rounds, warm-up left out.
    """
    values = {name: [] for name in sides}
    for turn in range(-warm_up, rounds):
        for name, call in sides.items():
            value = call()
            if turn >= 0:
                values[name].append(value)
    return values


def in_turn(sides, rounds, warm_up=3, turn=TURN):
    """Seconds of a call, one value a round: {name: [seconds]}. sides: {name: function}.

    A turn begins with a call that does not count: the side before may have left threads that still spin (torch's do,
    for milliseconds) and caches full of its data. Then calls for `turn` seconds, one at the least, and their median.
    """
    turns = {name: functools.partial(_turn, call, turn) for name, call in sides.items()}
    return rates_in_turn(turns, rounds, warm_up)


def _turn(call, seconds):
    call()
    values = [_seconds(call)]
    while sum(values) < seconds:
        values.append(_seconds(call))
    return median(values)


def _seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def ratio(values, numerator, denominator):
    """The median over rounds of one side's value over the other's in the same round."""
    return median(a / b for a, b in zip(values[numerator], values[denominator], strict=True))


def interval(values, numerator, denominator, where=""):
    """The rows of a ratio's 95 % interval, bootstrapped over rounds; none where these are too few for one."""
    if len(values[numerator]) < stats.LEAST:
        return {}
    ratio = stats.paired_ratio(values[denominator], values[numerator])
    title = f"{where}{numerator} / {denominator}, 95 %"
    return {f"{title} from": ratio.low, f"{title} to": ratio.high}


def machine():
    """What the numbers were measured on and with."""
    import cv2
    import numpy
    import onnxruntime
    import torch

    cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "date": date.today().isoformat(),
        "cpu": cpus[0].split(":")[1].strip() if cpus else platform.processor(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
    }


def finish(name, rows, chosen):
    """Print the results as lines and write them as JSON where asked. rows: {figure: value or "value unit"}."""
    for figure, value in rows.items():
        print(f"{name}: {figure:<58} {value:.4g}" if isinstance(value, float) else f"{name}: {figure:<58} {value}")
    if chosen.json:
        record = {"benchmark": name, "machine": machine(), "threads": chosen.threads, "results": rows}
        if getattr(chosen, "quick", False):
            record["quick"] = True  # figures of a tiny network, which say nothing
        write_json(chosen.json, record)


def read_between(page, begin):
    """The text of the file `page` between the line `begin` and the line END."""
    return page.read_text(encoding="utf-8").split(begin)[1].split(END)[0]


def write_between(page, begin, text):
    """Put `text`, whole lines, in its place."""
    before, rest = page.read_text(encoding="utf-8").split(begin)
    page.write_text(before + begin + text + END + rest.split(END, 1)[1], encoding="utf-8")


def kept(name):
    """The record of benchmark `name` that is kept in results/."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def write_json(path, record):
    """Write a record of results, whole or not at all."""
    draft = Path(f"{path}.part")
    draft.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)
