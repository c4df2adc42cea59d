"""Finds clips of a label that look alike: a network learns little from the second of them."""

from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np

from tsm_edge.errors import SourceError
from tsm_edge_export.training.clips import Clip

SIDE = 16  # pixels of the small grey pictures that are compared
MOMENTS = 4  # pictures of a clip that are compared, spread evenly over it
ALIKE = 1.5  # grey levels of 255, in the mean of the picture that differs most; see `alike`
MOST_CLIPS = 40  # of a label that are compared


def like_clips(clips: Sequence[Clip], labels: Sequence[str]) -> list[str]:
    """Return a warning for each label of which a quarter of the clips or more look like others."""
    of_label: dict[int, list[Clip]] = defaultdict(list)
    for clip in clips:
        of_label[clip.label].append(clip)
    texts = []
    for number, own in sorted(of_label.items()):
        compared, twins = min(len(own), MOST_CLIPS), alike(own)
        if 4 * twins >= compared:
            texts.append(
                f"{twins} of {compared} clips of {labels[number]} look the same as others of it, so they teach little: "
                "record more in other places, light and distances"
            )
    return texts


def alike(clips: Sequence[Clip]) -> int:
    """Return how many clips of one label have a twin among the clips before them, of the first MOST_CLIPS.

    Two clips are twins where all MOMENTS pictures of the one differ from those of the other by less than ALIKE: a clip
    that was copied, cut by a few frames or compressed once more, or one in which nothing moved that did not move in the
    other. Clips that differ in more than noise are further apart: at least 7.3 in 263 clips of finger gestures filmed
    in colour, 1.8 in 132 far-infrared clips of people, which have little contrast.
    Clips that cannot be read have none.
    """
    looks: list[np.ndarray] = []
    found = 0
    for clip in clips[:MOST_CLIPS]:
        try:
            look = _look(clip)
        except SourceError:
            continue
        found += any(float(np.abs(look - other).mean(axis=(1, 2)).max()) < ALIKE for other in looks)
        looks.append(look)
    return found


def _look(clip: Clip) -> np.ndarray:
    """Return the small grey pictures of a clip, (MOMENTS, SIDE, SIDE) float32."""
    places = ((np.arange(MOMENTS) + 0.5) * clip.count / MOMENTS).astype(int)
    grey = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in clip.read(places.tolist()))
    return np.stack([cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) for p in grey])
