"""End to end, file to label: the published pipeline against `tsm-edge run`, and against the bare engine.

All sides take turns in one process, with the same weights and threads. Figures: benchmarks/README.md.
"""

import contextlib
import functools
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import cv2
import numpy as np
import torch

import common
import published
from tsm_edge import load_engine
from tsm_edge import session as pipeline
from tsm_edge.commands.run import DECODE_THREADS, may_spin
from tsm_edge.heads.classification import Decider
from tsm_edge.machine.system_files import processors
from tsm_edge.preprocess import Preprocessor
from tsm_edge.sources import open_source
from tsm_edge.sources.capture import Capture
from tsm_edge.timing import StageTimes
from tsm_edge_export import recipe
from tsm_edge_export.exporter import export, load_network

LARGE = "mmaction2_demo_skeleton.mp4"
CASES = {  # name: clip, its size if another, threads less than asked for
    "340x256": ("mmaction2_demo.mp4", None, 0),
    "720p": (LARGE, (1280, 720), 0),
    "720p, a thread left to decoding": (LARGE, (1280, 720), 1),
    "1080p": (LARGE, None, 0),
}
FRAMES = 70  # of each clip, a turn; the 1080p clip has 72


def clip_at(size, path, folder):
    """The clip at (width, height), in a new file; itself for None.

    VP8, since OpenCV's package can write no H.264; at 720p it took longer to decode here, 2.9 ms a frame against 2.0.
    """
    if size is None:
        return path
    smaller = Path(folder) / "{}x{}.mkv".format(*size)
    if smaller.exists():
        return smaller
    writer = cv2.VideoWriter(str(smaller), cv2.VideoWriter_fourcc(*"VP80"), 30, size)
    with contextlib.closing(open_source(str(path))) as source:
        for frame in source:
            writer.write(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA))
    writer.release()
    return smaller


def ours(path, engine):
    """Stream the clip as `tsm-edge run` does, without sinks. Returns frames/s from the first label to the last."""
    counts = pipeline.Counts()
    manifest = engine.manifest
    stages = pipeline.Stages(Preprocessor(manifest.frame), engine, Decider(manifest.decision, manifest.labels))
    with contextlib.closing(Capture(open_source(str(path), decode_threads=DECODE_THREADS))) as frames:
        pipeline.run(frames, stages, [], StageTimes(), counts, FRAMES)
    return counts.fps


def theirs(path, network):
    """The same by the published pipeline."""
    times = [perf_counter() for _ in published.labels(path, network, FRAMES)]
    return (len(times) - 1) / (times[-1] - times[0])


def bare(engine, state, frame):
    """Frames/s of the engine alone."""
    start = perf_counter()
    for _ in range(FRAMES):
        engine.step(frame, state)
    return FRAMES / (perf_counter() - start)


def main():
    chosen = common.options(__doc__, rounds=7)
    spec = recipe.load("mobilenetv2_tsm")
    network, *_ = load_network(spec, None, "online")
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        model = str(export("mobilenetv2_tsm", output=Path(folder) / "m.onnx"))
        frame = np.random.RandomState(0).randn(1, 3, spec.frame.height, spec.frame.width).astype(np.float32)
        for name, (clip, size, spare) in CASES.items():
            path, threads = clip_at(size, common.CLIPS / clip, folder), max(1, chosen.threads - spare)
            torch.set_num_threads(threads)
            with contextlib.closing(open_source(str(path))) as source:
                spin = may_spin(source.frame_size, threads, processors())
            engine = load_engine(model, threads=threads, spin=spin)
            state = engine.new_state()
            sides = {
                "published": functools.partial(theirs, path, network),
                "tsm-edge": functools.partial(ours, path, engine),
                "bare engine": functools.partial(bare, engine, state, frame),
            }
            rates = common.rates_in_turn(sides, chosen.rounds)
            for side, values in rates.items():
                rows[f"{name}: {side}, frames/s"] = median(values)
            for other in ("published", "bare engine"):
                rows[f"{name}: tsm-edge / {other}"] = common.ratio(rates, "tsm-edge", other)
    common.finish("run", rows, chosen)


if __name__ == "__main__":
    main()
