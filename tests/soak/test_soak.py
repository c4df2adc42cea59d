"""The soak in small; and that it finds what it is there to find, by breaking the product on purpose."""

import json
import mmap
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.soak import endings, several
from tests.soak.camera import APART, INTERRUPTIONS, KINDS, plan
from tests.soak.drive import Drive
from tests.soak.server import picture, read_picture
from tsm_edge.engines.onnxruntime.cpu import _BoundState
from tsm_edge.heads.votes import Votes
from tsm_edge.preprocess import Preprocessor
from tsm_edge.sinks.jsonl import JsonlSink
from tsm_edge.sources.capture import Capture, wait_for_any
from tsm_edge.sources.live import LiveStream

FRAMES = 1200
SECONDS = 6.0  # of a run of several live streams: a stall of 2.7 s, and a reconnect every 0.7 s

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")


@pytest.fixture
def drive(models, tmp_path):
    return Drive("test", os.path.join(models, "tiny_custom.onnx"), tmp_path, 3)


def test_a_small_soak(models, tmp_path):
    report = tmp_path / "soak.json"
    command = [sys.executable, "-m", "tests.soak", "--frames", "2000", "--seconds", str(several.MIN_SECONDS)]
    command += ["--json", str(report), "--model", os.path.join(models, "tiny_custom.onnx")]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
    out = done.stdout.decode()
    assert done.returncode == 0, out
    assert "all as it should be" in out
    said = json.loads(report.read_text())
    assert said["ok"] is True and said["faults"] == []
    assert said["frames"] >= 2000
    names = {ending.__name__.replace("_", " ") for ending in (endings.hours,) + endings.ENDINGS}
    assert {run["name"] for run in said["runs"]} == names | set(several.SIDES)
    assert set(said["runs"][0]["injected"]) == set(KINDS)
    assert set(said["p99_ms_of_steady_streams"]) == set(several.SIDES)
    faulty = next(run for run in said["runs"] if run["name"] == several.FAULTS)
    assert faulty["connections"]["stalling"] >= 2 and faulty["connections"]["reconnecting"] >= 5


@pytest.mark.parametrize("option, value", [("--frames", "10"), ("--seconds", "5")])
def test_a_soak_that_is_too_short_is_refused(option, value):
    from tests.soak.__main__ import main

    with pytest.raises(SystemExit) as ended:
        main([option, value])
    assert ended.value.code == 2


def test_a_plan_follows_from_its_seed():
    faults = plan(5, 20000)
    assert faults == plan(5, 20000) != plan(6, 20000)
    assert {fault.kind for fault in faults} == set(KINDS)
    for one, two in zip(faults, faults[1:]):
        assert two.at - one.at >= APART
    for kind, _, size in faults:
        assert KINDS[kind][0] <= size <= KINDS[kind][1]


def test_a_run_comes_again_the_same(drive):
    figures = []
    for _ in range(2):
        endings.hours(drive, FRAMES)
        assert drive.faults == []
        figures.append([drive.figures[name] for name in ("injected", "dropped", "corrupt", "resets", "hours")])
    assert figures[0] == figures[1]
    injected, dropped, corrupt, resets, _ = figures[0]
    assert min(dropped, corrupt) > 0
    assert resets == sum(injected[kind] for kind in INTERRUPTIONS)


def found(drive, ending, *words):
    ending(drive, FRAMES)
    for word in words:
        assert any(word in fault for fault in drive.faults), (word, drive.faults)


def test_a_state_that_is_not_reset_is_found(drive, monkeypatch):
    monkeypatch.setattr(_BoundState, "_clear", lambda self, which, stream: None)
    found(drive, endings.hours, "the state was not reset")


def test_a_state_that_is_lost_is_found(drive, monkeypatch):
    monkeypatch.setattr(_BoundState, "_swap", lambda self, streams: None)
    found(drive, endings.hours, "the state does not know what came before")


def silent_drops(monkeypatch):
    put = Capture._put

    def silent(self, frame):
        before = self.dropped
        put(self, frame)
        self.dropped = before

    monkeypatch.setattr(Capture, "_put", silent)


def test_frames_dropped_without_a_count_are_found(drive, monkeypatch):
    silent_drops(monkeypatch)
    found(drive, endings.hours, "dropped frames counted", "corrupt frames, by the frames' numbers")


def test_a_queue_without_bounds_is_found(drive, monkeypatch):
    def put(self, frame):
        with self._changed:
            self._waiting.append(frame)
            self._changed.notify_all()

    monkeypatch.setattr(Capture, "_put", put)
    found(drive, endings.hours, "bounded queues")


def test_corrupt_frames_that_pass_are_found(drive, monkeypatch):
    retrieve = LiveStream.retrieve

    def again(self, into=None):
        image = retrieve(self, into)
        self._shown = self._camera.pictures[0] if image is None else image
        return self._shown

    monkeypatch.setattr(LiveStream, "retrieve", again)
    found(drive, endings.hours, "corrupt frames, by the frames' numbers")


def test_corrupt_frames_that_are_not_counted_are_found(drive, monkeypatch):
    monkeypatch.setattr(LiveStream, "corrupt", property(lambda self: 0, lambda self, value: None))
    found(drive, endings.hours, "corrupt frames counted")


def test_memory_that_grows_is_found(drive, monkeypatch):
    kept, write = [], JsonlSink.write

    def keep(self, result):
        kept.append(mmap.mmap(-1, 100000))  # pages of its own: the heap may still have room from earlier tests
        kept[-1].write(b"x" * 100000)
        write(self, result)

    monkeypatch.setattr(JsonlSink, "write", keep)
    found(drive, endings.hours, "memory flat")


def test_pictures_that_are_overwritten_are_found(drive, monkeypatch):
    preprocess = Preprocessor.__call__

    def scribble(self, image, out=None):
        tensor = preprocess(self, image, out)
        image[0, 0] += 1
        return tensor

    monkeypatch.setattr(Preprocessor, "__call__", scribble)
    found(drive, endings.hours, "pictures overwritten")


def test_a_line_half_written_is_found(drive, monkeypatch):
    monkeypatch.setattr(os, "ftruncate", lambda descriptor, size: None)  # the sink cannot take it back
    found(drive, endings.disk_full_of_results, "is cut off")


def test_an_event_that_does_not_end_is_found(drive, monkeypatch):
    monkeypatch.setattr(Votes, "reset", lambda votes: votes.__init__(votes._hysteresis) or [])
    found(drive, endings.hours, "event camera0-")


def test_a_thread_left_behind_is_found(drive, monkeypatch):
    stop = Capture.stop
    monkeypatch.setattr(Capture, "stop", lambda self: None)
    monkeypatch.setattr(Capture, "close", lambda self: None)
    try:
        found(drive, endings.hours, "threads and open files")
    finally:
        drive.camera.end()
        for capture in drive.watch.captures.values():
            stop(capture)
            capture._thread.join(60)


def test_a_picture_says_which_it_is():
    for numbers in ((0, 0), (1, 2), (255, 65535), (170, 21845)):
        assert read_picture(picture(*(numbers + ((64, 48),)))) == numbers


def faults_of_several(drive):
    several.run_side(drive, several.FAULTS, SECONDS)
    return drive.faults


def test_a_camera_that_holds_up_the_others_is_found(drive, monkeypatch):
    def wait_for_all(changed, captures):
        with changed:
            changed.wait_for(lambda: all(capture.ready() for capture in captures), 3)
        return wait_for_any(changed, captures)

    monkeypatch.setattr("tsm_edge.session.wait_for_any", wait_for_all)
    assert any("steady-1: no frame for " in fault for fault in faults_of_several(drive))


def test_gross_slowness_is_told():
    p99 = {several.ALONE: 100.0, several.HEALTHY: 110.0, several.FAULTS: 175.0}
    assert not several.slowed(p99)  # less than a frame interval more
    assert several.slowed(dict(p99, **{several.FAULTS: 177.0}))
    assert not several.slowed({several.ALONE: 300.0, several.HEALTHY: 400.0, several.FAULTS: 590.0})


def test_interruptions_that_are_not_told_are_found(drive, monkeypatch):
    grab = LiveStream.grab

    def without_gap(self):
        stamp = grab(self)
        return stamp and stamp._replace(gaps=())

    monkeypatch.setattr(LiveStream, "grab", without_gap)
    faults = faults_of_several(drive)
    assert any("reconnecting: gaps" in fault for fault in faults)
    assert any("reconnecting: resets" in fault for fault in faults)


def test_frames_of_a_network_stream_dropped_without_a_count_are_found(drive, monkeypatch):
    silent_drops(monkeypatch)
    assert any(" dropped, " in fault for fault in faults_of_several(drive))


def test_frames_that_a_network_stream_loses_are_found(drive, monkeypatch):
    grab = LiveStream._grab
    calls = {}

    def every_other(self):
        calls[self] = calls.get(self, 0) + 1
        return grab(self) and (calls[self] % 20 or grab(self))

    monkeypatch.setattr(LiveStream, "_grab", every_other)
    assert any("steady-1: Seen(" in fault for fault in faults_of_several(drive))
