"""What the benchmarks share: turns and medians, a record of the machine, clips, and results as JSON."""

import argparse
import contextlib
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
END = "<!-- end of figures -->"  # ends what a script writes into a page
TURN_SECONDS = 0.05  # a turn of one side takes at least so long
CLIPS = Path(os.environ.get("TSM_EDGE_TEST_DATA") or ROOT / ".." / "shared" / "data") / "clips"
SMALL_CLIP = CLIPS / "mmaction2_demo.mp4"  # 340x256
LARGE_CLIP = CLIPS / "mmaction2_demo_skeleton.mp4"  # 1920x1080, 72 frames


def parser(description, rounds):
    """Return a parser for the options that every benchmark has: --threads, --rounds, --json and --quick."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of every side")
    made.add_argument("--rounds", type=int, default=rounds, help="turns that each side takes")
    made.add_argument("--json", metavar="FILE", help="write the results there")
    made.add_argument("--quick", action="store_true", help="only see that it runs: a tiny network, two rounds")
    return made


def options(description, rounds):
    """Parse the command line of a benchmark that has no further options."""
    return parsed(parser(description, rounds))


def parsed(made):
    """Parse the command line. made: a parser of `parser`, with further options."""
    chosen = made.parse_args()
    if chosen.quick:
        chosen.rounds = 2
    return chosen


def rates_in_turn(sides, rounds, warm_up=1):
    """Call every side once a round, so that a noisy moment hits all sides.

    Args:
        sides: {name: function that returns a value, such as a rate}.
        rounds: that count.
        warm_up: rounds before, whose values are left out.

    Returns:
        {name: [value of each round]}.
    """
    values = {name: [] for name in sides}
    for turn in range(-warm_up, rounds):
        for name, call in sides.items():
            value = call()
            if turn >= 0:
                values[name].append(value)
    return values


def in_turn(sides, rounds, warm_up=3, turn=TURN_SECONDS):
    """Time a call of every side once a round.

    A turn begins with a call that does not count: the side before may have left threads that still spin (torch's do,
    for milliseconds) and caches full of its data. Then the side is called for `turn` seconds, at least once; the
    median of these calls is the value of the round.

    Args:
        sides: {name: function}.
        rounds, warm_up: see `rates_in_turn`.
        turn: seconds.

    Returns:
        {name: [seconds of a call in each round]}.
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
    """Return the median over rounds of one side's value over the other's in the same round."""
    return median(a / b for a, b in zip(values[numerator], values[denominator], strict=True))


def interval(values, numerator, denominator, where=""):
    """Return the rows of a ratio's 95 % interval, bootstrapped over rounds; none where there are too few rounds."""
    if len(values[numerator]) < stats.MIN_TIMES:
        return {}
    found = stats.paired_ratio(values[denominator], values[numerator])
    title = f"{where}{numerator} / {denominator}, 95 %"
    return {f"{title} from": found.low, f"{title} to": found.high}


def scaled_clip(path, size, folder):
    """Return the path of the clip at `size` (width, height), re-encoded into `folder`; `path` itself where it is None.

    The codec is VP8, since OpenCV's package cannot write H.264. At 720p VP8 takes longer to decode: 2.9 ms a frame
    against 2.0.
    """
    import cv2

    from tsm_edge.sources import open_source

    if size is None:
        return path
    smaller = Path(folder) / "{}x{}.mkv".format(*size)
    if smaller.exists():
        return smaller
    writer = cv2.VideoWriter(str(smaller), cv2.VideoWriter_fourcc(*"VP80"), 30, size)
    with contextlib.closing(open_source(str(path))) as source:
        for frame in source:
            writer.write(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA))
    writer.release()
    return smaller


def machine():
    """Return what the figures were measured on and with."""
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
        if chosen.quick:
            record["quick"] = True  # figures of a tiny network, which say nothing
        write_json(chosen.json, record)


def read_between(page, begin):
    """Return the text of the file `page` between the line `begin` and the line END."""
    return page.read_text(encoding="utf-8").split(begin)[1].split(END)[0]


def write_between(page, begin, text):
    """Put `text`, whole lines, between the line `begin` and the line END."""
    before, rest = page.read_text(encoding="utf-8").split(begin)
    page.write_text(before + begin + text + END + rest.split(END, 1)[1], encoding="utf-8")


def kept(name):
    """Return the record of benchmark `name` that is kept in results/."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def write_json(path, record):
    """Write a record of results, whole or not at all."""
    draft = Path(f"{path}.part")
    draft.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)
