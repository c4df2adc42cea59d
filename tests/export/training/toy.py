"""Toy data for the tests of training: a bright patch that moves left or right.

A clip of one direction holds the frames of one of the other in the opposite order: only order tells them apart.
"""

import cv2
import numpy as np

from tsm_edge.toml_file import read_toml
from tsm_edge_export.recipe import merge
from tsm_edge_export.training.train import toml_lines

SIZE = 32
COUNT = 4
LABELS = ("move left", "move right")


def frames(number, label, count=COUNT, size=SIZE):
    """(count, size, size, 3) uint8: the patch crosses the frame; where and how bright is drawn from `number`."""
    rng = np.random.default_rng(number)
    row, level = int(rng.integers(2, size - 12)), int(rng.integers(140, 256))
    made = rng.integers(0, 60, (count, size, size, 3), np.uint8)
    for index in range(count):
        left = round(index * (size - 10) / (count - 1))
        made[index, row : row + 10, left : left + 10] = level
    return made if label else made[::-1]


def write(folder, pairs, first=0):
    """Write `pairs` clips of each label as folders of JPEGs, and their list. Returns the path of the list."""
    lines = []
    for number in range(first, first + pairs):
        for label in range(2):
            clip = folder / f"clip_{number:03d}_{label}"
            clip.mkdir(parents=True)
            for index, frame in enumerate(frames(number, label), 1):
                assert cv2.imwrite(str(clip / f"img_{index:05d}.jpg"), frame)
            lines.append(f"{clip.name} {COUNT} {label}\n")
    path = folder / f"list_{first}.txt"
    path.write_text("".join(lines))
    return path


CONFIG = """
direction = "causal"
batch = 8
labels = ["move left", "move right"]
[arch]
width = 0.25
[shift]
fold_div = 4
n_segment = 4
[frame]
height = 32
width = 32
short_side = 32
[data]
kind = "frames"
root = "data"
train = "data/list_0.txt"
test = "data/list_100.txt"
[augment]
scales = [1.0]
[optimiser]
name = "adamw"
rate = 0.003
head_rate = 1.0
weight_decay = 0.0005
clip_gradient = 20.0
[loss]
label_smoothing = 0.0
[regular]
dropout = 0.0
[schedule]
epochs = 2
warmup = 0.5
[run]
workers = 0
device = "cpu"
"""


def project(folder, train=4, test=2, **sections):
    """A folder with toy data and its configuration. sections: what to change in it. Returns the configuration's path.

    sections: {"schedule": {"epochs": 2}} as a keyword, or a plain value for a top-level key.
    """
    write(folder / "data", train)
    write(folder / "data", test, first=100)
    path = folder / "toy.toml"
    path.write_text(CONFIG)
    values = merge(read_toml(path, "a configuration"), sections)
    plain = {key: value for key, value in values.items() if not isinstance(value, dict)}
    lines = toml_lines(plain)
    for name in values.keys() - plain.keys():
        lines += [f"[{name}]", *toml_lines(values[name])]
    path.write_text("\n".join(lines) + "\n")
    return path
