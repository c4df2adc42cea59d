"""What the profiler costs: the loop with a recorder and a sampler against the loop of `tsm-edge run`, in turn.

Also how far the stages' sum is from the wall time of the measured frames. Figures: docs/profiling.md.
"""

import contextlib
import tempfile
from statistics import median
from time import perf_counter

import common
import forms
from tsm_edge import session as pipeline
from tsm_edge.heads.classification import Decider
from tsm_edge.machine.sampler import Sampler
from tsm_edge.preprocess import Preprocessor
from tsm_edge.profile import record
from tsm_edge.profile.recorder import Recorder
from tsm_edge.profile.watch import SyntheticSource, Watched, WatchedSource
from tsm_edge.timing import StageTimes

FRAMES = 100  # a turn


class Frames:
    """A source read in the loop's own thread: no queue, so that the two sides differ in the profiler alone."""

    last_read_seconds = 0.0

    def __init__(self, source):
        self._source = source

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._source)


def plain(stages, manifest):
    """Seconds a frame of the loop as `tsm-edge run` has it."""
    begun = perf_counter()
    pipeline.run(Frames(SyntheticSource(manifest)), stages, [], StageTimes(), pipeline.Counts(), FRAMES)
    return (perf_counter() - begun) / FRAMES


def profiled(stages, manifest, accounted):
    """The same, profiled; adds the stages' share of the wall time to `accounted`."""
    source = WatchedSource(SyntheticSource(manifest))
    frames = Watched(Frames(source), source)
    recorder = Recorder(frames, seconds=1e9, warm_up=0.0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(Sampler())
        begun = perf_counter()
        pipeline.run(frames, stages, [], recorder, pipeline.Counts(), FRAMES)
        seconds = (perf_counter() - begun) / FRAMES
    details = recorder.details()
    accounted.append(sum(details[name]["mean"] for name in record.LOOP) * recorder.count / (1e3 * recorder.seconds))
    return seconds


def main():
    chosen = common.options(__doc__, rounds=40, quick=True)
    accounted = []
    with tempfile.TemporaryDirectory() as folder:
        maker = forms.Maker(folder, "tiny" if chosen.quick else "MobileNetV2 1.0")
        with maker.engine(forms.BEST, chosen.threads) as engine:
            manifest = engine.manifest
            stages = pipeline.Stages(Preprocessor(manifest.frame), engine, Decider(manifest.decision, manifest.labels))
            sides = {
                "run": lambda: plain(stages, manifest),
                "profile": lambda: profiled(stages, manifest, accounted),
                "run again": lambda: plain(stages, manifest),
            }
            seconds = common.rates_in_turn(sides, chosen.rounds, warm_up=2)
    rows = {f"{name}, ms a frame": 1e3 * median(values) for name, values in seconds.items()}
    for other in ("profile", "run again"):
        rows[f"{other} / run"] = common.ratio(seconds, other, "run")
        rows.update(common.interval(seconds, other, "run"))
    rows["stages over wall time, median"] = median(accounted)
    rows["stages over wall time, least"] = min(accounted)
    common.finish("profile", rows, chosen)


if __name__ == "__main__":
    main()
