"""Four live streams, one of which stalls for 20 s and one of which is interrupted every 5 s: latency of the other two.

The sides take turns: the two steady streams alone, four healthy streams, and four streams of which two are faulty. Each
is a run of `tsm-edge run` on MJPEG cameras over HTTP (tests/soak/several.py), 340x256 at 15 frames/s; the soak's checks
hold on each. Latency is from when the camera sent a frame to the end of the sinks.
"""

import functools
import os
import sys
import tempfile
from statistics import median

import common
import forms

sys.path.insert(0, str(common.ROOT))
from tests.soak import several  # noqa: E402
from tests.soak.drive import Drive  # noqa: E402

SIZE = (340, 256)
FIGURES = {"latency p50, ms": "p50_ms", "latency p99, ms": "p99_ms", "dropped": "dropped", "resets": "resets"}


def measure(model, threads, folder, seconds, side):
    """Return the figures of one run. Raises RuntimeError for what the soak's checks find wrong."""
    drive = Drive(side, model, folder, 0, threads)
    several.run_side(drive, side, seconds, SIZE)
    # The first run starts threads that libraries keep.
    faults = [fault for fault in drive.faults if not fault.startswith("threads and open files")]
    if faults:
        raise RuntimeError(f"{side}: {'; '.join(faults)}")
    return {figure: drive.figures[key] for figure, key in FIGURES.items()}


def main():
    chosen = common.options(__doc__, rounds=5)
    rounds, seconds = (1, 6.0) if chosen.quick else (chosen.rounds, several.SECONDS)
    os.environ["OPENCV_LOG_LEVEL"] = "ERROR"
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as models:
        model = forms.Maker(models, forms.network_of(chosen)).path(forms.BEST)
        sides = {
            side: functools.partial(measure, model, chosen.threads, folder, seconds, side) for side in several.SIDES
        }
        found = common.rates_in_turn(sides, rounds, warm_up=0)
    rows = {}
    for side, values in found.items():
        rows.update({f"{side}: {figure}": median(value[figure] for value in values) for figure in FIGURES})
    for figure in list(FIGURES)[:2]:
        values = {side: [value[figure] for value in some] for side, some in found.items()}
        for other in (several.ALONE, several.HEALTHY):
            rows[f"{figure}: {several.FAULTS} / {other}"] = common.ratio(values, several.FAULTS, other)
            rows.update(common.interval(values, several.FAULTS, other, f"{figure}: "))
    common.finish("stalls", rows, chosen)


if __name__ == "__main__":
    main()
