"""What the tests of recordings share: clips read back, a source that is read without haste, keys that are typed."""

import json
import os

from tests.device import media
from tsm_edge.sources.video import VideoFile

DARKER = 3.2  # levels; FFmpeg's conversion of a picture loses up to 1.4, and a clip of a video was converted twice


def numbers_of(path):
    """Return (numbers of the frames, modulo 64, as `media.grey` made them; frames/s) of a clip."""
    with VideoFile(str(path)) as video:
        levels = [frame.image.mean() for frame in video]
        return [int((level + DARKER) // media.GREY_STEP) for level in levels], video.fps


def files_in(folder):
    """Return the files in a data folder, as sorted paths from it."""
    return sorted(
        os.path.relpath(os.path.join(place, name), str(folder))
        for place, _, names in os.walk(str(folder))
        for name in names
    )


def log_of(folder):
    """Return the records of a data folder's log."""
    with open(os.path.join(str(folder), "recording.jsonl"), encoding="ascii") as file:
        return [json.loads(line) for line in file.read().splitlines() if line]


class Typist:
    """Types keys when asked often enough: {number of the call of `read`: keys}."""

    def __init__(self, keys):
        self._keys, self._calls = dict(keys), 0

    def read(self):
        self._calls += 1
        return self._keys.pop(self._calls, "")

    def close(self):
        pass
