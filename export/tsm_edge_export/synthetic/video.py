"""Synthetic streams as files: a video and, beside it, what happens in it."""

import json
import os
import tempfile

import cv2

from tsm_edge.errors import InputError
from tsm_edge_export.synthetic.labels import LABELS

FORMAT = 1
_CODECS = {".mp4": "mp4v", ".avi": "MJPG"}


def write_stream(path, stream, progress=None):
    """Write a :class:`stream.Stream` to a video file and its truth to a JSON file of the same name.

    path: ends in .mp4 or .avi. progress: wraps the range of frame numbers, such as tqdm.tqdm.
    Returns the path of the JSON file: {"synthetic": true, "format", "name", "seed", "split", "seconds", "fps",
    "frames", "size": [height, width], "labels", "events": [{"label", "start", "end"}]}, times in seconds.

    Both files appear under their names only when they are whole; the video first. Raises InputError where the folder
    is missing, the ending is another, or the video cannot be written in full (a full disk, no encoder).
    """
    path = os.fspath(path)
    stem, ending = os.path.splitext(path)
    folder = os.path.dirname(path) or "."
    if ending.lower() not in _CODECS:
        raise InputError(path, ending or "no ending", " or ".join(_CODECS), "Name the video so.")
    if not os.path.isdir(folder):
        raise InputError(path, "no folder " + folder, "an existing folder", "Make the folder first.")
    with tempfile.TemporaryDirectory(prefix=".synthetic-", dir=folder) as scratch:
        video, truth = os.path.join(scratch, "video" + ending.lower()), os.path.join(scratch, "truth.json")
        _write_video(video, path, stream, progress or iter)
        with open(truth, "w", encoding="utf-8") as file:
            json.dump(_truth(stream), file, indent=1)
        os.replace(video, path)
        os.replace(truth, stem + ".json")
    return stem + ".json"


def _write_video(scratch, path, stream, progress):
    height, width = stream.size
    codec = cv2.VideoWriter_fourcc(*_CODECS[os.path.splitext(scratch)[1]])
    writer = cv2.VideoWriter(scratch, codec, stream.fps, (width, height))
    try:
        if not writer.isOpened():
            raise InputError(path, "no encoder for it", "an OpenCV that writes it", "Try the other ending.")
        for index in progress(range(stream.count)):
            writer.write(cv2.cvtColor(stream.read([index])[0], cv2.COLOR_RGB2BGR))
    finally:
        writer.release()
    frames = _count(scratch)
    if frames != stream.count:
        expected = "{} frames".format(stream.count)
        raise InputError(path, "{} frames could be written".format(frames), expected, "Free some disk space.")


def _count(path):
    """Frames that can be read. OpenCV says nothing of a full disk, and a container's header may state all of them."""
    reader = cv2.VideoCapture(path)
    frames = 0
    while reader.grab():
        frames += 1
    reader.release()
    return frames


def _truth(stream):
    return {
        "synthetic": True,
        "format": FORMAT,
        "name": stream.name,
        "seed": stream.seed,
        "split": stream.split,
        "seconds": stream.seconds,
        "fps": stream.fps,
        "frames": stream.count,
        "size": list(stream.size),
        "labels": list(LABELS),
        "events": [event._asdict() for event in stream.events],
    }
