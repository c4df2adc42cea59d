"""Compare `tsm-edge run` on the host and on an emulated device, for the same clip.

python -m tests.kernels.clip_runs write CLIP.avi                 writes the clip (needs OpenCV with FFmpeg)
python -m tests.kernels.clip_runs compare HOST.jsonl DEVICE.jsonl

Processor, OpenCV and ONNX Runtime differ, so the results are not bit-identical. But the labels must be the same, and
the probabilities must be equal within PROBABILITY of :mod:`tests.tolerances`.
"""

import json
import sys

import cv2
import numpy as np

from tests.tolerances import PROBABILITY

FRAMES, SIZE = 24, (96, 72)  # three times the 8 segments of the model; width and height


def write(path):
    """Write the clip: coloured stripes that move over noise, encoded without loss so that all decoders agree."""
    writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"FFV1"), 25.0, SIZE)
    if not writer.isOpened():
        sys.exit("this OpenCV cannot write " + path)
    random = np.random.RandomState(5)
    across = np.arange(SIZE[0])[None, :, None]
    for index in range(FRAMES):
        image = random.randint(0, 60, (SIZE[1], SIZE[0], 3))
        image += 90 * ((across + 5 * index) // 12 % 2) * np.array([1, index % 3, (index + 1) % 2])
        writer.write(np.clip(image, 0, 255).astype(np.uint8))
    writer.release()


def read(path):
    """Return (frame records, summary of the run) of a JSONL file."""
    with open(path) as file:
        lines = [json.loads(line) for line in file]
    return [line for line in lines if line["kind"] == "frame"], lines[-1]


def compare(host, device):
    """Print the largest difference of two runs. Returns 1 if they disagree, else 0."""
    (left, _), (right, summary) = read(host), read(device)
    worst = 0.0
    for one, other in zip(left, right):
        ours, theirs = dict(one["top"]), dict(other["top"])
        clear = one["top"][0][1] - one["top"][1][1] > 2 * PROBABILITY
        if one["frame"] != other["frame"] or (clear and one["label"] != other["label"]):
            sys.exit("frame {frame}: {label}, but on the device {0}".format(other["label"], **one))
        worst = max([worst] + [abs(ours[label] - theirs[label]) for label in set(ours) & set(theirs)])
    print("clip: {} frames, probabilities within {:.1e}, shift by {}".format(len(right), worst, summary["shift_by"]))
    whole = len(left) == len(right) == FRAMES and summary["stopped"] == "end"
    return 0 if whole and worst <= PROBABILITY and "kernel" in summary["shift_by"] else 1


if __name__ == "__main__":
    sys.exit({"write": write, "compare": compare}[sys.argv[1]](*sys.argv[2:]))
