"""Draw a picture of docs/synthetic.md, seven frames of a clip of each label: draw_gestures.py FILE.jpg [--strokes]"""

import argparse

import cv2
import numpy as np

from tsm_edge_export import synthetic
from tsm_edge_export.synthetic import clip, strokes

FRAMES, HEIGHT, WIDTH, MARGIN = 7, 88, 110, 130  # frames of a row, pixels of a frame, pixels of the names
STROKES = (  # of the 42, those that are drawn
    "left", "down", "up right", "circle clockwise", "square counter-clockwise", "tick", "caret right", "z",
    "spiral out clockwise", "star clockwise", "loop right", "cross right", "push", "shake", "wander",
)  # fmt: skip


def row(number: int, label: str, kind: type[clip.SyntheticClip] | type[strokes.StrokeClip]) -> np.ndarray:
    """Return the name of a label and frames of a clip of it: (HEIGHT, MARGIN + FRAMES * WIDTH, 3) uint8 BGR."""
    drawn = kind(number, label, synthetic.SPLITS[number % 3], (2 * HEIGHT, 2 * WIDTH))
    picture = np.full((HEIGHT, MARGIN + FRAMES * WIDTH, 3), 255, np.uint8)
    for line, word in enumerate(("synthetic", *label.split())):
        grey = (150, 150, 150) if line == 0 else (0, 0, 0)
        cv2.putText(picture, word, (4, 24 + 20 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.38, grey, 1, cv2.LINE_AA)
    for place, frame in enumerate(drawn.read(np.linspace(0, drawn.count - 1, FRAMES).round().astype(int).tolist())):
        small = cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        picture[:, MARGIN + place * WIDTH :][:, :WIDTH] = small[..., ::-1]
    return picture


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", help="where to write it")
    parser.add_argument("--strokes", action="store_true", help="draw strokes, not gestures")
    chosen = parser.parse_args()
    kind, labels = (strokes.StrokeClip, STROKES) if chosen.strokes else (synthetic.SyntheticClip, synthetic.LABELS)
    rows = [row(number, label, kind) for number, label in enumerate(labels)]
    if not cv2.imwrite(chosen.picture, np.vstack(rows), (cv2.IMWRITE_JPEG_QUALITY, 70)):
        raise SystemExit("the picture cannot be written there")


if __name__ == "__main__":
    main()
