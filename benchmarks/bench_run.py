"""File to label: the published pipeline, a session of tsm-edge, and the engine alone.

All sides take turns in one process, with the same weights and threads. A session has no sinks here.
"""

import functools
import tempfile
from statistics import median
from time import perf_counter

import torch

import common
import forms
import published
import tsm_edge
from tsm_edge.machine.system_files import processors
from tsm_edge.session import may_spin
from tsm_edge.sources import open_source

CASES = {  # name: clip, its size where it is re-encoded, how many threads fewer than asked for
    "340x256": (common.SMALL_CLIP, None, 0),
    "720p": (common.LARGE_CLIP, (1280, 720), 0),
    "720p, a thread left to decoding": (common.LARGE_CLIP, (1280, 720), 1),
    "1080p": (common.LARGE_CLIP, None, 0),
}
FRAMES = 70  # of each clip, a turn; the 1080p clip has 72


def session_rate(path, engine):
    """Return the frames/s of a session from its first label to its last."""
    with tsm_edge.open_session(engine, str(path), max_frames=FRAMES) as session:
        for _ in session:
            pass
        return session.streams[0].fps


def published_rate(path, network):
    """Return the same of the published pipeline."""
    times = [perf_counter() for _ in published.labels(path, network, FRAMES)]
    return (len(times) - 1) / (times[-1] - times[0])


def engine_rate(engine, state, frame):
    """Return the frames/s of the engine alone."""
    start = perf_counter()
    for _ in range(FRAMES):
        engine.step(frame, state)
    return FRAMES / (perf_counter() - start)


def spins(path, threads):
    """Return whether the threads of an engine may spin, as `open_session` decides for this clip."""
    with open_source(str(path)) as source:
        return may_spin(source.frame_size, False, threads, processors())


def main():
    chosen = common.options(__doc__, rounds=7)
    cases = dict(list(CASES.items())[:1]) if chosen.quick else CASES
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        maker = forms.Maker(folder, forms.network_of(chosen), published.SIZE if chosen.quick else None)
        for name, (clip, size, spare) in cases.items():
            path, threads = common.scaled_clip(clip, size, folder), max(1, chosen.threads - spare)
            torch.set_num_threads(threads)
            with maker.engine(forms.BEST, threads, spins(path, threads)) as engine:
                sides = {
                    "published": functools.partial(published_rate, path, maker.network),
                    "tsm-edge": functools.partial(session_rate, path, engine),
                    "engine alone": functools.partial(engine_rate, engine, engine.new_state(), maker.frames()),
                }
                rates = common.rates_in_turn(sides, chosen.rounds)
            for side, values in rates.items():
                rows[f"{name}: {side}, frames/s"] = median(values)
            for other in ("published", "engine alone"):
                rows[f"{name}: tsm-edge / {other}"] = common.ratio(rates, "tsm-edge", other)
    common.finish("run", rows, chosen)


if __name__ == "__main__":
    main()
