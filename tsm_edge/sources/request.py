"""What a user asks of one stream: its source, name, rate and so on; from the command line or a cameras file."""

import logging
import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set
from urllib.parse import urlsplit

from tsm_edge.errors import InputError
from tsm_edge.schema import decode, shortened
from tsm_edge.sources import kind_of, open_source
from tsm_edge.sources.base import Source
from tsm_edge.sources.sampling import sample
from tsm_edge.text import masked_address
from tsm_edge.toml_file import read_toml

_LOG = logging.getLogger(__name__)
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")  # fits file names, MQTT topics and addresses alike
ROTATIONS = (0, 90, 180, 270)
MOST_STREAMS = 256  # of one session: each has a thread, a decoder, and up to six decoded frames (6 MB each at 1080p)
SLOWEST_FPS, FASTEST_FPS = 0.001, 1000.0


class StreamRequest(NamedTuple):
    """One stream of a session.

    Attributes:
        source: what `tsm_edge.sources.open_source` takes, or an opened :class:`tsm_edge.sources.base.Source`, which the
            session closes.
        name: in records and file names; empty for one made from the source.
        fps: frames/s to run, None for the model's; at most the source's own.
        rotation: degrees clockwise, 0, 90, 180 or 270.
        loop: begin a recording again at its end.
        paced: release a recording's frames at so many frames/s, as a camera would.
        decision: options of the model's decision to replace.
        source_fps: frames/s at which the pictures of a folder were taken, None where it is not known.
        realtime: read a recording at its own pace, None for what the run does; it changes nothing on a live source.
    """

    source: Any
    name: str = ""
    fps: Optional[float] = None
    rotation: int = 0
    loop: bool = False
    paced: Optional[float] = None
    decision: Dict[str, Any] = {}
    source_fps: Optional[float] = None
    realtime: Optional[bool] = None


def read_cameras(path: str) -> List[StreamRequest]:
    """Read a cameras file: TOML with one `[[camera]]` table for each stream.

    Raises:
        InputError: no such file, damaged TOML, no camera, an unknown key or a value of another type.
    """
    data = read_toml(path, "a cameras file")
    cameras = data.get("camera")
    unknown = sorted(set(data) - {"camera"})
    if unknown or not isinstance(cameras, list) or not cameras:
        got = "unknown key " + ", ".join(unknown) if unknown else "no [[camera]] table"
        raise InputError(path, got, "[[camera]] tables alone, at least one", "see docs/cameras.md")
    requests = []
    for number, camera in enumerate(cameras):
        where = "{}: camera {}".format(path, number + 1)
        name = camera.get("name") if isinstance(camera, dict) else None
        if isinstance(name, str) and NAME.match(name):
            where = "{}: camera {}".format(path, name)
        request = decode(StreamRequest, camera, where)
        if not isinstance(request.source, (int, str)) or isinstance(request.source, bool):
            got = shortened(request.source)
            raise InputError(where + " source", got, "a camera number, an address or a path", "correct it")
        requests.append(request)
    if any(masked_address(str(one.source)) != str(one.source) for one in requests) and os.stat(path).st_mode & 0o077:
        _LOG.warning("%s holds a password, and other users may read it; do: chmod 600 %s", path, path)
    return requests


def stream_names(requests: Sequence[StreamRequest]) -> List[str]:
    """Return a name for each stream: the one asked for, or one made from its source.

    Names made from sources are numbered where they meet: "clip", "clip-2".

    Raises:
        InputError: a name that is asked for twice, or that has other characters than letters, digits, "-" and "_"; more
            than MOST_STREAMS streams.
    """
    if len(requests) > MOST_STREAMS:
        got, expected = "{} streams".format(len(requests)), "at most {}".format(MOST_STREAMS)
        raise InputError("streams", got, expected, "share them out among several runs")
    taken: Set[str] = set()
    for name in (request.name for request in requests if request.name):
        if not isinstance(name, str) or not NAME.match(name):
            got = shortened(name)
            raise InputError("stream name", got, "up to 64 letters, digits, - and _", "give it another name")
        if name in taken:
            raise InputError("stream name " + name, "two streams of that name", "names that differ", "rename one")
        taken.add(name)
    names = []
    for request in requests:
        name = base = request.name or _name_of(request.source)
        count = 1
        while not request.name and name in taken:
            count += 1
            name = "{}-{}".format(base, count)
        taken.add(name)
        names.append(name)
    return names


def open_stream(
    request: StreamRequest, fps: Optional[float], decode_threads: Optional[int] = None, persistent: bool = False
) -> Source:
    """Open the source of a stream, turned, paced and thinned out as the request asks.

    Args:
        request: its own `fps` wins over `fps`.
        fps: the rate that the model expects, None for every frame.
        decode_threads: of a video file.
        persistent: try an interrupted live source again for ever.

    Raises:
        InputError: the request is wrong, or its source cannot be opened.
    """
    source = request.source
    if request.rotation not in ROTATIONS:
        got = shortened(request.rotation)
        raise InputError("rotation", got, "0, 90, 180 or 270 degrees clockwise", "correct it")
    for name in ("fps", "paced", "source_fps"):
        rate = getattr(request, name)
        if rate is not None and not SLOWEST_FPS <= rate <= FASTEST_FPS:
            expected = "{:g} to {:g} frames/s".format(SLOWEST_FPS, FASTEST_FPS)
            raise InputError(name, shortened(rate), expected, "correct it")
    if not isinstance(source, Source):
        source = open_source(source, request.loop, decode_threads, persistent, request.source_fps)
    if request.rotation:
        from tsm_edge.sources.rotation import Rotated

        source = Rotated(source, request.rotation)
    if request.paced is not None:
        if source.live:
            source.close()
            raise InputError("paced", "a live source, {}".format(source.name), "a file or a folder", "leave it away")
        from tsm_edge.sources.paced import Paced

        return Paced(source, request.paced)
    source = sample(source, fps if request.fps is None else request.fps)
    if request.realtime and not source.live:
        from tsm_edge.sources.paced import Realtime

        return Realtime(source)
    return source


def _name_of(spec: Any) -> str:
    """Return a name for the stream of a source, without what may be secret in an address."""
    if isinstance(spec, Source):
        text = os.path.splitext(os.path.basename(masked_address(spec.name)))[0]
    else:
        kind, target = kind_of(spec)
        if kind == "camera":
            return "camera{}".format(target)
        if "://" in target:
            parts = urlsplit(masked_address(target))
            text = "{} {}".format(parts.hostname or parts.scheme, parts.path) if kind != "csi" else "csi" + parts.netloc
        else:
            text = os.path.splitext(os.path.basename(os.path.normpath(masked_address(target))))[0]
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")[:60] or "stream"
