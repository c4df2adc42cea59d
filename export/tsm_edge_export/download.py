"""Downloads checkpoints into the user's cache folder. A failed download leaves nothing there."""

import contextlib
import hashlib
import http.client
import os
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from tqdm import tqdm

from tsm_edge.errors import InputError

TIMEOUT_SECONDS = 30  # without a byte


def cache_folder() -> Path:
    """Return TSM_EDGE_CACHE, or tsm_edge in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TSM_EDGE_CACHE") or Path(base) / "tsm_edge")


def download(url: str) -> Path:
    """Return the file behind `url`, fetched once. Raises InputError where the download fails or is incomplete."""
    name = Path(urllib.parse.urlsplit(url).path).name
    if not name:
        raise InputError(url, "no file name in it", "the URL of a checkpoint file", "correct weights.url in the recipe")
    # By address, since two projects may each have a best.pth.
    target = cache_folder() / hashlib.sha256(url.encode()).hexdigest()[:12] / name
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
            part = Path(folder) / name
            _fetch(url, part)
            os.replace(part, target)
    except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError; ValueError: not a URL
        with contextlib.suppress(OSError):
            target.parent.rmdir()
        got = f"the download failed: {getattr(error, 'reason', None) or error or type(error).__name__}"
        do = f"check the network, or fetch it on another machine and give it with WEIGHTS={name} (--weights)"
        raise InputError(url, got, "the checkpoint", do) from error
    return target


def _fetch(url: str, part: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer, open(part, "wb") as file:
        size = int(answer.headers.get("Content-Length") or 0)
        with tqdm.wrapattr(answer, "read", total=size or None, desc=part.name, unit="B", unit_scale=True) as stream:
            shutil.copyfileobj(stream, file)
        received = file.tell()
    if size and received != size:
        raise OSError(f"{received} of {size} bytes came")
