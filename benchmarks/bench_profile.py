"""What the profiler costs: a session with a recorder and a sampler against one without, in turn.

Also how far the sum of the stages is from the wall time of the recorded frames.
"""

import tempfile
from statistics import median
from time import perf_counter

import common
import forms
import tsm_edge
from tsm_edge.machine.sampler import Sampler
from tsm_edge.profile.record import LOOP_STAGES
from tsm_edge.profile.recorder import Recorder
from tsm_edge.sources.synthetic import SyntheticSource

FRAMES = 100  # a turn


def seconds_a_frame(engine, **options):
    """Return the time of a frame in a session as `tsm-edge run` has it. options: of `tsm_edge.open_session`."""
    with tsm_edge.open_session(engine, SyntheticSource(engine.manifest), max_frames=FRAMES, **options) as session:
        begun = perf_counter()
        for _ in session:
            pass
        return (perf_counter() - begun) / FRAMES


def profiled(engine, accounted):
    """Return the same of a profiled session. Adds the stages' share of the wall time to `accounted`."""
    recorder = Recorder(seconds=1e9, warm_up=0.0)
    with Sampler():
        seconds = seconds_a_frame(engine, new_times=lambda: recorder)
    details = recorder.details()
    work = sum(details[name]["mean"] for name in LOOP_STAGES)
    accounted.append(work * recorder.count / (1e3 * recorder.seconds))
    return seconds


def main():
    chosen = common.options(__doc__, rounds=40)
    accounted = []
    with tempfile.TemporaryDirectory() as folder:
        maker = forms.Maker(folder, forms.network_of(chosen))
        with maker.engine(forms.BEST, chosen.threads) as engine:
            sides = {
                "run": lambda: seconds_a_frame(engine),
                "profile": lambda: profiled(engine, accounted),
                "run again": lambda: seconds_a_frame(engine),
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
