"""Synthetic streams as files: a video, and next to it a JSON file with its events."""

import json
import os
from collections.abc import Callable, Iterable

import cv2

from tsm_edge.errors import InputError
from tsm_edge.files import check_output, draft_folder

from .labels import LABELS
from .stream import Stream

FORMAT = 1
_CODECS = {".mp4": "mp4v", ".avi": "MJPG"}


def write_stream(
    path: str | os.PathLike[str], stream: Stream, progress: Callable[[range], Iterable[int]] = iter
) -> str:
    """Write a stream to a video file (.mp4 or .avi) and its truth to a JSON file of the same name, both or neither.

    The JSON file holds {"synthetic": true, "format", "name", "seed", "split", "seconds", "fps", "frames", "size":
    [height, width], "labels", "events": [{"label", "start", "end"}]}, times in seconds. `progress` wraps the range of
    frame numbers, such as tqdm.tqdm. Returns the path of the JSON file.

    Raises InputError for a folder that is not there, another ending, a full disk, or no encoder.
    """
    path = os.fspath(path)
    stem, ending = os.path.splitext(path)
    if ending.lower() not in _CODECS:
        raise InputError(path, ending or "no ending", " or ".join(_CODECS), "change the ending")
    check_output(path)
    with draft_folder(path) as folder:
        video, truth = os.path.join(folder, "video" + ending.lower()), os.path.join(folder, "truth.json")
        _write_video(video, path, stream, progress)
        facts = {name: getattr(stream, name) for name in ("name", "seed", "split", "seconds", "fps", "size")}
        facts.update(synthetic=True, format=FORMAT, frames=stream.count, labels=LABELS)
        with open(truth, "w", encoding="utf-8") as file:
            json.dump({**facts, "events": [event._asdict() for event in stream.events]}, file, indent=1)
        os.replace(video, path)
        os.replace(truth, stem + ".json")
    return stem + ".json"


def _write_video(draft: str, path: str, stream: Stream, progress: Callable[[range], Iterable[int]]) -> None:
    height, width = stream.size
    codec = cv2.VideoWriter.fourcc(*_CODECS[os.path.splitext(draft)[1]])
    writer = cv2.VideoWriter(draft, codec, stream.fps, (width, height))
    try:
        if not writer.isOpened():
            raise InputError(path, "no encoder for it", "an OpenCV that writes it", "try the other ending")
        for index in progress(range(stream.count)):
            writer.write(cv2.cvtColor(stream.read([index])[0], cv2.COLOR_RGB2BGR))
    finally:
        writer.release()
    # OpenCV does not report a full disk, and a container's header may state frames that are not there: count them.
    reader, frames = cv2.VideoCapture(draft), 0
    while reader.grab():
        frames += 1
    reader.release()
    if frames != stream.count:
        raise InputError(path, f"{frames} frames could be written", f"{stream.count} frames", "free some disk space")
