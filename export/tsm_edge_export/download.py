"""Checkpoints by URL, kept in the user's cache folder; a failed download leaves nothing and explains itself."""

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

TIMEOUT = 30  # seconds without a byte


def cache_folder():
    """TSM_EDGE_CACHE, or tsm_edge in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TSM_EDGE_CACHE") or Path(base) / "tsm_edge")


def download(url: str) -> Path:
    """The file behind `url`, fetched once. Raises InputError where it cannot be had or came in part."""
    name = Path(urllib.parse.urlsplit(url).path).name
    if not name:
        raise InputError(url, "no file name in it", "the URL of a checkpoint file", "correct weights.url in the recipe")
    # Two projects' best.pth are two files.
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
        raise InputError(
            url,
            f"the download failed: {getattr(error, 'reason', None) or error or type(error).__name__}",
            "the checkpoint",
            f"check the network, or fetch it on another machine and give it with WEIGHTS={name} (--weights)",
        ) from error
    return target


def _fetch(url, part):
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, open(part, "wb") as file:
        size = int(answer.headers.get("Content-Length") or 0)
        with tqdm.wrapattr(answer, "read", total=size or None, desc=part.name, unit="B", unit_scale=True) as stream:
            shutil.copyfileobj(stream, file)
        received = file.tell()
    if size and received != size:
        raise OSError(f"{received} of {size} bytes came")
