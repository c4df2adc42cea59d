"""Ctrl-C, SIGTERM, SIGHUP: the video plays, the JSONL ends with its summary, which is printed; exit 128 + signal."""

import os
import pty
import signal
import time

import pytest

from tests.device import media
from tests.device.running import all_records, ended, played, records, start, wait_for_lines

SIGNALS = [(signal.SIGINT, 130, "interrupt"), (signal.SIGTERM, 143, "SIGTERM"), (signal.SIGHUP, 129, "SIGHUP")]


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
    assert ("stopped    by Ctrl-C" if stopped == "interrupt" else stopped) in done.out
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


def test_a_camera_that_is_gone_delays_no_other_stream_and_is_tried_until_ctrl_c(model, tmp_path):
    video = media.write_video(tmp_path / "in.mp4", 40)
    out = tmp_path / "o.jsonl"
    with media.MjpegServer([5]) as server:
        process = start("run", "--engine", model, "--source", server.url, "--source", video, "--jsonl", out)
        wait_for_lines(out, 41, process)
        until = time.monotonic() + 60
        while server.connections < 3:  # it is tried again and again
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        done = ended(process)
    assert done.code == 130
    assert "interrupted after" in done.err and server.url in done.err
    _, _, (camera, of_file, of_run) = all_records(out)
    assert 1 <= camera["frames"] + camera["dropped"] <= 5 and camera["stopped"] == "interrupt"
    assert (of_file["frames"], of_file["stopped"]) == (40, "end")
    assert of_run["stopped"] == "interrupt"


def test_the_terminal_shows_that_a_camera_is_away(model, tmp_path):
    """Also where no frame comes at all."""
    leader, follower = pty.openpty()
    with media.MjpegServer([20, 20]) as server:
        process = start("run", "--engine", model, "--source", server.url, stderr=follower)
        os.close(follower)
        shown, until = b"", time.monotonic() + 60
        with os.fdopen(leader, "rb", buffering=0) as screen:
            while b", 1 gap, reconnecting" not in shown:
                assert time.monotonic() < until, shown
                shown += screen.read(4096)
            process.send_signal(signal.SIGINT)
            assert ended(process).code == 130
    assert b"dropped, reconnecting" in shown  # before it came back once
