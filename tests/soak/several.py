"""Several live streams in one run: one stalls, one is interrupted again and again, and the others must not notice.

The cameras are MJPEG servers in a separate process (tests/soak/server.py), on a real clock. Their pictures carry
numbers, so each frame that passed the sinks is known to the camera that sent it.
"""

import os
import signal
import time
from typing import NamedTuple

import numpy as np

from tests.soak.server import Behaviour, Cameras, read_picture

FPS = 15.0
SIZE = (64, 48)  # width, height
STEADY, FAULTY = ("steady-1", "steady-2"), ("stalling", "reconnecting")
SECONDS = 45.0  # of a run
STALL_BEGIN, STALL_SECONDS, PERIOD = 5 / SECONDS, 20 / SECONDS, 5 / SECONDS  # shares of a run
READ_SECONDS = 5.0  # a stream that is silent for longer counts as interrupted: tsm_edge/sources/network.py
MIN_SECONDS = 15.0  # of a run of the soak: the stall is then longer than that
WARM_UP = 2.0  # seconds of a run whose latencies do not count

# What is compared: the latency of the steady streams in each.
ALONE, HEALTHY, FAULTS = SIDES = ("two streams", "four streams", "four streams, two of them faulty")
# How much slower the steady streams may be in the soak; machines are noisy. benchmarks/bench_stalls.py measures it.
MAX_RATIO = 1.5
MAX_ROUNDS = 3


class Seen(NamedTuple):
    """A frame that passed all sinks. connection, number: as its picture says. clock: at the end of its sinks."""

    index: int
    gap: bool
    connection: int
    number: int
    clock: float


def behaviours(side, seconds):
    """Return {stream: Behaviour} of the cameras of a side; the frames of the cameras come evenly after each other."""
    names = STEADY if side == ALONE else STEADY + FAULTY
    found = {name: Behaviour(place / FPS / len(names)) for place, name in enumerate(names)}
    if side == FAULTS:
        begin, period = STALL_BEGIN * seconds, PERIOD * seconds
        stall = begin, begin + STALL_SECONDS * seconds
        found["stalling"] = found["stalling"]._replace(stall=stall)
        found["reconnecting"] = found["reconnecting"]._replace(period=period)
    return found


def run_side(drive, side, seconds, size=SIZE):
    """Run one side through `tsm-edge run` and check it. The figures get `p50_ms` and `p99_ms` of the steady streams.

    Args:
        drive: a :class:`tests.soak.drive.Drive`.
        side: of SIDES.
        seconds: of the run.
        size: (width, height) of the pictures.
    """
    cameras, seen, until = behaviours(side, seconds), {}, None
    stall = STALL_SECONDS * seconds

    def take(result):
        nonlocal until
        now, frame = time.perf_counter(), result.frame
        until = now + seconds if until is None else until
        seen.setdefault(frame.stream, []).append(Seen(frame.index, frame.gap, *(read_picture(frame.image) + (now,))))
        if now >= until:
            until = float("inf")
            os.kill(os.getpid(), signal.SIGTERM)

    path = os.path.join(drive.folder, "cameras.toml")
    with Cameras(list(cameras.values()), FPS, size) as server:
        with open(path, "w") as file:
            for name, url in zip(cameras, server.urls):
                file.write('[[camera]]\nname = "{}"\nsource = "{}"\n'.format(name, url))
        drive.run(["--cameras", path, "--fps", "1000"], int(seconds * FPS * len(cameras)), take=take)
        server.stop()
    os.remove(path)
    drive.check(143, "SIGTERM")
    sent = dict(zip(cameras, server.sent))
    for name, connections in sent.items():
        check_stream(drive, name, seen.get(name, []), connections)
        faulty = side == FAULTS and (name == "reconnecting" or (name == "stalling" and stall > READ_SECONDS))
        drive.need("{}: interrupted".format(name), len(connections) > 1, faulty)
        if name in STEADY and silence(seen.get(name, [])) > stall / 2:
            drive.faults.append("{}: no frame for {:.1f} s".format(name, silence(seen[name])))
    found = [1e3 * latency for name in STEADY for latency in latencies(seen.get(name, []), sent[name])]
    p50, p99 = np.percentile(found, [50, 99]).tolist() if found else (None, None)
    connections = {name: len(some) for name, some in sent.items()}
    drive.figures.update(hours=drive.written.frames / FPS / 3600, p50_ms=p50, p99_ms=p99, connections=connections)


def check_stream(drive, name, seen, sent):
    """Hold the frames of one stream, and its counts, against what its camera sent, for each connection."""
    stream = drive.written.streams.get(name)
    if stream is None or stream.summary is None or not seen:
        drive.faults.append("{}: no frames, or no summary".format(name))
        return
    summary, pairs = stream.summary, list(zip(seen, seen[1:]))
    begins = [one.index for before, one in pairs if one.connection != before.connection]
    holes = seen[-1].index + 1 - len(seen)
    drive.need("{}: frames written".format(name), stream.frames, len(seen))
    drive.need("{}: corrupt".format(name), summary["corrupt"], 0)
    # The run may have ended when a newer frame had just pushed out one that waited: that one is no hole.
    counted = holes <= summary["dropped"] <= holes + 1
    drive.need("{}: {} dropped, {} holes".format(name, summary["dropped"], holes), counted, True)
    drive.need("{}: gaps".format(name), [one.index for one in seen if one.gap], begins)
    drive.need("{}: resets".format(name), summary["resets"], len(begins))
    drive.need("{}: connections with frames".format(name), 1 + len(begins), sum(bool(some) for some in sent))
    for before, one in pairs:
        apart = one.number - before.number
        if one.connection != before.connection:
            apart += len(sent[before.connection])
        if one.index - before.index != apart:
            drive.faults.append("{}: {} follows {}, which was sent {} before".format(name, one, before, apart))
            return


def silence(seen):
    """Return the longest time between two frames in seconds."""
    return max((one.clock - before.clock for before, one in zip(seen, seen[1:])), default=0.0)


def latencies(seen, sent):
    """Return the seconds from when a camera sent each frame to the end of its sinks, without the warm-up."""
    return [one.clock - sent[one.connection][one.number] for one in seen if one.clock >= seen[0].clock + WARM_UP]


def slowed(p99):
    """Return whether faulty streams slowed the steady ones grossly. p99: {side: milliseconds}."""
    healthy = max(p99[ALONE], p99[HEALTHY])
    return p99[FAULTS] > max(MAX_RATIO * healthy, healthy + 1e3 / FPS)
