"""Downloads from a server on this machine: whole, cut short, refused. What fails leaves nothing."""

import base64
import contextlib
import http.server
import os
import socket
import threading
import urllib.parse

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tsm_edge.errors import InputError
from tsm_edge_export import download as downloads
from tsm_edge_export.download import cache_folder, download

BODY = bytes(range(256)) * 700  # more than one read of a socket


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.authorizations.append(self.headers.get("Authorization"))
        if "to=" in self.path:
            self.send_response(302)
            self.send_header("Location", urllib.parse.unquote(self.path.partition("to=")[2]))
            self.end_headers()
            return
        if "huge" in self.path:
            self.send_response(200)
            self.send_header("Content-Length", str(10**12))
            self.end_headers()
            return
        if "missing" in self.path:
            self.send_error(404)
            return
        if "garbage" in self.path:
            self.wfile.write(b"\r\n\r\n\r\nSSH-2.0\r\n")
            return
        self.send_response(200)
        if "chunks" in self.path:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"400\r\n" + BODY[:100])
            return
        self.send_header("Content-Length", "many" if "length" in self.path else str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[: len(BODY) // 2] if "short" in self.path else BODY)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked, running.authorizations = [], []
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("TSM_EDGE_CACHE", str(folder))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return folder


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


def test_once(server, cache):
    path = download(server.url + "/models/best.pth.tar?x=1")
    assert path.read_bytes() == BODY
    assert path.name == "best.pth.tar"
    assert files(cache) == [path]
    assert download(server.url + "/models/best.pth.tar?x=1") == path
    assert len(server.asked) == 1


def test_the_same_name_elsewhere_is_another_file(server):
    first, second = download(server.url + "/a/best.pth"), download(server.url + "/b/best.pth")
    assert first != second
    assert first.name == second.name == "best.pth"


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_permissions_are_the_users_own(server):
    previous = os.umask(0o022)
    try:
        assert download(server.url + "/m.pth").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(previous)


@pytest.mark.parametrize(
    ("path", "got"),
    [
        ("/short.pth", f"{len(BODY) // 2} of {len(BODY)} bytes came"),
        ("/missing.pth", "Not Found"),
        ("/garbage.pth", ""),
        ("/chunks.pth", ""),
        ("/length.pth", "many"),
    ],
)
def test_what_fails_explains_itself_and_leaves_nothing(server, cache, path, got):
    with pytest.raises(InputError) as caught:
        download(server.url + path)
    assert caught.value.where == server.url + path
    assert "the download failed: " in caught.value.got and got in caught.value.got
    assert "WEIGHTS=" + path[1:] in caught.value.do
    assert list(cache.iterdir()) == []


def test_no_server(cache):
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match="refused"):
        download(f"http://127.0.0.1:{port}/x.pth")
    assert list(cache.iterdir()) == []


def test_a_password_reaches_its_server_alone(server, cache, capsys):
    host = server.url.removeprefix("http://")
    target = f"http://other:pw9@localhost:{server.server_port}/moved.pth"
    for url in (
        f"http://us%40er:hush%3Aed@{host}/m.pth",
        f"http://us%40er:hush%3Aed@{host}/x.pth?to={target[:7]}{target[17:]}",
    ):
        path = download(url)
        assert path.read_bytes() == BODY
        assert "hush" not in str(path)
    expected = "Basic " + base64.b64encode(b"us@er:hush:ed").decode()
    assert server.authorizations == [expected, expected, None]
    assert "hush" not in "".join(capsys.readouterr())


SECRET = st.text("abcXYZ019-._~!$&'()*+,;:%25@ ", min_size=3, max_size=12).map(lambda text: "S3cret" + text)
PLACES = [
    "http://user:{}@{}/missing.pth",
    "http://{}@{}/missing.pth",
    "http://{1}/missing.pth?token={0}",
    "http://{1}/m;token={0}/missing.pth",
    "http://{1}/missing;token={0}.pth",
    "http://user:{}@{}/garbage.pth",
    "http://user:{}@{}:port/m.pth",
    "http://user:{}@[{}/m.pth",
    "ftp://user:{}@{}/m.pth",
    "http://user:{}@{}/",
    "http://user:{}@{}/m.pth\n",
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SECRET, st.sampled_from(PLACES))
def test_no_error_and_no_file_shows_a_secret(server, cache, capsys, caplog, secret, place):
    if "token" in place:
        secret = secret.replace("&", "").replace(";", "")  # they end a token
    elif "://{}" in place:
        secret = secret.replace(":", "")  # before a colon stands the name of a user
    with caplog.at_level("DEBUG"):
        try:
            path = download(place.format(secret, server.url.removeprefix("http://")))
        except InputError as error:
            assert error.__cause__ is None  # -vv would print it
            assert "S3cret" not in str(error)
        else:
            assert "S3cret" not in str(path)
    assert "S3cret" not in "".join(capsys.readouterr()) + caplog.text


def test_a_file_of_this_machine(tmp_path, cache):
    (tmp_path / "w.pth").write_bytes(BODY)
    assert download(f"file://{tmp_path}/w.pth").read_bytes() == BODY
    os.mkfifo(tmp_path / "pipe.pth")
    for path in (tmp_path / "pipe.pth", "/dev/zero", tmp_path, tmp_path / "none.pth"):
        with pytest.raises(InputError):
            download(f"file://{path}")


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_a_server_may_not_redirect_to_this_machine(server, cache, to):
    with pytest.raises(InputError, match="another scheme|not allowed"):
        download(f"{server.url}/x.pth?to={to}")
    assert files(cache) == []


def test_the_size_is_bounded(server, cache, monkeypatch):
    with pytest.raises(InputError, match="1000000000000 bytes"):
        download(server.url + "/huge.pth")
    monkeypatch.setattr(downloads, "MAX_BYTES", 1000)
    for name in ("/m.pth", "/length.pth"):
        with pytest.raises(InputError, match="at most 1000|many"):
            download(server.url + name)
    assert files(cache) == []


@pytest.mark.parametrize(
    "url", ["not a url.pth", "", "http://127.0.0.1/", "gopher://x/y.pth", "data:,x.pth", "a\0.pth"]
)
def test_not_a_url_of_a_file(url, cache):
    with pytest.raises(InputError):
        download(url)
    assert files(cache) == []


def test_a_cache_that_cannot_be_written(cache):
    cache.write_text("a file")
    with pytest.raises(InputError, match="the download failed"):
        download("http://127.0.0.1:1/x.pth")


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("TSM_EDGE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("TSM_EDGE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "tsm_edge"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "tsm_edge"
