"""How cost grows: frames/s and memory against the size of the frames, and along a stream of 20,000 frames.

The sizes take turns. Memory against size is the resident peak of a process that does nothing else; along the stream it
is read every twentieth of it, in this process.
"""

import contextlib
import functools
import gc
import tempfile
from statistics import median
from time import perf_counter

import psutil

import common
import forms
from memory import peak_megabytes

SIZES = (112, 160, 224, 320, 448)
FRAMES, PARTS = 20_000, 20


def sizes(rows, name, chosen, folder, some):
    with contextlib.ExitStack() as stack:
        sides, paths = {}, {}
        for size in some:
            maker = forms.Maker(folder, name, size)
            paths[size] = maker.path(forms.BEST)
            engine = stack.enter_context(maker.engine(forms.BEST, chosen.threads))
            sides[size] = functools.partial(engine.step, maker.frames(), engine.new_state())
        seconds = common.in_turn(sides, chosen.rounds)
    for size in some:
        rows[f"{size}x{size}: frames/s"] = 1 / median(seconds[size])
        rows[f"{size}x{size}: MB"] = peak_megabytes("batched", paths[size], chosen.threads, 1)


def stream(rows, name, chosen, folder, frames):
    """Rates and memory of the parts of one stream; last against first."""
    maker, me = forms.Maker(folder, name), psutil.Process()
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
            rows[f"frame {number * part}: MB"] = me.memory_info().rss / 1e6
    rows["stream: MB gained from its first twentieth to its last"] = (
        rows[f"frame {PARTS * part}: MB"] - rows[f"frame {part}: MB"]
    )


def main():
    chosen = common.options(__doc__, rounds=20, quick=True)
    name, some, frames = ("tiny", (64, 96), 200) if chosen.quick else ("MobileNetV2 1.0", SIZES, FRAMES)
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        sizes(rows, name, chosen, folder, some)
        stream(rows, name, chosen, folder, frames)
    common.finish("growth", rows, chosen)
    if chosen.json:
        import plots

        plots.growth(rows, chosen.json)


if __name__ == "__main__":
    main()
