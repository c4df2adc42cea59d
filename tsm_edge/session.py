"""The loop: frame -> tensor -> logits -> decision -> sinks. It names no back end, no source and no sink."""

import time
from typing import NamedTuple

from tsm_edge.sinks.base import Result


class Counts:
    """What a run has done so far; still right after an error or Ctrl-C broke it off."""

    def __init__(self):
        self.frames = self.resets = self.events = 0
        self.started = self.last = time.perf_counter()

    @property
    def seconds(self):
        return self.last - self.started

    @property
    def fps(self):
        """Frames/s from the first result to the last, None before the second."""
        return (self.frames - 1) / (self.last - self.first) if self.frames > 1 else None


Stages = NamedTuple(
    "Stages",
    [
        ("preprocess", object),  # tsm_edge.preprocess.Preprocessor
        ("engine", object),  # tsm_edge.engines.base.Engine, online
        ("decider", object),  # tsm_edge.heads.classification.Decider
    ],
)


def run(frames, stages, sinks, times, counts, max_frames=None):
    """Take `frames` (a tsm_edge.sources.capture.Capture) to their end. Returns why it ended: "end", "max_frames" or
    "closed" (a sink asked for it).

    times: a StageTimes to record into. counts: a Counts to keep. An event that is still open at the end goes to the
    sinks' `event`. Raises what the source, the engine or a sink raises; the sinks are then left for the caller to end.
    """
    state = stages.engine.new_state()
    while max_frames is None or counts.frames < max_frames:
        now = times.start()
        frame = next(frames, None)
        if frame is None:
            return "end"
        begun = now = times.lap("wait", now)
        times.record("decode", frames.last_read_seconds)
        ended = None
        if frame.gap:
            state.reset()
            ended = stages.decider.reset()
            counts.resets += 1
        tensor = stages.preprocess(frame.image)
        now = times.lap("preprocess", now)
        logits = stages.engine.step(tensor, state)
        now = times.lap("infer", now)
        decision = stages.decider.update(logits[0], frame.time)
        if ended is not None:  # the gap ended it; the first frame of a stream cannot end another one
            decision = decision._replace(event=ended)
        counts.frames += 1
        counts.last = times.lap("decide", now)
        if counts.frames == 1:
            counts.first = counts.last
        counts.events += decision.event is not None
        result = Result(frame, decision, counts.fps)
        wanted = [sink.write(result) for sink in sinks]
        times.lap("sink", counts.last)
        times.lap("frame", begun)
        if False in wanted:
            return "closed"
    return "max_frames"
