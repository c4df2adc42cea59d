"""A run of thousands of frames holds no more memory than one of hundreds."""

import gc
import os

import pytest

from tests.device import media
from tests.device.running import records, tsm_edge
from tsm_edge.machine.sampler import resident_now
from tsm_edge.sinks.jsonl import JsonlSink

WARM, COUNT = 300, 3000
SPARE = 4e6  # bytes: less than 3,000 frames of the video would take by a factor of 6, more than allocators wobble


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
def test_memory_is_flat(models, tmp_path, capsys, monkeypatch):
    video, out = media.write_video(tmp_path / "in.mp4", 100), tmp_path / "o.jsonl"
    seen = {}
    write = JsonlSink.write

    def watched(self, result):
        write(self, result)
        if result.frame.index in (WARM, COUNT - 1):
            gc.collect()
            seen[result.frame.index] = resident_now()

    monkeypatch.setattr(JsonlSink, "write", watched)
    arguments = ("--loop", "--max-frames", COUNT, "--jsonl", out, "--threads", 1)
    engine = os.path.join(models, "tiny_custom.onnx")
    assert tsm_edge(capsys, "run", "--engine", engine, "--source", video, *arguments).code == 0
    assert records(out)[2]["resets"] == COUNT // 100 - 1
    assert seen[COUNT - 1] - seen[WARM] < SPARE
