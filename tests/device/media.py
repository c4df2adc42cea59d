"""Small videos, pictures and streams that the tests of the sources make for themselves."""

import http.server
import os
import socket
import socketserver
import threading

import cv2
import numpy as np

GREY_STEP = 4  # between one frame and the next: survives lossy coding


def grey(index, size=(64, 48)):
    """Return frame ``index``: (H, W, 3) uint8 of one grey level; size is (W, H)."""
    return np.full((size[1], size[0], 3), index * GREY_STEP % 256, np.uint8)


def number_of(image):
    """Return the index that `grey` was given, modulo 64."""
    return int(round(float(image.mean()) / GREY_STEP))


def write_video(path, count, size=(64, 48), fps=30.0, fourcc="MJPG"):
    """Write ``count`` grey frames to ``path``; its suffix chooses the container. Returns path as str."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*fourcc), fps, size)
    assert writer.isOpened(), "this OpenCV cannot write {}".format(path)
    for index in range(count):
        writer.write(grey(index, size))
    writer.release()
    return str(path)


def jpeg(index, size=(64, 48)):
    """Return frame ``index`` as the bytes of a JPEG file."""
    ok, data = cv2.imencode(".jpg", grey(index, size))
    assert ok
    return data.tobytes()


def write_folder(path, count, size=(64, 48)):
    """Write ``count`` JPEG frames 0.jpg, 1.jpg, … (no leading zeros) into the existing folder ``path``."""
    for index in range(count):
        (path / "{}.jpg".format(index)).write_bytes(jpeg(index, size))
    return str(path)


def moov_first(source, path):
    """Copy an MP4 or MOV with its index moved to the front ("fast start"), so that a cut copy still opens."""
    with open(str(source), "rb") as file:
        data = file.read()
    boxes, at = {}, 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        boxes[data[at + 4 : at + 8]] = data[at : at + length]
        at += length
    moov = bytearray(boxes[b"moov"])
    mark = moov.find(b"stco")
    while mark >= 0:  # every chunk offset grows by what now stands in front of it
        for entry in range(int.from_bytes(moov[mark + 8 : mark + 12], "big")):
            field = slice(mark + 12 + 4 * entry, mark + 16 + 4 * entry)
            moov[field] = (int.from_bytes(moov[field], "big") + len(moov)).to_bytes(4, "big")
        mark = moov.find(b"stco", mark + 4)
    path.write_bytes(boxes.pop(b"ftyp") + bytes(moov) + b"".join(v for k, v in boxes.items() if k != b"moov"))
    return str(path)


def http_server(answer):
    """Return (server, address) of an HTTP server on 127.0.0.1; each GET calls `answer(handler)` in a thread."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self)

        def log_message(self, *_):
            pass

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    return server, "http://127.0.0.1:{}/live.mjpg".format(server.server_port)


def begin_mjpeg(request):
    """Answer a request with a stream of pictures; `send_jpeg` sends each."""
    request.send_response(200)
    request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
    request.end_headers()


def send_jpeg(request, data):
    """Send one picture of a stream."""
    head = "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n".format(len(data))
    request.wfile.write(head.encode() + data + b"\r\n")


def make_special(path, kind):
    """Make what is no regular file: a "fifo", a "socket", a "folder", or a "link to a device"."""
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(path)
    elif kind == "folder":
        os.mkdir(path)
    else:
        os.symlink("/dev/zero", path)


class MjpegServer:
    """An MJPEG-over-HTTP camera on 127.0.0.1.

    plan: for each connection, how many frames it gets before the server hangs up; a further connection is refused
    with 503. stall: the number of a connection, or several, that is not hung up on, but gets nothing more until the
    server closes.
    pause: seconds after each frame.
    allowed: called with the path and the headers of a request; where it returns False, the answer is 401.
    """

    def __init__(self, plan, stall=(), size=(64, 48), allowed=lambda path, headers: True, pause=0.0):
        self.connections = 0
        self._over = threading.Event()
        stalled = (stall,) if isinstance(stall, int) else stall

        def answer(request):
            if not allowed(request.path, request.headers):
                request.send_response(401)
                request.send_header("WWW-Authenticate", 'Basic realm="camera"')
                request.send_header("Content-Length", "0")
                request.end_headers()
                return
            number, self.connections = self.connections, self.connections + 1
            if number >= len(plan):
                request.send_error(503)
                return
            begin_mjpeg(request)
            try:
                for index in range(plan[number]):
                    send_jpeg(request, jpeg(index, size))
                    if self._over.wait(pause):
                        break
                if number in stalled:
                    self._over.wait()
            except (BrokenPipeError, ConnectionResetError):
                pass  # the reader left first

        self._server, self.url = http_server(answer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="mjpeg-server")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
