"""Cameras: what is asked of the driver, and honest refusals."""

import os

import cv2
import pytest

from tests.device.sources.test_live import SOON, FakeCapture, take
from tsm_edge.errors import InputError, SourceError
from tsm_edge.sources import open_source
from tsm_edge.sources.camera import Camera
from tsm_edge.sources.csi import CsiCamera, csi_pipeline, has_gstreamer


def test_camera_asks_for_mjpeg_and_the_smallest_buffer():
    fake, asked = FakeCapture(1), []
    source = Camera(3, open_capture=lambda *arguments: asked.append(arguments) or fake, platform="linux")
    assert asked == [(3, cv2.CAP_V4L2)]
    assert fake.properties == {cv2.CAP_PROP_FOURCC: cv2.VideoWriter_fourcc(*"MJPG"), cv2.CAP_PROP_BUFFERSIZE: 1}
    assert (source.name, source.live) == ("camera 3", True)
    source.close()
    assert fake.releases


@pytest.mark.parametrize(
    "platform, api, asks",
    [
        ("linux", cv2.CAP_V4L2, True),
        ("freebsd13", cv2.CAP_V4L2, True),
        ("darwin", cv2.CAP_AVFOUNDATION, False),
        ("win32", cv2.CAP_MSMF, False),
    ],
)
def test_the_backend_is_that_of_the_operating_system(platform, api, asks):
    """A stand-in for OpenCV: no such machine has run this."""
    fake, asked = FakeCapture(1), []
    source = Camera(0, open_capture=lambda *arguments: asked.append(arguments) or fake, platform=platform)
    assert asked == [(0, api)] and bool(fake.properties) == asks
    assert len(take(source, 1)) == 1


@pytest.mark.parametrize(
    "platform, tried, do", [("darwin", "AVFoundation", "System Settings"), ("win32", "Media Foundation", "Settings")]
)
def test_a_camera_that_does_not_open_elsewhere_speaks_of_no_linux_tool(platform, tried, do):
    with pytest.raises(SourceError) as error:
        Camera(0, open_capture=lambda *_: FakeCapture(0, opened=False), platform=platform)
    assert tried in str(error.value) and do in str(error.value)
    assert "/dev/video" not in str(error.value) and "v4l2" not in str(error.value)


def test_no_such_camera_says_what_was_tried():
    with pytest.raises(SourceError, match=r"/dev/video97(.|\n)*V4L2(.|\n)*v4l2-ctl"):
        open_source("97")


def test_camera_that_does_not_open_is_named(monkeypatch):
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    monkeypatch.setattr(os, "access", lambda *_: True)
    with pytest.raises(SourceError, match="does not open as a camera"):
        Camera(0, open_capture=lambda *_: FakeCapture(0, opened=False))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SourceError, match="no right to read"):
        Camera(0, open_capture=lambda *_: FakeCapture(0, opened=False))


def test_unplugged_camera_comes_back():
    captures = [FakeCapture(2), FakeCapture(0, opened=False), FakeCapture(2)]
    source = Camera(0, open_capture=lambda *_: captures.pop(0), retry=SOON)
    assert [frame.gap for frame in take(source, 4)] == [False, False, True, False]


def test_csi_pipeline():
    assert csi_pipeline("csi://1?width=1920&height=1080&fps=60") == (
        "nvarguscamerasrc sensor-id=1 "
        "! video/x-raw(memory:NVMM), width=1920, height=1080, framerate=60/1, format=NV12 "
        "! nvvidconv ! video/x-raw, format=BGRx ! videoconvert ! video/x-raw, format=BGR "
        "! appsink drop=true max-buffers=1 sync=false"
    )
    assert "sensor-id=0 ! video/x-raw(memory:NVMM), width=1280, height=720, framerate=30/1" in csi_pipeline("csi://0")


@pytest.mark.parametrize(
    "spec",
    ["csi://", "csi://a", "csi://00", "csi://0/x", "csi://0?fps=0", "csi://0?fps=-1", "csi://0?fps=", "csi://0?bits=8"]
    + ["csi://0?width=99999", "csi://0?fps=1001", "csi://0?width=8193", "csi://\u0663"]
    + ["csi://0?width=1280!fakesink", "csi://0#x", "rtsp://0"],
)
def test_bad_csi_addresses_are_refused(spec):
    with pytest.raises(InputError, match="csi://SENSOR"):
        csi_pipeline(spec)


def test_csi_without_gstreamer_is_refused_before_anything_opens():
    with pytest.raises(SourceError, match="without GStreamer"):
        CsiCamera("csi://0", open_capture=None, build_information=lambda: "    GStreamer:                   NO\n")


def test_csi_opens_its_pipeline():
    asked, fakes = [], [FakeCapture(1), FakeCapture(0, opened=False)]

    def open_capture(*arguments):
        asked.append(arguments)
        return fakes.pop(0)

    yes = "    GStreamer:                   YES (1.14.5)\n"
    source = CsiCamera("csi://0", open_capture=open_capture, build_information=lambda: yes)
    assert asked == [(csi_pipeline("csi://0"), cv2.CAP_GSTREAMER)]
    assert len(take(source, 1)) == 1
    with pytest.raises(SourceError, match="nvarguscamerasrc"):
        CsiCamera("csi://0", open_capture=open_capture, build_information=lambda: yes)


def test_gstreamer_is_read_from_the_real_build_information():
    assert has_gstreamer(cv2.getBuildInformation()) in (True, False)
    assert has_gstreamer("GStreamer:   YES") and not has_gstreamer("GStreamer:   NO")
