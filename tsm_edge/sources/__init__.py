"""Where frames come from: video files, folders of frames, cameras and network streams.

OpenCV is imported only by the file of the kind that is opened.
"""

import os

from tsm_edge.errors import InputError


def open_source(spec, loop=False, decode_threads=None):
    """Open what ``spec`` names as a :class:`tsm_edge.sources.base.Source`.

    spec: a camera number (int or digits), ``csi://0[?width=1280&height=720&fps=30]`` (a Jetson's CSI camera),
    ``rtsp://``, ``http://`` or ``https://`` (a network stream), a folder of numbered pictures, or a video file.
    loop: begin a file or folder again at its end, for ever. decode_threads: of a video file, None for FFmpeg's choice.
    Raises InputError where any of that cannot be.
    """
    kind, target = kind_of(spec)
    if loop and kind in ("camera", "csi", "network"):
        raise InputError(spec, "loop on a live source", "a file or a folder", "Leave --loop away.")
    if kind == "camera":
        from tsm_edge.sources.camera import Camera

        return Camera(target)
    if kind == "csi":
        from tsm_edge.sources.camera import CsiCamera

        return CsiCamera(target)
    if kind == "network":
        from tsm_edge.sources.network import NetworkStream

        return NetworkStream(target)
    if kind == "folder":
        from tsm_edge.sources.images import ImageFolder

        return ImageFolder(target, loop=loop)
    from tsm_edge.sources.video import VideoFile

    return VideoFile(target, loop=loop, threads=decode_threads)


def kind_of(spec):
    """Return (kind, target) of a source: kind is "camera", "csi", "network", "folder" or "file"; opens nothing.

    A file or folder whose name is a number is reached as ``./0``.
    """
    if isinstance(spec, int):
        if spec < 0:
            raise InputError("camera {}".format(spec), "a negative number", "0 or more", "Try --camera 0.")
        return "camera", spec
    text = os.fspath(spec)
    if text.isdigit():
        return "camera", int(text)
    scheme, mark, _ = text.partition("://")
    if mark:
        if scheme.lower() == "csi":
            return "csi", text
        if scheme.lower() in ("rtsp", "rtsps", "http", "https"):
            return "network", text
        raise InputError(
            text,
            "a source of the unknown kind {}://".format(scheme),
            "csi://, rtsp://, http://, https://, a camera number, a folder or a video file",
            "Check the spelling of the address.",
        )
    return ("folder", text) if os.path.isdir(text) else ("file", text)
