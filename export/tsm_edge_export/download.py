"""Checkpoints by URL, kept in the user's cache folder; a failed download leaves nothing and explains itself."""

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
    target = cache_folder() / name
    if target.exists():
        return target
    part = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
                part = file.name
                with tqdm.wrapattr(answer, "read", total=size or None, desc=name, unit="B", unit_scale=True) as stream:
                    shutil.copyfileobj(stream, file)
                received = file.tell()
        if size and received != size:
            raise OSError(f"{received} of {size} bytes came")
        os.replace(part, target)
    except (OSError, ValueError) as error:  # URLError is an OSError; ValueError: not a URL
        if part is not None:
            Path(part).unlink(missing_ok=True)
        raise InputError(
            url,
            f"the download failed: {getattr(error, 'reason', None) or error}",
            "the checkpoint",
            f"check the network, or fetch it on another machine and give it with WEIGHTS={name} (--weights)",
        ) from None
    return target
