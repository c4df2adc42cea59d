"""Data folders for tests: the moving patch of tests/export/training/toy.py, as folders of pictures or as videos."""

import cv2

from tests.export.training import toy

SMALL = """
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
hold = 32
[augment]
scales = [1.0]
[optimiser]
rate = 0.003
head_rate = 1.0
[loss]
label_smoothing = 0.0
[regular]
dropout = 0.0
[run]
workers = 0
device = "cpu"
"""


def write_pictures(folder, frames):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, 1):
        assert cv2.imwrite(str(folder / f"{number:05d}.png"), frame)
    return folder


def write_video(path, frames, fps=10.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), fps, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def write_data(folder, sessions=("S1", "S2", "S3"), clips=2, labels=toy.LABELS, count=toy.COUNT, video=True, first=0):
    """Write `clips` clips of each label in each session: label/session_number."""
    number = first  # of the next clip: equal numbers would give equal clips
    for session in sessions:
        for index in range(clips):
            for place, label in enumerate(labels):
                frames, name = toy.frames(number, place % 2, count), f"{session}_{index:02d}"
                if video:
                    write_video(folder / label / f"{name}.avi", frames)
                else:
                    write_pictures(folder / label / name, frames)
                number += 1
    return folder


def small(folder):
    """Write an override for a network that trains in a second. Returns its path."""
    path = folder / "small.toml"
    path.write_text(SMALL)
    return path
