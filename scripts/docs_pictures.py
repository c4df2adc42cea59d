"""Make the pictures of docs/*.md from rendered gestures and real runs: docs_pictures.py [FOLDER].

docs/running.jpg: two streams of one session, as `--save` writes them, each at the frame where its label is surest.
docs/evaluation.png: accuracy against frames seen, as `tsm-edge eval --synthetic 48` draws it.
docs/profiling.svg: the time line of a few frames, as `tsm-edge report` draws it.
docs/record.jpg: the window of `tsm-edge record` in a countdown and in a clip, with rendered gestures as the camera.
FOLDER holds the model and the video of `make demo`, mobilenetv2_tsm.onnx and gestures.mp4 (default: build/demo).
"""

import contextlib
import re
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from tsm_edge import open_session
from tsm_edge.profile.measure import ProfileRequest, measure_profile
from tsm_edge.recording.folder import open_folder
from tsm_edge.recording.plan import Plan
from tsm_edge.recording.prompt import Screen
from tsm_edge.recording.recorder import Recorder
from tsm_edge.records import Event, Result
from tsm_edge.sinks.base import Sink
from tsm_edge.sinks.display import enlarged
from tsm_edge.sinks.overlay import Canvas
from tsm_edge.sinks.overlay import draw as with_overlay
from tsm_edge.sources.paced import Paced
from tsm_edge.sources.request import StreamRequest
from tsm_edge_export import synthetic
from tsm_edge_export.evaluation import data, draw
from tsm_edge_export.evaluation.clips import evaluate_clips
from tsm_edge_export.evaluation.engines import open_engine
from tsm_edge_export.evaluation.stream import ClipSource
from tsm_edge_export.report import drawings

ROOT = Path(__file__).parent.parent
STREAMS = {"door": 1, "desk": 10}  # name -> seed
SECONDS, SIZE = 8, (360, 480)
CLIPS, PACE = 48, 30.0
JPEG_QUALITY, MAX_BYTES = 80, 100_000


class Surest(Sink):
    """Keeps for each stream the drawn frame whose label has the highest confidence."""

    def __init__(self) -> None:
        self.confidence: dict[str, float] = {}
        self.images: dict[str, np.ndarray] = {}

    def write(self, result: Result) -> None:
        name, prediction = result.frame.stream, result.prediction
        leads = prediction.label == prediction.top[0][0]
        if leads and prediction.confidence > self.confidence.get(name, 0.0):
            self.confidence[name] = prediction.confidence
            # The rate is left out: this run spends most of its time on rendering.
            self.images[name] = with_overlay(result.frame.image, result._replace(fps=None))

    def event(self, event: Event) -> None:
        """Keep nothing: the label stands on the frame."""


def main(arguments: list[str]) -> int:
    """Write the pictures. Returns the exit code."""
    folder = Path(arguments[0]) if arguments else ROOT / "build" / "demo"
    model = str(folder / "mobilenetv2_tsm.onnx")
    write("profiling.svg", profiling_svg(model, str(folder / "gestures.mp4")))
    write("running.jpg", running_jpg(model))
    write("record.jpg", record_jpg())
    with open_engine(model) as engine:
        side = engine.manifest.frame.short_side
        clips = data.rendered(CLIPS, 0, (side, side), labels=engine.manifest.labels)
        write("evaluation.png", draw.seen_png(evaluate_clips(engine, clips)))
    return 0


def running_jpg(model: str) -> bytes:
    """Run both streams through the model, and draw one frame of each."""
    streams = []
    for name, seed in STREAMS.items():
        clip = synthetic.Stream(seed, SECONDS, size=SIZE)
        streams.append(StreamRequest(ClipSource(clip, clip.fps), name))
    surest = Surest()
    with open_session(model, *streams) as session:
        session.sinks.append(surest)
        for _ in session:
            pass
    return jpeg([surest.images[name] for name in STREAMS])


class LastPictures:
    """The window of a recording, for a `Screen`: keeps the last picture of each phase, such as "recording"."""

    def __init__(self) -> None:
        self.images: dict[str, np.ndarray] = {}

    def show(self, image: np.ndarray, text: str) -> None:
        """Draw `text` on a picture, (H, W, 3) uint8 BGR, as the window does, and keep the picture."""
        picture = enlarged(image)
        Canvas(picture).title(text)
        self.images[re.sub(r" [\d.]+( s)?$", "", text)] = picture

    def read(self) -> str:
        """Return the keys that were typed: none."""
        return ""

    def close(self) -> None:
        """Keep the pictures."""


def record_jpg() -> bytes:
    """Record one clip in which a hand is rendered, and draw the window in the countdown and in the clip."""
    stream = synthetic.Stream(STREAMS["door"], 2 * SECONDS, size=SIZE)
    start, window = stream.events[0].start, LastPictures()
    plan = Plan((stream.events[0].label,), clips=1, seconds=1.0, countdown=start, nothing=None)
    with tempfile.TemporaryDirectory() as path, open_folder(path) as folder:
        source = Paced(ClipSource(stream, stream.fps), stream.fps)
        Recorder(plan, source, folder, "session", Screen(window=window), contextlib.nullcontext).run()
    shown = [image for text, image in window.images.items() if text.endswith(("get ready", "recording"))]
    return jpeg([cv2.resize(image, None, fx=0.75, fy=0.75) for image in shown])


def jpeg(pictures: list[np.ndarray]) -> bytes:
    """Return pictures of one height, side by side, as a JPEG file."""
    ok, encoded = cv2.imencode(".jpg", np.hstack(pictures), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert ok
    return encoded.tobytes()


def profiling_svg(model: str, video: str) -> bytes:
    """Profile the model on the video, and draw the first frames in the light colours of the report's page."""
    profile = measure_profile(ProfileRequest(model, video, paced=PACE, seconds=2, cold_starts=0, layers=False), print)
    svg = drawings.all_of(profile)["trace"]
    page = (Path(drawings.__file__).parent / "page.html").read_text(encoding="utf-8")
    colours = dict(reversed(re.findall(r"--(\w+): (#\w+)", page)))  # the first of each name: the light ones
    svg = re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], svg)
    ((width, height),) = re.findall(r'viewBox="0 0 (\S+) (\S+)"', svg)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}pt" height="{height}pt" font-family="sans-serif" '
    ground = f'<rect width="100%" height="100%" fill="{colours["page"]}"/>'
    return (head + re.sub(r'^<svg (.*?)aria-labelledby="\S+" ([^>]*>)', r"\1\2" + ground, svg)).encode()


def write(name: str, picture: bytes) -> None:
    """Write a picture into docs/."""
    assert len(picture) <= MAX_BYTES, f"{name}: {len(picture)} bytes"
    path = ROOT / "docs" / name
    path.write_bytes(picture)
    print(f"wrote {path}, {len(picture)} bytes")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
