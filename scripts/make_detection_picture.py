"""Draw docs/detection_clips.jpg, rendered clips with their true boxes and tags: make_detection_picture.py [-o FILE.jpg]

Each row shows a clip that has a condition which the benchmark measures. The box of a hidden object is grey.
"""

import argparse
import functools
import sys
from pathlib import Path

import cv2
import numpy as np

from tsm_edge_export.detection import rendered
from tsm_edge_export.detection.truth import BoxClip, Truth

ROOT = Path(__file__).parent.parent
SEED, CLIPS, SPLIT = 4, 80, "test"
# The condition of each row, the tags that a box has to have, and those that it may not have.
ROWS = (
    ("slow, clean", {"slow", "clean", "large"}, set()),
    ("fast, blurred", {"fast", "blurred"}, {"dark", "noisy"}),
    ("dark", {"dark", "large"}, set()),
    ("noisy", {"noisy", "large"}, {"dark"}),
    ("occluded 1-4", {"occluded 1-4", "large"}, {"dark", "noisy"}),
    ("occluded 5-8", {"occluded 5-8", "large"}, {"dark", "noisy"}),
    ("occluded 13+", {"occluded 13+"}, {"dark", "noisy"}),
)
COLOURS = ((70, 220, 70), (250, 210, 40), (60, 180, 255), (255, 80, 220))  # RGB, of each label
HIDDEN = (150, 150, 150)
FRAMES, SIDE, MARGIN, LINE = 7, 124, 96, 14  # frames of a row, pixels of a frame, of the names, of a line of text
QUALITY = cv2.IMWRITE_JPEG_QUALITY, 62, cv2.IMWRITE_JPEG_OPTIMIZE, 1
FONT, WHITE, BLACK = cv2.FONT_HERSHEY_SIMPLEX, 255, (0, 0, 0)


def fitting(truth: Truth, wanted: set[str], unwanted: set[str]) -> np.ndarray:
    """Return the tracks of a frame whose boxes have the tags of a row."""
    fits = [wanted <= tags and not unwanted & tags for tags in truth.tags]
    return truth.tracks[np.array(fits, bool)]


def chosen(
    clips: list[rendered.RenderedClip], wanted: set[str], unwanted: set[str]
) -> tuple[rendered.RenderedClip, int]:
    """Return the clip and the first frame of a row: of an object that is seen at first and then fits the longest."""
    best: tuple[int, rendered.RenderedClip, int] | None = None
    for clip in clips:
        truths = truths_of(clip)
        fits = [set(fitting(truth, wanted, unwanted).tolist()) for truth in truths]
        for first in range(0, clip.count - 2 * FRAMES, 2):
            frames = range(first, first + 2 * FRAMES, 2)
            for track in sorted(set().union(*fits)):
                clean = "clean" in wanted or track not in fits[first] and "clean" in tags_of(truths[first], track)
                count = sum(track in fits[index] for index in frames) if clean else 0
                if count and (best is None or count > best[0]):
                    best = count, clip, first
    assert best is not None, f"no clip has {sorted(wanted)}"
    return best[1:]


@functools.lru_cache(maxsize=None)
def truths_of(clip: rendered.RenderedClip) -> list[Truth]:
    """Return the true boxes of all frames of a clip."""
    return [clip.truth(index) for index in range(clip.count)]


def tags_of(truth: Truth, track: int) -> frozenset[str]:
    """Return the tags of an object in a frame, none where it has no box."""
    return next((tags for of, tags in zip(truth.tracks, truth.tags, strict=True) if of == track), frozenset())


def row(title: str, clip: BoxClip, first: int, wanted: set[str], unwanted: set[str]) -> np.ndarray:
    """Return a row of the picture, (SIDE + LINE, MARGIN + FRAMES * SIDE, 3) uint8 RGB."""
    picture = np.full((SIDE + LINE, MARGIN + FRAMES * SIDE, 3), WHITE, np.uint8)
    for line, word in enumerate(title.split(", ")):
        cv2.putText(picture, word, (4, 20 + 18 * line), FONT, 0.42, BLACK, 1, cv2.LINE_AA)
    scale = SIDE / clip.size[0]
    for place in range(FRAMES):
        index, left = first + 2 * place, MARGIN + place * SIDE
        truth = clip.truth(index)
        frame = cv2.resize(clip.read([index])[0], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for box, label, ignored in zip(truth.boxes, truth.classes, truth.ignored, strict=True):
            x0, y0, x1, y1 = np.rint(box * scale).astype(int).tolist()
            cv2.rectangle(frame, (x0, y0), (x1 - 1, y1 - 1), HIDDEN if ignored else COLOURS[label], 1)
        picture[:SIDE, left : left + SIDE - 2] = frame[:, : SIDE - 2]
        fits = len(fitting(truth, wanted, unwanted)) > 0
        words = f"frame {index}: " + (title if fits else "not " + title.split(", ")[-1])
        cv2.putText(picture, words, (left, SIDE + 10), FONT, 0.3, BLACK if fits else HIDDEN, 1, cv2.LINE_AA)
    return picture


def legend() -> np.ndarray:
    """Return the names of the labels in their colours."""
    picture = np.full((22, MARGIN + FRAMES * SIDE, 3), WHITE, np.uint8)
    left = MARGIN
    for word, colour in zip((*rendered.LABELS, "hidden (ignored)"), (*COLOURS, HIDDEN), strict=True):
        cv2.rectangle(picture, (left, 5), (left + 11, 16), colour, 2)
        cv2.putText(picture, word, (left + 18, 15), FONT, 0.42, BLACK, 1, cv2.LINE_AA)
        left += 150
    return picture


def main(arguments: list[str]) -> int:
    """Write the picture. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Draw rendered clips with their true boxes and tags.")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "detection_clips.jpg")
    options = parser.parse_args(arguments)
    # In the darkest frames of the benchmark a reader sees nothing.
    clips = [clip for clip in rendered.clips(CLIPS, SEED, split=SPLIT).clips if clip.scene().camera.light.min() > 0.1]
    rows = [legend()]
    for title, wanted, unwanted in ROWS:
        clip, first = chosen(clips, wanted, unwanted)
        clips.remove(clip)
        rows.append(row(title, clip, first, wanted, unwanted))
    picture = np.vstack(rows)[..., ::-1]
    if not cv2.imwrite(str(options.output), picture, QUALITY):
        print(f"{options.output} cannot be written", file=sys.stderr)
        return 2
    print(f"wrote {options.output}, {options.output.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
