"""A real RTSP server (GStreamer's) that freezes. Runs where Debian's python3-gi and gir1.2-gst-rtsp-server-1.0 are."""

import os
import signal
import subprocess
import threading
import time

import cv2
import pytest

from tsm_edge.sources.live import Retry
from tsm_edge.sources.network import NetworkStream

PYTHON = "/usr/bin/python3"  # Debian's, which has the bindings
SERVER = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer

Gst.init(None)
server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
server.set_service("0")
factory.set_launch(
    "( videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=30/1 "
    "! x264enc tune=zerolatency key-int-max=30 ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)
factory.set_shared(True)
server.get_mount_points().add_factory("/cam", factory)
assert server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


def can_serve():
    """Whether Debian's Python has the server and every element of its pipeline."""
    elements = "('videotestsrc', 'x264enc', 'rtph264pay')"
    check = SERVER.split("Gst.init")[0] + "Gst.init(None)\nassert all(map(Gst.ElementFactory.find, {}))".format(
        elements
    )
    try:
        return subprocess.call([PYTHON, "-c", check], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


@pytest.fixture
def server():
    if not hasattr(cv2, "CAP_PROP_READ_TIMEOUT_MSEC"):
        pytest.skip("this OpenCV cannot be told how long to wait")
    if not can_serve():
        pytest.skip("apt install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,bad,ugly}")
    process = subprocess.Popen([PYTHON, "-c", SERVER], stdout=subprocess.PIPE)
    process.url = "rtsp://127.0.0.1:{}/cam".format(int(process.stdout.readline()))
    yield process
    os.kill(process.pid, signal.SIGCONT)
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_frozen_server_is_noticed_in_time_and_its_gap_is_told_once(server):
    noticed, frozen = [], {}

    def freeze():
        frozen["at"] = time.monotonic()
        os.kill(server.pid, signal.SIGSTOP)
        time.sleep(6)
        os.kill(server.pid, signal.SIGCONT)

    with NetworkStream(server.url, open_seconds=2, read_seconds=1.0, retry=Retry(40, 0.2, 0.2)) as source:
        reconnect = source._reconnect
        source._reconnect = lambda reason: (noticed.append(time.monotonic()), reconnect(reason))
        frames = [(source.read(), time.monotonic()) for _ in range(30)]
        freezer = threading.Thread(target=freeze)
        freezer.start()
        frames += [(source.read(), time.monotonic()) for _ in range(90)]
        freezer.join()
    first = frames[0][1] - frames[0][0].time
    assert source.resets == len(noticed) == 1
    assert noticed[0] - frozen["at"] < 2.0  # 1 s of silence, and OpenCV looks at the clock every 0.1 s or so
    (with_gap,) = [number for number, (frame, _) in enumerate(frames) if frame.gaps]
    (gap,) = frames[with_gap][0].gaps
    assert gap.reason == "reconnected: it sent no frame for 1 s" and 5.0 < gap.seconds < 12.0
    times = [frame.time for frame, _ in frames]
    for (frame, clock), before in zip(frames[1:], times):
        assert before < frame.time <= clock - first + 0.1  # never ahead of the clock
        assert frame.gaps or frame.time - before < 1.0
    assert times[with_gap] - times[with_gap - 1] == pytest.approx(gap.seconds, abs=0.05)
