"""python benchmarks/cameras.py MODEL FPS THREADS CLIP...: serve clips as cameras do, until SIGTERM.

One process, which imports what a device would and nothing else. It prints a line once every stream has had
WARM_UP_RESULTS and, at the end, a JSON list of results: [stream, index of the frame, clock at its label, latency in
seconds]. The clock is `time.perf_counter`, which all processes of a machine share on Linux.
"""

import json
import signal
import sys
import time

import tsm_edge
from tsm_edge.sinks.base import Sink
from tsm_edge.sources.request import StreamRequest

WARM_UP_RESULTS = 5  # of each stream


class Results(Sink):
    """Keeps when each label was there. Asks for the end of the run once `over` is True."""

    def __init__(self, streams):
        self.rows, self.over = [], False
        self._cold = dict.fromkeys(streams, WARM_UP_RESULTS)

    def write(self, result):
        now, frame = time.perf_counter(), result.frame
        self.rows.append((frame.stream, frame.index, now, now - frame.times.since))
        if frame.stream in self._cold:
            self._warm_up(frame.stream)
        return False if self.over else None

    def event(self, event):
        """Keep nothing."""

    def _warm_up(self, stream):
        self._cold[stream] -= 1
        if not self._cold[stream]:
            del self._cold[stream]
            if not self._cold:
                print("ready", flush=True)


def main():
    model, fps, threads, *clips = sys.argv[1:]
    names = [f"camera{number}" for number in range(len(clips))]
    requests = [StreamRequest(clip, name, loop=True, paced=float(fps)) for clip, name in zip(clips, names, strict=True)]
    results = Results(names)

    def stop(*signal_and_frame):
        results.over = True

    signal.signal(signal.SIGTERM, stop)
    with tsm_edge.open_session(model, *requests, threads=int(threads)) as session:
        session.sinks.append(results)
        for _ in session:
            pass
    print(json.dumps(results.rows))


if __name__ == "__main__":
    main()
