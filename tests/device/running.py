"""How the tests run `tsm-edge`, in this process or in one of its own, and what every JSONL of a run must hold."""

import json
import os
import signal
import subprocess
import sys
import time

import cv2

from tsm_edge.cli import main

FRAME_KEYS = {"kind", "frame", "time", "label", "confidence", "top"}
EVENT_KEYS = {"kind", "label", "start", "end", "confidence"}
SUMMARY_KEYS = {"kind", "frames", "fps", "seconds", "stages", "dropped", "corrupt", "resets", "events", "engine"}
SUMMARY_KEYS |= {"model", "shift_by", "weights_trained", "stopped"}
STAGES = {"wait", "decode", "preprocess", "infer", "decide", "sink", "frame"}


class Done:
    """What a command left: exit code, standard output and standard error."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err
        assert "Traceback" not in err, err


def tsm_edge(capsys, *arguments):
    """Run a command in this process; argparse's exits count as what they are."""
    capsys.readouterr()
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as ended:
        code = ended.code
    out, err = capsys.readouterr()
    return Done(code, out, err)


def start(*arguments, **environment):
    """`tsm-edge` in a process of its own, which Ctrl-C reaches even where the tests themselves ignore it."""
    return subprocess.Popen(
        [sys.executable, "-m", "tsm_edge"] + [str(argument) for argument in arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        env=dict(os.environ, PYTHONPATH=os.getcwd(), **environment),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def ended(process):
    """Wait for its end. A command that hangs fails the test instead of the machine."""
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return Done(process.returncode, out, err)


def wait_for_lines(path, count, process):
    """Wait until the file at `path` has `count` lines."""
    until = time.monotonic() + 120
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "no {} lines in {}".format(count, path)
        time.sleep(0.02)


def records(path):
    """(frames, events, summary) of a finished JSONL, checked against DESIGN.md "Commands and records"."""
    with open(str(path), "rb") as file:
        text = file.read().decode("ascii")
    assert text.endswith("\n")
    lines = [json.loads(line) for line in text.splitlines()]
    summary = lines[-1]
    assert summary["kind"] == "summary"
    assert set(summary) == SUMMARY_KEYS
    frames = [line for line in lines[:-1] if line["kind"] == "frame"]
    events = [line for line in lines[:-1] if line["kind"] == "event"]
    assert len(frames) + len(events) == len(lines) - 1
    for frame in frames:
        assert set(frame) == FRAME_KEYS
        probabilities = [probability for _, probability in frame["top"]]
        assert len(probabilities) == 5
        assert probabilities == sorted(probabilities, reverse=True)
        assert frame["confidence"] == probabilities[0]
    for event in events:
        assert set(event) == EVENT_KEYS
        assert event["start"] <= event["end"]
    assert [f["frame"] for f in frames] == sorted({f["frame"] for f in frames})
    assert [f["time"] for f in frames] == sorted({f["time"] for f in frames})
    assert summary["frames"] == len(frames)
    assert summary["events"] == len(events)
    if not summary["stopped"].startswith("error"):
        assert set(summary["stages"]) == STAGES
    return frames, events, summary


def played(path):
    """(frames, width, height) of a video, counted by decoding it."""
    capture = cv2.VideoCapture(str(path))
    count, size = 0, (None, None)
    while True:
        ok, image = capture.read()
        if not ok:
            capture.release()
            return (count,) + size
        count, size = count + 1, (image.shape[1], image.shape[0])
