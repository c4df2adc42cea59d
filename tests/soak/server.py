"""MJPEG cameras in a separate process: python -m tests.soak.server FPS WIDTH HEIGHT CAMERA.json...

Each camera is a JSON object, the fields of :class:`Behaviour`. The process prints the address of each camera on a line,
serves until its standard input ends, and then prints what each camera did, as JSON: for each camera a list of its
connections, each a list of the clock's readings at which its frames were sent. The clock is `time.perf_counter`, which
all processes of a machine share on Linux.
"""

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from typing import NamedTuple, Optional

import cv2
import numpy as np

from tests.device import media

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BLOCK = 8  # pixels of a JPEG block's side: what is one grey level in each block survives
COLUMNS = 8  # blocks of a row
NUMBER_BITS, CONNECTION_BITS = 16, 8
BITS = NUMBER_BITS + CONNECTION_BITS


class Behaviour(NamedTuple):
    """What a camera does.

    offset: seconds that its frames come after those of a camera without offset. stall: (begin, end) of a time in which
    it sends nothing on any connection, in seconds since its first connection. period: seconds after which it ends each
    connection.
    """

    offset: float = 0.0
    stall: Optional[tuple] = None
    period: Optional[float] = None


def picture(connection, number, size):
    """Return a frame, (H, W, 3) uint8, with its numbers as black and white blocks. size: (W, H)."""
    image = np.full((size[1], size[0], 3), 128, np.uint8)
    value = (connection << NUMBER_BITS) + number
    for bit in range(BITS):
        row, column = divmod(bit, COLUMNS)
        grey = 255 if value >> bit & 1 else 0
        image[row * BLOCK : (row + 1) * BLOCK, column * BLOCK : (column + 1) * BLOCK] = grey
    return image


def read_picture(image):
    """Return (connection, number) of a picture."""
    middles = image[BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK, 0][: BITS // COLUMNS, :COLUMNS].ravel()
    value = sum(int(grey > 128) << bit for bit, grey in enumerate(middles))
    return value >> NUMBER_BITS, value & ((1 << NUMBER_BITS) - 1)


class Camera:
    """One camera: its address, and what it did."""

    def __init__(self, behaviour, fps, size):
        self.behaviour, self.fps, self.size = behaviour, fps, size
        self.connections = []
        self._begun = None  # the clock at its first connection
        self._over = threading.Event()
        self._server, self.url = media.http_server(self.serve)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def serve(self, handler):
        """Send the frames of one connection."""
        sent = []
        self.connections.append(sent)
        number, opened = len(self.connections) - 1, time.perf_counter()
        if self._begun is None:
            self._begun = opened
        try:
            self._wait_out_stall()
            media.begin_mjpeg(handler)
            while not self._ended(opened):
                now = time.perf_counter()
                due = now + (self.behaviour.offset - now) % (1 / self.fps)
                while time.perf_counter() < due and not self._over.is_set():
                    self._over.wait(due - time.perf_counter())
                self._wait_out_stall()
                if self._over.is_set():
                    return
                self._send(handler, sent, number)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client left

    def _ended(self, opened):
        period = self.behaviour.period
        return period is not None and time.perf_counter() - opened >= period

    def _wait_out_stall(self):
        if self.behaviour.stall is not None:
            begin, end = (self._begun + seconds for seconds in self.behaviour.stall)
            if begin <= time.perf_counter() < end:
                self._over.wait(end - time.perf_counter())

    def _send(self, handler, sent, connection):
        if select.select([handler.connection], [], [], 0)[0] and not handler.connection.recv(1, socket.MSG_PEEK):
            raise BrokenPipeError  # a write would fail only the next time
        ok, data = cv2.imencode(".jpg", picture(connection, len(sent), self.size))
        assert ok
        now = time.perf_counter()
        media.send_jpeg(handler, data.tobytes())
        sent.append(now)

    def close(self):
        self._over.set()
        self._server.shutdown()


class Cameras:
    """The process, as a context manager.

    Args:
        behaviours: of the cameras.
        fps: frames/s of each.
        size: (width, height).

    Attributes:
        urls: the address of each camera.
        sent: for each camera, for each of its connections, when each frame was sent; once `stop` was called.
    """

    def __init__(self, behaviours, fps, size):
        arguments = [str(value) for value in (fps, *size)] + [json.dumps(one) for one in behaviours]
        command = [sys.executable, "-m", "tests.soak.server"] + arguments
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True
        )
        self.urls = [self._process.stdout.readline().strip() for _ in behaviours]
        self.sent = None

    def stop(self):
        self.sent = json.loads(self._process.communicate()[0])

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def main():
    fps, width, height = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    cv2.setNumThreads(1)
    cameras = [Camera(Behaviour(*json.loads(text)), fps, (width, height)) for text in sys.argv[4:]]
    for camera in cameras:
        print(camera.url, flush=True)
    sys.stdin.read()
    for camera in cameras:
        camera.close()
    print(json.dumps([camera.connections for camera in cameras]))


if __name__ == "__main__":
    main()
