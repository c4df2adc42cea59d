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

# What is known of a frame before its pixels are converted; the fields mean what they mean in Frame.
Stamp = NamedTuple("Stamp", [("index", int), ("time", float), ("gap", bool)])


class Source:
    """An iterator of :class:`Frame`. Open in the constructor, read by iterating, close once.

    name: what to call it in messages. live: a camera or network stream, which cannot wait for a slow reader.
    fps: frames per second as the source states them, None where it does not.
    frame_size: (width, height) of its pictures as stated, in pixels, None where it does not say.
    frame_count: frames to come as stated (some containers only estimate it), None where unknown (live, looped).
    resets: how often the stream was interrupted or began anew (each one shows as a frame with ``gap``).
    corrupt: frames of a live source that came and could not be decoded; nobody sees them. (A file that cannot be
    decoded is an error.)

    A source of a new kind writes `grab`, `retrieve` and `close`; everything else follows from them. Reading raises
    :class:`tsm_edge.errors.SourceError` where the source breaks; frames given before are whole. A closed source reads
    as one at its end.
    """

    name = ""
    live = False
    fps = None
    frame_size = None
    frame_count = None
    resets = corrupt = 0
    _last_image = None

    def grab(self):
        """Move to the next frame without making its pixels. Returns its :class:`Stamp`, or None at the end."""
        raise NotImplementedError

    def retrieve(self, into=None):
        """Return the pixels of the frame that `grab` moved to: (H, W, 3) uint8 BGR, upright.

        into: an array that an earlier call returned and nobody needs any more. The source may write the pixels there
        and return it, which spares a large allocation a frame; it never writes to any other array it gave before.
        Returns None where this frame is lost but the next ones may not be (a live stream with a broken picture).
        """
        raise NotImplementedError

    def read(self, into=None):
        """Return the next :class:`Frame`, its pixels in ``into`` where the source can. StopIteration at the end."""
        gap = False
        while True:
            stamp = self.grab()
            if stamp is None:
                raise StopIteration
            gap = gap or stamp.gap
            image = self.retrieve(into)
            if image is not None:
                return Frame(stamp.index, stamp.time, image, gap)

    def __iter__(self):
        return self

    def __next__(self):
        """The next :class:`Frame`; StopIteration at the end. Reuses the memory of the frame it gave before."""
        frame = self.read(self._last_image)
        self._last_image = frame.image
        return frame

    def skip(self):
        """Pass over one frame without making its pixels. True if there was one, False at the end of the source."""
        return self.grab() is not None

    def close(self):
        """Free the device or file. May be called more than once, and from another thread than the reader's."""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
