"""Several streams at once: batched, dealt out, a state each or a session each. Frames/s and memory.

batched: one state, one run of the network for all streams. dealt out: one state, each thread takes a stream alone; what
an engine does by itself where the streams are a multiple of its threads, so that one stream is as batched. separate
states: one session that takes the streams' states in turn. separate sessions: one each, of one thread, worked off by as
many threads as the others have. Memory is the resident peak of a process that does nothing else.
"""

import contextlib
import tempfile
from statistics import median

import common
import forms
from memory import WAYS, peak_megabytes, stepper

STREAMS = (1, 2, 4, 8, 16)


def main():
    chosen = common.options(__doc__, rounds=60, quick=True)
    name, counts = ("tiny", (1, 2)) if chosen.quick else ("MobileNetV2 1.0", STREAMS)
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        path = forms.Maker(folder, name).path(forms.BEST)
        for streams in counts:
            where = f"{streams} stream{'s' * (streams > 1)}"
            with contextlib.ExitStack() as stack:
                sides = {way: stepper(way, path, chosen.threads, streams, stack) for way in WAYS}
                seconds = common.in_turn(sides, chosen.rounds)
            for way in WAYS:
                rows[f"{where}: {way}, frames/s"] = streams / median(seconds[way])
                rows[f"{where}: {way}, MB"] = peak_megabytes(way, path, chosen.threads, streams)
            for way in WAYS[1:]:
                rows[f"{where}: {way} / batched, time"] = common.ratio(seconds, way, "batched")
                rows.update(common.interval(seconds, way, "batched", f"{where}: "))
            rows[f"{where}: the most frames/s"] = max(WAYS, key=lambda way: rows[f"{where}: {way}, frames/s"])
    common.finish("streams", rows, chosen)
    if chosen.json:
        import plots

        plots.streams(rows, counts, WAYS, chosen.json)


if __name__ == "__main__":
    main()
