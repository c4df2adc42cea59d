"""Make the moving picture of README.md, a stream of rendered gestures with the overlay of `tsm-edge run`.

    make_readme_animation.py [MODEL.onnx] [-o FILE.gif]

The shipped model runs on a stream of the test split, which no training uses. The picture shows each frame that the
model saw, at the model's rate, with its label and its most probable labels.
"""

import argparse
import sys
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tsm_edge import open_session
from tsm_edge.records import Event, Result
from tsm_edge.sinks.base import Sink
from tsm_edge.sinks.overlay import draw as with_overlay
from tsm_edge.sources.request import StreamRequest
from tsm_edge_export import synthetic
from tsm_edge_export.evaluation.stream import ClipSource

ROOT = Path(__file__).parent.parent
SEED, SECONDS, SIZE = 2, 14, (360, 480)  # a stream with three gestures; height and width in pixels
FIRST, LAST = 1.0, 13.4  # seconds of the stream that are shown
SHOWN_SIZE = (400, 300)  # width and height of the picture
COLOURS = 160  # of the palette
NOISE, EDGE = 9, 36  # levels of sensor noise: by how much the mean of 5x5 pixels, or one pixel, may change unseen
MAX_BYTES = 1_500_000


class Frames(Sink):
    """Keeps the shown frames with their overlay, (H, W, 3) uint8 BGR, and the events of the whole stream."""

    def __init__(self) -> None:
        self.images: list[np.ndarray] = []
        self.events: list[Event] = []

    def write(self, result: Result) -> None:
        if FIRST <= result.frame.time <= LAST:
            # The rate is left out: this run spends most of its time on rendering.
            small = cv2.resize(result.frame.image, SHOWN_SIZE, interpolation=cv2.INTER_AREA)
            self.images.append(with_overlay(small, result._replace(fps=None)))

    def event(self, event: Event) -> None:
        """Keep the end of an event, which has its final times."""
        if event.type == "end":
            self.events.append(event)


def run(model: str) -> tuple[Frames, float]:
    """Run the model on the stream. Returns its frames and the frames/s of the model."""
    clip = synthetic.Stream(SEED, SECONDS, size=SIZE)
    frames = Frames()
    with open_session(model, StreamRequest(ClipSource(clip, clip.fps), "gestures")) as session:
        session.sinks.append(frames)
        for _ in session:
            pass
        rate = session.engine.manifest.fps
        assert rate is not None, "the model states no frame rate"
    for true in clip.events:
        print(f"rendered  {true.start:5.1f} to {true.end:4.1f} s  {true.label}")
    for seen in frames.events:
        print(f"seen      {seen.start:5.1f} to {seen.end:4.1f} s  {seen.label} {seen.confidence:.0%}")
    return frames, rate


def without_noise(images: list[np.ndarray]) -> list[np.ndarray]:
    """Return the images where a pixel keeps its value until its surroundings change: still parts cost no bytes then."""
    shown = [images[0]]
    for image in images[1:]:
        difference = image.astype(np.float32) - shown[-1]
        area = np.abs(cv2.blur(difference, (5, 5))).max(axis=2, keepdims=True)
        changed = (area > NOISE) | (np.abs(difference).max(axis=2, keepdims=True) > EDGE)
        shown.append(np.where(changed, image, shown[-1]))
    return shown


def gif(images: list[np.ndarray], fps: float) -> bytes:
    """Return an endless GIF of BGR images, at `fps` frames/s. All frames share one palette."""
    pictures = [Image.fromarray(image[..., ::-1].copy()) for image in without_noise(images)]
    samples = Image.fromarray(np.vstack([np.asarray(one)[::2, ::2] for one in pictures[::2]]))
    palette = samples.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=2)
    flat = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in pictures]
    out = BytesIO()
    flat[0].save(out, "GIF", save_all=True, append_images=flat[1:], duration=round(1000 / fps), loop=0, optimize=True)
    return out.getvalue()


def main(arguments: list[str]) -> int:
    """Write the picture. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the moving picture of README.md.")
    parser.add_argument("model", nargs="?", default=str(ROOT / "build" / "demo" / "mobilenetv2_tsm.onnx"))
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "demo.gif")
    options = parser.parse_args(arguments)
    frames, fps = run(options.model)
    picture = gif(frames.images, fps)
    assert len(picture) <= MAX_BYTES, f"{len(picture)} bytes"
    options.output.write_bytes(picture)
    print(f"wrote {options.output}: {len(frames.images)} frames, {len(picture):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
