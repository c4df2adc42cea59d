"""What keeps a model quiet on people it does not know: false events on real videos against right ones on streams.

The shipped model sees rendered streams whose events are known, and real videos without any of its gestures: people who
act, and faces. Its logits are kept. Three gates are tried on them, one at a time, each at many values: the least
probability (threshold), the least energy, and the least margin between the best two logits. Window and hysteresis are
those of the recipe.
"""

import math
import sys
from pathlib import Path
from typing import NamedTuple

import cv2  # noqa: F401 (a missing OpenCV is told at once)
import numpy as np

import common
from tsm_edge.heads.classification import parse_decision, softmax_and_energy
from tsm_edge.heads.votes import Votes
from tsm_edge.preprocess import Preprocessor
from tsm_edge.records import Frame
from tsm_edge.sources import open_source
from tsm_edge.sources.sampling import sample
from tsm_edge_export import recipe, synthetic
from tsm_edge_export.evaluation.engines import open_engine
from tsm_edge_export.evaluation.matching import TOLERANCE, DetectionLog, Truth, figures, match
from tsm_edge_export.evaluation.stream import ClipSource

MODEL = "mobilenetv2_tsm"
NAMES = ["decord_flipping_a_pancake.mkv", "mmaction2_demo.mp4", "mmaction2_demo_skeleton.mp4"]
NAMES += ["mmaction2_part_0.mp4", "mmaction2_test.mp4"]
FACES = ["david/david.webm", "jumping"]
STREAM_SECONDS = 120.0
SHARES = (0.94, 0.9, 0.85)  # of right events, at which the gates are compared
GATES = {
    "threshold": [*np.arange(0, 0.9, 0.05), 0.9, 0.93, 0.95, 0.97, 0.98, 0.99],
    "energy": np.arange(-2, 4.01, 0.25),
    "margin": np.arange(0, 6.01, 0.25),
}


class Seen(NamedTuple):
    """A video as the model saw it."""

    logits: np.ndarray  # (frames, classes) float64
    frames: list  # Frame without a picture
    events: list  # Truth
    seconds: float


def seen(engine, source, events=()):
    """Run the model over a source at its own rate."""
    fps, preprocess, state = engine.manifest.fps, Preprocessor(engine.manifest.frame), engine.new_state()
    logits, frames = [], []
    with source:
        for frame in sample(source, fps):
            logits.append(engine.step(preprocess(frame.image), state)["logits"][0].astype(np.float64))
            frames.append(Frame(frame.index, frame.time, np.empty(0, np.uint8)))
    return Seen(np.array(logits), frames, list(events), len(frames) / fps)


def gates_of(video, window):
    """Return the leading class of each frame, and {gate: its values}, from the mean of the last `window` logits."""
    classes, values = [], {gate: [] for gate in GATES}
    for index in range(len(video.logits)):
        mean = video.logits[max(0, index + 1 - window) : index + 1].mean(0)
        probabilities, energy = softmax_and_energy(mean)
        second, best = np.sort(mean)[-2:]
        classes.append(int(mean.argmax()))
        for gate, value in (("threshold", probabilities.max()), ("energy", energy), ("margin", best - second)):
            values[gate].append(float(value))
    return classes, values


def counted(videos, gated, decision, labels, least):
    """Return (events, right, false, seconds) over videos. least: {gate: the least value of a frame that votes}."""
    totals = np.zeros(4)
    for video, (classes, values) in zip(videos, gated, strict=True):
        votes, log = Votes(decision.hysteresis), DetectionLog()
        for index, frame in enumerate(video.frames):
            label = labels[classes[index]]
            shown = label not in decision.ignored and all(values[gate][index] >= low for gate, low in least.items())
            for event in votes.vote(label if shown else None, values["threshold"][index], frame):
                log.add(event, frame.time)
        for event in votes.reset():
            log.add(event, video.frames[-1].time)
        found = sorted(log.detections, key=lambda detection: detection.start)
        row = figures(video.events, found, match(video.events, found, TOLERANCE), video.seconds)
        totals += (row["events"], row["right"], row["false"], video.seconds)
    return totals


def compared(sets, decision, labels):
    """Return the rows: {figure: value}."""
    gated = {name: [gates_of(video, decision.window) for video in videos] for name, videos in sets.items()}

    def measure(least):
        counts = {name: counted(videos, gated[name], decision, labels, least) for name, videos in sets.items()}
        events, right = counts["streams"][:2]
        return right / max(1.0, events), {name: 60 * row[2] / row[3] for name, row in counts.items()}

    rows = {f"{name}: seconds": sum(video.seconds for video in videos) for name, videos in sets.items()}
    rows["streams: events"] = sum(len(video.events) for video in sets["streams"])
    own = {"threshold": decision.threshold}
    sides = {"no gate": {}, "recipe without its energy": dict(own)}
    sides["recipe"] = own if decision.energy is None else {**own, "energy": decision.energy}
    tried = {gate: [(value, *measure({gate: float(value)})) for value in values] for gate, values in GATES.items()}
    for name, least in sides.items():
        rows.update(_rows(name, *measure(least)))
    for share in SHARES:
        for gate, results in tried.items():
            fit = [(sum(false.values()), value, right, false) for value, right, false in results if right >= share]
            if fit:
                _, value, right, false = min(fit, key=lambda row: row[:2])
                where = f"{gate} alone, {share:.0%} right"
                rows[f"{where}: value"] = float(value)
                rows.update(_rows(where, right, false))
    return rows


def _rows(name, right, false):
    made = {f"{name}: events right, %": 100 * right}
    return {**made, **{f"{name}: false events a minute, {kind}": value for kind, value in false.items()}}


def main():
    made = common.parser(__doc__, rounds=6)
    made.add_argument("--engine", metavar="FILE", help=f"an exported {MODEL} (default: its checkpoint, in torch)")
    chosen = common.parsed(made)
    faces = common.CLIPS.parent / "face_tracking"
    if not common.CLIPS.is_dir() or not faces.is_dir():
        sys.exit(f"skipped: no {common.CLIPS} or no {faces}; TSM_EDGE_TEST_DATA names another folder of test data")
    spec = recipe.load(MODEL)
    weights = spec.weights.file
    with open_engine(*((chosen.engine,) if chosen.engine else (weights, MODEL)), threads=chosen.threads) as engine:
        decision = parse_decision(spec.decision, spec.labels, MODEL)
        names, others, seconds = (NAMES[3:4], [], 16.0) if chosen.quick else (NAMES, FACES, STREAM_SECONDS)
        side = spec.frame.short_side
        streams = []
        for seed in range(1 if chosen.quick else chosen.rounds):
            stream = synthetic.Stream(seed, seconds, size=(side, side))
            events = [Truth(*event) for event in stream.events]
            streams.append(seen(engine, ClipSource(stream, stream.fps), events))
        sets = {"streams": streams, "people": [seen(engine, open_source(str(common.CLIPS / name))) for name in names]}
        if others:
            sets["faces"] = [seen(engine, open_source(str(_pictures(faces / name)))) for name in others]
    rows = compared(sets, decision, spec.labels)
    assert all(math.isfinite(value) for value in rows.values())
    common.finish("false_events", rows, chosen)


def _pictures(path):
    """Return the folder of pictures in or below a folder. The path of a file is returned unchanged."""
    return path if path.is_file() else next(Path(path).rglob("*.jpg")).parent


if __name__ == "__main__":
    main()
