"""Rendered detections of moving boxes, with misses, crossings and false boxes, and the figures of a tracker on them."""

import numpy as np

from tsm_edge.heads.boxes import iou

SIZE = 640.0
SEEDS = range(4)
SCENES = {  # options of `scene`
    "misses and false boxes": {},
    "twice the misses": {"miss": 0.3},
    "many objects": {"objects": 15},
    "twice the noise": {"noise": 0.1},
    "few misses": {"miss": 0.02, "noise": 0.02, "false": 0.0},
}


def scene(seed, objects=6, frames=200, miss=0.15, false=0.3, noise=0.05):
    """Yield (true boxes (k, 4), their numbers (k,), boxes (n, 4), scores (n,), class ids (n,)) of each frame.

    Objects move with nearly constant velocity, bounce at the edges, cross, and enter at different times. Detections
    jitter by `noise` of the size, miss a frame with the probability `miss` (in pairs and more, because a miss is often
    followed by another), and are unsure (0.3 to 0.5) for a fifth of the time. `false`: boxes of nothing in a frame.
    """
    random = np.random.RandomState(seed)
    size = random.uniform(40, 90, objects)[:, None] * [1, 1]
    middle, speed = random.uniform(60, SIZE - 60, (objects, 2)), random.uniform(-7, 7, (objects, 2))
    enters, leaves = random.randint(0, frames // 3, objects), random.randint(2 * frames // 3, frames, objects)
    missed = np.zeros(objects, bool)
    for number in range(frames):
        speed += random.normal(0, 0.15, (objects, 2))
        middle += speed
        speed = np.where((middle < 50) & (speed < 0) | (middle > SIZE - 50) & (speed > 0), -speed, speed)
        there = np.flatnonzero((enters <= number) & (number < leaves))
        truth = np.concatenate([middle - size / 2, middle + size / 2], axis=1)
        missed = random.rand(objects) < np.where(missed, 0.5, miss)
        found = [index for index in there if not missed[index]]
        boxes = truth[found] + random.normal(0, noise, (len(found), 4)) * size[found][:, [0, 1, 0, 1]]
        unsure = random.rand(len(found)) < 0.2
        scores = np.where(unsure, random.uniform(0.3, 0.5, len(found)), random.uniform(0.6, 0.95, len(found)))
        if random.rand() < false:
            corner = random.uniform(0, SIZE - 60, 2)
            boxes = np.concatenate([boxes, [np.concatenate([corner, corner + 60])]])
            scores = np.append(scores, random.uniform(0.3, 0.7))
        yield truth[there], there, boxes.astype(np.float32), scores.astype(np.float32), np.zeros(len(scores), np.int64)


def boxes_of(found):
    """Return boxes of 20x20 pixels, scores and class ids of a list of (x, y, score[, class])."""
    rows = [tuple(one) + (0,) * (4 - len(one)) for one in found]
    boxes = np.array([(x, y, x + 20, y + 20) for x, y, _, _ in rows], np.float32).reshape(-1, 4)
    return boxes, np.array([row[2] for row in rows], np.float32), np.array([row[3] for row in rows], np.int64)


class Figures:
    """Counts, frame by frame, how well tracks follow the truth.

    switches: times that a true object was matched to another number than when it was matched last. covered: matched
    boxes of true ones. total: true boxes. false: tracked boxes that match nothing.
    """

    def __init__(self):
        self.switches = self.covered = self.total = self.false = 0
        self._last = {}

    def begin_clip(self):
        """Forget the numbers of the clip before."""
        self._last = {}

    def add(self, truth, objects, boxes, numbers):
        """Take one frame: (k, 4) true boxes and their objects, (n, 4) tracked boxes and their numbers."""
        self.total += len(objects)
        overlaps = iou(truth, boxes)
        matched = 0
        while overlaps.size and overlaps.max() >= 0.5:
            row, column = np.unravel_index(int(overlaps.argmax()), overlaps.shape)
            overlaps[row], overlaps[:, column] = 0, 0
            matched += 1
            number, last = numbers[column], self._last.get(objects[row])
            self.switches += last is not None and last != number
            self._last[objects[row]] = number
        self.covered += matched
        self.false += len(numbers) - matched
