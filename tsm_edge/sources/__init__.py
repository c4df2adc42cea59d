"""Where frames come from: video files, folders of frames, cameras and network streams.

OpenCV is imported only by the file of the kind that is opened.
"""

import os
import re
from typing import Any, List, NoReturn, Optional, Tuple
from urllib.parse import urlsplit

from tsm_edge.errors import InputError
from tsm_edge.registry import Entry, Registry
from tsm_edge.sources.base import Source, SourceOptions
from tsm_edge.text import masked_address

_OPENCV: Any = {"packages": ("cv2",), "extra": "run"}
SOURCES = Registry(
    "source",
    [
        Entry("camera", "tsm_edge.sources.camera", "a camera by its number (Linux: /dev/videoN)", live=True, **_OPENCV),
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
LARGEST_CAMERA = 9999  # Linux numbers its video devices below this
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+):")
# FFmpeg reads these too, but they were never tested here, and the address of most holds a secret within its path.
_OTHER_SCHEMES = ("rtmp", "rtmps", "rtmpt", "rtp", "srt", "udp", "tcp", "mms", "ftp", "sftp", "file")
_SERVER = "Let a server such as MediaMTX serve the stream as RTSP, and give the address of that."


def open_source(
    spec: Any,
    loop: bool = False,
    decode_threads: Optional[int] = None,
    persistent: bool = False,
    fps: Optional[float] = None,
) -> Source:
    """Open a source of frames.

    Args:
        spec: a camera number (int or digits), ``csi://0[?width=1280&height=720&fps=30]``, ``rtsp://``, ``http://`` or
            ``https://`` (a network stream), a folder of numbered pictures, or a video file. A file or folder whose
            name is a number is reached as ``./0``.
        loop: begin a file or folder again at its end, for ever.
        decode_threads: of a video file, None for FFmpeg's choice.
        persistent: try an interrupted live source again for ever.
        fps: the rate in frames/s at which the pictures of a folder were taken, None where it is not known.

    Raises:
        InputError: the source does not exist or cannot be opened.
    """
    kind, target = kind_of(spec)
    if fps is not None and kind != "folder":
        got = "a rate for a source that has time stamps of its own"
        raise InputError(masked_address(str(spec)), got, "a folder of pictures", "Leave source_fps away.")
    if loop and SOURCES[kind].live:
        raise InputError(masked_address(str(spec)), "loop on a live source", "a file or a folder", "Leave --loop away.")
    return SOURCES.load(kind).open_source(target, SourceOptions(loop, decode_threads, persistent, fps))


def files_of(spec: Any) -> List[str]:
    """Return the paths of the files that a source reads: a video, the pictures of a folder, or none."""
    kind, target = kind_of(spec)
    if kind != "folder":
        return [target] if kind == "file" else []
    try:
        return [os.path.join(target, name) for name in SOURCES.load(kind).pictures(target)]
    except OSError:  # opening the source says why
        return []


def kind_of(spec: Any) -> Tuple[str, Any]:
    """Return (key in SOURCES, what to open) of a source; opens nothing.

    Raises:
        InputError: no source can be called so: a number that no camera has, an address that is written wrongly or has
            an unknown scheme, an empty name, a NUL character.
    """
    if isinstance(spec, int) and not isinstance(spec, bool):
        return "camera", _camera_number(str(spec))
    try:
        text = os.fsdecode(spec)
    except TypeError:
        expected = "a camera number, an address or a path"
        raise InputError("source", "a value of type {}".format(type(spec).__name__), expected, "correct it") from None
    if not text or "\0" in text:
        got = "a NUL character in it" if text else "an empty text"
        raise InputError("source " + masked_address(text), got, "a camera number, an address or a path", "correct it")
    if re.match(r"[0-9]+\Z", text):
        return "camera", _camera_number(text)
    scheme = _SCHEME.match(text)
    if scheme and ("://" in text or (_is_scheme(scheme.group(1)) and not os.path.exists(text))):
        return _kind_of_address(text, scheme.group(1).lower()), text
    return ("folder" if os.path.isdir(text) else "file"), text


def _camera_number(digits: str) -> int:
    if not re.match(r"[0-9]{1,9}\Z", digits) or int(digits) > LARGEST_CAMERA:
        got = digits if len(digits) < 30 else "a number of {} digits".format(len(digits))
        do = "Correct the number. Linux lists its cameras: v4l2-ctl --list-devices"
        raise InputError("camera number", got, "0 to {}".format(LARGEST_CAMERA), do)
    return int(digits)


def _is_scheme(scheme: str) -> bool:
    return scheme.lower() in _OTHER_SCHEMES or any(scheme.lower() in entry.matches for entry in SOURCES)


def _kind_of_address(text: str, scheme: str) -> str:
    """Return the key of an address. Raises InputError where no such address can be opened."""
    for entry in SOURCES:
        if scheme in entry.matches:
            _check_address(text, scheme, entry.key == "network")
            return entry.key
    schemes = ", ".join(scheme + "://" for entry in SOURCES for scheme in entry.matches)
    expected = schemes + ", a camera number, a folder or a video file"
    do = _SERVER if scheme in _OTHER_SCHEMES[:8] else "Check the spelling of the address."
    raise InputError(masked_address(text), "a source of the unknown kind {}://".format(scheme), expected, do)


def _check_address(text: str, scheme: str, has_host: bool) -> None:
    def refuse(got: str, do: str) -> NoReturn:
        raise InputError(masked_address(text), got, "an address such as {}://HOST/PATH".format(scheme), do)

    if text != text.strip():
        refuse("a space before or after the address", "Remove the space.")
    if not text[len(scheme) :].startswith("://"):
        refuse("{} without ://".format(scheme), "Write {}:// with a colon and two slashes.".format(scheme))
    if not all(character.isprintable() and character != " " for character in text):
        refuse("a space or a control character in the address", "Write a space as %20.")
    if not has_host:
        return
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:  # its text would show a part of the address
        refuse("a host or port that cannot be read", "Correct them; write / ? # @ of a password as %2F %3F %23 %40.")
    if not host:
        refuse("an address without a host", "Write the host after ://")
    if "@" in parts.path + parts.query + parts.fragment:  # maybe of a password: FFmpeg would look up a part of it
        refuse("an @ behind the host", "Write / ? # @ of a password, and an @ of a path, as %2F %3F %23 %40.")
