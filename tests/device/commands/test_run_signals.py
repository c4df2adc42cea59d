"""Ctrl-C, SIGTERM, SIGHUP: the video plays, the JSONL ends with its summary, which is printed; exit 128 + signal."""

import os
import signal
import time

import pytest

from tests.device import media
from tests.device.running import ended, played, records, start, wait_for_lines

SIGNALS = [(signal.SIGINT, 130, "interrupt"), (signal.SIGTERM, 143, "SIGTERM"), (signal.SIGHUP, 129, "SIGHUP")]


@pytest.fixture
def model(models):
    return os.path.join(models, "tiny_custom.onnx")


def check_whole(done, out, saved):
    frames, _, summary = records(out)
    assert done.out.startswith("frames     {} in".format(len(frames)))
    assert played(saved)[0] == len(frames)
    return summary


@pytest.mark.parametrize("signum, code, stopped", SIGNALS)
def test_a_signal_ends_the_run_whole(model, tmp_path, signum, code, stopped):
    video = media.write_video(tmp_path / "in.mp4", 40)
    out, saved = tmp_path / "o.jsonl", tmp_path / "o.mp4"
    process = start("run", "--engine", model, "--source", video, "--loop", "--jsonl", out, "--save", saved)
    wait_for_lines(out, 60, process)
    process.send_signal(signum)
    done = ended(process)
    assert done.code == code
    assert check_whole(done, out, saved)["stopped"] == stopped
    assert ("stopped by Ctrl-C" if stopped == "interrupt" else stopped) in done.out
    assert "error" not in done.err


def test_impatience_breaks_nothing(model, tmp_path):
    video = media.write_video(tmp_path / "in.mp4", 40)
    out, saved = tmp_path / "o.jsonl", tmp_path / "o.mp4"
    process = start("run", "--engine", model, "--source", video, "--loop", "--jsonl", out, "--save", saved)
    wait_for_lines(out, 20, process)
    for signum in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        process.send_signal(signum)
        time.sleep(0.002)
    done = ended(process)
    # Two signals that wait at once are taken in no order, and one that comes while Python itself ends kills it.
    assert done.code in (130, 143, -signal.SIGINT, -signal.SIGTERM)
    check_whole(done, out, saved)


def test_ctrl_c_while_a_stream_is_silent(model, tmp_path):
    out, saved = tmp_path / "o.jsonl", tmp_path / "o.mp4"
    with media.MjpegServer([30], stall=0) as server:
        process = start("run", "--engine", model, "--source", server.url, "--jsonl", out, "--save", saved)
        wait_for_lines(out, 1, process)
        process.send_signal(signal.SIGINT)
        done = ended(process)
    assert done.code == 130
    assert check_whole(done, out, saved)["stopped"] == "interrupt"


def test_ctrl_c_before_the_first_frame(model, tmp_path):
    """The server accepts and says nothing, so the run sits in OpenCV's open; the signal waits for that to give up."""
    with media.MjpegServer([0], stall=0) as server:
        process = start("run", "--engine", model, "--source", server.url, "--jsonl", tmp_path / "o.jsonl")
        until = time.monotonic() + 60
        while not server.connections:
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        done = ended(process)
    assert done.code == 130
    assert not (tmp_path / "o.jsonl").exists()
