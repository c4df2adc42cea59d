"""Where frames come from: video files, folders of frames, cameras and network streams.

OpenCV is imported only by the file of the kind that is opened.
"""

import os
from typing import Any, Optional, Tuple

from tsm_edge.errors import InputError
from tsm_edge.registry import Entry, Registry
from tsm_edge.sources.base import Source, SourceOptions
from tsm_edge.text import masked_address

_OPENCV: Any = {"packages": ("cv2",), "extra": "run"}
SOURCES = Registry(
    "source",
    [
        Entry("camera", "tsm_edge.sources.camera", "a camera by its number, /dev/videoN", live=True, **_OPENCV),
        Entry("csi", "tsm_edge.sources.csi", "a Jetson's CSI camera", matches=("csi",), live=True, **_OPENCV),
        Entry(
            "network",
            "tsm_edge.sources.network",
            "a live stream: RTSP, or MJPEG or HLS over HTTP",
            matches=("rtsp", "rtsps", "http", "https"),
            live=True,
            **_OPENCV,
        ),
        Entry("folder", "tsm_edge.sources.images", "a folder of numbered pictures", **_OPENCV),
        Entry("file", "tsm_edge.sources.video", "a video file", **_OPENCV),
    ],
)


def open_source(
    spec: Any, loop: bool = False, decode_threads: Optional[int] = None, persistent: bool = False
) -> Source:
    """Open a source of frames.

    Args:
        spec: a camera number (int or digits), ``csi://0[?width=1280&height=720&fps=30]``, ``rtsp://``, ``http://`` or
            ``https://`` (a network stream), a folder of numbered pictures, or a video file. A file or folder whose
            name is a number is reached as ``./0``.
        loop: begin a file or folder again at its end, for ever.
        decode_threads: of a video file, None for FFmpeg's choice.
        persistent: try an interrupted live source again for ever.

    Raises:
        InputError: the source does not exist or cannot be opened.
    """
    kind, target = kind_of(spec)
    if loop and SOURCES[kind].live:
        raise InputError(masked_address(str(spec)), "loop on a live source", "a file or a folder", "Leave --loop away.")
    return SOURCES.load(kind).open_source(target, SourceOptions(loop, decode_threads, persistent))


def kind_of(spec: Any) -> Tuple[str, Any]:
    """Return (key in SOURCES, what to open) of a source; opens nothing."""
    if isinstance(spec, int):
        if spec < 0:
            raise InputError("camera {}".format(spec), "a negative number", "0 or more", "Try --camera 0.")
        return "camera", spec
    text = os.fspath(spec)
    if text.isdigit():
        return "camera", int(text)
    scheme, mark, _ = text.partition("://")
    if mark:
        for entry in SOURCES:
            if scheme.lower() in entry.matches:
                return entry.key, text
        schemes = ", ".join(scheme + "://" for entry in SOURCES for scheme in entry.matches)
        raise InputError(
            masked_address(text),
            "a source of the unknown kind {}://".format(scheme),
            schemes + ", a camera number, a folder or a video file",
            "Check the spelling of the address.",
        )
    return ("folder" if os.path.isdir(text) else "file"), text
