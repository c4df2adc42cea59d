"""Recall of face detectors on real faces, clean, darkened and blurred: David and Jumping of OTB (Wu et al., 2013).

    python benchmarks/face_clips.py original=centerface.onnx,mobilenetv2_tsm_faces,none tsm=build/faces

A detector is NAME=FILE[,RECIPE[,DIRECTION]], as `tsm-edge eval` takes them. OTB marks one face a frame, so the script
shows no precision: another face that is found would count as false.
"""

import argparse
import re
from pathlib import Path

import numpy as np

import common
from tsm_edge.profile.tables import table
from tsm_edge_export.detection import degrade
from tsm_edge_export.detection.annotated_clip import AnnotatedClip, Annotation
from tsm_edge_export.detection.average_precision import at_threshold
from tsm_edge_export.detection.evaluate import NamedData, evaluate_detector
from tsm_edge_export.detection.truth import BoxData
from tsm_edge_export.evaluation.engines import open_engine
from tsm_edge_export.training.clips import PictureFolder, VideoClip

FOLDER = common.CLIPS.parent / "face_tracking"
# (name, frames, boxes of x, y, width and height a line, the frame of the first line counted from 0)
SEQUENCES = (
    ("david", "david/david.webm", "david/gt.txt", 299),
    ("jumping", "jumping/img", "jumping/groundtruth_rect.txt", 0),
)
DARK, NOISE, BLUR = 0.08, 6.0, 15  # share of the light, deviation of the noise in levels, pixels of the motion
CONFIDENCE = 0.3
CONDITIONS = {
    "clean": lambda frames: frames,
    "dark": lambda frames: degrade.darken(frames, DARK, NOISE, np.random.default_rng(0)),
    "blurred": lambda frames: degrade.motion_blur(frames, BLUR, 0.0),
}


class Kept:
    """A clip of truth.py in memory, from a first frame on, whose frames are changed as a condition says."""

    def __init__(self, clip, first, count, condition):
        self.name, self.count, self.size, self.fps = f"{clip.name}, {condition}", count, clip.size, clip.fps
        self._clip, self._first = clip, first
        self._frames = CONDITIONS[condition](clip.read(range(first, first + count)))

    def read(self, indices):
        return self._frames[np.asarray(indices, np.int64)]

    def truth(self, index):
        return self._clip.truth(self._first + index)


def clips(condition, most=None):
    """Return the two sequences in a condition, as BoxData. most: frames of each, None for all that have a box."""
    made = []
    for name, frames, boxes, first in SEQUENCES:
        path = FOLDER / frames
        opened = PictureFolder(name, path, 0) if path.is_dir() else VideoClip(name, path, 0)
        lines = (FOLDER / boxes).read_text().split("\n")
        rows = [[float(value) for value in re.split(r"[,\s]+", line.strip())] for line in lines if line.strip()]
        marked = [
            Annotation(first + number, (x, y, x + width, y + height), 0, 0, False)
            for number, (x, y, width, height) in enumerate(rows)
        ]
        count = min(len(rows), opened.count - first, most or len(rows))
        made.append(Kept(AnnotatedClip(opened, None, marked[:count]), first, count, condition))
    return BoxData(("face",), made)


def measure(engine, condition, most=None):
    """Return (sequence, recall at CONFIDENCE, AP50) of a detector for each sequence."""
    found = []
    for clip in clips(condition, most).clips:
        data = NamedData(clip.name, BoxData(engine.manifest.labels, [clip]))
        scores = evaluate_detector(engine, data).scores
        recall = at_threshold(scores.classes(), CONFIDENCE).recall
        found.append((clip.name, recall, float(scores.average_precision()[0])))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detectors", nargs="+", metavar="NAME=FILE[,RECIPE[,DIRECTION]]")
    parser.add_argument("--frames", type=int, help="of each sequence (default: all)")
    parser.add_argument("--threads", type=int)
    chosen = parser.parse_args()
    rows = []
    for given in chosen.detectors:
        name, _, rest = given.partition("=")
        path, recipe, direction = (*rest.split(","), None, None)[:3]
        with open_engine(Path(path), recipe, direction, threads=chosen.threads) as engine:
            for condition in CONDITIONS:
                for clip, recall, precision in measure(engine, condition, chosen.frames):
                    rows.append([name, clip, f"{recall:.1%}", f"{precision:.1%}"])
    print(table(("detector", "clip", f"recall at {CONFIDENCE:g}", "AP50"), rows))


if __name__ == "__main__":
    main()
