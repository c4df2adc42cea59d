"""Downloads checkpoints into the user's cache folder. A failed download leaves nothing there."""

import base64
import contextlib
import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tsm_edge.errors import InputError
from tsm_edge.text import masked, masked_address, shown
from tsm_edge_export.checkpoints.checks import MAX_FILE_BYTES, check_file

TIMEOUT_SECONDS = 30  # without a byte
MAX_BYTES = MAX_FILE_BYTES
SCHEMES = ("http", "https", "file")
_EXPECTED = "the http, https or file URL of a checkpoint file"


def cache_folder() -> Path:
    """Return TSM_EDGE_CACHE, or tsm_edge in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TSM_EDGE_CACHE") or Path(base) / "tsm_edge")


def download(url: str) -> Path:
    """Return the file behind `url`, fetched once.

    url: http, https or file. A user and a password in it are sent to its server alone (basic authentication); no
    message and no file name shows them, nor a token.
    Raises InputError where the download fails, is incomplete, or is larger than MAX_BYTES.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        request = _request(parts)
    except ValueError as error:  # no URL: brackets that do not match, a port that is no number
        raise InputError(
            masked_address(url), f"no URL ({type(error).__name__})", _EXPECTED, "correct weights.url in the recipe"
        ) from None
    name = masked(Path(parts.path).name)
    if parts.scheme not in SCHEMES or not name:
        got = "no file name in it" if parts.scheme in SCHEMES else f"the scheme {parts.scheme!r}"
        raise InputError(masked_address(url), got, _EXPECTED, "correct weights.url in the recipe")
    if parts.scheme == "file":
        check_file(urllib.request.url2pathname(parts.path))
    # By address, since two projects may each have a best.pth.
    target = cache_folder() / hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:12] / name
    try:
        if target.exists():
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
            part = Path(folder) / "part"
            _fetch(request, part, name)
            os.replace(part, target)
    except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError; ValueError: not a URL
        with contextlib.suppress(OSError, ValueError):
            target.parent.rmdir()
        got = f"the download failed: {getattr(error, 'reason', None) or error or type(error).__name__}"
        do = f"check the network, or fetch it on another machine and give it with WEIGHTS={name} (--weights)"
        raise InputError(
            masked_address(url), got, "the checkpoint", do
        ) from None  # an error of urllib may repeat a password
    return target


def _request(parts: urllib.parse.SplitResult) -> urllib.request.Request:
    """Return the request for a URL, its user and password in a header that no redirection carries elsewhere."""
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urllib.parse.urlunsplit(parts._replace(netloc=host, fragment="")))
    if at:
        name, _, password = user.partition(":")
        both = f"{urllib.parse.unquote(name)}:{urllib.parse.unquote(password)}"
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(both.encode()).decode())
    return request


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows redirections to http and https alone: a server must not point at a file of this machine."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
            raise OSError("the server redirects to another scheme than http and https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetch(request: urllib.request.Request, part: Path, name: str) -> None:
    opener = urllib.request.build_opener(_Redirections)
    with opener.open(request, timeout=TIMEOUT_SECONDS) as answer, open(part, "wb") as file:
        size = int(answer.headers.get("Content-Length") or 0)
        if size > MAX_BYTES:
            raise OSError(f"{size} bytes, and a checkpoint has at most {MAX_BYTES}")
        received = 0
        with tqdm(total=size or None, desc=shown(name), unit="B", unit_scale=True, disable=None) as bar:
            while block := answer.read(1 << 16):
                received += len(block)
                if received > MAX_BYTES:
                    raise OSError(f"more than {MAX_BYTES} bytes came")
                file.write(block)
                bar.update(len(block))
    if size and received != size:
        raise OSError(f"{received} of {size} bytes came")
