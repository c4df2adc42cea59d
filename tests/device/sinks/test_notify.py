"""What a service manager hears, over a real unix datagram socket, from the sink and from a whole run."""

import contextlib
import os
import signal
import socket

import pytest

from tests.device import media
from tests.device.running import ended, start, tsm_edge
from tests.device.toys import make_result
from tsm_edge.sinks.notify import STATUS_PERIOD, NotifySink, from_environment


class Manager:
    """The service manager's end of the socket."""

    def __init__(self, address):
        self.address = str(address)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.address[1:] if self.address.startswith("@") else self.address)

    def wait(self):
        """The next message, as a list of its lines. Fails where none comes."""
        self.socket.settimeout(120)
        return self.socket.recv(4096).decode("utf-8").split("\n")

    def heard(self):
        """All messages that lie there."""
        self.socket.setblocking(False)
        messages = []
        with contextlib.suppress(BlockingIOError):
            while True:
                messages.append(self.socket.recv(4096).decode("utf-8").split("\n"))
        return messages

    def close(self):
        self.socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    name = "@tsm-edge-test-{}".format(os.getpid())
    manager = Manager(tmp_path / "notify" if request.param == "path" else name)
    yield manager
    manager.close()


def result(label="Stop Sign", fps=25.0):
    return make_result(label=label, confidence=0.9, fps=fps)


def test_a_service_in_its_life(manager):
    now = [0.0]
    with NotifySink(manager.address, period=2.0, clock=lambda: now[0]) as sink:
        assert manager.heard() == []  # not ready before the first result
        sink.write(result(fps=None))
        assert manager.heard() == [["READY=1"], ["WATCHDOG=1", "STATUS=1 frames, Stop Sign 90%"]]
        for now[0] in (0.5, 1.0, 1.9):
            sink.write(result())
        assert manager.heard() == []  # a sign of life is due every 2 s, not every frame
        now[0] = 2.1
        sink.write(result(label=None))
        assert manager.heard() == [["WATCHDOG=1", "STATUS=5 frames, 25.0 frames/s, -"]]
        sink.finish([{"stopped": "SIGTERM"}])
        assert manager.heard() == [["STOPPING=1", "STATUS=5 frames, stopped: SIGTERM"]]


def test_a_label_cannot_forge_a_message(manager):
    with NotifySink(manager.address) as sink:
        sink.write(result(label="hand\nSTOPPING=1"))
    assert manager.heard()[1] == ["WATCHDOG=1", "STATUS=1 frames, 25.0 frames/s, hand\\nSTOPPING=1 90%"]


def test_a_manager_that_is_gone_ends_no_run(tmp_path):
    with NotifySink(str(tmp_path / "nobody")) as sink:
        sink.write(result())
        sink.finish([{"stopped": "end"}])


def test_a_manager_that_does_not_read_holds_up_no_frame(manager):
    now = [0.0]
    with NotifySink(manager.address, period=1.0, clock=lambda: now[0]) as sink:
        for now[0] in range(0, 20000, 2):  # far more than a socket's queue holds
            sink.write(result())
    assert manager.heard()[0] == ["READY=1"]


@pytest.mark.parametrize(
    "environment, period",
    [
        ({}, STATUS_PERIOD),
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "3000000"}, 1.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "42"}, 1.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "43"}, STATUS_PERIOD),  # a wrapper's, not ours
        ({"WATCHDOG_USEC": "0"}, STATUS_PERIOD),
        ({"WATCHDOG_USEC": "soon"}, STATUS_PERIOD),
    ],
)
def test_the_period_is_a_third_of_the_watchdogs(manager, environment, period):
    with from_environment(dict(environment, NOTIFY_SOCKET=manager.address), pid=42) as sink:
        assert sink._period == period


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_no_manager(environment):
    assert from_environment(environment) is None


def test_a_run_under_a_manager(models, tmp_path):
    """The real command: ready with the first result, alive while results come, stopping at SIGTERM, exit code 143."""
    manager = Manager(tmp_path / "notify")
    video = media.write_video(tmp_path / "in.mp4", 40)
    engine = os.path.join(models, "tiny_custom.onnx")
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "300000"}
    process = start("run", "--engine", engine, "--source", video, "--loop", **environment)
    try:
        assert manager.wait() == ["READY=1"]
        for _ in range(3):
            alive, status = manager.wait()
            assert alive == "WATCHDOG=1" and status.startswith("STATUS=")
        process.send_signal(signal.SIGTERM)
        while manager.wait()[0] != "STOPPING=1":
            pass
    finally:
        done = ended(process)
        manager.close()
    assert done.code == 143


def test_a_run_that_never_has_a_frame_is_never_ready(models, tmp_path, capsys, monkeypatch):
    manager = Manager(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    engine = os.path.join(models, "tiny_custom.onnx")
    assert tsm_edge(capsys, "run", "--engine", engine, "--source", tmp_path / "none.mp4").code == 2
    assert manager.heard() == []
    manager.close()
