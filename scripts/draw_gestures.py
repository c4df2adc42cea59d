"""Draw the picture of docs/synthetic.md, seven frames of a clip of each synthetic gesture: draw_gestures.py FILE.jpg"""

import argparse

import cv2
import numpy as np

from tsm_edge_export import synthetic

FRAMES, HEIGHT, WIDTH, MARGIN = 7, 88, 110, 130  # frames of a row, pixels of a frame, pixels of the names


def row(number: int, label: str) -> np.ndarray:
    """Return the name of a label and frames of one of its clips: (HEIGHT, MARGIN + FRAMES * WIDTH, 3) uint8 BGR."""
    clip = synthetic.SyntheticClip(number, label, synthetic.SPLITS[number % 3], (2 * HEIGHT, 2 * WIDTH))
    picture = np.full((HEIGHT, MARGIN + FRAMES * WIDTH, 3), 255, np.uint8)
    for line, word in enumerate(("synthetic", *label.split())):
        grey = (150, 150, 150) if line == 0 else (0, 0, 0)
        cv2.putText(picture, word, (4, 24 + 20 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.38, grey, 1, cv2.LINE_AA)
    for place, frame in enumerate(clip.read(np.linspace(0, clip.count - 1, FRAMES).round().astype(int).tolist())):
        small = cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        picture[:, MARGIN + place * WIDTH :][:, :WIDTH] = small[..., ::-1]
    return picture


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", help="where to write it")
    rows = [row(number, label) for number, label in enumerate(synthetic.LABELS)]
    if not cv2.imwrite(parser.parse_args().picture, np.vstack(rows), (cv2.IMWRITE_JPEG_QUALITY, 70)):
        raise SystemExit("the picture cannot be written there")


if __name__ == "__main__":
    main()
