"""How the cost of a frame grows: with the size of the frames, and along a stream of 20,000 frames.

The sizes take turns. Memory of each size is the resident peak of a process that does nothing else. Along the stream,
rate and memory of this process are read in twenty parts.
"""

import contextlib
import functools
import gc
import tempfile
from statistics import median
from time import perf_counter

import common
import forms
from memory import SPREAD, peak_megabytes
from tsm_edge.machine.sampler import resident_now

SIZES = (112, 160, 224, 320, 448)
FRAMES, PARTS = 20_000, 20


def measure_sizes(rows, chosen, folder, sizes):
    """Add frames/s and MB of each size to `rows`."""
    with contextlib.ExitStack() as stack:
        sides, paths = {}, {}
        for size in sizes:
            maker = forms.Maker(folder, forms.network_of(chosen), size)
            paths[size] = maker.path(forms.BEST)
            engine = stack.enter_context(maker.engine(forms.BEST, chosen.threads))
            sides[size] = functools.partial(engine.step, maker.frames(), engine.new_state())
        seconds = common.in_turn(sides, chosen.rounds)
    for size in sizes:
        rows[f"{size}x{size}: frames/s"] = 1 / median(seconds[size])
        rows[f"{size}x{size}: MB"] = peak_megabytes(SPREAD, paths[size], chosen.threads, 1)


def measure_stream(rows, chosen, folder, frames):
    """Add frames/s and MB of each part of one stream to `rows`, and what memory gained."""
    maker = forms.Maker(folder, forms.network_of(chosen))
    with maker.engine(forms.BEST, chosen.threads) as engine:
        frame, state = maker.frames(), engine.new_state()
        for _ in range(10):
            engine.step(frame, state)
        part = frames // PARTS
        for number in range(1, PARTS + 1):
            begun = perf_counter()
            for _ in range(part):
                engine.step(frame, state)
            seconds = perf_counter() - begun
            gc.collect()
            rows[f"frame {number * part}: frames/s"] = part / seconds
            rows[f"frame {number * part}: MB"] = resident_now() / 1e6
    rows["stream: MB gained from its first twentieth to its last"] = (
        rows[f"frame {PARTS * part}: MB"] - rows[f"frame {part}: MB"]
    )


def main():
    chosen = common.options(__doc__, rounds=20)
    sizes, frames = ((64, 96), 200) if chosen.quick else (SIZES, FRAMES)
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        measure_sizes(rows, chosen, folder, sizes)
        measure_stream(rows, chosen, folder, frames)
    common.finish("growth", rows, chosen)
    if chosen.json:
        import plots

        plots.growth(rows, chosen.json)


if __name__ == "__main__":
    main()
