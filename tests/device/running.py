"""How the tests run `tsm-edge`, in this process or in one of its own, and what every JSONL of a run must hold."""

import json
import os
import signal
import subprocess
import sys
import time

import cv2

from tsm_edge.cli import main
from tsm_edge.errors import InputError
from tsm_edge.files import OutputFile

ALL_FRAMES_KEYS = {"kind", "stream", "wall_time", "frame", "time"}
FRAME_KEYS = ALL_FRAMES_KEYS | {"label", "confidence", "top"}
BOX_KEYS = {"label", "class_id", "confidence", "box", "track"}
EVENT_KEYS = {"kind", "id", "type", "stream", "label", "start", "end", "confidence", "leading", "wall_time"}
GAP_KEYS = {"kind", "stream", "wall_time", "frame", "time", "reason", "seconds"}
COUNTS = {"frames", "dropped", "corrupt", "resets", "events"}
SUMMARY_KEYS = COUNTS | {"kind", "stream", "wall_time", "fps", "stopped", "stages"}
STREAM_KEYS = SUMMARY_KEYS | {"source"}
RUN_KEYS = SUMMARY_KEYS | {"streams", "seconds", "engine", "shift_by", "model", "weights_trained"}
STAGES = {"wait", "decode", "preprocess", "infer", "decide", "sink", "frame"}
LIVE_STAGES = STAGES | {"capture", "latency"}


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


def start(*arguments, stderr=subprocess.PIPE, **environment):
    """`tsm-edge` in a process of its own, which Ctrl-C reaches even where the tests themselves ignore it."""
    return subprocess.Popen(
        [sys.executable, "-m", "tsm_edge"] + [str(argument) for argument in arguments],
        stdout=subprocess.PIPE,
        stderr=stderr,
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
    return Done(process.returncode, out, err or "")


def wait_for_lines(path, count, process):
    """Wait until the file at `path` has `count` lines."""
    until = time.monotonic() + 120
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "no {} lines in {}".format(count, path)
        time.sleep(0.02)


def wait_for_writer(path):
    """Wait until no process writes the file at `path`: ffmpeg ends a moment after the run that it belongs to."""
    until = time.monotonic() + 60
    while _is_written(path):
        assert time.monotonic() < until
        time.sleep(0.02)


def _is_written(path):
    try:
        OutputFile(str(path)).close()
    except InputError as error:
        assert "writes it" in error.got
        return True
    return False


def records(path):
    """(frames, ended events, summary of the run) of a finished JSONL of one stream, checked against docs/outputs.md."""
    frames, events, summaries = all_records(path)
    assert len(summaries) == 2, "several streams: use all_records"
    return frames, [event for event in events if event["type"] == "end"], summaries[-1]


def all_records(path):
    """(frames, events, summaries) of a finished JSONL of any number of streams, checked against docs/outputs.md."""
    with open(str(path), "rb") as file:
        text = file.read().decode("ascii")
    assert text.endswith("\n")
    lines = [json.loads(line) for line in text.splitlines()]
    kinds = [line["kind"] for line in lines]
    count = kinds.count("summary")
    assert kinds[len(kinds) - count :] == ["summary"] * count and count >= 2
    summaries = lines[len(lines) - count :]
    frames = [line for line in lines if line["kind"] == "frame"]
    events = [line for line in lines if line["kind"] == "event"]
    gaps = [line for line in lines if line["kind"] == "gap"]
    assert len(frames) + len(events) + len(gaps) + count == len(lines)
    of_run, of_streams = summaries[-1], summaries[:-1]
    assert set(of_run) == RUN_KEYS and of_run["stream"] is None and of_run["streams"] == len(of_streams)
    for key in COUNTS:
        assert of_run[key] == sum(summary[key] for summary in of_streams)
    for summary in of_streams:
        assert set(summary) == STREAM_KEYS
        name = summary["stream"]
        _check_stream(
            summary,
            [frame for frame in frames if frame["stream"] == name],
            [event for event in events if event["stream"] == name],
            [gap for gap in gaps if gap["stream"] == name],
        )
    assert {line["stream"] for line in frames + events} <= {summary["stream"] for summary in of_streams}
    return frames, events, summaries


def _check_stream(summary, frames, events, gaps):
    for gap in gaps:
        assert set(gap) == GAP_KEYS and gap["reason"] and gap["seconds"] >= 0
    assert len(gaps) == summary["resets"]
    for frame in frames:
        if "boxes" in frame:
            assert set(frame) == ALL_FRAMES_KEYS | {"boxes"}
            assert all(set(box) == BOX_KEYS for box in frame["boxes"])
            scores = [box["confidence"] for box in frame["boxes"]]
            assert scores == sorted(scores, reverse=True)
            continue
        assert set(frame) == FRAME_KEYS
        probabilities = [probability for _, probability in frame["top"]]
        assert len(probabilities) == 5
        assert probabilities == sorted(probabilities, reverse=True)
        assert frame["confidence"] == probabilities[0]
    assert [f["frame"] for f in frames] == sorted({f["frame"] for f in frames})
    assert [f["time"] for f in frames] == sorted({f["time"] for f in frames})
    assert [f["wall_time"] for f in frames] == sorted(f["wall_time"] for f in frames)
    assert summary["frames"] == len(frames)
    detector, open_ids, closed_ids = any("boxes" in frame for frame in frames), set(), set()
    for event in events:
        assert set(event) == EVENT_KEYS
        assert event["start"] <= event["end"]
        if event["type"] == "new":
            assert detector or not open_ids  # a classifier's events never overlap
            assert event["id"] not in open_ids | closed_ids
            open_ids.add(event["id"])
        assert event["id"] in open_ids
        if event["type"] == "end":
            open_ids.remove(event["id"])
            closed_ids.add(event["id"])
    assert not open_ids
    assert summary["events"] == sum(event["type"] == "new" for event in events)
    if not summary["stopped"].startswith("error"):
        assert set(summary["stages"]) in (set(), STAGES, LIVE_STAGES)
        assert not frames or summary["stages"]


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
