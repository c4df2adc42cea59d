"""What a source of frames is. One file a kind stands beside this one; nothing here imports OpenCV."""

from typing import NamedTuple

import numpy as np

Frame = NamedTuple(
    "Frame",
    [
        ("index", int),  # counts the frames of the source from 0, skipped and dropped ones included
        ("time", float),  # seconds of the source: file time stamps, or the clock since a camera's first frame
        ("image", np.ndarray),  # (H, W, 3) uint8 BGR, upright; valid until the next frame is asked for
        ("gap", bool),  # True: what came before is not this frame's past (reconnect, seek, loop): reset the state
    ],
)


class Source:
    """An iterator of :class:`Frame`. Open in the constructor, read by iterating, close once.

    name: what to call it in messages. live: a camera or network stream, which cannot wait for a slow reader.
    fps: frames per second as the source states them, None where it does not.
    frame_count: frames to come, None where unknown (live, or not stated by the container).
    resets: how often the stream was interrupted (each one shows as a frame with ``gap``).

    Iterating raises :class:`tsm_edge.errors.SourceError` where the source breaks; frames given before are whole.
    """

    name = ""
    live = False
    fps = None
    frame_count = None
    resets = 0

    def __iter__(self):
        return self

    def __next__(self):
        """The next :class:`Frame`; StopIteration at the end of the source."""
        raise NotImplementedError

    def skip(self):
        """Pass over one frame as cheaply as the source can (a video grabs without decoding to BGR).

        Returns True if a frame was passed over, False at the end of the source.
        """
        try:
            next(self)
        except StopIteration:
            return False
        return True

    def close(self):
        """Free the device or file. May be called more than once, and from another thread than the reader's."""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
