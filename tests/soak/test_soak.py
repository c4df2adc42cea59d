"""The soak in small; and that it finds what it is there to find, by breaking the product on purpose."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.soak import endings
from tests.soak.camera import APART, INTERRUPTIONS, KINDS, plan
from tests.soak.drive import Drive
from tsm_edge import session as pipeline
from tsm_edge.engines.onnxruntime.cpu import _BoundState
from tsm_edge.sinks.files import unwritable
from tsm_edge.sinks.jsonl import JsonlSink
from tsm_edge.sources.capture import Capture
from tsm_edge.sources.live import LiveStream

FRAMES = 1200

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")


@pytest.fixture
def drive(models, tmp_path):
    return Drive("test", os.path.join(models, "tiny_custom.onnx"), tmp_path, 3)


def test_a_small_soak(models, tmp_path):
    report = tmp_path / "soak.json"
    command = [sys.executable, "-m", "tests.soak", "--frames", "2000", "--json", str(report)]
    command += ["--model", os.path.join(models, "tiny_custom.onnx")]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
    out = done.stdout.decode()
    assert done.returncode == 0, out
    assert "all as it should be" in out
    said = json.loads(report.read_text())
    assert said["ok"] is True and said["faults"] == []
    assert said["frames"] >= 2000
    assert {run["name"].replace(" ", "_") for run in said["runs"]} == {
        ending.__name__ for ending in (endings.hours,) + endings.ENDINGS
    }
    assert set(said["runs"][0]["injected"]) == set(KINDS)


def test_too_few_frames_are_refused(capsys):
    from tests.soak.__main__ import main

    with pytest.raises(SystemExit) as ended:
        main(["--frames", "10"])
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
    monkeypatch.setattr(_BoundState, "_clear", lambda self, stream: None)
    found(drive, endings.hours, "the state was not reset")


def test_a_state_that_is_lost_is_found(drive, monkeypatch):
    monkeypatch.setattr(_BoundState, "_advance", lambda self: None)
    found(drive, endings.hours, "the state does not know what came before")


def test_frames_dropped_without_a_count_are_found(drive, monkeypatch):
    put = Capture._put

    def silent(self, *arguments):
        before = self.dropped
        put(self, *arguments)
        self.dropped = before

    monkeypatch.setattr(Capture, "_put", silent)
    found(drive, endings.hours, "dropped frames counted", "corrupt frames, by the frames' numbers")


def test_a_queue_without_bounds_is_found(drive, monkeypatch):
    def put(self, frame, seconds):
        with self._changed:
            self._waiting.append((frame, seconds))
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
        kept.append(np.tile(result.frame.image, (16, 1, 1)))  # more than what earlier tests left free in the heap
        write(self, result)

    monkeypatch.setattr(JsonlSink, "write", keep)
    found(drive, endings.hours, "memory flat")


def test_pictures_that_are_overwritten_are_found(drive, monkeypatch):
    run = pipeline.run

    def scribbling(frames, stages, *rest):
        preprocess = stages.preprocess

        def scribble(image):
            tensor = preprocess(image)
            image[0, 0] += 1
            return tensor

        return run(frames, stages._replace(preprocess=scribble), *rest)

    monkeypatch.setattr(pipeline, "run", scribbling)
    found(drive, endings.hours, "pictures overwritten")


def test_a_line_half_written_is_found(drive, monkeypatch):
    def line(self, record):
        text = (json.dumps(record) + "\n").encode("ascii")
        try:
            if self._file.write(text) < len(text):
                raise OSError(27, "File too large")
        except OSError as error:
            self._failed = unwritable(self.path, error)
            raise self._failed from error

    monkeypatch.setattr(JsonlSink, "_line", line)
    found(drive, endings.disk_full_of_results, "is cut off")


def test_a_thread_left_behind_is_found(drive, monkeypatch):
    monkeypatch.setattr(Capture, "close", lambda self: None)
    try:
        found(drive, endings.hours, "threads and open files")
    finally:
        drive.camera.end()
        drive.watch._capture._closed = True
        drive.watch._capture.source.close()
        drive.watch._capture._thread.join(60)
