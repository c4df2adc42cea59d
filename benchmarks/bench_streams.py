"""Ways to step several streams at once: frames/s and memory of each.

- batched: one run of the network for all streams.
- spread: one state of the engine; each thread steps its own streams. Where the streams are no multiple of the threads,
  all threads together step those that remain, one after the other.
- separate states: one engine steps the states of the streams one after the other, with all threads.
- separate sessions: one engine of one thread for each stream, worked off by as many threads as the others have.

Memory is the resident peak of a process that does nothing else.
"""

import contextlib
import tempfile
from statistics import median

import common
import forms
from memory import BATCHED, WAYS, peak_megabytes, stepper

STREAMS = (1, 2, 4, 8, 16)


def main():
    chosen = common.options(__doc__, rounds=60)
    counts = (1, 2) if chosen.quick else STREAMS
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        path = forms.Maker(folder, forms.network_of(chosen)).path(forms.BEST)
        for streams in counts:
            where = f"{streams} stream{'s' * (streams > 1)}"
            with contextlib.ExitStack() as stack:
                sides = {way: stepper(way, path, chosen.threads, streams, stack) for way in WAYS}
                seconds = common.in_turn(sides, chosen.rounds)
            for way in WAYS:
                rows[f"{where}: {way}, frames/s"] = streams / median(seconds[way])
                rows[f"{where}: {way}, MB"] = peak_megabytes(way, path, chosen.threads, streams)
            for way in WAYS[1:]:
                rows[f"{where}: {way} / {BATCHED}, time"] = common.ratio(seconds, way, BATCHED)
                rows.update(common.interval(seconds, way, BATCHED, f"{where}: "))
            rows[f"{where}: the most frames/s"] = max(WAYS, key=lambda way: rows[f"{where}: {way}, frames/s"])
    common.finish("streams", rows, chosen)
    if chosen.json:
        import plots

        plots.streams(rows, counts, WAYS, chosen.json)


if __name__ == "__main__":
    main()
