"""Measure how long an online model remembers a frame, and draw docs/memory.svg: make_memory_picture.py [MODEL.onnx]

A frame of a stream of rendered gestures is blanked, and the logits of the frames after it are compared with those of
the whole stream. The mean over many such frames is shown, as a share of the change at the blanked frame itself.
"""

import argparse
import io
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tsm_edge import Preprocessor, load_engine
from tsm_edge.engines.base import Engine
from tsm_edge_export import synthetic

ROOT = Path(__file__).parent.parent
SEED, SECONDS = 2, 14  # the stream
WARM_UP = 12  # frames before the first one that is blanked
COLOUR, GROUND, RESOLUTION = "#0969da", "#ffffff", 72


def shares(engine: Engine, fps: float, count: int) -> np.ndarray:
    """Return (shifts + 3,) float64: the change of the logits 0, 1, 2 ... frames after a blanked frame, over that at 0.

    Args:
        engine: an online engine of one frame a step.
        fps: frames/s of the stream that it gets.
        count: how many frames are blanked, each in a run of its own.
    """
    stream, preprocess = synthetic.Stream(SEED, SECONDS, size=(256, 256)), Preprocessor(engine.manifest.frame)
    step = stream.fps / fps
    frames = stream.read([round(number * step) for number in range(int(SECONDS * fps))])
    inputs = [preprocess(np.ascontiguousarray(frame[..., ::-1])) for frame in frames]
    blank = preprocess(np.zeros_like(frames[0]))
    lags = len(engine.manifest.caches) + 3
    total = np.zeros(lags)
    for place in np.linspace(WARM_UP, len(inputs) - lags - 1, count).astype(int):
        state, other = engine.new_state(), engine.new_state()
        for frame in inputs[place - WARM_UP : place]:
            engine.step(frame, state)
        other.restore(state.snapshot())
        for lag in range(lags):
            whole = engine.step(inputs[place + lag], state)["logits"]
            changed = engine.step(blank if lag == 0 else inputs[place + lag], other)["logits"]
            total[lag] += np.abs(whole - changed).max()
    return total / total[0]


def picture(values: np.ndarray, fps: float) -> bytes:
    """Return a bar chart of the shares as an SVG."""
    figure = Figure(figsize=(7.6, 2.9), dpi=RESOLUTION, facecolor=GROUND, layout="constrained")
    axes = figure.add_subplot(ylabel="change of the logits, %")
    axes.bar(range(len(values)), 100 * values, color=COLOUR)
    for lag, value in enumerate(values):
        percent = 100 * value
        text = f"{percent:.0f}" if value == 0 or percent >= 10 else f"{percent:.1f}" if percent >= 0.1 else "< 0.1"
        axes.annotate(text, (lag, percent), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=9)
    axes.set_xticks(range(len(values)))
    axes.set_ylim(0, 112)
    axes.set_xlabel(f"frames after the blanked one, at {fps:g} frames/s")
    axes.spines[["top", "right"]].set_visible(False)
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def main(arguments: list[str]) -> int:
    """Measure, print the shares and write the picture. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure how long an online model remembers a frame.")
    parser.add_argument("model", nargs="?", default=str(ROOT / "build" / "demo" / "mobilenetv2_tsm.onnx"))
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "memory.svg")
    parser.add_argument("--count", type=int, default=40, help="frames that are blanked")
    options = parser.parse_args(arguments)
    with load_engine(options.model) as engine:
        fps = engine.manifest.fps
        assert fps is not None, "the model states no frame rate"
        values = shares(engine, fps, options.count)
    for lag, value in enumerate(values):
        print(f"{lag:2d} frames after it: {100 * value:8.4f} %")
    options.output.write_bytes(picture(values, fps))
    print(f"wrote {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
