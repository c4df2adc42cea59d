"""What a user asks of one stream: its source, name, rate and so on; from the command line or a cameras file."""

import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence
from urllib.parse import urlsplit

from tsm_edge.errors import InputError
from tsm_edge.schema import decode
from tsm_edge.sources import kind_of, open_source
from tsm_edge.sources.base import Source
from tsm_edge.sources.sampling import sample
from tsm_edge.toml_file import read_toml

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")  # fits file names, MQTT topics and addresses alike
ROTATIONS = (0, 90, 180, 270)


class StreamRequest(NamedTuple):
    """One stream of a session.

    source: what `tsm_edge.sources.open_source` takes, or an opened :class:`Source`, which the session closes.
    name: in records and file names; empty for one made from the source. fps: frames/s to run, None for the model's;
    at most the source's own. rotation: degrees clockwise, 0, 90, 180 or 270. loop: begin a recording again at its end.
    paced: release a recording's frames at so many frames/s, as a camera would. decision: options of the model's
    decision to replace.
    """

    source: Any
    name: str = ""
    fps: Optional[float] = None
    rotation: int = 0
    loop: bool = False
    paced: Optional[float] = None
    decision: Dict[str, Any] = {}


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
        raise InputError(path, got, "[[camera]] tables alone, at least one", "see docs/running.md")
    requests = []
    for number, camera in enumerate(cameras):
        where = "{}: camera {}".format(path, camera.get("name", number + 1) if isinstance(camera, dict) else number + 1)
        request = decode(StreamRequest, camera, where)
        if not isinstance(request.source, (int, str)) or isinstance(request.source, bool):
            got = repr(request.source)
            raise InputError(where + " source", got, "a camera number, an address or a path", "correct it")
        requests.append(request)
    return requests


def stream_names(requests: Sequence[StreamRequest]) -> List[str]:
    """Return a name for each stream: the one asked for, or one made from its source.

    Names made from sources are numbered where they meet: "clip", "clip-2".

    Raises:
        InputError: a name that is asked for twice, or that has other characters than letters, digits, "-" and "_".
    """
    given = [request.name for request in requests if request.name]
    for name in given:
        if not NAME.match(name):
            raise InputError("stream name", repr(name), "up to 64 letters, digits, - and _", "give it another name")
        if given.count(name) > 1:
            raise InputError("stream name " + name, "two streams of that name", "names that differ", "rename one")
    names, taken = [], set(given)
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
    """
    source = request.source
    if request.rotation not in ROTATIONS:
        raise InputError("rotation", request.rotation, "0, 90, 180 or 270 degrees clockwise", "correct it")
    for name, rate in (("fps", request.fps), ("paced", request.paced)):
        if rate is not None and not 0 < rate < float("inf"):
            raise InputError(name, rate, "frames/s above 0", "correct it")
    if not isinstance(source, Source):
        source = open_source(source, request.loop, decode_threads, persistent)
    if request.rotation:
        from tsm_edge.sources.rotation import Rotated

        source = Rotated(source, request.rotation)
    if request.paced is not None:
        if source.live:
            source.close()
            raise InputError("paced", "a live source, {}".format(source.name), "a file or a folder", "leave it away")
        from tsm_edge.sources.paced import Paced

        return Paced(source, request.paced)
    return sample(source, fps if request.fps is None else request.fps)


def _name_of(spec: Any) -> str:
    """Return a name for the stream of a source, without what may be secret in an address."""
    if isinstance(spec, Source):
        text = os.path.splitext(os.path.basename(spec.name))[0]
    else:
        kind, target = kind_of(spec)
        if kind == "camera":
            return "camera{}".format(target)
        if "://" in str(target):
            parts = urlsplit(str(target))
            text = "{} {}".format(parts.hostname or parts.scheme, parts.path) if kind != "csi" else "csi" + parts.netloc
        else:
            text = os.path.splitext(os.path.basename(os.path.normpath(target)))[0]
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")[:60] or "stream"
